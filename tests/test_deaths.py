"""Which deaths of a gateway or of the dashboard are those of one that keeps dying, in `status` and `health` as in the pauses: none that
somebody asked for, and none that ended a life of a minute. The whole table is in `count.rs`."""

import json
import os
import struct
import time

import pytest

from support.forged_state import EPOCH, Forged, moment, steadily
from support.program import HERMES, executable, run, wait_for
from support.testbed import DASHBOARD, Bed, dashboard

pytestmark = pytest.mark.s6


KEPT = ".hermes-init-deaths.json"
# What ends as the real gateways do: SIGTERM without a marker is 1, with a marker 0 (1 in older releases: `old`), `/restart` is 75.
STAND_IN = r"""#!/bin/sh
name=default home=/opt/data
[ "$1" = -p ] && name=$2 home=/opt/data/profiles/$2
[ "$1" = dashboard ] && name=dashboard home=/nowhere
what=sleep
read -r what code 2>/dev/null < /run/bed/do.$name
marker=$home/.gateway-planned-stop.json
end() {
    [ "$name" = dashboard ] && exit 0
    [ -e "$marker" ] || exit 1
    rm "$marker"
    [ "$what" = old ] && exit 1
    exit 0
}
trap end TERM
trap "exit 75" USR1
echo "started $name"
[ "$what" = exit ] && exit "$code"
: > /run/bed/ready.$name.$$
while :; do sleep 60 & wait $!; done
"""


def container(mode, **environment):
    sealed = {"HERMES_INIT_SEALED": "1"} if mode == "sealed" else {}
    return Bed(stand_in=STAND_IN, environment=sealed | environment)


@pytest.fixture(params=["delegated", "sealed"])
def coder(request):
    """A container in which coder's gateway runs."""
    with container(request.param) as bed:
        bed.profile("coder", "running")
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        yield bed


def row(bed, name="coder", uid=HERMES):
    [line] = bed.init("status", "--json", name, uid=uid, code=None).stdout.splitlines()
    return json.loads(line)


def tally(bed, service="gateway-coder"):
    """Returns the exit codes of the deaths that s6 has recorded."""
    path = bed.path(f"/run/service/{service}/supervise/death_tally")
    content = path.read_bytes()
    return [code for _, _, code, _ in struct.iter_unpack(">QIBB", content)]


def ready(bed, name="coder"):
    """Waits until the stand-in can take a signal. Returns its process ID."""
    service = f"/run/service/{name}" if name == "dashboard" else bed.slot(name)

    def pid():
        found = bed.pid_of(service)
        return found if found > 0 and bed.path(f"/run/bed/ready.{name}.{found}").exists() else None

    return wait_for(pid, 10, f"{name} to be ready")


def is_well(bed, name="coder"):
    for uid in (0, HERMES):
        found = row(bed, name, uid)
        assert (found["state"], found["deaths"], found["note"]) == ("up", 0, None), found
        done = bed.init("health", name, uid=uid, code=0)
        assert done.stdout == b"", done


def ask(bed, *argv, name="coder"):
    """Runs a command that ends the gateway, and waits until it has been started again."""
    before = ready(bed, name)
    assert bed.run(list(argv), uid=HERMES).returncode == 0
    wait_for(lambda: ready(bed, name) != before, 10, "another process")


def restart(bed):
    ask(bed, "kill", "-USR1", str(ready(bed)))


def svc(bed, letters, service=None, uid=HERMES):
    assert bed.run(["timeout", "5", "s6-svc", letters, service or bed.slot("coder")], uid=uid).returncode == 0


def stop_with_s6(bed):
    """Waits for the end of `finish`, too: an order to be up that comes before it takes this one back."""
    svc(bed, "-d")
    assert bed.run(["s6-svwait", "-D", "-t", "5000", bed.slot("coder")]).returncode == 0


def crash(bed, times, gap=0):
    """Has the gateway die at once, so many times, and then be as it should be. It is dead then."""
    bed.tell("coder", "exit 3")
    before = len(tally(bed))
    bed.run(["kill", "-9", str(ready(bed))])
    wait_for(lambda: len(tally(bed)) >= before + times, 15, f"{times} deaths")


def test_restarts_from_inside_are_no_deaths(coder):
    """`/restart` and an update end it with 75."""
    for number in range(1, 7):
        restart(coder)
        assert tally(coder) == [75] * number
        is_well(coder)
    assert b"keeps dying" not in coder.log()
    # What it ended with last is still told, and a crash is one.
    assert row(coder)["exit_code"] == 75
    coder.run(["kill", "-9", str(ready(coder))])
    wait_for(lambda: row(coder)["deaths"] == 1, 5, "the death")
    # No file is needed for that.
    assert not coder.path(f"/opt/data/profiles/coder/{KEPT}").exists()


def test_after_a_stop_that_was_planned_the_count_begins_anew(coder):
    crash(coder, 2)
    assert row(coder)["state"] == "restarting"
    coder.tell("coder", "sleep")
    ready(coder)
    coder.init("stop", "coder", uid=HERMES)
    assert tally(coder)[-1] == 0
    coder.init("start", "--wait=5", "coder", uid=HERMES)
    ready(coder)
    is_well(coder)


def test_after_a_stop_in_a_pause_too(coder):
    crash(coder, 5)
    wait_for(lambda: "waiting, starts again at" in (row(coder)["note"] or ""), 10, "the pause")
    coder.tell("coder", "sleep")
    svc(coder, "-d")
    wait_for(lambda: coder.svstat(coder.slot("coder")) == "down", 5, "down")
    svc(coder, "-u")
    ready(coder)
    is_well(coder)


@pytest.mark.parametrize("times", [1, 2])
def test_stops_with_s6_alone_are_none_though_it_ends_with_1(coder, times):
    """`s6-svc -d`, without a marker: `gateway-finish` sees the order."""
    for _ in range(times):
        ready(coder)
        stop_with_s6(coder)
        svc(coder, "-u")
    ready(coder)
    assert tally(coder) == [1] * times
    is_well(coder)
    kept = coder.path(f"/opt/data/profiles/coder/{KEPT}")
    assert (kept.stat().st_uid, kept.stat().st_gid, kept.stat().st_mode & 0o777) == (HERMES, HERMES, 0o644)


@pytest.mark.parametrize("uid", [0, HERMES])
def test_restarts_by_us_are_none_also_if_it_ends_with_1(coder, uid):
    coder.tell("coder", "old")
    ask(coder, "s6-svc", "-t", coder.slot("coder"))
    for _ in range(2):
        ready(coder)
        coder.init("restart", "--wait=10", "coder", uid=uid)
    assert tally(coder) == [1, 1, 1]
    is_well(coder)


@pytest.mark.parametrize("uid", [0, HERMES])
def test_a_stop_of_one_that_is_dead_in_that_moment_begins_the_count_anew(coder, uid):
    crash(coder, 3)
    assert row(coder)["state"] == "restarting"
    coder.init("stop", "coder", uid=uid)
    died = len(tally(coder))
    coder.tell("coder", "sleep")
    coder.init("start", "--wait=5", "coder", uid=uid)
    ready(coder)
    is_well(coder)
    assert len(tally(coder)) == died
    # The next death is the first one.
    coder.run(["kill", "-9", str(ready(coder))])
    wait_for(lambda: (row(coder)["deaths"], row(coder)["state"]) == (1, "up"), 5, "the first death")


def test_so_does_one_with_s6_alone_that_is_not_taken_back_at_once(coder):
    """It is down for longer than s6 leaves one that is to be up."""
    crash(coder, 3)
    wait_for(lambda: coder.svstat(coder.slot("coder")) == "down", 5, "a dead one")
    svc(coder, "-d")
    time.sleep(4.5)
    died = len(tally(coder))
    coder.tell("coder", "sleep")
    svc(coder, "-u")
    ready(coder)
    is_well(coder)
    coder.run(["kill", "-9", str(ready(coder))])
    wait_for(lambda: len(tally(coder)) == died + 1, 5, "the death")
    wait_for(lambda: (row(coder)["deaths"], row(coder)["state"]) == (1, "up"), 5, "the first death")


@pytest.mark.parametrize("uid", [0, HERMES])
def test_a_start_between_a_few_deaths_begins_the_count_anew(coder, uid):
    crash(coder, 3)
    coder.tell("coder", "sleep")
    ready(coder)
    found = row(coder)
    assert found["state"] == "restarting" and "keeps dying" in found["note"], found
    coder.init("start", "coder", uid=uid)
    is_well(coder)
    # The pauses begin anew as well.
    crash(coder, 4)
    time.sleep(1.5)
    assert b"keeps dying" not in coder.log()


@pytest.mark.parametrize("how", ["stop", "restart", "75"])
def test_what_was_kept_goes_with_an_end_that_tells_by_itself(coder, how):
    ready(coder)
    stop_with_s6(coder)
    svc(coder, "-u")
    kept = coder.path(f"/opt/data/profiles/coder/{KEPT}")
    assert kept.exists() and ready(coder)
    if how == "75":
        restart(coder)
    else:
        coder.init(how, "coder", uid=HERMES)
    assert not kept.exists()


@pytest.mark.parametrize("verb", ["start", "stop", "restart"])
def test_an_order_that_has_nothing_to_begin_anew_leaves_no_file(coder, verb):
    ready(coder)
    coder.init(verb, "coder", uid=HERMES)
    assert not coder.path(f"/opt/data/profiles/coder/{KEPT}").exists()


@pytest.mark.parametrize("mode", ["delegated", "sealed"])
def test_a_stop_of_the_dashboard_is_none_though_it_ends_with_0(mode):
    with container(mode, HERMES_DASHBOARD="1") as bed:
        dashboard(bed)
        ready(bed, "dashboard")
        bed.init("fix-perms", "/run/service")
        for _ in range(2):
            ready(bed, "dashboard")
            svc(bed, "-d", DASHBOARD)
            assert bed.run(["s6-svwait", "-D", "-t", "5000", DASHBOARD]).returncode == 0
            svc(bed, "-u", DASHBOARD)
        ready(bed, "dashboard")
        assert tally(bed, "dashboard") == [0, 0]
        is_well(bed, "dashboard")
        # Of a signal alone, nothing is known: that it ends by itself is a death.
        ask(bed, "s6-svc", "-t", DASHBOARD, name="dashboard")
        assert row(bed, "dashboard")["deaths"] == 1


# What s6 has recorded. A life of a minute is no part of a loop, however it ended.


@pytest.fixture
def forged(place):
    with Forged(place) as forged:
        yield forged


# Deaths, how long the process is up, and the state, the number of deaths and the last one that is printed.
LIVES = {
    "two deaths": ([(50, 1, 0), (9, 1, 0)], 8, "restarting", 2, "exit code 1"),
    "restarts from inside": ([(50, 75, 0), (9, 75, 0)], 8, "up", 0, None),
    "restarts by a signal after a minute each": ([(170, 1, 0), (100, 1, 0), (30, 1, 0)], 29, "up", 0, None),
    "a death within a minute of one after it": ([(170, 1, 0), (100, 1, 0), (50, 1, 0)], 49, "up", 1, None),
    "two such": ([(170, 1, 0), (100, 1, 0), (50, 1, 0), (9, 7, 0)], 8, "restarting", 2, "exit code 7"),
    "a start that has lasted a minute": ([(75, 1, 0), (70, 1, 0), (65, 1, 0)], 60, "up", 0, None),
    "one that has not": ([(75, 1, 0), (70, 1, 0), (65, 1, 0)], 59, "restarting", 3, "exit code 1"),
    "none after a stop": ([(50, 1, 0), (40, 1, 0), (30, 0, 0)], 29, "up", 0, None),
    "a restart between": ([(50, 1, 0), (40, 75, 0), (30, 1, 0)], 29, "up", 1, None),
}


@pytest.mark.parametrize("uid", [0, HERMES])
def test_which_deaths_count(forged, uid):
    for name in LIVES:
        forged.profile(name.replace(" ", "-"), "running")

    def look(now):
        for name, (deaths, age, *_) in LIVES.items():
            forged.slot(name.replace(" ", "-"), now=now, deaths=deaths, age=age)
        return forged.rows(uid=uid), forged.run("health", uid=uid, code=1).stdout.splitlines()

    rows, faults = steadily(look)
    for name, (_, _, state, count, last) in LIVES.items():
        found = rows[name.replace(" ", "-")]
        assert (found["state"], found["deaths"]) == (state, count), (name, found)
        said = last and f"keeps dying: {count} times within 180 seconds ({last})"
        assert (found["note"] or "").startswith(said or "") and bool(found["note"]) == bool(said), (name, found)
    assert {line.partition(":")[0] for line in faults} == {name.replace(" ", "-") for name, (*_, last) in LIVES.items() if last}


def test_the_death_that_is_printed_is_one_that_counts(forged):
    """What another service ended with 0 may have been intended, and is none of its deaths."""
    forged.service("other", deaths=[(9, 1, 0), (8, 2, 0), (5, 0, 0)], age=4)
    found = forged.rows()["/other"]
    assert (found["state"], found["deaths"], found["exit_code"]) == ("restarting", 2, 2)
    assert "(exit code 2)" in found["note"]


def kept(path, since):
    path.write_text(json.dumps({"count_since": moment(since).hex()}))
    os.chown(path, HERMES, HERMES)


@pytest.mark.parametrize("uid", [0, HERMES])
def test_what_was_kept_counts_for_the_gateway_and_for_the_dashboard(forged, uid):
    deaths = [(50, 1, 0), (40, 1, 0), (30, 1, 0)]
    folder = forged.profile("coder", "running")
    now = int(time.time())
    forged.slot("coder", now=now, deaths=deaths, age=29)
    (forged.service("dashboard", now=now, deaths=deaths, age=29) / "run").write_text("#!/usr/bin/hermes-init dashboard-run\n")
    # A moment that is still to come tells nothing: the clock was set back.
    for age, count in ((60, 3), (45, 2), (35, 1), (30, 0), (-1000, 3)):
        kept(folder / KEPT, now - age)
        kept(forged.home / ".hermes-init-dashboard-deaths.json", now - age)
        rows = forged.rows(uid=uid)
        assert [rows[name]["deaths"] for name in ("coder", "/dashboard")] == [count, count], age
    for content in ("", "7", '{"count_since": 7}', '{"count_since": "x"}'):
        (folder / KEPT).write_text(content)
        assert forged.rows(uid=uid)["coder"]["deaths"] == 3, content


@pytest.mark.strace
def test_what_was_kept_and_cannot_be_read_is_said(forged):
    folder = forged.profile("coder", "running")
    forged.slot("coder", deaths=[(9, 1, 0)], age=8)
    (folder / KEPT).write_text("{}")
    failing = ["strace", "-f", "-o", "/dev/null", "-P", KEPT, "-e", "inject=openat,openat2:error=EIO"]
    done = forged.run("health", before=failing, code=111)
    assert f"unable to read {KEPT}: I/O error" in done.stdout, done


# Finish, which s6-supervise runs with the state before it in its file, or the one after it.
@pytest.mark.parametrize("is_written", [False, True])
@pytest.mark.parametrize(
    "code, lived, is_wanted, is_kept",
    [(1, 59, True, False), (1, 60, True, True), (1, 5, True, False), (1, 5, False, True), (75, 60, True, False), (0, 60, False, False)],
)
def test_finish_keeps_what_the_tally_does_not_tell(forged, code, lived, is_wanted, is_kept, is_written):
    """A first life, whose begin no death tells, and an order to be down."""
    folder = forged.profile("coder", "running")
    now = int(time.time())
    slot = forged.slot("coder", now=now, deaths=[(0, code, 0)], finishing=is_written, up=not is_written, wanted=is_wanted, age=0)
    (slot / "run").write_text(f"#!/usr/bin/hermes-init gateway-run\nHERMES_HOME={forged.home}\n")
    status = bytearray((slot / "supervise/status").read_bytes())
    status[:12] = moment(now if is_written else now - lived)
    status[12:24] = moment(now - lived)
    (slot / "supervise/status").write_bytes(status)
    os.chmod(slot, 0o755)
    done = run([executable(), "gateway-finish", "./finish", str(code), "0", "gateway-coder"], cwd=slot, env={"PATH": "/usr/bin:/bin"})
    assert (done.returncode, done.stderr) == (125 if code == 0 else 0, b""), done
    assert (folder / KEPT).exists() == is_kept
    if is_kept:
        since = int(json.loads((folder / KEPT).read_text())["count_since"][:16], 16) - EPOCH
        assert now <= since <= now + 5 and (folder / KEPT).stat().st_uid == HERMES
        assert forged.rows()["coder"]["deaths"] == 0

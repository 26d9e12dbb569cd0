"""`status` of gateways that are down, each for another reason; `health`; the cause that
`start --wait` tells; static services. The texts are golden files in tests/golden/why_down."""

import json
import os
import re
from pathlib import Path

import pytest

from support.program import HERMES, wait_for
from support.testbed import Bed, replace_script

pytestmark = pytest.mark.s6
GOLDEN = Path(__file__).parent / "golden/why_down"
ENDED = (
    "{0}: it has ended by itself (exit code 0), or was stopped temporarily; see: /usr/bin/hermes-init logs {0}; "
    "to start it again: /usr/bin/hermes-init start {0}"
)
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[+-]\d{4}")


def plain(output):
    """Returns output without what differs from run to run: times, process IDs, spans of time."""
    text = STAMP.sub("2026-01-02T03:04:05+0000", output.decode().replace("/run/bed/bin/", "/usr/bin/"))
    text = re.sub(r"\d+ times", "N times", text)
    lines = []
    for line in text.split("\n"):
        words = re.split(r"(  +)", line)
        if len(words) > 11 and words[0] != "NAME":
            for at in (6, 8):
                words[at] = words[at] if words[at] == "-" else "N"
        is_row = words[0] == "NAME" or len(words) > 11
        lines.append("  ".join(words[::2]) if is_row else line)
    return "\n".join(lines)


def golden(name, text):
    """Compares a text with its golden file, or writes that."""
    path = GOLDEN / name
    if os.environ.get("HERMES_INIT_GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()


def rows(bed, *names, **options):
    return {row["profile"]: row for row in map(json.loads, bed.init("status", "--json", *names, **options).stdout.splitlines())}


def health(bed, *arguments, code=1, **options):
    done = bed.init("health", *arguments, code=code, **options)
    return done.stdout.decode().replace("/run/bed/bin/", "/usr/bin/").splitlines()


@pytest.fixture(scope="module", params=[False, True], ids=["delegated", "sealed"])
def six(request):
    """Six gateways, each down for another reason (one with a broken logger), and one that is as it should be."""
    with Bed(environment={"HERMES_INIT_SEALED": "1"} if request.param else None) as bed:
        for name in ("broken-logger", "configuration", "fine", "looping", "stopped"):
            bed.profile(name, "running")
        bed.profile("failed-start", "startup_failed")
        (bed.profile("no-soul", "running") / "SOUL.md").unlink()
        logs = bed.path("/opt/data/logs/gateways/broken-logger")
        logs.mkdir(parents=True)
        for path in (logs.parent.parent, logs.parent):
            os.chown(path, HERMES, HERMES)
        bed.tell("configuration", "exit 78")
        bed.tell("looping", "exit 3")
        bed.init("reconcile", code=1)
        bed.rescan()
        wait_for(lambda: bed.svstat(bed.slot("stopped")) == "up", what="its start")
        bed.init("stop", "stopped", uid=HERMES)
        wait_for(lambda: rows(bed)["looping"]["deaths"] >= 5 and "waiting" in rows(bed)["looping"]["note"], 30, "the loop")
        wait_for(lambda: rows(bed)["configuration"]["state"] == "down" and rows(bed)["fine"]["state"] == "up", what="the ends")
        yield bed


def during_a_pause(read):
    """Returns what `read` returns while the gateway that dies again and again makes a pause: between two of them it runs for a moment."""

    def look():
        done = read()
        return done if b"; waiting, starts again at " in done.stdout else None

    return wait_for(look, 30, "a pause")


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_six_reasons_and_six_remedies_are_in_status_and_the_faults_in_health(six, uid):
    golden("six-status.txt", plain(during_a_pause(lambda: six.init("status", uid=uid)).stdout))
    done = during_a_pause(lambda: six.init("health", uid=uid, code=1))
    assert done.stderr == b""
    golden("six-health.txt", plain(done.stdout))
    assert all(len(line) <= 100 for line in six.init("status", uid=uid).stdout.decode().split("\n\n")[0].splitlines())


def test_each_remedy_of_the_six_is_one(six):
    """Carried out as the note has it, the gateway is up, or its last lines are shown."""
    notes = {name: row["note"] for name, row in rows(six).items() if row["note"]}
    assert set(notes) == {"broken-logger", "configuration", "failed-start", "looping", "no-soul", "stopped"}
    commands = {name: re.search(r"/run/bed/bin/hermes-init [\w-]+ [\w/-]+", note)[0].split() for name, note in notes.items()}
    assert {name: words[:-1][-1] for name, words in commands.items() if name != "broken-logger"} == {
        "configuration": "logs",
        "failed-start": "start",
        "looping": "logs",
        "no-soul": "start",
        "stopped": "start",
    }
    for name in ("configuration", "looping"):
        done = six.run(commands[name], uid=HERMES)
        assert done.returncode == 0 and f"started {name}\n".encode() in done.stdout, done
    assert six.run(commands["broken-logger"]).returncode == 0
    (six.path("/opt/data/profiles/no-soul") / "SOUL.md").touch()
    for name in ("failed-start", "stopped", "no-soul"):
        uid = 0 if name == "no-soul" else HERMES
        assert six.run(commands[name], uid=uid).returncode == 0, name
        wait_for(lambda name=name: six.svstat(six.slot(name)) == "up", what=name)
    # A logger that runs does not come back to its directory by itself.
    again = rows(six)["broken-logger"]["note"]
    assert again.startswith("its output goes to the container's log only, "), again
    assert six.run(again.split(": ")[-1].split(), uid=HERMES).returncode == 0
    wait_for(lambda: (six.path("/opt/data/logs/gateways/broken-logger/current")).exists(), what="the log")
    healed = rows(six)
    assert {name for name, row in healed.items() if row["note"]} == {"configuration", "looping"}


def test_health_is_silent_where_all_is_as_it_should_be(live):
    live.profile("idle", "stopped")
    live.init("reconcile")
    live.rescan()
    wait_for(lambda: live.svstat(live.slot("idle")) == "down", what="the slot")
    for uid in (HERMES, 0):
        done = live.init("health", uid=uid)
        assert (done.stdout, done.stderr) == (b"", b"")
        assert live.init("health", "--json", "coder", uid=uid).stdout == b""
    # It has not been up for so long.
    [line] = health(live, "--min-up=3600", uid=HERMES)
    assert re.fullmatch(r"coder: up for only \d+ seconds", line)
    [row] = [json.loads(line) for line in live.init("health", "--json", "--min-up=3600", code=1).stdout.splitlines()]
    assert (row["profile"], row["state"], row["kind"]) == ("coder", "up", "gateway")
    # Stopped for s6 alone, it is wanted; stopped for good, it is not.
    assert live.run(["s6-svc", "-d", live.slot("coder")]).returncode == 0
    wait_for(lambda: live.svstat(live.slot("coder")) == "down", what="the end")
    assert health(live) == [ENDED.format("coder")]
    live.init("stop", "coder", uid=HERMES)
    assert health(live, code=0) == []
    assert health(live, "typo") == []
    assert live.init("health", "--min-up=x", code=100).stdout == b""


def test_a_gateway_that_ends_with_0_at_once_is_not_to_be_started_in_a_circle(live):
    live.tell("coder", "exit 0")
    for _ in range(2):
        live.init("restart", "coder", uid=HERMES, code=None)
        wait_for(lambda: live.svstat(live.slot("coder")) == "down", what="the end")
        wait_for(lambda: health(live, code=None) == [ENDED.format("coder")], what="the note")
    # What is advised first shows what it said.
    assert b"started coder" in live.init("logs", "coder", uid=HERMES).stdout


def test_health_cannot_look_and_says_so_with_111(live):
    log = live.path("/opt/data/logs/container-boot.log")
    os.chown(log, 0, 0)
    os.chmod(log, 0o600)
    # What the last pass failed at is not known then.
    assert b"container-boot.log: Permission denied" in live.init("health", uid=HERMES, code=111).stderr
    assert live.init("health").stdout == b""
    live.run(["chown", "0:0", "/opt/data/profiles"])
    live.run(["chmod", "700", "/opt/data/profiles"])
    done = live.init("health", uid=HERMES, code=111)
    assert b"not everything could be inspected: /run/bed/bin/hermes-init status says why" in done.stderr
    assert b"profiles" in live.init("status", uid=HERMES).stderr
    live.run(["chown", "0:0", "/opt/data"])
    live.run(["chmod", "700", "/opt/data"])
    assert b"/opt/data" in live.init("health", uid=HERMES, code=111).stderr


def test_what_the_last_boot_failed_at_is_a_fault_until_it_is_mended(live):
    new = live.profile("new", "running")
    assert health(live) == ["new: created since the last boot: /usr/bin/hermes-init start new"]
    live.run(["chmod", "0", "/opt/data/profiles/new"])
    live.run(["chown", "0:0", "/opt/data/profiles/new"])
    [line] = health(live, uid=HERMES)
    assert line.startswith("new: Permission denied (/opt/data/profiles/new belongs to 0:0, mode 0000")
    os.chmod(new, 0o755)
    os.chown(new, HERMES, HERMES)
    live.init("start", "--wait", "new", uid=HERMES)
    assert health(live, code=0) == []


def test_what_the_last_pass_failed_at_is_a_fault_until_a_pass_does_not(live):
    lost = live.profile("lost", "running")
    os.chown(lost, 0, 0)
    os.chmod(lost, 0o700)
    # As one whom root's permissions do not help.
    assert b"profile=lost prior_state=None action=failed" in live.init("reconcile", uid=HERMES, code=1).stdout
    os.chmod(lost, 0o755)
    os.chown(lost, HERMES, HERMES)
    assert health(live) == ["lost: the last boot created no slot: /usr/bin/hermes-init start lost"]
    live.init("start", "--wait", "lost", uid=HERMES)
    assert health(live) == ["lost: the last boot pass failed for it; the boot log says why; as root: /usr/bin/hermes-init reconcile"]
    live.init("reconcile", uid=HERMES)
    assert health(live, code=0) == []


def test_health_of_twenty_gateways_asks_each_supervisor_once_and_runs_nothing(bed):
    for number in range(20):
        bed.profile(f"p{number}", "running")
    bed.init("reconcile")
    bed.rescan()
    bed.settle(60)
    done = bed.run(["strace", "-f", "-e", "trace=execve,openat2,openat", "/run/bed/bin/hermes-init", "health"])
    assert done.returncode == 0, done
    calls = done.stderr.decode()
    assert calls.count("execve(") == 1 and calls.count("supervise/status") == 41  # and each logger of one that is up


def test_of_many_directories_without_soul_md_twenty_are_listed_and_the_others_counted(bed):
    profiles = bed.profile("coder", "stopped").parent
    for number in range(25):
        (profiles / f"backup-{number:02}").mkdir()
    (profiles / "No Profile Can Have This Name").mkdir()
    done = bed.init("status", "--json", uid=HERMES)
    listed = [json.loads(line)["profile"] for line in done.stdout.splitlines()]
    # The one with an impossible name is the first in byte order, and not worth a row.
    assert listed == ["coder", *(f"backup-{number:02}" for number in range(19))]
    assert b"6 more directories in profiles have no SOUL.md" in done.stderr
    assert bed.init("health", uid=HERMES, code=None).stderr == b""


@pytest.mark.strace
@pytest.mark.parametrize("uid", [HERMES, 0])
def test_what_cannot_be_looked_at_is_not_healthy(live, uid):
    """A loop in its pause, which only the deaths show, and a dashboard that has ended for good: with any look failing, the first fault or
    the failure is said."""
    service(live, "dashboard", "exit 78", HERMES)
    live.run(["sh", "-c", "cd /run/static/dashboard; printf '#!/bin/sh\\nexit 125\\n' > finish; chmod 755 finish; s6-svc -t ."])
    wait_for(lambda: "dashboard: failed permanently" in "".join(health(live, code=None)), what="the end of the dashboard")
    live.tell("coder", "exit 1")
    live.init("restart", "coder", uid=HERMES)
    wait_for(lambda: (rows(live)["coder"]["note"] or "").count("waiting"), 20, "the pause")
    for name in ("coder", "dashboard"):
        for call in ("openat", "openat2", "newfstatat", "fstat", "read"):
            for when in range(1, 200):
                inject = ["strace", "-o", f"/run/bed/trace.{uid}", "-e", f"inject={call}:error=EIO:when={when}"]
                done = live.run([*inject, "/run/bed/bin/hermes-init", "health", "default", name], uid)
                if b"INJECTED" not in live.path(f"/run/bed/trace.{uid}").read_bytes():
                    break
                assert done.returncode in (1, 111) and (done.stdout or done.stderr), (name, call, when, done)


@pytest.mark.parametrize("where, named", [("supervise", "read supervise/death_tally"), ("log/supervise", "inspect log")])
def test_deaths_that_cannot_be_read_are_a_fault(live, where, named):
    live.run(["sh", "-ec", f"cd {live.slot('coder')}/{where}; rm -f death_tally; mkfifo death_tally"])
    for uid in (HERMES, 0):
        assert health(live, uid=uid, code=111) == [f"coder: unable to {named}: not a regular file"]
        assert live.init("status", uid=uid, code=1).stdout.count(b"coder: unable to ") == 1


def test_start_says_that_a_log_cannot_be_read_and_not_that_it_is_empty(live):
    live.tell("coder", "exit 78")
    current = live.path("/opt/data/logs/gateways/coder/current")
    live.init("stop", "coder", uid=HERMES)
    current.unlink()
    os.mkfifo(current)
    done = live.init("start", "--wait", "coder", uid=HERMES, code=1)
    assert b"(exit code 78); unable to read logs/gateways/coder/current: not a regular file" in done.stderr, done


def service(bed, name, script, owner):
    """Makes a static service as s6-rc has it: in another directory, with a symlink of root's in the scan directory."""
    script = f"set -e; mkdir -p /run/static/{name}; cd /run/static/{name}; printf '#!/bin/sh\\n{script}\\n' > run; chmod 755 run; ln -s ../static/{name} /run/service/{name}"
    assert bed.run(["sh", "-c", script]).returncode == 0
    bed.rescan()
    wait_for(lambda: bed.svstat(f"/run/service/{name}"), what=name)
    return bed.init("fix-perms", "/run/static") if owner == HERMES else None


def test_static_services_of_the_hermes_user_have_a_row_and_roots_have_none(bed):
    bed.profile("dashboard", "stopped")
    bed.init("reconcile")
    service(bed, "dashboard", "exec sleep 1000", HERMES)
    service(bed, "roots", "exec sleep 1000", 0)
    for uid in (HERMES, 0):
        listed = [json.loads(line) for line in bed.init("status", "--json", uid=uid).stdout.splitlines()]
        [row] = [row for row in listed if row["kind"] == "service"]
        assert (row["profile"], row["slot"], row["state"], row["exit_code"]) == (None, "/run/service/dashboard", "up", None)
        lines = bed.init("status", uid=uid).stdout.decode().splitlines()
        assert sorted(line.split()[1] for line in lines if line.startswith("dashboard ")) == ["gateway", "service"]
        assert health(bed, code=0, uid=uid) == []
    # Down by order is as wanted; ended for good with 78 is not.
    bed.run(["s6-svc", "-d", "/run/service/dashboard"])
    wait_for(lambda: bed.svstat("/run/service/dashboard") == "down", what="the end")
    assert health(bed, code=0) == []
    bed.run(
        [
            "sh",
            "-c",
            "cd /run/static/dashboard; printf '#!/bin/sh\\nexit 78\\n' > run; printf '#!/bin/sh\\nexit 125\\n' > finish; chmod 755 finish",
        ]
    )
    bed.run(["s6-svc", "-u", "/run/service/dashboard"])
    wait_for(
        lambda: health(bed, code=None) == ["dashboard: failed permanently (78: configuration); the container's log says why"],
        what="the fault",
    )


def test_in_a_front_ends_container_only_static_services_can_be_faults(bed):
    bed.profile("coder", "running")
    bed.profile("lost", "running")
    bed.run(["chown", "0:0", "/opt/data/profiles/lost"])
    bed.run(["chmod", "700", "/opt/data/profiles/lost"])
    service(bed, "dashboard", "exit 1", HERMES)

    def fault():
        return [re.sub(r"\d+ times", "N times", line) for line in health(bed, "--role", "frontend", uid=HERMES, code=None)]

    why = "keeps dying: N times within 180 seconds (exit code 1); the container's log says why"
    wait_for(lambda: fault() == [f"dashboard: {why}"], what="the loop")
    replace_script(bed.path("/run/static/dashboard/run"), "#!/bin/sh\nexec sleep 1000\n")
    bed.run(["s6-svc", "-t", "/run/service/dashboard"])
    bed.run(["rm", "/run/static/dashboard/supervise/death_tally"])
    wait_for(lambda: bed.init("health", "--role", "frontend", uid=HERMES, code=None).returncode == 0, what="the dashboard")
    assert [line.split(":")[0] for line in health(bed, uid=HERMES)] == ["coder", "lost"]


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_start_tells_how_the_gateway_ended_and_its_last_lines(live, uid):
    live.init("stop", "coder", uid=uid)
    live.tell("coder", "exit 78")
    done = live.init("start", "--wait", "coder", uid=uid, code=1)
    *_, last = done.stderr.decode().splitlines()
    assert b"it has exited, and stays down (exit code 78); the end of its log:\n  20" in done.stderr, done
    assert last.startswith("  20") and last.endswith("started coder") and done.stderr.count(b"\n  ") <= 5
    # In a loop, too; and what an earlier start has left is no cause.
    live.tell("coder", "exit 9")
    done = live.init("start", "--wait=2", "coder", uid=uid, code=1)
    assert b"it is not up yet, or has been up for less than a second (exit code 9); the end of its log:\n" in done.stderr


def test_exit_codes_signals_and_deaths_are_in_json(live):
    before = rows(live)["coder"]
    assert (before["exit_code"], before["signal"], before["deaths"], before["ready"]) == (None, None, 0, False)
    pid = live.pid_of(live.slot("coder"))
    assert live.run(["kill", "-9", str(pid)]).returncode == 0
    row = wait_for(lambda: rows(live)["coder"] if rows(live)["coder"]["deaths"] else None, what="the death")
    assert (row["exit_code"], row["signal"], row["deaths"]) == (None, 9, 1)
    # Whoever restarts it makes no loop of it, and begins to count anew.
    for _ in range(3):
        live.init("restart", "coder", uid=HERMES)
    row = rows(live)["coder"]
    assert (row["state"], row["deaths"], row["note"]) == ("up", 0, None)


def test_a_loop_that_was_mended_ends_with_the_start_of_a_person(live):
    """Of a gateway that dies again and again, and of one that has failed permanently twice."""
    live.profile("failing", "running")
    live.tell("failing", "exit 78")
    for _ in range(2):
        assert b"(exit code 78)" in live.init("start", "--wait", "failing", uid=HERMES, code=1).stderr
    for deaths in range(1, 4):
        live.run(["s6-svc", "-k", live.slot("coder")])
        wait_for(
            lambda deaths=deaths: rows(live, "coder")["coder"]["deaths"] == deaths and live.svstat(live.slot("coder")) == "up",
            what="a death",
        )
    assert health(live, "coder")[0].startswith("coder: keeps dying: 3 times within 180 seconds (signal 9)")
    for name, command in (("failing", "start"), ("coder", "restart")):
        live.tell(name, "sleep")
        live.init(command, "--wait", name, uid=HERMES)
        for uid in (0, HERMES):
            assert health(live, name, uid=uid, code=0) == [] and rows(live, name)[name]["state"] == "up"


def test_where_next_boot_and_state_disagree_the_note_tells_why(live):
    live.profile("coder", '{"gateway_state": "starting"}')
    assert rows(live)["coder"]["note"] == "it is running, but the next boot keeps it down: the last start failed; not retried at boot"
    live.profile("coder", '{"desired_state": "paused"}')
    assert rows(live)["coder"]["note"] == "it is running, but the next boot keeps it down: desired_state is paused"
    live.profile("idle", "stopped")
    live.init("reconcile")
    live.rescan()
    wait_for(lambda: live.svstat(live.slot("idle")) == "down", what="the slot")

    def note():
        return rows(live)["idle"]["note"].replace("/run/bed/bin/", "/usr/bin/")

    assert note() == "its gateway has ended: /usr/bin/hermes-init start idle"
    live.profile("idle", "running")
    assert note() == "it has not been started since the boot: /usr/bin/hermes-init start idle"
    (live.path("/opt/data/profiles/idle") / "gateway_state.json").unlink()
    assert note() == "it was never started: /usr/bin/hermes-init start idle"


def test_output_is_the_same_through_a_pipe_and_on_a_terminal(live):
    piped = live.init("status", uid=HERMES).stdout
    shown = live.run(["script", "-qec", "/run/bed/bin/hermes-init status", "/dev/null"], uid=HERMES).stdout
    assert plain(shown.replace(b"\r\n", b"\n")) == plain(piped) and b"\x1b" not in shown

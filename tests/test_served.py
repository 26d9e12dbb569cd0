"""Profiles that the gateway of default serves: who is served is a fact, and start, stop and status alone park a profile and have it served
again."""

import json
import os
import shutil
import stat
import subprocess
import time

import pytest

from support.host_gateway import HOST, install, served
from support.program import HERMES, wait_for
from support.testbed import Bed, desired

pytestmark = [pytest.mark.root, pytest.mark.s6]
STANDALONE = "gateway:\n  standalone: true\n"
PROGRAM = "/run/bed/bin/hermes-init"


def volume(bed, names=("coder", "ops")):
    for name in names:
        bed.profile(name, '{"desired_state": "running"}')
    bed.profile("default", '{"desired_state": "running"}')


@pytest.fixture(params=["multiplex", "auto"])
def host(request):
    """A container of a release with one gateway for all profiles, which serves coder and ops, in each topology that fits it."""
    with Bed(environment={"HERMES_INIT_TOPOLOGY": request.param}, stand_in=HOST) as bed:
        install(bed)
        volume(bed)
        if request.param == "auto":
            bed.profile("default", '{"desired_state": "running", "served_profiles": ["default", "coder", "ops"]}')
        boot(bed)
        wait_for(lambda: served(bed) == ["default", "coder", "ops"], what="served profiles")
        yield bed


@pytest.fixture
def multiplex():
    with Bed(environment={"HERMES_INIT_TOPOLOGY": "multiplex"}, stand_in=HOST) as bed:
        install(bed)
        yield bed


def boot(bed, code=0):
    done = bed.init("reconcile", code=code)
    bed.rescan()
    bed.settle()
    return done


def rows(bed, *names, uid=HERMES):
    return {row["profile"]: row for row in map(json.loads, bed.init("status", "--json", *names, uid=uid).stdout.splitlines())}


def marker(bed, name):
    return bed.path(f"/opt/data/profiles/{name}/gateway.parked")


def health(bed, *names, uid=HERMES):
    done = bed.init("health", *names, uid=uid, code=None)
    return done.returncode, done.stdout.decode()


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_stop_parks_a_served_profile_and_start_has_it_served_again(host, uid):
    assert (rows(host)["coder"]["state"], rows(host)["coder"]["wanted"], health(host)) == ("served", "by default", (0, ""))
    done = host.init("stop", "coder", uid=uid)
    assert done.stderr.decode() == ("hermes-init stop: info: coder is parked: the gateway of default drops it within 30 seconds\n")
    found = marker(host, "coder").stat()
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode), found.st_size) == (HERMES, HERMES, 0o644, 0)
    assert desired(host, "coder")["desired_state"] == "stopped"
    wait_for(lambda: served(host) == ["default", "ops"], what="coder to be dropped")
    row = rows(host)["coder"]
    assert (row["state"], row["wanted"], row["note"]) == ("parked", "down", f"parked on request: {PROGRAM} start coder")
    assert health(host) == (0, "")
    # It stays so at the next boot, which does not start default for it.
    assert (
        'profile=coder prior_state=stopped action=registered reason="parked: the gateway of default does not serve it while '
        in host.init("reconcile").stdout.decode()
    )
    done = host.init("start", "coder", uid=uid)
    assert done.stderr.decode() == "hermes-init start: info: coder: the gateway of default takes it up within 30 seconds\n"
    assert not marker(host, "coder").exists() and desired(host, "coder")["desired_state"] == "running"
    wait_for(lambda: served(host) == ["default", "coder", "ops"], what="coder to be served")
    assert (rows(host)["coder"]["state"], health(host)) == ("served", (0, ""))
    assert host.svstat(host.slot("coder")) == "down"
    done = host.init("start", "coder", uid=uid)
    assert done.stderr.decode() == "hermes-init start: info: coder: the gateway of default serves it\n"


def test_with_wait_both_see_it(host):
    assert host.init("stop", "--wait", "coder").stderr == b""
    assert served(host) == ["default", "ops"]
    assert host.init("start", "--wait", "coder").stderr.decode() == "hermes-init start: info: coder: the gateway of default serves it\n"
    assert served(host) == ["default", "coder", "ops"]


def test_the_last_served_profile_can_be_parked_and_served_again(host):
    host.init("stop", "--wait", "coder", "ops")
    assert served(host) == ["default"]
    boot(host)
    assert {name: row["state"] for name, row in rows(host).items()} == {"default": "up", "coder": "parked", "ops": "parked"}
    host.init("start", "--wait", "ops")
    assert served(host) == ["default", "ops"]


def test_a_profile_without_a_slot_is_parked_and_served_like_the_others(host):
    host.profile("new", '{"desired_state": "running"}')
    wait_for(lambda: "new" in served(host), what="new to be served")
    row = rows(host)["new"]
    assert (row["state"], row["slot"], row["note"]) == ("served", None, "created since the last boot: the gateway of default serves it")
    host.init("stop", "--wait", "new")
    assert rows(host)["new"]["state"] == "parked"
    host.init("start", "--wait", "new")
    assert rows(host)["new"]["state"] == "served" and not host.path(host.slot("new")).exists()


def test_a_release_that_does_not_know_the_marker_is_said_to_be_such(multiplex):
    multiplex.tell("default", "deaf")
    volume(multiplex)
    boot(multiplex)
    wait_for(lambda: served(multiplex) == ["default", "coder", "ops"])
    done = multiplex.init("stop", "--wait=1", "coder", code=1)
    assert done.stderr.decode() == (
        "hermes-init stop: warning: unable to stop coder: it is parked, and the gateway of default still serves it after 1 seconds: "
        "it looks for gateway.parked every 30 seconds, and releases of Hermes Agent before 0.21.5 do not know that file\n"
    )
    row = rows(multiplex)["coder"]
    assert row["state"] == "served"
    assert row["note"].startswith("parked on request, and the gateway of default still serves it: ")


def test_where_default_is_down_start_names_it_and_starts_nothing(host):
    host.init("stop", "coder", "default")
    done = host.init("start", "coder", code=1)
    assert done.stderr.decode() == (
        "hermes-init start: warning: unable to start coder: the gateway of default, which is to serve it, is down: "
        f"{PROGRAM} start default\n"
    )
    assert not marker(host, "coder").exists() and desired(host, "coder")["desired_state"] == "running"
    assert {host.svstat(host.slot(name)) for name in ("default", "coder")} == {"down"}
    row = rows(host)["coder"]
    assert (row["state"], row["note"]) == (
        "not served",
        f"the gateway of default, which is to serve it, is down: {PROGRAM} start default",
    )
    code, said = health(host)
    assert code == 1 and f"coder: {row['note']}\n" in said
    # What is advised helps.
    host.init("start", "default")
    wait_for(lambda: rows(host)["coder"]["state"] == "served", what="coder to be served")
    assert health(host) == (0, "")


@pytest.mark.parametrize("sealed", [False, True])
def test_a_default_without_a_slot_serves_nobody_and_is_started(sealed):
    """It was said that its slot could not be opened, of each profile."""
    with Bed(environment={"HERMES_INIT_TOPOLOGY": "multiplex", "HERMES_INIT_SEALED": str(int(sealed))}, stand_in=HOST) as bed:
        install(bed)
        volume(bed)
        boot(bed)
        wait_for(lambda: served(bed) == ["default", "coder", "ops"], what="served profiles")
        bed.init("unregister", "default")
        row = rows(bed)["coder"]
        by = "; as root" if sealed else ""
        assert (row["state"], row["note"]) == (
            "not served",
            f"the gateway of default, which is to serve it, is down{by}: {PROGRAM} start default",
        )
        code, said = health(bed)
        assert code == 1 and f"coder: {row['note']}\n" in said
        done = bed.init("start", "coder", uid=HERMES, code=1)
        assert done.stderr.decode() == f"hermes-init start: warning: unable to start coder: {row['note']}\n"
        bed.init("start", "default", uid=0 if sealed else HERMES)
        wait_for(lambda: rows(bed)["coder"]["state"] == "served", what="coder to be served")
        assert health(bed) == (0, "")


def test_start_of_both_starts_default_first(host):
    host.init("stop", "--wait", "default")
    done = host.init("start", "--wait", "coder", "default")
    assert done.stderr.decode() == "hermes-init start: info: coder: the gateway of default serves it\n"


def test_stop_of_default_says_for_whom_it_is_started_again(host):
    assert host.init("stop", "default").stderr.decode() == (
        "hermes-init stop: info: the next boot starts default again, because it serves coder, ops\n"
    )
    assert b"the next boot starts default again, because it serves ops\n" in host.init("stop", "default", "coder").stderr
    assert host.init("stop", "default", "ops").stderr == b""
    boot(host)
    assert host.svstat(host.slot("default")) == "down"


def test_restart_says_what_it_would_mean_and_its_commands_do_it(host):
    done = host.init("restart", "coder", code=1)
    assert done.stderr.decode() == (
        "hermes-init restart: warning: unable to restart coder: the gateway of default serves it, together with others: "
        f"{PROGRAM} restart default restarts it for all; to have coder alone dropped and taken up again: {PROGRAM} stop --wait coder, "
        f"then: {PROGRAM} start --wait coder\n"
    )
    host.init("stop", "--wait", "coder")
    said = f"hermes-init restart: warning: unable to restart coder: it is parked: {PROGRAM} start coder\n"
    assert host.init("restart", "coder", code=1).stderr.decode() == said
    host.init("start", "--wait", "coder")
    assert rows(host)["coder"]["state"] == "served"
    # Where default is down, its start is what helps.
    host.init("stop", "default")
    assert host.init("restart", "coder", code=1).stderr.decode().endswith(f"is down: {PROGRAM} start default\n")


def test_register_makes_a_slot_that_stays_down_and_leaves_the_host_alone(host):
    pid = host.pid_of(host.slot("default"))
    host.profile("new")
    done = host.init("register", "new", uid=HERMES)
    assert done.stderr.decode() == ("hermes-init register: info: new: its slot stays down, because the gateway of default serves it\n")
    assert host.path(host.slot("new") + "/down").exists() and host.svstat(host.slot("new")) == "down"
    assert host.pid_of(host.slot("default")) == pid
    wait_for(lambda: "new" in served(host), what="new to be served")


def test_whatever_starts_a_gateway_beside_it_gateway_run_refuses(host):
    """s6-svc, and a slot that was left up."""
    assert host.run(["s6-svc", "-u", host.slot("coder")]).returncode == 0
    wait_for(lambda: b"fatal: unable to start a gateway for coder: " in host.log(), what="the refusal")
    wait_for(lambda: host.svstat(host.slot("coder")) == "down", what="coder to be down")
    time.sleep(1.2)
    # It stays down, and is no fault: that it is served is what counts.
    assert host.svstat(host.slot("coder")) == "down" and host.log().count(b"unable to start a gateway for coder") == 1
    assert (rows(host)["coder"]["state"], health(host)) == ("served", (0, ""))
    assert b"the gateway of default is to serve it: the topology is multiplex (" in host.log()


def test_a_standalone_profile_has_its_own(host):
    (host.profile("own", '{"desired_state": "running"}') / "config.yaml").write_text(STANDALONE)
    boot(host)
    assert (rows(host)["own"]["state"], host.svstat(host.slot("own"))) == ("up", "up")
    host.init("stop", "own")
    assert not marker(host, "own").exists() and rows(host)["own"]["state"] == "down"
    host.init("start", "--wait", "own")
    assert rows(host)["own"]["state"] == "up"


def test_a_default_that_had_nobody_to_serve_is_to_be_restarted(multiplex):
    """The advice was a circle: start coder, start default, and nothing."""
    volume(multiplex, names=())
    boot(multiplex)
    wait_for(lambda: served(multiplex) == [], what="a host without others")
    multiplex.profile("coder")
    multiplex.init("start", "coder", code=1)
    row = rows(multiplex)["coder"]
    assert (row["state"], row["note"]) == (
        "not served",
        f"the gateway of default was started when there was no other profile to serve: {PROGRAM} restart default",
    )
    done = multiplex.init("start", "coder", code=1)
    assert done.stderr.decode() == f"hermes-init start: warning: unable to start coder: {row['note']}\n"
    assert health(multiplex)[0] == 1
    multiplex.init("restart", "default")
    wait_for(lambda: rows(multiplex)["coder"]["state"] == "served", what="coder to be served")
    assert health(multiplex) == (0, "")


def test_why_default_serves_nobody_is_said(multiplex):
    multiplex.tell("default", "alone")
    volume(multiplex)
    boot(multiplex)
    wait_for(lambda: served(multiplex) == [])
    assert rows(multiplex)["coder"]["note"] == (
        'the gateway of default serves no other profile ("two profiles have one bot token"); once that is resolved: '
        f"{PROGRAM} restart default"
    )
    multiplex.tell("default", "sleep")
    multiplex.init("restart", "default")
    wait_for(lambda: health(multiplex) == (0, ""), what="health")


def test_a_list_of_an_earlier_process_serves_nobody(multiplex):
    multiplex.tell("default", "silent")
    volume(multiplex)
    multiplex.profile("default", '{"desired_state": "running", "pid": 1, "start_time": 5, "served_profiles": ["default", "coder"]}')
    boot(multiplex)
    row = rows(multiplex)["coder"]
    assert (row["state"], row["note"]) == (
        "not served",
        f"the gateway of default has not reported yet whom it serves; see: {PROGRAM} logs default",
    )
    assert multiplex.init("start", "--wait=1", "coder", code=1).stderr.decode() == (
        "hermes-init start: warning: unable to start coder: not served after 1 seconds: the gateway of default has not reported yet whom "
        f"it serves; see: {PROGRAM} logs default\n"
    )


def test_one_that_is_served_although_it_was_stopped_is_said_to_be(host):
    """As upstream's own commands leave it where the gateway of default was down, or as somebody has edited it."""
    host.profile("coder", '{"desired_state": "stopped"}')
    row = rows(host)["coder"]
    assert (row["state"], row["wanted"], row["note"]) == (
        "served",
        "by default",
        f"the gateway of default serves it, although it was stopped on request: {PROGRAM} stop coder",
    )
    assert health(host) == (0, "")
    host.init("stop", "--wait", "coder")
    assert rows(host)["coder"]["state"] == "parked"


def test_two_gateways_of_one_profile_are_a_fault_and_start_leaves_one(multiplex):
    """A slot's own gateway that was started while the topology was another one."""
    variable = multiplex.path("/run/s6/container_environment/HERMES_INIT_TOPOLOGY")
    variable.write_text("per-profile")
    volume(multiplex)
    boot(multiplex)
    wait_for(lambda: served(multiplex) == ["default", "coder", "ops"])
    variable.write_text("multiplex")
    row = rows(multiplex)["coder"]
    said = f"two gateways serve it: its own, and that of default; to stop its own: {PROGRAM} start coder"
    assert (row["state"], row["note"]) == ("up", said)
    assert health(multiplex, "coder") == (1, f"coder: {said}\n")
    done = multiplex.init("start", "coder")
    assert done.stderr.decode() == (
        "hermes-init start: info: coder: its own gateway is stopped\nhermes-init start: info: coder: the gateway of default serves it\n"
    )
    assert (rows(multiplex)["coder"]["state"], multiplex.svstat(multiplex.slot("coder"))) == ("served", "down")
    # One that does not end is not said to be stopped.
    multiplex.tell("coder", "stubborn")
    variable.write_text("per-profile")
    assert multiplex.run(["s6-svc", "-u", multiplex.slot("coder")]).returncode == 0
    multiplex.record("coder")
    wait_for(lambda: multiplex.svstat(multiplex.slot("coder")) == "up")
    variable.write_text("multiplex")
    done = multiplex.init("start", "--wait=1", "coder", code=1)
    assert b"unable to stop gateway-coder: it is not down yet after 1 seconds" in done.stderr
    assert multiplex.run(["s6-svc", "-k", multiplex.slot("coder")]).returncode == 0
    # The other one is parked: both end.
    multiplex.init("stop", "--wait", "ops")
    assert (rows(multiplex)["ops"]["state"], multiplex.svstat(multiplex.slot("ops"))) == ("parked", "down")


def test_a_stop_that_still_waits_does_not_undo_a_later_start(multiplex):
    """It has a gateway of its own to wait for; the start gives that one no order that would tell."""
    variable = multiplex.path("/run/s6/container_environment/HERMES_INIT_TOPOLOGY")
    variable.write_text("per-profile")
    volume(multiplex)
    multiplex.tell("coder", "stubborn")
    boot(multiplex)
    multiplex.record("coder")
    variable.write_text("multiplex")
    stop = subprocess.Popen(multiplex.command([PROGRAM, "stop", "coder"]), env={"PATH": "/usr/bin:/bin"}, cwd="/")
    wait_for(marker(multiplex, "coder").exists, what="the marker")
    multiplex.init("start", "--wait=1", "coder", code=None)
    multiplex.run(["kill", "-9", str(multiplex.pid_of(multiplex.slot("coder")))])
    assert stop.wait(timeout=30) == 0
    assert desired(multiplex, "coder")["desired_state"] == "running" and not marker(multiplex, "coder").exists()
    wait_for(lambda: rows(multiplex)["coder"]["state"] == "served", what="coder to be served")


@pytest.mark.parametrize("kind", ["directory", "symlink", "root's file"])
def test_any_entry_of_the_name_parks_and_what_cannot_be_removed_is_said(multiplex, kind):
    volume(multiplex)
    path = marker(multiplex, "coder")
    if kind == "directory":
        path.mkdir()
    elif kind == "symlink":
        path.symlink_to("/etc/shadow")
    else:
        path.write_text("x")
    before = os.stat("/etc/shadow")
    assert 'coder prior_state=running action=registered reason="parked: ' in boot(multiplex).stdout.decode()
    done = multiplex.init("stop", "coder")
    assert path.is_symlink() == (kind == "symlink") and b"warning" not in done.stderr
    done = multiplex.init("start", "coder", code=1 if kind == "directory" else 0)
    assert path.exists() == (kind == "directory") or path.is_symlink()
    if kind == "directory":
        assert done.stderr.decode() == (
            "hermes-init start: warning: unable to remove profiles/coder/gateway.parked: it is a directory: remove that\n"
        )
        assert desired(multiplex, "coder")["desired_state"] == "running"
        path.rmdir()
        multiplex.init("start", "coder")
    after = os.stat("/etc/shadow")
    assert (before.st_mtime_ns, before.st_size, before.st_uid) == (after.st_mtime_ns, after.st_size, after.st_uid)
    assert not path.is_symlink() and not path.exists()


def test_one_that_is_parked_is_no_reason_to_start_default(multiplex):
    volume(multiplex, names=("coder",))
    multiplex.profile("default", '{"desired_state": "stopped"}')
    marker(multiplex, "coder").touch()
    boot(multiplex)
    assert multiplex.svstat(multiplex.slot("default")) == "down"
    assert health(multiplex) == (0, "")
    assert {name: row["wanted"] for name, row in rows(multiplex).items()} == {"default": "down", "coder": "down"}


def test_a_profile_that_vanishes_meanwhile_is_no_such_gateway(host):
    shutil.rmtree(host.path("/opt/data/profiles/ops"))
    done = host.init("start", "ops", code=1)
    assert b"it is not on the volume" in done.stderr or b"no such gateway" in done.stderr


def test_of_several_each_has_been_asked_for_before_one_is_waited_for(multiplex):
    multiplex.tell("default", "deaf")
    volume(multiplex)
    boot(multiplex)
    wait_for(lambda: served(multiplex) == ["default", "coder", "ops"])
    begun = time.monotonic()
    done = multiplex.init("stop", "--wait=2", "coder", "ops", code=1)
    assert done.stderr.count(b"still serves it after 2 seconds") == 2 and marker(multiplex, "ops").exists()
    assert time.monotonic() - begun < 3.5


def test_a_default_that_was_stopped_on_request_and_is_needed_says_both(host):
    host.init("stop", "default")
    assert rows(host)["default"]["note"] == (
        f"stopped on request, but the next boot starts it for the profiles that it serves: {PROGRAM} start default"
    )
    host.init("start", "default")
    wait_for(lambda: health(host) == (0, ""), what="health")


@pytest.mark.parametrize("words", [["-p", "coder", "gateway", "run", "--no-supervise"], ["gateway", "run", "--no-supervise"]])
@pytest.mark.parametrize("topology", ["per-profile", "multiplex"])
def test_a_gateway_in_the_foreground_is_not_started_a_second_time(topology, words):
    """Whose gateway the container's command is has no other to start; a stop is recorded all the same."""
    name = "coder" if "-p" in words else "default"
    with Bed(environment={"HERMES_INIT_TOPOLOGY": topology}) as bed:
        bed.profile("coder", '{"desired_state": "running"}')
        bed.profile("default", '{"desired_state": "running"}')
        bed.path("/run/bed/main-wrapper.sh").write_text("read -r _\n")
        command = bed.command(["sh", "/run/bed/main-wrapper.sh", "hermes", *words])
        process = subprocess.Popen(command, env=bed.environment, stdin=subprocess.PIPE)
        try:
            told = f"container command: {' '.join(words)})\n".encode()
            wait_for(lambda: told in bed.init("reconcile", "--explain").stdout, what="the container's command")
            boot(bed)
            assert bed.svstat(bed.slot(name)) == "down"
            for verb in ("start", "restart"):
                done = bed.init(verb, name, code=1)
                assert done.stderr.decode() == (
                    f"hermes-init {verb}: warning: unable to {verb} {name}: the container's command, gateway run, runs this gateway in "
                    "the foreground\n"
                )
            assert bed.svstat(bed.slot(name)) == "down"
            if name == "default" and topology == "multiplex":
                row = rows(bed)["coder"]
                why = "the container's command, which is to serve it, has not reported yet whom it serves; the container's log says why"
                assert (row["state"], row["note"]) == ("not served", why)
            said = bed.init("stop", name).stderr
            runs_on = b"the container's command, gateway run, is this gateway, and runs on: stop the container to stop it"
            assert (runs_on in said) == (name == "default") and b"next boot starts default again" not in said
            assert desired(bed, name)["desired_state"] == "stopped"
        finally:
            process.stdin.close()
            process.wait(timeout=10)


def test_what_is_unparked_while_default_is_down_is_known_to_be_served(host):
    """Where all were parked, the marker is all that shows the topology to `auto`."""
    host.init("stop", "--wait", "coder", "ops")
    host.init("stop", "default")
    host.init("start", "coder", code=1)
    kept = host.path("/opt/data/.hermes-init-multiplex")
    if kept.exists():
        assert (kept.stat().st_uid, kept.stat().st_size) == (HERMES, 0)
    row = rows(host)["coder"]
    assert (row["state"], row["note"]) == (
        "not served",
        f"the gateway of default, which is to serve it, is down: {PROGRAM} start default",
    )
    host.init("start", "ops", code=1)
    assert "profile=coder prior_state=running action=registered\n" in host.init("reconcile").stdout.decode()
    # A gateway that something else starts ends as before.
    assert host.run(["s6-svc", "-u", host.slot("coder")]).returncode == 0
    wait_for(lambda: b"unable to start a gateway for coder" in host.log(), what="the refusal")
    host.profile("new")
    assert b"its slot stays down" in host.init("register", "new").stderr
    host.init("start", "default")
    wait_for(lambda: health(host) == (0, ""), what="health")
    assert {name: row["state"] for name, row in rows(host).items()} == {
        "default": "up",
        "coder": "served",
        "ops": "served",
        "new": "served",
    }


@pytest.mark.parametrize("report", ['"served_profiles": []', '"served_profiles": [], "multiplex_standalone_reason": "under s6"'])
def test_a_default_that_does_not_multiplex_refutes_what_was_remembered(report):
    """As after a change to a release with a gateway for each profile."""
    with Bed(environment={"HERMES_INIT_TOPOLOGY": "auto"}) as bed:
        volume(bed, names=("coder",))
        bed.profile("default", f'{{"desired_state": "running", {report}}}')
        bed.path("/opt/data/.hermes-init-multiplex").touch()
        boot(bed)
        assert bed.svstat(bed.slot("coder")) == "up"


@pytest.mark.parametrize("kind", ["symlink", "directory", "fifo", "unsure"])
def test_a_config_that_cannot_be_read_is_no_leave_to_start(host, kind):
    """It counts as in a pass, and is said as there."""
    config = host.path("/opt/data/profiles/coder/config.yaml")
    if kind == "symlink":
        host.path("/opt/data/shared.yaml").write_text(STANDALONE)
        config.symlink_to("../../shared.yaml")
    elif kind == "directory":
        config.mkdir()
    elif kind == "fifo":
        os.mkfifo(config)
    else:
        config.write_text("gateway: {standalone: true}\n")
    assert host.run(["s6-svc", "-u", host.slot("coder")]).returncode == 0
    wait_for(lambda: b"unable to start a gateway for coder" in host.log(), what="the refusal")
    assert not host.path("/run/bed/argv.coder").exists()
    doubt = b"warning: unable to determine gateway.standalone from profiles/coder/config.yaml: "
    assert doubt in host.log() and doubt in host.init("reconcile").stderr


def test_where_nobody_knows_the_topology_a_stop_is_no_sign():
    single = '"served_profiles": [], "multiplex_standalone_reason": "only one profile exists (nothing to multiplex)"'
    with Bed(environment={"HERMES_INIT_TOPOLOGY": "auto"}) as bed:
        volume(bed, names=("coder", "ops"))
        bed.profile("default", f'{{"desired_state": "running", {single}}}')
        assert b"unable to determine the topology" in boot(bed).stderr
        bed.init("stop", "coder")
        assert not marker(bed, "coder").exists() and desired(bed, "coder")["desired_state"] == "stopped"
        assert b"unable to determine the topology" in bed.init("reconcile").stderr
        # What default writes at its next start decides.
        bed.profile("default", '{"desired_state": "running", "served_profiles": [], "multiplex_standalone_reason": "under s6"}')
        bed.init("start", "--wait", "ops")
        assert bed.svstat(bed.slot("ops")) == "up"


def test_a_gateway_of_its_own_is_stopped_before_default_takes_the_profile_up(multiplex):
    variable = multiplex.path("/run/s6/container_environment/HERMES_INIT_TOPOLOGY")
    variable.write_text("per-profile")
    volume(multiplex)
    marker(multiplex, "coder").touch()
    boot(multiplex)
    wait_for(lambda: served(multiplex) == ["default", "ops"])
    variable.write_text("multiplex")
    done = multiplex.init("start", "--wait", "coder")
    assert b"coder: its own gateway is stopped\n" in done.stderr and multiplex.svstat(multiplex.slot("coder")) == "down"
    assert rows(multiplex)["coder"]["state"] == "served"


def test_a_default_that_keeps_dying_is_said_to_by_start_as_by_status(multiplex):
    multiplex.tell("default", "exit 1")
    volume(multiplex)
    multiplex.init("reconcile")
    multiplex.rescan()
    wait_for(lambda: rows(multiplex)["default"]["state"] == "restarting", 15, "default to keep dying")
    said = f"the gateway of default, which is to serve it, keeps dying; see: {PROGRAM} logs default"
    assert rows(multiplex)["coder"]["note"] == said
    assert said.encode() in multiplex.init("start", "coder", code=1).stderr


def test_what_is_started_is_parked_in_no_topology():
    """A marker of before would keep the profile down after a change of the topology."""
    with Bed(environment={"HERMES_INIT_TOPOLOGY": "per-profile"}) as bed:
        volume(bed, names=("coder",))
        marker(bed, "coder").touch()
        boot(bed)
        bed.init("start", "coder")
        assert not marker(bed, "coder").exists()


def test_where_it_is_not_known_who_is_served_that_is_said(host):
    state = host.path("/opt/data/gateway_state.json")
    # The stand-in would replace it.
    assert host.run(["kill", "-STOP", str(host.pid_of(host.slot("default")))]).returncode == 0
    try:
        os.chown(state, 0, 0)
        state.chmod(0o600)
        host.path("/run/s6/container_environment/HERMES_INIT_TOPOLOGY").write_text("multiplex")
        for command in ("stop", "start"):
            done = host.init(command, "coder", uid=HERMES, code=1)
            assert b"gateway_state.json: Permission denied" in done.stderr, done
        row = json.loads(host.init("status", "coder", "--json", uid=HERMES, code=1).stdout)
        assert row["state"] == "unknown" and "unable to read gateway_state.json: Permission denied" in row["note"]
    finally:
        host.run(["kill", "-CONT", str(host.pid_of(host.slot("default")))])


def test_what_a_stop_could_not_find_out_is_said(host):
    """Whether default serves the profile, here: what runs is stopped all the same."""
    variables = host.path("/run/s6/container_environment")
    (variables / "HERMES_INIT_TOPOLOGY").write_text("auto")
    (variables / "GATEWAY_MULTIPLEX_PROFILES").mkdir()
    done = host.init("stop", "coder", code=111)
    assert b"unable to read /run/s6/container_environment/GATEWAY_MULTIPLEX_PROFILES: " in done.stderr
    assert desired(host, "coder")["desired_state"] == "stopped"


def test_an_active_profile_that_is_no_text_is_said_and_names_none():
    with Bed(environment={"HERMES_INIT_TOPOLOGY": "per-profile"}) as bed:
        volume(bed, names=("coder",))
        bed.path("/opt/data/active_profile").write_bytes(b"coder\xff\n")
        bed.path("/run/bed/main-wrapper.sh").write_text("read -r _\n")
        command = bed.command(["sh", "/run/bed/main-wrapper.sh", "hermes", "gateway", "run", "--no-supervise"])
        process = subprocess.Popen(command, env=bed.environment, stdin=subprocess.PIPE)
        try:
            wait_for(lambda: b"container command: gateway run" in bed.init("reconcile", "--explain").stdout, what="the command")
            done = bed.init("reconcile")
            assert b"warning: unable to use active_profile: not UTF-8" in done.stderr
            assert b"profile=default prior_state=running action=registered" in done.stdout
            assert b"profile=coder prior_state=running action=started" in done.stdout
        finally:
            process.stdin.close()
            process.wait(timeout=10)

"""register, unregister, start, stop, restart, status on a live container, as the hermes user and as root."""

import json
import os
import random
import subprocess
import time

import pytest

from support.file_tree import identity, snapshot
from support.program import HERMES, wait_for
from support.testbed import SCANDIR, Bed, desired, entries, replace_script, supervised

pytestmark = pytest.mark.s6


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_register_makes_the_slot_that_a_boot_makes_and_returns_supervised(live, uid):
    live.profile("new", "running")
    live.init("register", "new", uid=uid)
    assert len(live.supervisors()) == 6
    live.init("stop", "new", "--wait=5", uid=uid)
    assert live.svstat(live.slot("new")) == "down"

    def shape(name):
        return {
            path: line
            for path, line in snapshot(live.path(live.slot(name))).items()
            if os.path.basename(path) not in (b"status", b"lock", b"death_tally")
        }

    assert shape("new") == shape("coder") | {b"down": "file 644 10000:10000 b''"}
    # The slot has what was asked for already.
    assert live.init("reconcile", "--json").stdout.count(b'"changed": true') == 0
    live.init("unregister", "new", uid=uid)
    assert entries(live) == [".s6-svscan", "gateway-coder", "gateway-default"]
    supervised(live, 4)


def test_register_down_stays_down(live):
    live.profile("new")
    live.init("register", "new", "--down", uid=HERMES)
    time.sleep(0.3)
    assert live.svstat(live.slot("new")) == "down" and not live.path("/run/bed/identity.new").exists()


VALUES = [
    b"",
    b"plain",
    b"two\nlines",
    b"\nstarts and ends\n",
    b"\n",
    b"'single' \"double\" $HOME `id` \\",
    b"\t tab \x01\x1b\x7f \xff\xfe",
    b"a=b=c",
    b" ",
]


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_every_value_of_env_arrives_byte_by_byte(live, uid):
    live.profile("new")
    arguments = [word for number, value in enumerate(VALUES) for word in ("--env", b"V%d=" % number + value)]
    live.init("register", "new", *arguments, "--env", "V1=first", "--env", b"V1=" + VALUES[1], uid=uid)
    _, _, environment = live.record("new")
    assert [environment.get(b"V%d" % number) for number in range(len(VALUES))] == VALUES
    assert environment[b"HERMES_S6_SUPERVISED_CHILD"] == b"1"
    live.profile("new", "running")
    replace_script(live.path(live.slot("new")) / "run", "")
    live.init("reconcile")
    live.path("/run/bed/identity.new").unlink()
    live.init("restart", "--wait", "new", uid=uid)
    assert [live.record("new")[2].get(b"V%d" % number) for number in range(len(VALUES))] == VALUES


@pytest.mark.parametrize("variable", ["", "=x", "novalue", "A B=x", "1A=x", "A-B=x", "../x=y", ".A=x", "A/B=x", "é=x"])
def test_a_bad_key_is_refused_and_nothing_is_made(live, variable):
    before = entries(live)
    done = live.init("register", "new", "--env", variable, uid=HERMES, code=100)
    assert b"use the variable" in done.stderr and entries(live) == before


@pytest.mark.parametrize("name", ["Bad", "", "a/b", "../x", "x" * 216, "gateway.x"])
@pytest.mark.parametrize("command", ["register", "unregister", "start", "stop", "restart"])
def test_a_name_that_is_none_is_100(live, command, name):
    before = entries(live)
    assert b"use the profile" in live.init(command, name, uid=HERMES, code=100).stderr
    assert entries(live) == before


def test_a_slot_that_is_there_is_not_registered_again(live):
    before = identity(live.path(SCANDIR))
    done = live.init("register", "coder", "--down", uid=HERMES, code=1)
    assert b"gateway-coder" in done.stderr and b"already" in done.stderr
    assert identity(live.path(SCANDIR)) == before and live.svstat(live.slot("coder")) == "up"


def test_without_svscan_register_takes_its_slot_away_again():
    with Bed(svscan=False) as bed:
        bed.init("reconcile")
        before = entries(bed)
        bed.profile("new")
        done = bed.init("register", "new", code=1)
        assert b"no s6-svscan runs on /run/service" in done.stderr and entries(bed) == before
        done = bed.init("register", "new", "--scandir", "/nowhere", code=111)
        assert b"no s6-svscan runs on /nowhere, which does not exist" in done.stderr


@pytest.mark.parametrize("path", ["", "/nowhere"])
def test_the_commands_need_no_other_program(live, path):
    def init(*argv):
        done = live.run(["env", "-i", f"PATH={path}", "/run/bed/bin/hermes-init", *argv], uid=HERMES)
        assert done.returncode == 0, (argv, done)
        return done.stdout

    live.profile("new")
    init("register", "new")
    assert len(live.supervisors()) == 6 and b'"state": "up"' in init("status", "--json", "coder")
    for command, state in (("stop", "down"), ("start", "up"), ("restart", "up")):
        init(command, "--wait", "coder")
        assert live.svstat(live.slot("coder")) == state
    init("unregister", "new")
    assert "gateway-new" not in entries(live)
    supervised(live, 4)


def test_unregister_of_nothing_is_fine(live):
    before = identity(live.path(SCANDIR))
    live.init("unregister", "nothing", uid=HERMES)
    assert identity(live.path(SCANDIR)) == before


def test_a_gateway_that_ignores_sigterm_is_killed_in_the_end(live):
    live.profile("new")
    live.tell("new", "stubborn")
    live.init("register", "new", uid=HERMES)
    live.record("new")
    done = live.init("unregister", "new", "--wait=2", uid=HERMES)
    assert b"has not stopped in time: killing it" in done.stderr
    assert "gateway-new" not in entries(live)
    supervised(live, 4)


def test_a_hundred_rounds_and_eight_at_once_leave_nothing(live):
    for number in range(100):
        name = f"p{number}"
        live.profile(name)
        live.init("register", name, "--down", uid=HERMES)
        live.init("unregister", name, uid=HERMES if number % 2 else 0)
    supervised(live, 4)
    assert entries(live) == [".s6-svscan", "gateway-coder", "gateway-default"]
    for number in range(8):
        live.profile(f"q{number}")
    for command in ("register", "unregister"):
        started = [
            subprocess.Popen(
                live.command(["/run/bed/bin/hermes-init", command, f"q{number}"], HERMES),
                stderr=subprocess.PIPE,
                env={"PATH": "/usr/bin:/bin"},
                cwd="/",
            )
            for number in range(8)
        ]
        for process in started:
            assert process.communicate(timeout=60)[1] == b"" and process.returncode == 0
        supervised(live, 20 if command == "register" else 4)
    assert entries(live) == [".s6-svscan", "gateway-coder", "gateway-default"]


def test_two_passes_and_a_registration_at_once(live):
    for name in ["new", *[f"p{number}" for number in range(20)]]:
        live.profile(name, "stopped")
    argvs = [["reconcile"], ["reconcile"], ["register", "new", "--down"]]
    started = [
        subprocess.Popen(
            live.command(["/run/bed/bin/hermes-init", *argv]),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
        )
        for argv in argvs
    ]
    for process, argv in zip(started, argvs, strict=True):
        said = process.communicate(timeout=60)[1]
        # A pass may have been faster than the registration.
        is_present = argv[0] == "register" and b"gateway-new: it already exists" in said
        assert process.returncode == int(is_present) and (is_present or said == b""), (argv, said)
    live.rescan()
    wait_for(lambda: len(live.supervisors()) == 2 * 23, what="all supervisors")
    assert entries(live) == sorted([".s6-svscan", "gateway-coder", "gateway-default", "gateway-new"] + [f"gateway-p{n}" for n in range(20)])


def test_an_unregistration_that_was_killed_is_finished_by_the_next(live):
    live.profile("new")
    chance = random.Random(7)
    cut = 0
    for _ in range(50):
        live.init("register", "new", uid=HERMES)
        process = subprocess.Popen(
            live.command(["/run/bed/bin/hermes-init", "unregister", "new"], HERMES),
            stderr=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
        )
        time.sleep(chance.uniform(0, 0.03))
        # nsenter forks a child that executes setpriv, which executes the command.
        for child in live.processes("hermes-init"):
            live.run(["kill", "-9", str(child)])
        cut += process.wait(timeout=30) != 0
        live.init("unregister", "new", uid=HERMES)
        assert entries(live) == [".s6-svscan", "gateway-coder", "gateway-default"]
        supervised(live, 4)
    assert cut > 5, cut


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_start_stop_and_restart_do_so_and_are_kept_for_the_next_boot(live, uid):
    state = live.path("/opt/data/profiles/coder/gateway_state.json")
    state.write_text('{"gateway_state": "running",\n "pid": 12345678901234567890, "note": "\\u00e9", "nested": {"a": [1, 2.50]}}\n')
    state.chmod(0o640)
    before = json.loads(state.read_text())
    live.init("stop", "coder", "--wait", uid=uid)
    assert live.svstat(live.slot("coder")) == "down"
    after = desired(live, "coder")
    assert after.pop("desired_state") == "stopped" and after.pop("updated_at").endswith("+00:00") and after == before
    assert "2.50" in state.read_text() and "12345678901234567890" in state.read_text()
    assert (state.stat().st_mode & 0o777, state.stat().st_uid) == (0o640, HERMES)
    live.init("start", "coder", "--wait=9", uid=uid)
    assert live.svstat(live.slot("coder")) == "up" and desired(live, "coder")["desired_state"] == "running"
    pid = live.pid_of(live.slot("coder"))
    live.init("restart", "coder", "--wait=9", uid=uid)
    assert live.svstat(live.slot("coder")) == "up" and live.pid_of(live.slot("coder")) != pid
    live.init("stop", "coder", "default", "--wait", uid=uid)
    live.init("restart", "coder", "--wait", uid=uid)
    assert live.svstat(live.slot("coder")) == "up"
    # A boot: the scan directory is gone, the volume remains.
    live.init("stop", "default", uid=uid)
    live.run(["sh", "-c", "rm -rf /run/again; mkdir /run/again"])
    done = live.init("reconcile", "--scandir", "/run/again")
    assert b"profile=coder prior_state=running action=started" in done.stdout
    assert b"profile=default prior_state=stopped action=registered" in done.stdout


def test_a_broken_state_file_is_moved_aside_not_lost(live):
    directory = live.path("/opt/data/profiles/coder")
    for number, name in enumerate(["gateway_state.json.broken", "gateway_state.json.broken.2"]):
        (directory / "gateway_state.json").write_text(f"broken {number}")
        done = live.init("stop", "coder", uid=HERMES)
        assert name.encode() in done.stderr and (directory / name).read_text() == f"broken {number}"
        assert desired(live, "coder")["desired_state"] == "stopped"


@pytest.mark.parametrize("kind", ["symlink", "fifo", "readonly"])
def test_a_word_that_cannot_be_kept_is_said_and_the_control_stands(live, kind):
    state = live.path("/opt/data/profiles/coder/gateway_state.json")
    outside = live.path("/run/outside")
    outside.write_text('{"root": 1}')
    state.unlink()
    if kind == "symlink":
        state.symlink_to("/run/outside")
    elif kind == "fifo":
        os.mkfifo(state)
    else:
        done = live.run(["sh", "-ec", "mount --bind /opt/data/profiles /opt/data/profiles; mount -o remount,ro,bind /opt/data/profiles"])
        assert done.returncode == 0, done
    done = live.init("stop", "coder", "--wait", timeout=20, code=1)
    assert (b"the next boot may not know" in done.stderr and b".gateway-planned-stop.json" not in done.stderr) or kind == "readonly", done
    assert live.svstat(live.slot("coder")) == "down"
    assert outside.read_text() == '{"root": 1}'


def test_start_registers_a_profile_that_was_made_from_the_host(live):
    live.profile("host", "stopped")
    done = live.init("restart", "host", uid=HERMES, code=1)
    assert b"hermes-init start host" in done.stderr
    live.init("start", "host", "--wait", uid=HERMES)
    assert live.svstat(live.slot("host")) == "up" and desired(live, "host")["desired_state"] == "running"


def test_start_has_a_slot_supervised_that_nobody_has_announced(live):
    live.profile("quiet", "stopped")
    live.init("reconcile")
    live.init("start", "quiet", "--wait", uid=HERMES)
    assert live.svstat(live.slot("quiet")) == "up"


def test_status_shows_slots_and_profiles_side_by_side(live):
    live.orphan("orphan", "--down")
    live.profile("a-rather-long-name-for-a-profile", "running")
    live.profile("Bad")
    live.path("/run/service/gateway-Evil").mkdir()
    (live.path("/opt/data/logs/container-boot.log")).chmod(0o644)
    for uid in (HERMES, 0, 4321):
        rows = [json.loads(line) for line in live.init("status", "--json", uid=uid).stdout.splitlines()]
        by_name = {row["profile"]: row for row in rows}
        assert list(by_name) == ["default", "Bad", "a-rather-long-name-for-a-profile", "coder", "Evil", "orphan"]
        coder = by_name["coder"]
        assert (coder["state"], coder["pid"], coder["wanted"]) == ("up", live.pid_of(live.slot("coder")), "up")
        assert coder["slot"] == live.slot("coder") and coder["last_boot"].startswith("started 20") and coder["note"] is None
        assert by_name["Evil"]["note"] == "no profile can have a slot of this name"
        assert by_name["orphan"]["wanted"] is None and "hermes-init unregister orphan" in by_name["orphan"]["note"]
        assert by_name["Bad"]["slot"] is None and "name is not" in by_name["Bad"]["note"]
        new = by_name["a-rather-long-name-for-a-profile"]
        assert new["state"] == "no slot" and "hermes-init start a-rather" in new["note"] and new["wanted"] == "up"
        lines = live.init("status", uid=uid).stdout.decode().splitlines()
        table, notes, totals = [part.split("\n") for part in "\n".join(lines).split("\n\n")]
        starts = {line[lines[0].index("STATE") :].split()[0] for line in table[1:]}
        assert starts == {"up", "down", "no", "unsupervised"} and all(line[lines[0].index("STATE") - 1] == " " for line in table)
        assert [line.split(":")[0] for line in notes] == [name for name, row in by_name.items() if row["note"]]
        assert totals == ["gateways: 1 up, 2 down, 1 unsupervised, 2 no slot"]
    assert live.init("status", "coder", uid=HERMES).stdout.count(b"\n") == 4


def test_status_of_nothing_is_an_empty_table(live):
    live.run(["sh", "-c", "mkdir /run/none /run/home"])
    done = live.init("status", "--scandir", "/run/none", "--hermes-home", "/run/home", uid=HERMES)
    assert done.stdout.count(b"\n") == 1 and done.stdout.startswith(b"NAME")
    assert live.init("status", "--json", "--scandir", "/run/none", "--hermes-home", "/run/home").stdout == b""


def test_sealed_the_hermes_user_controls_and_root_registers():
    with Bed(environment={"HERMES_INIT_SEALED": "1"}) as bed:
        bed.profile("coder", "running")
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        for command in ("stop", "start", "restart"):
            bed.init(command, "--wait", "coder", uid=HERMES)
        assert desired(bed, "coder")["desired_state"] == "running"
        assert b'"state": "up"' in bed.init("status", "--json", uid=HERMES).stdout
        before = bed.supervisors()
        bed.profile("new")
        for command, name in (("register", "new"), ("unregister", "coder")):
            done = bed.init(command, name, uid=HERMES, code=1)
            assert b"belongs to uid 0 and may be sealed" in done.stderr
        assert bed.svstat(bed.slot("coder")) == "up" and bed.supervisors() == before
        bed.init("register", "new", "--env", "A=b")
        assert bed.record("new")[2][b"A"] == b"b"
        assert snapshot(bed.path(bed.slot("new")))[b"supervise"] == f"dir 710 0:{HERMES}"
        assert snapshot(bed.path(bed.slot("new")))[b"env/A"].startswith(f"file 640 0:{HERMES} ")
        bed.init("unregister", "new")
        supervised(bed, len(before))
        assert bed.supervisors() == before


def test_a_pass_leaves_supervisors_of_an_interrupted_unregistration_to_unregister(live):
    live.orphan("new")
    live.run(["mv", live.slot("new"), "/run/service/.gateway-new.gone.tmp"])
    assert b"it is supervised: to end its supervisors, unregister the profile or run s6-svscanctl -an" in live.init("reconcile").stderr
    live.profile("new")
    live.init("register", "new", "--down", uid=HERMES)
    supervised(live, 6)
    assert ".gateway-new.gone.tmp" not in entries(live)

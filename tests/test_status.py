"""status: what it says of containers, profiles and loggers that are not as they should be; and the commands where no gateway
belongs."""

import json
import re
import threading
import time

import pytest

from support.program import HERMES, wait_for
from support.testbed import SERVICES, Bed, death_tally, desired, static_service

pytestmark = pytest.mark.s6
FRONTEND = {"HERMES_INIT_ROLE": "frontend"}


def rows(bed, *arguments, **options):
    done = bed.init("status", "--json", *arguments, **options)
    return {row["profile"]: row for row in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("uid", [HERMES, 0])
def test_in_a_front_ends_container_no_gateway_is_managed_nor_advised(live, uid):
    live.profile("kept")
    live.init("register", "--down", "--env", "A=b", "kept")
    live.profile("new", "running")
    before = live.supervisors()
    variables = live.path("/opt/data/profiles/kept/.hermes-init-env")
    kept = variables.read_bytes()
    commands = [[verb, "coder"] for verb in ("start", "stop", "restart", "unregister")]
    for command in (["start", "new"], ["register", "new"], ["unregister", "kept"], *commands):
        done = live.init(*command, uid=uid, environment=FRONTEND, code=1)
        assert b"the role is frontend (environment)" in done.stderr and b"--role gateway" in done.stderr
    assert live.supervisors() == before and live.svstat(live.slot("coder")) == "up"
    # The volume is that of the gateway's container.
    assert variables.read_bytes() == kept and desired(live, "coder") == {"gateway_state": "running"}
    row = rows(live, uid=uid, environment=FRONTEND)["new"]
    assert (row["state"], row["wanted"]) == ("no slot", None)
    assert row["note"] == "the role is frontend (environment)"
    # The role can be given.
    live.init("stop", "--role", "gateway", "coder", uid=uid, environment=FRONTEND)
    live.init("unregister", "--role", "gateway", "kept", uid=uid, environment=FRONTEND)
    assert not variables.exists()
    assert " start new" in rows(live, "--role", "gateway", uid=uid, environment=FRONTEND)["new"]["note"]
    live.init("start", "--wait", "--role", "gateway", "new", uid=uid, environment=FRONTEND)
    assert live.svstat(live.slot("new")) == "up"
    live.profile("other")
    live.init("register", "--role", "gateway", "--down", "other", uid=uid, environment=FRONTEND)


def test_the_role_is_not_looked_for_where_every_profile_has_its_slot(live):
    # A word that is no role is reported when it is looked at.
    wrong = {"HERMES_INIT_ROLE": "nonsense"}
    assert b"HERMES_INIT_ROLE" not in live.init("status", uid=HERMES, environment=wrong).stderr
    live.profile("new", "running")
    done = live.init("status", uid=HERMES, environment=wrong)
    assert b"HERMES_INIT_ROLE" in done.stderr and b" start new" in done.stdout


def test_status_of_one_profile_is_silent_about_the_others(live):
    live.profile("broken").joinpath("gateway_state.json").write_text("nonsense")
    (live.path("/opt/data/profiles") / "lost").symlink_to("nowhere")
    everything = live.init("status", uid=HERMES)
    assert b"profiles/broken/gateway_state.json" in everything.stderr and b"profiles/lost" in everything.stderr
    assert live.init("status", "coder", uid=HERMES).stderr == b""
    # Of the one that is asked about, the note tells it.
    live.init("reconcile")
    live.rescan()
    wait_for(lambda: b"gateway_state.json: not JSON" in live.init("status", "broken", uid=HERMES).stdout, what="the note")
    assert live.init("status", "broken", uid=HERMES).stderr == b""


def next_second():
    time.sleep(1.01 - time.time() % 1)


def logs(bed):
    return [bed.path(f"/opt/data/logs/container-boot.log{end}") for end in ("", ".1")]


def test_last_boot_is_the_first_pass_since_the_container_has_booted_and_none_by_hand(live):
    log, rotated = logs(live)
    booted = log.read_text()
    stamp = booted.split(" ")[0]
    live.init("stop", "coder")
    live.profile("new", "running")
    next_second()
    assert b"profile=coder prior_state=stopped action=registered" in live.init("reconcile").stdout
    by_hand = log.read_text().removeprefix(booted)
    assert by_hand.count(" profile=new ") == 1 and stamp not in by_hand
    expected = {"default": f"registered {stamp}", "coder": f"started {stamp}", "new": None}
    old = booted.replace(stamp, "2025-12-31T23:59:59-0130")
    for newer, older in (
        (booted + by_hand, None),
        # After boots of earlier containers, and where the log was rotated.
        (old + booted + by_hand, None),
        (by_hand, old + booted),
        (booted + by_hand, old),
    ):
        log.write_text(newer)
        rotated.unlink(missing_ok=True)
        if older is not None:
            rotated.write_text(older)
        for uid in (0, HERMES):
            told = rows(live, uid=uid)
            assert {name: row["last_boot"] for name, row in told.items()} == expected, (newer, older)
            # The pass by hand has made its slot.
            assert told["new"]["note"] == "it is not supervised yet: /run/bed/bin/hermes-init start new"
    rotated.unlink()
    [new] = [line for line in live.init("status").stdout.decode().splitlines() if line.startswith("new ")]
    assert new.endswith(" up         -")
    # Of this boot there is none in the log: the newest pass counts.
    log.write_text(old + by_hand.replace(by_hand.split(" ")[0], "2026-01-01T00:00:00-0130"))
    expected = {"default": "registered", "coder": "registered", "new": "started"}
    assert {name: row["last_boot"] for name, row in rows(live).items()} == {
        name: f"{action} 2026-01-01T00:00:00-0130" for name, action in expected.items()
    }


def test_what_failed_at_the_boot_and_was_mended_by_hand_is_last_boots_and_no_fault(bed):
    bed.profile("coder", "running")
    bed.profile("late", "running")
    assert b"profile=late prior_state=None action=failed" in bed.init("reconcile", "--max-services=8", code=1).stdout
    stamp = logs(bed)[0].read_text().split(" ")[0]
    bed.rescan()
    next_second()
    assert b"profile=late prior_state=running action=started" in bed.init("reconcile").stdout
    bed.rescan()
    bed.settle()
    assert {name: row["last_boot"] for name, row in rows(bed).items()} == {
        "default": f"registered {stamp}",
        "coder": f"started {stamp}",
        "late": f"failed {stamp}",
    }
    assert bed.init("health").stdout == b""


@pytest.mark.parametrize("command", ["status", "stop"])
def test_a_supervisor_that_has_not_written_its_state_yet_is_waited_for(live, command):
    supervise = live.path(live.slot("coder")) / "supervise"
    (supervise / "status").rename(supervise / "later")
    late = threading.Timer(0.5, (supervise / "later").rename, [supervise / "status"])
    late.start()
    try:
        done = live.init(command, "coder")
    finally:
        late.join()
    assert done.stderr == b"" and (command == "stop" or b" up " in done.stdout), done
    assert live.svstat(live.slot("coder")) == ("up" if command == "status" else "down")


def test_what_cannot_be_read_has_one_row_and_an_unknown_next_boot(live):
    live.run(["chown", "-R", "0:0", "/opt/data/profiles/coder"])
    live.run(["chmod", "700", "/opt/data/profiles/coder"])
    listed = [json.loads(line) for line in live.init("status", "--json", uid=HERMES).stdout.splitlines()]
    assert [row["profile"] for row in listed] == ["default", "coder"]
    coder = listed[1]
    assert (coder["state"], coder["wanted"]) == ("up", "unknown")
    assert coder["note"] == (
        "Permission denied (/opt/data/profiles/coder belongs to 0:0, mode 0700; as root: /run/bed/bin/hermes-init hand-over /opt/data/profiles/coder)"
    )
    # Neither has a state file that root alone may read a known word in it.
    live.run(["chmod", "755", "/opt/data/profiles/coder"])
    live.run(["chmod", "600", "/opt/data/profiles/coder/gateway_state.json"])
    coder = rows(live, uid=HERMES)["coder"]
    state = "/opt/data/profiles/coder/gateway_state.json"
    assert coder["wanted"] == "unknown"
    how = "as root: /run/bed/bin/hermes-init hand-over /opt/data/profiles/coder/gateway_state.json"
    assert coder["note"] == f"gateway_state.json: Permission denied ({state} belongs to 0:0, mode 0600; {how})"
    assert rows(live, uid=0)["coder"]["wanted"] == "up"
    # With a volume that cannot be entered, nothing is gone either.
    live.run(["chmod", "700", "/opt/data"])
    live.run(["chown", "0:0", "/opt/data"])
    done = live.init("status", "--json", uid=HERMES, code=111)
    assert b"gone" not in done.stdout and b"unregister" not in done.stdout
    assert {row["wanted"] for row in map(json.loads, done.stdout.splitlines())} == {"unknown"}
    assert done.stdout.count(b"(/opt/data belongs to 0:0, mode 0700; as root: chown -hR 10000 /opt/data)") == 2


def test_a_name_that_a_shell_would_not_take_as_it_is_gets_into_no_command(live):
    """A person may paste a command from a note, as root."""
    for name in ("$(touch x)", "a;b", "-R", "x" * 70):
        (live.path("/opt/data/profiles") / name).mkdir(mode=0o700)
    notes = {name: row["note"] for name, row in rows(live, uid=HERMES).items()}
    # What no profile can be is nobody's business where it may not be looked into.
    assert set(notes) == {"default", "coder", "x" * 70}
    assert notes["x" * 70].startswith("Permission denied (") and "as root" not in notes["x" * 70], notes


def test_a_name_that_no_profile_can_have_makes_no_row_wide(live):
    longest = "l" * 215
    for name in ("\x01" * 255, "\x01" * 254, "X" * 255, "My Profile"):
        live.profile(name, "running")
    for name in ("\x02" * 100, "\x02"):
        static_service(live, name)
    live.rescan()
    wait_for(lambda: all(live.svstat(f"{SERVICES}/{name}") == "up" for name in ("\x02" * 100, "\x02")), what="the services")
    live.init("fix-perms", SERVICES)
    narrow = live.init("status", uid=HERMES).stdout.decode()
    names = ['"' + r"\u0001" * 9 + '"...', '"' + "X" * 59 + '"...', r'"My\u0020Profile"', '"' + r"\u0002" * 9 + '"...', r'"\u0002"']
    lines = narrow.splitlines()
    for name in names:
        assert any(line.startswith((f"{name}  ", f"{name}: ")) for line in lines), (name, lines)
    table = lines[: lines.index("")]
    assert max(map(len, table)) < 64 + 100, table
    assert table[0].index("KIND") == 66 and all(line[64:66] == "  " for line in table)
    # Notes have the same names, and JSON has all of them whole.
    assert all(len(line.split(": ")[0]) <= 64 for line in lines if ": " in line)
    listed = rows(live, uid=HERMES)
    assert {"\x01" * 255, "\x01" * 254, "X" * 255, "My Profile"} <= set(listed)
    # A profile's name is whole, and no other name looks like it.
    live.profile(longest)
    assert f'"{longest}"  gateway' in live.init("status", uid=HERMES).stdout.decode()


def test_a_logger_that_restarts_has_a_note(live):
    deaths = live.path(live.slot("coder")) / "log/supervise/death_tally"
    for text, note in (
        (death_tally(400, 300), None),
        (death_tally(400, 10), None),
        (death_tally(70, 10), "its logger keeps dying"),
        (b"x" * 27, None),
        (b"\xff" * 28, None),
    ):
        deaths.write_bytes(text)
        found = rows(live, uid=HERMES)["coder"]["note"]
        assert (found or "").startswith(note or "") and (found is None) == (note is None), text


def test_a_gateway_that_makes_a_pause_has_a_note(live):
    live.tell("coder", "exit 1")
    live.init("restart", "coder", uid=HERMES)
    row = wait_for(lambda: pausing(live), 20, "the pause")
    # Where it makes none, nothing is said of one.
    assert "waiting" not in (rows(live, uid=HERMES, environment={"HERMES_INIT_BACKOFF": "0"})["coder"]["note"] or "")
    assert row["state"] == "restarting" and row["deaths"] >= 5
    said = f"keeps dying: {row['deaths']} times within 180 seconds (exit code 1); see: /run/bed/bin/hermes-init logs coder; waiting, starts again at 20"
    assert row["note"].startswith(said)


def pausing(bed):
    row = rows(bed, uid=HERMES)["coder"]
    return row if "waiting" in (row["note"] or "") else None


@pytest.mark.strace
@pytest.mark.parametrize("command", ["status", "health"])
def test_what_is_the_same_for_all_gateways_is_read_once(command):
    """A gateway that runs, and one that dies, need more looks than one that is down."""
    with Bed() as bed:
        for number in range(4):
            bed.tell(f"dying{number}", "exit 1")
            bed.profile(f"dying{number}", "running")
            bed.profile(f"up{number}", "running")
        bed.init("reconcile")
        bed.rescan()
        wait_for(lambda: all(bed.path(f"/run/bed/identity.{what}{number}").exists() for what in ("up", "dying") for number in range(4)))
        bed.run(["strace", "-o", "/run/trace", "/run/bed/bin/hermes-init", command])
        opened = re.findall(r'^open\w*\([^"]*"([^"]+)"', bed.path("/run/trace").read_text(), re.MULTILINE)
        # passwd: who the hermes user is, and in which groups.
        for path, most in (
            ("/etc/passwd", 2),
            ("/etc/group", 1),
            ("HERMES_INIT_BACKOFF", 1),
            ("TZ", 1),
            ("/etc/localtime", 1),
            ("s6-svc", 1),
        ):
            assert opened.count(path) <= most, (path, opened.count(path))

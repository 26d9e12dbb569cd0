"""The boot pass without s6: outcomes, contents, modes, owners, the log; bad input; kills; refused system calls."""

import json
import os
import re
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from support.file_tree import entries_of, identity, snapshot
from support.program import APART, HERMES, OWNER, executable, run
from support.volume import Volume, expected_slot

pytestmark = pytest.mark.root
NOT_RUNNING = (
    "hermes-init reconcile: warning: no s6-svscan runs on {}: gateways start when it does; "
    "outside a container, add --dry-run, which changes nothing\n"
)


@pytest.fixture
def volume(place):
    return Volume(place)


@pytest.mark.parametrize("mask", ["000", "022", "077", "777"])
def test_a_slot_is_exactly_this_under_any_umask(volume, mask):
    volume.profile("coder", "running")
    volume.reconcile(before=["sh", "-c", f'umask {mask}; exec "$@"', "sh"])
    assert snapshot(volume.slot("coder")) == expected_slot(down=False)
    assert snapshot(volume.slot("default")) == expected_slot(down=True)
    assert sorted(entries_of(volume.scandir)) == ["gateway-coder", "gateway-default"]


def test_a_setgid_scan_directory_does_not_show_in_the_slots(volume):
    volume.scandir.mkdir(exist_ok=True)
    os.chown(volume.scandir, 0, 4242)
    volume.scandir.chmod(0o2775)
    volume.profile("coder", "running")
    volume.reconcile()
    assert snapshot(volume.slot("coder")) == expected_slot(down=False)


def test_a_quiet_boot_prints_failures_only(volume):
    quiet = {"environment": {"S6_VERBOSITY": "0"}}
    volume.profile("coder", "running")
    volume.profile("Bad", "running")
    assert volume.reconcile("--dry-run", **quiet).stdout.count(b"\n") == 3
    assert volume.reconcile(**quiet).stdout == b"" and volume.log().count("\n") == 3
    assert volume.reconcile("--json", **quiet).stdout.count(b"\n") == 3
    assert volume.reconcile(environment={"S6_VERBOSITY": "1"}).stdout.count(b"\n") == 3
    volume.profile("list", b"[]")
    assert b"profiles/list/gateway_state.json" in volume.reconcile(**quiet).stderr


def test_stdout_log_and_json_say_what_was_done(volume):
    volume.profile("coder", "running")
    volume.profile("Bad", "running")
    done = volume.reconcile()
    assert done.stdout.decode() == (
        "reconcile: profile=default prior_state=None action=registered\n"
        'reconcile: profile=Bad prior_state=None action=skipped reason="name is not [a-z0-9][a-z0-9_-]*"\n'
        "reconcile: profile=coder prior_state=running action=started\n"
    )
    assert done.stderr == b""
    lines = volume.log().splitlines()
    assert [re.sub(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+0000 ", "T ", line) for line in lines] == [
        "T profile=default prior_state=None action=registered prior_exit=unknown",
        'T profile=Bad prior_state=None action=skipped reason="name is not [a-z0-9][a-z0-9_-]*" prior_exit=unknown',
        "T profile=coder prior_state=running action=started prior_exit=unknown",
    ]
    assert len({line.split()[0] for line in lines}) == 1
    assert volume.outcomes()["coder"] == {
        "profile": "coder",
        "prior_state": "running",
        "action": "started",
        "reason": None,
        "changed": False,
        "slot": f"{volume.scandir}/gateway-coder",
        "prior_exit": "unknown",
    }
    for name in ("logs", "logs/container-boot.log"):
        assert (volume.home / name).stat().st_uid == HERMES


def test_profiles_come_in_byte_order_after_the_default(volume):
    for name in ("b", "a-b", "a_b", "0", "ab", "B"):
        volume.profile(name)
    assert list(volume.outcomes()) == ["default", "0", "B", "a-b", "a_b", "ab", "b"]


@pytest.mark.parametrize(
    "zone, offset",
    [
        ("AEST-10AEDT,M10.1.0,M4.1.0/3", "+1[01]00"),
        ("JST-9", "\\+0900"),
        ("", "\\+0000"),
        ("No/Such/Zone", "\\+0000"),
        ("<-0330>3:30", "-0330"),
    ],
)
def test_the_log_is_in_the_containers_local_time(volume, zone, offset):
    volume.reconcile(environment={"TZ": zone})
    assert re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d" + offset.replace("+1[", r"\+1[") + " profile=default", volume.log())


BROKEN = {
    "empty": b"",
    "no-json": b"{",
    "array": b"[]",
    "number": b"3",
    "null": b"null",
    "latin1": b'{"gateway_state": "\xe9"}',
    "not-a-string": b'{"gateway_state": 1}',
    "missing-key": b'{"state": "running"}',
    "too-big": b'{"gateway_state": "running"}' + b" " * (1 << 20),
    "deep": b"[" * 200_000,
    "trailing": b'{"gateway_state": "running"} x',
    "utf16": '{"gateway_state": "running"}'.encode("utf-16"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_state_file_is_no_prior_state_and_a_warning(volume, kind):
    volume.profile("coder", BROKEN[kind])
    volume.profile("writer", "running")
    done = volume.reconcile()
    assert b"coder prior_state=None action=registered" in done.stdout
    assert b"writer prior_state=running action=started" in done.stdout
    assert done.stderr.count(b"warning: ") == 1 and b"profiles/coder/gateway_state.json: " in done.stderr


@pytest.mark.parametrize("kind", ["fifo", "directory", "socket", "dangling", "symlink", "device"])
def test_what_is_no_regular_state_file_is_not_read_and_never_waited_for(volume, kind):
    directory = volume.profile("coder")
    path = os.path.join(directory, b"gateway_state.json")
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        os.mkdir(path)
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(path)
    elif kind == "device":
        os.mknod(path, 0o020666, os.makedev(1, 5))
    else:
        (volume.place / "secret").write_text('{"gateway_state": "running"}')
        os.symlink("/nowhere/at/all" if kind == "dangling" else volume.place / "secret", path)
    done = volume.reconcile(timeout=10)
    assert b"coder prior_state=None action=registered" in done.stdout
    assert b"profiles/coder/gateway_state.json" in done.stderr


def test_a_missing_state_file_is_no_warning_and_a_bom_is_fine(volume):
    volume.profile("new")
    volume.profile("coder", b'\xef\xbb\xbf{"gateway_state": "running"}')
    done = volume.reconcile()
    assert done.stderr == b"" and b"coder prior_state=running action=started" in done.stdout


@pytest.mark.parametrize(
    "value",
    [
        "x\nprofile=evil action=started",
        "x action=started",
        "\x1b[2J",
        'quote"\\',
        "é\u2028\U0001f600",
        "",
        "x" * 65,
        "\x7f",
        "None action=failed",
    ],
)
def test_no_value_forges_a_line(volume, value):
    volume.profile("coder", value)
    lines = volume.reconcile().stdout.decode().splitlines() + volume.log().splitlines()
    assert len(lines) == 4 and all(line.isascii() and line.isprintable() for line in lines)
    quoted = re.search(r'prior_state=("(?:[^"\\]|\\.)*") action=registered', lines[1])
    assert json.loads(quoted[1]) == value
    assert volume.outcomes()["coder"]["prior_state"] == value


@pytest.mark.parametrize(
    "name, why",
    [
        (b"Upper", "name is not"),
        (b"new\nline", "name is not"),
        (b"\xff\xfe", "name is not"),
        (b"x" * 216, "longer than 215"),
        (b"a.b", "name is not"),
        (b"-x", "name is not"),
        (b"sp ace", "name is not"),
        (b"_x", "name is not"),
    ],
)
def test_a_name_that_can_be_no_slot_is_skipped_and_the_others_are_there(volume, name, why):
    volume.profile(name, "running")
    volume.profile("coder", "running")
    done = volume.reconcile("--json")
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    skipped = [outcome for outcome in outcomes if outcome["action"] == "skipped"]
    assert len(skipped) == 1 and why in skipped[0]["reason"] and skipped[0]["slot"] is None
    assert skipped[0]["profile"] == name.decode(errors="replace")
    assert sorted(entries_of(volume.scandir)) == ["gateway-coder", "gateway-default"]


@pytest.mark.parametrize("what", ["profile", "foreign", "dangling", "no soul"])
def test_the_reserved_name_has_one_result_the_root_profiles(volume, what):
    directory = volume.profile("default")
    if what == "profile":
        volume.profile(b"default", "running")
    elif what == "no soul":
        os.makedirs(volume.home / "profiles/default")
    else:
        os.makedirs(volume.home / "profiles")
        os.symlink("/root" if what == "foreign" else "/nowhere", volume.home / "profiles/default")
    done = volume.reconcile("--json")
    outcomes = [json.loads(line) for line in done.stdout.splitlines()]
    assert [(outcome["profile"], outcome["action"]) for outcome in outcomes] == [("default", "registered")]
    assert volume.log().count("profile=default ") == 1 and volume.log().count("\n") == 1
    warned = [line for line in done.stderr.decode().splitlines() if "unable to use profiles/default: " in line]
    assert len(warned) == (0 if what == "no soul" else 1) and sorted(entries_of(volume.scandir)) == ["gateway-default"]
    explained = volume.reconcile("--explain").stdout.decode()
    assert explained.count("\nprofiles/default is not a profile\n") == 1 and explained.count("\nprofile default\n") == 1
    assert os.path.isdir(directory)


def test_the_longest_name_has_a_slot(volume):
    volume.profile("x" * 215, "running")
    volume.reconcile()
    assert snapshot(volume.slot("x" * 215)) == expected_slot(down=False)


def test_only_directories_with_a_soul_are_profiles(volume):
    volume.profile("coder")
    (volume.home / "profiles/backup").mkdir()
    (volume.home / "profiles/file").write_text("")
    assert list(volume.outcomes()) == ["default", "coder"]


def test_a_link_to_another_disk_is_followed_if_it_is_the_owners(volume):
    for name, uid in (("ours", HERMES), ("theirs", 1234)):
        target = volume.place / f"disk-{name}"
        target.mkdir()
        (target / "SOUL.md").touch()
        (target / "gateway_state.json").write_text('{"gateway_state": "running"}')
        (target / "gateway.pid").write_text("1")
        os.chown(target, uid, uid)
        (volume.home / "profiles").mkdir(exist_ok=True)
        (volume.home / "profiles" / name).symlink_to(target)
    (volume.home / "profiles/gone").symlink_to("/nowhere")
    done = volume.reconcile()
    assert b"profile=ours prior_state=running action=started" in done.stdout
    assert b"profile=theirs prior_state=None action=skipped" in done.stdout and b"uid 1234" in done.stdout
    assert b"profiles/gone" in done.stderr
    assert not (volume.place / "disk-ours/gateway.pid").exists()
    assert (volume.place / "disk-theirs/gateway.pid").exists()


@pytest.mark.parametrize("name", ["profiles", "logs"])
@pytest.mark.parametrize("uid", [HERMES, 0])
def test_a_linked_directory_of_the_volume_is_the_owners_or_not_used(volume, name, uid):
    target = volume.place / "elsewhere"
    (target / "coder").mkdir(parents=True)
    (target / "coder/SOUL.md").touch()
    os.chown(target / "coder", uid, uid)
    os.chown(target, uid, uid)
    (volume.home / name).symlink_to(target)
    used = uid == HERMES
    # Loggers cannot follow the link either.
    done = volume.reconcile(code=int(name == "logs" and not used))
    if name == "profiles":
        assert (b"profile=coder" in done.stdout) == used
    else:
        assert (target / "container-boot.log").exists() == used
    assert (f"unable to use {name}".encode() in done.stderr) == (not used)


def test_stale_runtime_files_go_and_what_cannot_go_is_a_warning(volume):
    coder, writer = volume.profile("coder", "running"), volume.profile("writer", "running")
    for name in (b"gateway.pid", b"processes.json"):
        open(os.path.join(coder, name), "w").close()
    os.mkdir(os.path.join(writer, b"gateway.pid"))
    (volume.home / "gateway.pid").symlink_to(volume.place / "outside")
    (volume.place / "outside").write_text("kept")
    done = volume.reconcile()
    assert not os.path.exists(os.path.join(coder, b"gateway.pid")) and not os.path.exists(os.path.join(coder, b"processes.json"))
    assert b"profiles/writer/gateway.pid" in done.stderr and b"writer prior_state=running action=started" in done.stdout
    assert not os.path.lexists(volume.home / "gateway.pid") and (volume.place / "outside").read_text() == "kept"


def test_root_without_the_capability_for_a_closed_volume_is_told_so(volume):
    """Common hardening: all capabilities but a few are dropped."""
    volume.home.chmod(0o700)
    few = ["setpriv", "--bounding-set=-all,+chown,+setuid,+setgid", "--inh-caps=-all"]
    none = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"]
    done = volume.reconcile(code=111, before=none)
    assert b"Permission denied: root lacks the capability DAC_OVERRIDE" in done.stderr
    assert done.stdout == b"" and entries_of(volume.scandir) == []
    # A profile that is closed costs only itself.
    volume.home.chmod(0o755)
    volume.profile("coder", "running")
    locked = volume.profile("locked", "running")
    os.chmod(locked, 0o700)
    done = volume.reconcile(code=1, before=none)
    assert b"root lacks the capability DAC_OVERRIDE" in done.stdout and b"profile=coder prior_state=running action=started" in done.stdout
    # With these it works there as the hermes user.
    done = volume.reconcile("--delegated", code=1, before=few)
    assert b"profile=locked prior_state=running action=started\n" in done.stdout and "profile=locked" in volume.log()
    assert done.stderr.count(b"\n") == 2 and b"root lacks the capability KILL" in done.stderr and b"--sealed" in done.stderr


def test_a_profile_that_cannot_be_entered_fails_alone():
    # Root can search every directory; the hermes user cannot.
    import tempfile
    from pathlib import Path

    place = Path(tempfile.mkdtemp(prefix="hermes-init-test-"))
    try:
        place.chmod(0o755)
        volume = Volume(place)
        volume.profile("coder", "running")
        volume.profile("locked", "running")
        volume.scandir.mkdir(exist_ok=True)
        os.chown(volume.scandir, HERMES, HERMES)
        os.chmod(volume.home / "profiles/locked", 0)
        done = volume.reconcile(code=1, before=["setpriv", "--reuid", HERMES, "--regid", HERMES, "--clear-groups"])
        assert b'profile=locked prior_state=None action=failed reason="Permission denied (' in done.stdout
        assert f'/profiles/locked belongs to {OWNER}, mode 0000)"'.encode() in done.stdout
        assert b"profile=coder prior_state=running action=started" in done.stdout
        os.chmod(volume.home / "profiles", 0)
        done = volume.reconcile(code=1, before=["setpriv", "--reuid", HERMES, "--regid", HERMES, "--clear-groups"])
        assert b"profile=default" in done.stdout and b"unable to list profiles" in done.stderr
    finally:
        shutil.rmtree(place)


def test_what_is_missing_is_made(volume):
    os.rmdir(volume.home)
    volume.home = volume.place / "a/b/home"
    volume.scandir = volume.place / "c/d"
    done = volume.reconcile()
    assert b"did not exist and has been created" in done.stderr
    assert volume.home.stat().st_uid == HERMES and volume.log() and volume.slot("default").is_dir()
    assert (volume.place / "a").stat().st_uid == 0


@pytest.mark.parametrize("what", ["home", "scandir"])
def test_a_file_in_the_place_of_a_directory_is_111(volume, what):
    target = volume.home if what == "home" else volume.scandir
    shutil.rmtree(target)
    target.write_text("")
    done = volume.reconcile(code=111)
    assert b"fatal" in done.stderr and str(target).encode() in done.stderr and done.stdout == b""


def test_profiles_that_is_no_directory_is_a_warning(volume):
    (volume.home / "profiles").write_text("")
    done = volume.reconcile()
    assert b"unable to use profiles" in done.stderr and b"profile=default" in done.stdout


def test_a_dry_run_changes_nothing_and_says_the_same(volume):
    volume.profile("coder", "running")
    open(os.path.join(volume.profile("writer"), b"gateway.pid"), "w").close()
    before = identity(volume.place)
    dry = volume.reconcile("--dry-run", "--json")
    assert identity(volume.place) == before
    assert dry.stdout == volume.reconcile("--json").stdout
    assert volume.outcomes("--dry-run")["writer"]["changed"] is False
    shutil.rmtree(volume.home)
    assert b"profile=default" in volume.reconcile("--dry-run").stdout and not volume.home.exists()


def test_a_second_pass_changes_nothing_but_the_log(volume):
    volume.profile("coder", "running")
    volume.profile("writer", "stopped")
    volume.reconcile()
    before = identity(volume.scandir)
    profiles = identity(volume.home / "profiles")
    assert not any(outcome["changed"] for outcome in volume.outcomes().values())
    assert identity(volume.scandir) == before and identity(volume.home / "profiles") == profiles


@pytest.mark.parametrize(
    "damage", ["run", "mode", "owner", "down", "type", "event", "control", "log", "extra-link", "not-a-slot", "dangling"]
)
@pytest.mark.parametrize("fallback", [None, "EINVAL", "ENOSYS", "EPERM"])
def test_a_slot_that_differs_is_replaced(volume, damage, fallback):
    volume.profile("coder", "running")
    volume.reconcile()
    slot = volume.slot("coder")
    outside = volume.place / "outside"
    outside.mkdir()
    (outside / "keep").write_text("kept")
    if damage == "run":
        (slot / "run").write_text("#!/bin/sh\n")
    elif damage == "mode":
        (slot / "supervise").chmod(0o777)
    elif damage == "owner":
        os.chown(slot / "finish", 0, 0)
    elif damage == "down":
        (slot / "down").touch()
    elif damage == "type":
        (slot / "type").unlink()
        (slot / "type").symlink_to(outside / "keep")
    elif damage == "event":
        os.rmdir(slot / "event")
        (slot / "event").symlink_to(outside)
    elif damage == "control":
        (slot / "supervise/control").unlink()
        (slot / "supervise/control").write_text("")
    elif damage == "log":
        shutil.rmtree(slot / "log")
        (slot / "log").write_text("")
    elif damage == "extra-link":
        (slot / "log/run").unlink()
        os.link(outside / "keep", slot / "log/run")
    else:
        shutil.rmtree(slot)
        (slot.write_text("") if damage == "not-a-slot" else slot.symlink_to("/nowhere"))
    inject = ["strace", "-f", "-o", "/dev/null", "-e", f"inject=renameat2:error={fallback}:when=1+"] if fallback else []
    volume.reconcile(before=inject)
    assert snapshot(slot) == expected_slot(down=False)
    assert sorted(entries_of(volume.scandir)) == ["gateway-coder", "gateway-default"]
    assert snapshot(outside) == {b".": "dir 755 0:0", b"keep": "file 644 0:0 b'kept'"}


def test_what_a_slot_keeps_in_env_outlives_its_replacement(volume):
    volume.profile("coder", "running")
    volume.reconcile()
    env = volume.slot("coder") / "env"
    env.mkdir()
    (env / "KEY").write_bytes(b"a\nb\xff\n")
    (env / "GONE").write_bytes(b"")
    (volume.slot("coder") / "run").write_text("")
    volume.reconcile()
    tree = snapshot(volume.slot("coder"))
    assert tree.pop(b"env/KEY") == f"file 600 {OWNER} {b'a' + bytes([10]) + b'b' + bytes([255, 10])!r}"
    assert tree.pop(b"env/GONE") == f"file 600 {OWNER} b''" and tree.pop(b"env") == f"dir 700 {OWNER}"
    assert tree == expected_slot(down=False)


def test_leftovers_are_swept_whatever_is_in_them(volume):
    volume.scandir.mkdir(exist_ok=True)
    for name in (".gateway-coder.tmp", "gateway-writer.tmp", ".gateway-x.7.tmp"):
        deep = volume.scandir / name / "/".join(["d"] * 300)
        deep.mkdir(parents=True)
        (deep / "file").touch()
        (volume.scandir / name / "link").symlink_to(volume.home)
    (volume.scandir / ".gateway-file.tmp").write_text("")
    volume.profile("coder", "running")
    volume.reconcile()
    assert sorted(entries_of(volume.scandir)) == ["gateway-coder", "gateway-default"]
    assert volume.home.is_dir()


def test_a_leftover_that_cannot_be_removed_stops_nothing(volume):
    volume.scandir.mkdir(exist_ok=True)
    os.chown(volume.scandir, HERMES, HERMES)
    (volume.scandir / ".gateway-default.tmp/inner").mkdir(parents=True)
    done = volume.reconcile(before=["setpriv", "--reuid", HERMES, "--regid", HERMES, "--clear-groups"])
    assert b"remove the leftover .gateway-default.tmp" in done.stderr
    assert snapshot(volume.slot("default")) == expected_slot(down=True)


@pytest.mark.parametrize("options", [[], ["--adopt"], ["--sealed"]])
@pytest.mark.parametrize("target", ["directory", "file", "closed"])
@pytest.mark.parametrize("uid", [0, HERMES])
def test_a_link_that_leads_somewhere_is_never_replaced(volume, options, target, uid):
    """s6-rc makes such links before s6-svscan supervises what they lead to. One through a closed directory may lead somewhere."""
    volume.profile("api", "running")
    volume.profile("coder", "running")
    (volume.place / "service.api").mkdir()
    (volume.place / "file").touch()
    (volume.place / "closed").mkdir(mode=0o000)
    to = {"directory": "../service.api", "file": volume.place / "file", "closed": "../closed/service"}[target]
    link = volume.slot("api")
    link.symlink_to(to)
    os.chown(link, uid, uid, follow_symlinks=False)
    before = (
        ["setpriv", "--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"]
        if target == "closed"
        else []
    )
    for effect in (["--dry-run"], [], []):
        done = volume.reconcile(*options, *effect, before=before, code=1)
        assert b"unable to use gateway-api: it is a symlink, not a slot: leave it to the program that created it\n" in done.stderr, done
        line = next(line for line in done.stdout.splitlines() if b"profile=api " in line)
        assert b' action=failed reason="unable to use gateway-api: it is a symlink, not a slot' in line
        assert b"profile=coder prior_state=running action=started" in done.stdout
        assert os.readlink(link) == str(to) and os.lstat(link).st_uid == uid
    assert os.listdir(volume.place / "service.api") == [] and (volume.slot("coder") / "run").exists()
    explained = volume.reconcile("--explain", *options, before=before).stdout
    assert b"because: unable to use gateway-api: it is a symlink, not a slot" in explained and b"gateway-api is missing" not in explained


def test_a_dangling_slot_goes_and_another_dangling_link_is_said(volume):
    volume.scandir.mkdir(exist_ok=True)
    (volume.scandir / "gateway-old").symlink_to("/nowhere")
    (volume.scandir / "other").symlink_to("/nowhere")
    done = volume.reconcile()
    assert not os.path.lexists(volume.scandir / "gateway-old") and os.path.lexists(volume.scandir / "other")
    assert b"use the dangling symlink other" in done.stderr and b"s6-svscan 2.12" in done.stderr


CALLS = ["mkdirat", "openat", "write", "fchmod", "fchown", "fchownat", "mknodat", "renameat2", "renameat", "unlinkat", "close"]


@pytest.mark.strace
@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("present", [False, True])
def test_a_kill_at_any_instant_leaves_whole_slots_or_none(volume, call, present):
    volume.profile("coder", "running")
    whole = [expected_slot(down=False)]
    if present:
        volume.reconcile()
        (volume.slot("coder") / "run").write_text("#!/bin/sh\n")
        whole.append(snapshot(volume.slot("coder")))
    for when in range(1, 60, 1 if call != "openat" else 3):
        inject = ["strace", "-f", "-o", "/dev/null", "-e", f"inject={call}:signal=SIGKILL:when={when}"]
        done = volume.reconcile(before=inject, code=None)
        for name in entries_of(volume.scandir) if volume.scandir.exists() else []:
            if name == "gateway-coder":
                assert snapshot(volume.scandir / name) in whole, (call, when)
            elif name == "gateway-default":
                assert snapshot(volume.scandir / name) == expected_slot(down=True), (call, when)
            else:
                assert name.startswith(".gateway-"), (call, when, name)
        if done.returncode == 0:
            break
        if present and when % 7 == 0:
            shutil.rmtree(volume.slot("coder"), ignore_errors=True)
            volume.reconcile()
            (volume.slot("coder") / "run").write_text("#!/bin/sh\n")
    volume.reconcile()
    assert sorted(entries_of(volume.scandir)) == ["gateway-coder", "gateway-default"]
    assert snapshot(volume.slot("coder")) == expected_slot(down=False)


@pytest.mark.strace
@pytest.mark.parametrize("errno", ["EPERM", "EINVAL"])
def test_not_being_allowed_to_chown_is_said_once_and_tolerated(volume, errno):
    volume.profile("coder", "running")
    volume.profile("writer", "running")
    inject = ["strace", "-f", "-o", "/dev/null", "-e", f"inject=fchown,fchownat:error={errno}:when=1+"]
    done = volume.reconcile(before=inject, code=0)
    assert done.stderr.count(b"not permitted to change owners") == 1 and done.stderr.count(b"\n") == 1
    # The gateways' logs are to be in the directory that the pass has made, as the user to whom it belongs.
    made = [volume.home / "logs", volume.home / "logs/container-boot.log"]
    assert [(path.stat().st_uid, path.stat().st_gid) for path in made] == [(HERMES, HERMES)] * 2
    assert snapshot(volume.slot("coder")) == expected_slot(down=False, owner="0:0", skeleton="0:0")
    before = identity(volume.scandir)
    done = volume.reconcile("--json", before=inject)
    assert identity(volume.scandir) == before and b'"changed": true' not in done.stdout


def test_without_fowner_and_fsetid_modes_and_owners_are_exact(volume):
    volume.profile("coder", "running")
    volume.scandir.mkdir(exist_ok=True)
    caps = "-all,+chown,+dac_override"
    for directory in (volume.home, volume.home / "profiles", volume.home / "profiles/coder"):
        directory.chmod(0o777)
    done = volume.reconcile(before=["setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}"], code=1)
    assert b"unable to switch to the hermes user" in done.stderr
    assert snapshot(volume.slot("coder")) == expected_slot(down=False)


def test_a_user_namespace_that_maps_nobody_else_is_tolerated(place):
    os.chmod(place, 0o777)
    script = (
        "mkdir -p home/profiles/coder && touch home/profiles/coder/SOUL.md && "
        '"$0" reconcile --hermes-home home --scandir service --owner 10000:10000 --role gateway'
    )
    done = run(
        ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", "unshare", "-Ur", "sh", "-c", script, executable()], cwd=place
    )
    assert done.returncode == 1 and done.stderr.count(b"not permitted to change owners") == 1, done
    assert done.stderr.count(b"reconcile: warning: unable to switch to the hermes user 10000:10000: ") == 1, done
    done = run(
        [
            "setpriv",
            "--reuid",
            "12345",
            "--regid",
            "12345",
            "--clear-groups",
            "unshare",
            "-Ur",
            executable(),
            "reconcile",
            "--json",
            "--hermes-home",
            "home",
            "--scandir",
            "service",
            "--owner",
            "10000:10000",
            "--role",
            "gateway",
        ],
        cwd=place,
    )
    assert b'"changed": true' not in done.stdout and done.stdout, done


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory", "hardlink"])
def test_nothing_but_a_log_is_appended_to(volume, kind):
    logs = volume.home / "logs"
    logs.mkdir()
    os.chown(logs, HERMES, HERMES)
    outside = volume.place / "outside"
    outside.write_text("root's")
    log = logs / "container-boot.log"
    if kind == "symlink":
        log.symlink_to(outside)
    elif kind == "fifo":
        os.mkfifo(log)
    elif kind == "directory":
        log.mkdir()
    else:
        os.link(outside, log)
    done = volume.reconcile(timeout=10)
    assert outside.read_text() == "root's" and outside.stat().st_uid == 0
    assert volume.slot("default").is_dir()
    if kind == "hardlink":
        assert "profile=default" in volume.log()
    else:
        assert b"logs/container-boot.log" in done.stderr


def test_the_log_is_rotated_at_its_size_and_not_before(volume):
    logs = volume.home / "logs"
    logs.mkdir()
    os.chown(logs, HERMES, HERMES)
    (logs / "container-boot.log").write_bytes(b"x" * 262_143)
    volume.reconcile()
    assert not (logs / "container-boot.log.1").exists()
    size = (logs / "container-boot.log").stat().st_size
    assert size > 262_144
    volume.reconcile()
    assert (logs / "container-boot.log.1").stat().st_size == size
    assert (logs / "container-boot.log").read_text().count("\n") == 1


@pytest.mark.strace
def test_the_log_gets_one_write(volume):
    for name in "abc":
        volume.profile(name)
    trace = volume.place / "trace"
    volume.reconcile(before=["strace", "-y", "-e", "trace=write,writev", "-o", trace])
    assert sum("container-boot.log>" in line for line in trace.read_text().splitlines()) == 1


def test_a_closed_stdout_is_no_panic(volume):
    for close in ("1>&-", "2>&-", "1>&- 2>&-", "0>&- 1>&- 2>&-", "1>/dev/full"):
        done = volume.reconcile(before=["sh", "-c", f'exec "$@" {close}', "sh"])
        assert b"panic" not in done.stderr


def test_a_noexec_scan_directory_is_said(volume):
    volume.scandir.mkdir(exist_ok=True)
    script = 'mount -t tmpfs -o noexec,mode=0755 tmpfs "$0" && exec "$@"'
    done = volume.reconcile(before=["unshare", "--mount", "--propagation", "private", "sh", "-c", script, volume.scandir])
    assert b"noexec" in done.stderr and b"profile=default" in done.stdout


def test_a_lock_that_nobody_lets_go_delays_the_pass_and_does_not_stop_it(volume):
    import fcntl

    volume.scandir.mkdir(exist_ok=True)
    held = os.open(volume.scandir, os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    done = volume.reconcile(timeout=20)
    os.close(held)
    assert b"unable to lock" in done.stderr and volume.slot("default").is_dir()


@pytest.mark.parametrize("is_held", [True, False])
def test_what_a_command_may_be_writing_is_left_and_counts_as_no_change(volume, is_held):
    import fcntl

    folder = Path(os.fsdecode(volume.profile("coder", "running")))
    volume.reconcile()
    half = folder / ".gateway_state.json.tmp"
    half.touch()
    held = os.open(folder, os.O_RDONLY)
    if is_held:
        fcntl.flock(held, fcntl.LOCK_EX)
    done = volume.reconcile("--json", timeout=20)
    os.close(held)
    [coder] = [line for line in map(json.loads, done.stdout.splitlines()) if line["profile"] == "coder"]
    assert (coder["changed"], half.exists()) == (not is_held, is_held)


def test_two_passes_at_once_end_in_whole_slots(volume):
    for number in range(30):
        volume.profile(f"p{number}", "running")
    argv = [str(word) for word in [executable(), "reconcile", *volume.options()]]
    started = [subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    for process in started:
        assert process.communicate(timeout=60)[1] == b"" and process.returncode == 0
    assert len(entries_of(volume.scandir)) == 31
    assert all(snapshot(volume.slot(f"p{number}")) == expected_slot(down=False) for number in range(30))


def test_the_scan_directory_and_svscans_files_are_handed_over(volume):
    svscan = volume.scandir / ".s6-svscan"
    svscan.chmod(0o700)
    (svscan / "lock").touch(mode=0o600)
    volume.scandir.chmod(0o777)
    volume.reconcile()
    assert volume.scandir.stat().st_uid == HERMES and volume.scandir.stat().st_mode & 0o777 == 0o755
    assert snapshot(svscan) == {b".": "dir 711 0:0", b"control": f"fifo 600 {OWNER}", b"lock": f"file 600 {OWNER} b''"}


def test_where_s6_svscan_does_not_run_nothing_is_handed_over(volume):
    """/run or /tmp given as the scan directory, for example."""
    volume.profile("coder", "running")
    shutil.rmtree(volume.scandir / ".s6-svscan")
    (volume.scandir / "other").mkdir()
    volume.scandir.chmod(0o1777)
    done = volume.reconcile()
    warning = f"hermes-init reconcile: warning: unable to change the owner of {volume.scandir}: it contains no .s6-svscan\n"
    assert done.stderr.decode() == warning + NOT_RUNNING.format(volume.scandir)
    assert volume.scandir.stat().st_uid == 0 and volume.scandir.stat().st_mode & 0o7777 == 0o1777
    assert (volume.scandir / "other").stat().st_uid == 0 and snapshot(volume.slot("coder")) == expected_slot(down=False)
    # Sealed, there is nothing to hand over.
    assert volume.reconcile("--sealed").stderr.decode() == NOT_RUNNING.format(volume.scandir)


def test_what_cannot_be_made_and_what_cannot_be_opened_are_told_apart(volume):
    closed = volume.place / "closed"
    (closed / "there").mkdir(parents=True)
    (closed / "there").chmod(0o700)
    user = ["setpriv", "--reuid", str(HERMES), "--regid", str(HERMES), "--clear-groups"]
    refused = f"Permission denied ({closed} belongs to 0:0, mode 0755)"
    for option, path, said in (
        ("--hermes-home", "missing", f"unable to make {{}}: {refused}"),
        ("--hermes-home", "missing/below", f"unable to make {{}}: {refused}"),
        ("--hermes-home", "there/below", f"unable to open {{}}: Permission denied ({closed}/there belongs to 0:0, mode 0700)"),
        ("--scandir", "missing", "unable to make {}: Permission denied"),
        ("--scandir", "missing/below", "unable to make {}: Permission denied"),
        ("--scandir", "there", "unable to open {}: Permission denied"),
    ):
        options = volume.options()
        options[options.index(option) + 1] = closed / path
        done = run([*user, executable(), "reconcile", *options], env=APART)
        expected = f"hermes-init reconcile: fatal: {said.format(closed / path)}\n"
        assert (done.returncode, done.stdout, done.stderr.decode()) == (111, b"", expected)
    # Root is refused by a file system.
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    private = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, closed]
    for option in ("--hermes-home", "--scandir"):
        options = volume.options()
        options[options.index(option) + 1] = closed / "missing"
        done = run([*private, executable(), "reconcile", *options], env=APART)
        assert done.returncode == 111 and f"unable to make {closed}/missing: Read-only file system\n" in done.stderr.decode(), done


@pytest.mark.parametrize("mode", ["--sealed", "--delegated"])
def test_where_no_s6_svscan_runs_the_pass_says_so_and_does_the_same(volume, mode):
    volume.profile("coder", "running")
    booted = volume.reconcile(mode)
    assert booted.stderr == b""
    made = snapshot(volume.slot("coder"))
    # It has run, and its files are there.
    volume.svscan.stop()
    done = volume.reconcile(mode)
    assert (done.stdout, done.stderr.decode()) == (booted.stdout, NOT_RUNNING.format(volume.scandir))
    shutil.rmtree(volume.scandir)
    volume.scandir.mkdir()
    (volume.scandir / ".s6-svscan").mkdir()
    done = volume.reconcile(mode)
    assert (done.stdout, done.stderr.decode()) == (booted.stdout, NOT_RUNNING.format(volume.scandir))
    assert snapshot(volume.slot("coder")) == made and [line[24:] for line in volume.log().splitlines()] == 3 * [
        line[24:] for line in volume.log().splitlines()[:2]
    ]
    # What changes nothing, needs no s6-svscan.
    for option in ("--dry-run", "--explain"):
        assert volume.reconcile(mode, option).stderr == b""


@pytest.mark.parametrize("mode", ["--sealed", "--delegated"])
def test_a_pass_that_is_not_permitted_to_find_out_does_not_say_that_s6_svscan_does_not_run(volume, mode):
    volume.reconcile("--sealed")
    done = volume.reconcile(mode, before=["setpriv", "--reuid", HERMES, "--regid", HERMES, "--clear-groups"], code=None)
    assert b"no s6-svscan runs" not in done.stderr, done
    volume.svscan.stop()
    done = volume.reconcile(mode, before=["setpriv", "--reuid", HERMES, "--regid", HERMES, "--clear-groups"], code=None)
    assert b"no s6-svscan runs" not in done.stderr, done
    assert b"no s6-svscan runs" in volume.reconcile(mode).stderr


def test_what_is_not_svscans_is_not_handed_over(volume):
    svscan = volume.scandir / ".s6-svscan"
    outside = volume.place / "outside"
    outside.write_text("root's")
    os.link(outside, svscan / "lock")
    (svscan / "control").unlink()
    (svscan / "control").symlink_to(outside)
    done = volume.reconcile()
    assert outside.stat().st_uid == 0 and os.lstat(svscan / "control").st_uid == 0
    assert b"unable to change the owner of .s6-svscan/" in done.stderr

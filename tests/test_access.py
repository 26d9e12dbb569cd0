"""What the hermes user is refused although root's pass can do it: the pass asks the kernel as that user, says so once, makes the slot all
the same, and exits 1; the boot log, --explain and status have it too."""

import json
import os
import re
import struct

import pytest

from support.program import HERMES, wait_for
from support.svscan import Svscan
from support.testbed import Bed

pytestmark = pytest.mark.root
HOW = "as root: /run/bed/bin/hermes-init hand-over"

# What is done to the volume, whom it concerns, and what is said.
REFUSED = {
    "profile": (
        "chown 0:0 {coder}; chmod 700 {coder}",
        {"coder"},
        "profiles/coder: Permission denied ({coder} belongs to 0:0, mode 0700; {how} {coder})",
    ),
    "readonly": (
        "chown 0:0 {coder}; chmod 755 {coder}",
        {"coder"},
        "profiles/coder: Permission denied ({coder} belongs to 0:0, mode 0755; {how} {coder})",
    ),
    "own-mode": ("chmod 500 {coder}", {"coder"}, "profiles/coder: Permission denied ({coder} belongs to 10000:10000, mode 0500)"),
    "log": (
        "mkdir -p {logs}/coder; chmod 755 {logs}/coder; chown 10000:10000 {logs}",
        {"coder"},
        "logs/gateways/coder: Permission denied ({logs}/coder belongs to 0:0, mode 0755; {how} {logs}/coder)",
    ),
    "logs": (
        "mkdir -p {logs}; chmod 755 {logs}",
        {"default", "coder"},
        "logs/gateways: Permission denied ({logs} belongs to 0:0, mode 0755; {how} {logs})",
    ),
    "volume": (
        "chown 0:0 {home}; chmod 700 {home}",
        {"default", "coder"},
        "{home}: Permission denied ({home} belongs to 0:0, mode 0700; as root: chown -hR 10000 {home})",
    ),
    "volume-readonly": (
        "chown 0:0 {home}; chmod 755 {home}; mkdir -p {logs}/coder {logs}/default; chown -R 10000:10000 {logs}/..",
        {"default"},
        "{home}: Permission denied ({home} belongs to 0:0, mode 0755; as root: chown -hR 10000 {home})",
    ),
    "parent": ("chmod 700 {home}/..", {"default", "coder"}, "{home}: Permission denied ({parent} belongs to 0:0, mode 0700)"),
}


@pytest.fixture
def closed():
    """A container whose volume is /opt/data below a directory of root's."""
    with Bed(svscan=False) as bed:
        bed.profile("coder", "running")
        svscan = Svscan(bed.path("/run/service"))
        # The directory above the volume is the machine's own otherwise.
        bed.run(
            [
                "sh",
                "-ec",
                (
                    "mkdir -m 755 /run/above; mount -t tmpfs -o mode=755 tmpfs /run/above; mkdir /run/above/data; "
                    "cp -a /opt/data/. /run/above/data; chown 10000:10000 /run/above/data"
                ),
            ]
        )
        (bed.path("/run/s6/container_environment") / "HERMES_HOME").write_text("/run/above/data")
        yield bed
        svscan.stop()


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("what", REFUSED)
def test_what_the_hermes_user_is_refused_is_said_once(closed, what, sealed):
    places = {"parent": "/run/above", "home": "/run/above/data", "how": HOW}
    places |= {"coder": "/run/above/data/profiles/coder", "logs": "/run/above/data/logs/gateways"}
    script, names, said = REFUSED[what]
    assert closed.run(["sh", "-ec", script.format(**places)]).returncode == 0
    text = "unable to verify the hermes user's access to " + said.format(**places)
    options = ["--sealed"] if sealed else []
    done = closed.init("reconcile", *options, code=1)
    assert done.stderr.decode() == f"hermes-init reconcile: warning: {text}\n"
    # The slots are made, and the log and the report have the reason.
    log = closed.path("/run/above/data/logs/container-boot.log").read_text()
    for name, action in (("default", "registered"), ("coder", "started")):
        assert closed.path(closed.slot(name)).is_dir()
        reason = f' reason="{text}"' if name in names else ""
        for report in (done.stdout.decode(), log):
            assert f" action={action}{reason}{' prior_exit' if report == log else ''}" in report, (name, report)
    explained = closed.init("reconcile", "--explain", *options).stdout.decode()
    assert explained.count(f"\n  but: {text}\n") == len(names)
    for uid in (0, HERMES):
        rows = closed.init("status", "--json", uid=uid, code=None).stdout.splitlines()
        notes = {row["profile"]: row["note"] for row in map(json.loads, rows)}
        # What he cannot even read, he is told otherwise.
        if uid == 0 or what not in ("volume", "parent", "profile"):
            assert {name for name in notes if text in (notes[name] or "")} == names, (uid, notes)


@pytest.mark.parametrize("what", ["logs/gateways", "profiles"])
def test_what_all_gateways_are_refused_is_said_once_and_hides_no_failure(what):
    names = ["one", "two", "three", "four", "five", "six", "seven"]
    with Bed() as bed:
        for name in names:
            bed.profile(name, "running")
        bed.tell("two", "exit 78")
        bed.tell("three", "exit 0")
        bed.init("reconcile")
        bed.rescan()
        for name in ("two", "three"):
            wait_for(lambda name=name: bed.svstat(bed.slot(name)) == "down", what="the end")
        for name in names:
            bed.record(name)
        bed.run(["sh", "-ec", f"chown 0:0 /opt/data/{what}; chmod 700 /opt/data/{what}"])
        # default has no directory in profiles.
        concerned = (["default"] if what != "profiles" else []) + sorted(names)
        text = (
            f"unable to verify the hermes user's access to {what}: Permission denied (/opt/data/{what} belongs to 0:0, mode 0700; "
            f"as root: /run/bed/bin/hermes-init hand-over /opt/data/{what})"
        )
        own = [
            (
                "three: it has ended by itself (exit code 0), or was stopped temporarily; see: /run/bed/bin/hermes-init logs three; "
                "to start it again: /run/bed/bin/hermes-init start three"
            ),
            "two: failed permanently (78: configuration); see: /run/bed/bin/hermes-init logs two",
        ]
        expected = [f"{', '.join(concerned)}: {text}", *own]
        assert bed.init("health", code=1).stdout.decode().splitlines() == expected
        done = bed.init("status")
        assert done.stdout.decode().split("\n\n")[1].splitlines() == expected
        assert done.stderr.decode() == f"hermes-init status: warning: {text}\n"
        notes = {row["profile"]: row["note"] for row in map(json.loads, bed.init("status", "--json").stdout.splitlines())}
        assert notes["two"] == f"{text}; {own[1].removeprefix('two: ')}" and notes["one"] == text
        assert bed.init("reconcile", "--dry-run", code=1).stderr.decode() == f"hermes-init reconcile: warning: {text}\n"


@pytest.mark.parametrize("what", [what for what in REFUSED if "as root" in REFUSED[what][2] or "{how}" in REFUSED[what][2]])
def test_the_command_that_is_advised_helps(closed, what):
    places = {"home": "/run/above/data", "coder": "/run/above/data/profiles/coder", "logs": "/run/above/data/logs/gateways"}
    assert closed.run(["sh", "-ec", REFUSED[what][0].format(**places)]).returncode == 0
    said = closed.init("reconcile", code=1).stderr.decode()
    command = re.search(r"; as root: (.*)\)\n$", said)[1]
    done = closed.run(["sh", "-c", command])
    assert done.returncode == 0, (command, done)
    assert closed.init("reconcile").stderr == b""


PLANTED = {
    # The hermes user puts root's directory in the place of what is advised about.
    "logs": ("mkdir -p logs; ln -s /run/roots logs/gateways", "logs/gateways"),
    "profile": ("ln -s /run/roots profiles/etc", "profiles/etc"),
    "renamed": ("mkdir -p logs; chown 0:0 roots; chmod 700 roots; mv roots logs/gateways", "logs/gateways"),
}


@pytest.mark.parametrize("when", ["before", "between"])
@pytest.mark.parametrize("what", PLANTED)
def test_no_command_that_is_advised_gives_away_what_is_not_the_hermes_users(closed, what, when):
    """Whatever he has put on the path, also after the command has been printed."""
    script, place = PLANTED[what]
    prepare = "mkdir -m 755 -p /run/roots/etc roots/etc logs; chown 0:0 /run/roots roots; touch /run/roots/etc/SOUL.md roots/secret; chmod 600 roots/secret"
    closed.profile("etc", "running")
    closed.run(["sh", "-ec", "cd /run/above/data; cp -a /opt/data/profiles/etc profiles/; " + prepare])
    honest = "mkdir -p logs/gateways profiles/etc; chown 10000:10000 logs; chown 0:0 logs/gateways profiles/etc; chmod 755 logs/gateways"
    plant = f"rm -rf logs/gateways profiles/etc; {script}"
    told = ""
    for step in [plant] if when == "before" else [honest, plant]:
        assert closed.run(["sh", "-ec", "cd /run/above/data; " + step]).returncode == 0
        for command in (["reconcile"], ["reconcile", "--explain"], ["status"], ["health"]):
            for uid in (0, HERMES):
                done = closed.init(*command, code=None, uid=uid)
                told += (done.stdout + done.stderr).decode()
    told += (closed.path("/run/above/data/logs/container-boot.log")).read_text()
    commands = {command.split(";")[0].rstrip(')"') for command in re.findall(r"as root: ([^\n]*)", told)}
    assert (when == "before") or any(place in command for command in commands), told
    for command in commands:
        closed.run(["sh", "-c", command])
    for path in ("/run/roots", "/run/roots/etc", "/run/roots/etc/SOUL.md"):
        assert closed.path(path).stat().st_uid == 0, (path, commands)
    for path in closed.path("/run/above/data").rglob("secret"):
        assert path.stat().st_uid == 0 and (what != "renamed" or path.parent.stat().st_uid == 0), (path, commands)


def test_what_root_and_the_hermes_user_may_use_is_no_matter_of_owners(closed):
    """A directory of another user, of a group of the hermes user's, or for everybody."""
    closed.run(
        ["sh", "-ec", "cd /run/above/data; chown 0:0 . profiles/coder; chmod 1777 .; chgrp 998 profiles/coder; chmod 770 profiles/coder"]
    )
    assert b"hermes" in (closed.folder / "group").read_bytes()
    done = closed.init("reconcile")
    assert done.stderr == b"", done


@pytest.mark.parametrize("path, found", [("/usr/bin:/bin", False), ("/usr/bin:/run/bed/bin", True), ("/nowhere:/run/closed", False)])
def test_a_path_without_hermes_is_said_once(closed, path, found):
    closed.run(["sh", "-ec", "mkdir -m 700 /run/closed; cp /run/bed/bin/hermes /run/closed"])
    (closed.path("/run/s6/container_environment") / "PATH").write_text(path)
    done = closed.init("reconcile", code=int(not found))
    text = f"unable to run hermes: the gateways' PATH, {path}, has no hermes that the hermes user can execute"
    assert done.stderr.decode() == ("" if found else f"hermes-init reconcile: warning: {text}\n")
    assert done.stdout.decode().count(f'reason="{text}"') == (0 if found else 2)
    if found:
        return
    # A gateway that has been registered with a PATH of its own does not need that one.
    own = closed.path(closed.slot("coder")) / "env"
    own.mkdir()
    (own / "PATH").write_text("/run/bed/bin\n")
    os.chown(own, HERMES, HERMES)
    os.chown(own / "PATH", HERMES, HERMES)
    done = closed.init("reconcile", code=1)
    assert b"profile=coder prior_state=running action=started\n" in done.stdout and done.stdout.count(b"reason=") == 1


def without_faccessat2(errno):
    """Returns the argv prefix that has the kernel not know faccessat2 (ENOSYS, before Linux 5.8), or a seccomp filter refuse it."""
    return ["strace", "-f", "-o", "/dev/null", "-e", f"inject=faccessat2:error={errno}"]


# An access control list that gives the hermes user all, as the kernel has it (linux/posix_acl.h): the owner, a user, the group, the mask
# and all others.
LIST = struct.pack("<I", 2) + b"".join(
    struct.pack("<HHI", tag, 7, who) for tag, who in ((1, 0xFFFFFFFF), (2, HERMES), (4, 0xFFFFFFFF), (16, 0xFFFFFFFF), (32, 0xFFFFFFFF))
)

# What the hermes user is refused beside the cases above, and what not: {coder}.
ASKED = {name: script for name, (script, *_) in REFUSED.items()} | {
    "nothing": "true",
    "group": "chown 0:0 {home}; chmod 1777 {home}; chown 0:998 {coder}; chmod 770 {coder}",
    "list": "chown 0:0 {coder}; chmod 700 {coder}",
    "read-only": "mount --bind {coder} {coder}; mount -o remount,ro,bind {coder}",
    "immutable": "chattr +i {coder}",
    "program": "chmod 700 /run/bed/bin/hermes",
    "program-of-group": "chown 0:998 /run/bed/bin/hermes; chmod 710 /run/bed/bin/hermes",
    "program-of-another-group": "chown 0:997 /run/bed/bin/hermes; chmod 770 /run/bed/bin/hermes",
}


@pytest.mark.strace
@pytest.mark.parametrize("errno", ["ENOSYS", "EPERM"])
@pytest.mark.parametrize("what", ASKED)
def test_without_faccessat2_the_answer_is_the_same(closed, what, errno):
    (closed.path("/run/s6/container_environment") / "PATH").write_text("/usr/bin:/run/bed/bin")
    closed.run(["sh", "-ec", "mkdir -p /run/above/data/logs; chown -R 10000:10000 /run/above/data/logs /run/service"])
    places = {"home": "/run/above/data", "coder": "/run/above/data/profiles/coder", "logs": "/run/above/data/logs/gateways"}
    done = closed.run(["sh", "-ec", ASKED[what].format(**places)])
    assert done.returncode == 0, done
    if what == "list":
        os.setxattr(closed.path(places["coder"]), "system.posix_acl_access", LIST)
    refused = what not in ("nothing", "group", "list", "program-of-group")
    for uid, groups in ((0, None), (HERMES, [HERMES, 998])):
        for command in (["reconcile", "--dry-run"], ["status", "--json"], ["health"]):
            argv = ["/run/bed/bin/hermes-init", *command]
            told = closed.run(argv, uid, groups=groups)
            assert closed.run([*without_faccessat2(errno), *argv], uid, groups=groups).stderr == told.stderr, (uid, command)
            again = closed.run([*without_faccessat2(errno), *argv], uid, groups=groups)
            assert (again.returncode, again.stdout, again.stderr) == (told.returncode, told.stdout, told.stderr), (uid, command)
            if uid == 0 and command[0] == "reconcile":
                assert (b"unable to" in told.stderr) == refused, told


@pytest.mark.strace
@pytest.mark.parametrize("errno", ["ENOSYS", "EPERM"])
def test_what_cannot_be_found_out_is_said(closed, errno):
    """Neither the kernel nor the mode tells whether the hermes user may execute a program with an access control list. A look that fails
    otherwise has no other way."""
    (closed.path("/run/s6/container_environment") / "PATH").write_text("/run/bed/bin")
    os.setxattr(closed.path("/run/bed/bin/hermes"), "system.posix_acl_access", LIST)
    assert closed.init("reconcile", "--dry-run").stderr == b""
    done = closed.run([*without_faccessat2(errno), "/run/bed/bin/hermes-init", "reconcile", "--dry-run"])
    assert b"unable to find out whether the hermes user can execute /run/bed/bin/hermes: " in done.stderr, done
    os.removexattr(closed.path("/run/bed/bin/hermes"), "system.posix_acl_access")
    failing = ["-e", "inject=faccessat:error=EIO"]
    done = closed.run([*without_faccessat2("EIO"), *failing, "/run/bed/bin/hermes-init", "reconcile", "--dry-run"])
    assert b"unable to find out whether the hermes user can execute /run/bed/bin/hermes: I/O error" in done.stderr, done
    assert b"unable to verify the hermes user's access to profiles/coder: I/O error" in done.stderr, done


@pytest.mark.s6
@pytest.mark.strace
@pytest.mark.parametrize("errno", ["ENOSYS", "EPERM"])
def test_without_faccessat2_a_new_profile_is_registered_and_started(live, errno):
    for uid, name in ((HERMES, "of-hermes"), (0, "of-root")):
        live.profile(name, "stopped")
        for command in ("register", "start", "unregister", "start"):
            done = live.run([*without_faccessat2(errno), "/run/bed/bin/hermes-init", command, name], uid)
            assert done.returncode == 0 and b"unable to" not in done.stderr, (command, done)
    # Whom the scan directory does not belong to is refused as before.
    live.profile("another", "stopped")
    live.run(["sh", "-ec", "chown 0:0 /run/service; chmod 755 /run/service"])
    done = live.run([*without_faccessat2(errno), "/run/bed/bin/hermes-init", "register", "another"], HERMES)
    assert done.returncode == 1 and b"it belongs to uid 0" in done.stderr, done


# What an interrupted pass has left root's, or an operator: {home}.
LEFT = {
    "volume": ("chown 0:0 {home}; rm -rf {home}/*", True),
    "logs": ("mkdir -m 755 {home}/logs", True),
    "log": ("mkdir -m 755 {home}/logs; echo x > {home}/logs/container-boot.log; touch {home}/logs/container-boot.log.1", True),
    "more": ("mkdir -m 755 {home}/logs; touch {home}/logs/container-boot.log {home}/logs/other", False),
}


@pytest.mark.parametrize("what", LEFT)
def test_what_an_interrupted_pass_has_left_is_completed(closed, what):
    script, is_completed = LEFT[what]
    assert closed.run(["sh", "-ec", "umask 022; " + script.format(home="/run/above/data")]).returncode == 0
    done = closed.init("reconcile", code=int(not is_completed))
    logs = closed.path("/run/above/data/logs")
    assert (logs.stat().st_uid == HERMES) == is_completed and closed.path("/run/above/data").stat().st_uid == HERMES
    assert done.stderr == b"" if is_completed else b"unable to verify the hermes user's access to logs: Permission denied" in done.stderr


@pytest.mark.parametrize("owner, code", [("0:0", 0), ("4321:4321", 1)])
def test_an_option_names_the_user_as_whom_the_kernel_is_asked(closed, owner, code):
    closed.run(["sh", "-ec", "chown -R 0:0 /run/above/data; chmod 755 /run/above/data"])
    done = closed.init("reconcile", "--owner", owner, code=code)
    assert (done.stderr == b"") == (code == 0) and done.stderr.count(
        b"unable to verify the hermes user's access to /run/above/data: "
    ) == code


@pytest.mark.s6
@pytest.mark.parametrize("name", ["coder", "default"])
def test_a_gateway_whose_user_cannot_enter_its_directory_is_not_started(live, name):
    """The reason and what helps are the pass's. What runs stays up."""
    place = "/opt/data" if name == "default" else f"/opt/data/profiles/{name}"
    live.init("start", "--wait", name, uid=HERMES)
    pid = live.pid_of(live.slot(name))
    live.run(["sh", "-ec", f"chown 0:0 {place}; chmod 755 {place}"])
    pass_ = live.init("reconcile", "--dry-run", code=1).stderr.decode()
    label = place if name == "default" else f"profiles/{name}"
    for uid in (0, HERMES):
        for command in ("start", "restart"):
            for options in ([], ["--wait"]):
                done = live.init(command, *options, name, uid=uid, code=1)
                [line] = done.stderr.decode().splitlines()
                assert f"unable to verify the hermes user's access to {label}: Permission denied ({place} belongs to 0:0" in line, done
                assert "; as root: " in line and line.split("warning: ")[1] in pass_, (line, pass_)
    assert live.pid_of(live.slot(name)) == pid
    # What runs can be stopped.
    live.init("stop", "--wait", name, code=0)
    live.run(["chown", "10000:10000", place])
    live.init("start", "--wait", name, uid=HERMES)

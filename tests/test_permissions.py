"""`fix-perms`: access to static services for the hermes user; hostile trees are left alone."""

import json
import os
import subprocess

import pytest

from support.file_tree import identity, snapshot
from support.path_exchange import exchanging, rounds
from support.program import HERMES, OWNER, executable, run, wait_for
from support.testbed import SERVICES, Bed, static_service


def fix(*arguments, code=0, before=(), timeout=30):
    done = run([*before, executable(), "fix-perms", "--owner", OWNER, *arguments], env={"PATH": "/usr/bin:/bin"}, timeout=timeout)
    assert done.returncode == code, done
    return done


def test_a_quiet_boot_prints_failures_only(place):
    service(place, "good")
    bad = service(place, "bad", logger=False)
    (bad / "supervise/control").unlink()
    (bad / "supervise/control").write_text("")
    quiet = ["env", "S6_VERBOSITY=0"]
    assert fix(place, before=quiet, code=1).stdout.decode().startswith("fix-perms: service=bad action=refused")
    assert fix(place, before=quiet, code=1).stdout.count(b"\n") == 1
    assert fix(place, code=1).stdout.count(b"\n") == 3 and fix("--json", place, before=quiet, code=1).stdout.count(b"\n") == 3


def service(folder, name, logger=True):
    """Creates a service as s6-supervise leaves it."""
    for base in [folder / name] + ([folder / name / "log"] if logger else []):
        (base / "event").mkdir(parents=True)
        (base / "event").chmod(0o3730)
        (base / "supervise").mkdir(mode=0o700)
        os.mkfifo(base / "supervise/control", 0o600)
        for file in ("death_tally", "lock", "status"):
            (base / "supervise" / file).write_text(file)
    return folder / name


def opened(path, base=b""):
    """Returns the expected tree of a service after fix-perms in delegated mode."""
    tree = {base + b"event": f"dir 3730 {OWNER}", base + b"supervise": f"dir 710 {OWNER}", base + b"supervise/control": f"fifo 660 {OWNER}"}
    return tree | {base + b"supervise/" + file: f"file 644 {OWNER} {file!r}" for file in (b"death_tally", b"lock", b"status")}


@pytest.mark.root
def test_services_are_opened_and_the_overlays_own_are_not(place):
    for name in ("dashboard", "main-hermes", "s6rc-oneshot-runner", "s6-linux-init-shutdownd"):
        service(place, name)
    (place / "file").write_text("")
    own = {name: snapshot(place / name) for name in ("s6rc-oneshot-runner", "s6-linux-init-shutdownd")}
    done = fix(place)
    assert done.stdout.decode().splitlines() == [
        "fix-perms: service=dashboard action=done",
        "fix-perms: service=main-hermes action=done",
        'fix-perms: service=s6-linux-init-shutdownd action=skipped reason="it belongs to s6-overlay"',
        'fix-perms: service=s6rc-oneshot-runner action=skipped reason="it belongs to s6-overlay"',
        "fix-perms: 2 done, 2 skipped, 0 refused, 0 failed",
    ]
    for name in ("dashboard", "main-hermes"):
        tree = snapshot(place / name)
        assert tree == {b".": "dir 755 0:0", b"log": "dir 755 0:0"} | opened(place) | opened(place, b"log/")
    assert {name: snapshot(place / name) for name in own} == own


@pytest.mark.root
def test_a_second_run_writes_nothing_and_a_dry_run_never_does(place):
    service(place, "dashboard")
    before = identity(place)
    done = fix("--dry-run", "--json", place)
    assert identity(place) == before
    assert json.loads(done.stdout.splitlines()[0]) == {"service": "dashboard", "action": "done", "reason": None, "changed": True}
    assert json.loads(done.stdout.splitlines()[1]) == {"done": 1, "skipped": 0, "refused": 0, "failed": 0}
    fix(place)
    after = identity(place)
    assert after != before
    for again in ([], ["--dry-run"]):
        assert json.loads(fix("--json", *again, place).stdout.splitlines()[0])["changed"] is False
    assert identity(place) == after


@pytest.mark.root
def test_sealed_the_group_gets_in_and_no_owner_changes(place):
    service(place, "dashboard")
    fix("--sealed", place)
    tree = snapshot(place / "dashboard")
    assert tree[b"supervise"] == f"dir 710 0:{HERMES}" and tree[b"event"] == "dir 700 0:0"
    assert tree[b"log/supervise/control"] == f"fifo 620 0:{HERMES}"
    assert tree[b"supervise/lock"] == "file 644 0:0 b'lock'"
    fix(place)
    assert snapshot(place / "dashboard")[b"supervise/lock"] == f"file 644 {OWNER} b'lock'"
    fix("--sealed", place)
    assert {line.split()[2].split(":")[0] for line in snapshot(place / "dashboard").values()} == {"0"}


@pytest.mark.root
def test_a_directory_that_is_missing_or_linked_is_fine_and_a_file_is_not(place):
    done = fix(place / "none")
    assert done.stdout.count(b"\n") == 1 and b"nothing to do" in done.stdout
    (place / "real").mkdir()
    service(place / "real", "dashboard")
    (place / "via").symlink_to("real")
    assert b"1 done" in fix(place / "via").stdout
    (place / "file").write_text("")
    assert b"Not a directory" in fix(place / "file", code=111).stderr


@pytest.mark.root
@pytest.mark.parametrize(
    "what",
    [
        "control-to-file",
        "control-to-dir",
        "event",
        "supervise",
        "log",
        "lock",
        "hardlink",
        "fifo-hardlink",
        "control-file",
        "service",
        "nested",
    ],
)
@pytest.mark.parametrize("sealed", [False, True])
def test_what_could_lead_outside_is_left_alone_and_the_rest_is_done(place, what, sealed):
    services, outside = place / "services", place / "outside"
    hostile = service(services, "hostile")
    service(services, "honest")
    (outside / "sub").mkdir(parents=True)
    (outside / "file").write_text("root's")
    (outside / "file").chmod(0o600)
    os.mkfifo(outside / "fifo", 0o600)
    os.chown(hostile / "supervise", HERMES, HERMES)
    names = {
        "control-to-file": ("supervise/control", "file"),
        "control-to-dir": ("supervise/control", ""),
        "event": ("event", ""),
        "supervise": ("supervise", "sub"),
        "log": ("log", "sub"),
        "lock": ("supervise/lock", "file"),
    }
    if what in names:
        name, target = names[what]
        subprocess.run(["rm", "-r", hostile / name], check=True)
        (hostile / name).symlink_to(outside / target)
    elif what == "hardlink":
        (hostile / "supervise/lock").unlink()
        os.link(outside / "file", hostile / "supervise/lock")
    elif what == "fifo-hardlink":
        (hostile / "supervise/control").unlink()
        os.link(outside / "fifo", hostile / "supervise/control")
    elif what == "control-file":
        (hostile / "supervise/control").unlink()
        (hostile / "supervise/control").write_text("")
        os.chown(hostile / "supervise/control", HERMES, HERMES)
    elif what == "service":
        (services / "linked").symlink_to(outside)
    else:
        (hostile / "supervise/a/b").mkdir(parents=True)
        (hostile / "supervise/a/b/c").symlink_to(outside / "file")
    before = snapshot(outside)
    done = fix(*(["--sealed"] if sealed else []), services, code=1)
    assert snapshot(outside) == before
    assert done.stdout.count(b"action=refused reason=") == 1 and b"honest action=done" in done.stdout
    if what != "service":
        honest, mended = snapshot(services / "honest"), snapshot(hostile)
        same = [
            path
            for path in mended
            if not mended[path].startswith(("link", "file 644 10000:10000 b''"))
            and path in honest
            and path.split(b"/")[0] != b"log"
            and honest[path].split()[:2] == mended[path].split()[:2]
        ]
        assert same


@pytest.mark.root
def test_a_deep_tree_is_refused_below_its_limit_and_costs_nothing_else(place):
    hostile = service(place, "deep")
    deep = hostile / "supervise"
    for _ in range(400):
        deep = deep / "d"
        deep.mkdir()
    service(place, "honest")
    done = fix(place, code=1)
    assert b"deep action=refused" in done.stdout and b"honest action=done" in done.stdout
    assert snapshot(place / "honest")[b"supervise"] == f"dir 710 {OWNER}"


@pytest.mark.root
@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("name, trap", [("control", "symlink"), ("lock", "hard link")])
def test_a_racer_leads_nowhere(place, sealed, name, trap):
    services, outside, den = place / "services", place / "outside", place / "den"
    supervise = service(services, "hostile", logger=False) / "supervise"
    outside.write_text("root's")
    outside.chmod(0o600)
    den.mkdir()
    (den / "trap").symlink_to(outside) if trap == "symlink" else os.link(outside, den / "trap")
    inode = os.lstat(den / "trap").st_ino
    os.chown(den, HERMES, HERMES)
    before = snapshot(outside.parent)[b"outside"]

    def open_again():
        """Resets the directory to what s6-supervise or the other mode leaves, owned by the hermes user: each sealed run locks the racer out."""
        os.chown(supervise, HERMES, HERMES)
        os.chmod(supervise, 0o755)

    open_again()
    with exchanging((supervise / name, den / "trap")) as exchanged:
        # The race is real if both outcomes occur.
        codes = set()
        for _ in rounds(60, lambda: codes == {0, 1} and exchanged() >= 1000):
            open_again()
            seen = exchanged()
            wait_for(lambda: exchanged() > seen, 60, "the racer")
            done = run([executable(), "fix-perms", "--owner", OWNER, *(["--sealed"] if sealed else []), services], env={"PATH": "/bin"})
            assert done.returncode in (0, 1) and b"panic" not in done.stderr, done
            codes.add(done.returncode)
            assert done.returncode == 0 or f"supervise/{name}".encode() in done.stdout, done
            if sealed:
                # The report is correct: the racer is locked out, and its last exchange was noticed.
                assert supervise.stat().st_uid == 0 and (os.lstat(supervise / name).st_ino == inode) == (done.returncode == 1), done
    assert snapshot(outside.parent)[b"outside"] == before == 'file 600 0:0 b"root\'s"'


@pytest.mark.root
def test_a_refused_chown_is_said_once_and_is_no_failure(place):
    os.chmod(place, 0o777)
    script = """mkdir -p services/a/event services/a/supervise services/b/event services/b/supervise
        mkfifo services/a/supervise/control; "$0" fix-perms --owner 10000:10000 services"""
    done = run(
        ["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups", "unshare", "-Ur", "sh", "-c", script, executable()], cwd=place
    )
    assert done.returncode == 0 and done.stderr.count(b"\n") == 1 and b"not permitted to change owners" in done.stderr, done
    assert b"2 done" in done.stdout and snapshot(place / "services/a")[b"supervise"].startswith("dir 710 ")


@pytest.mark.root
def test_what_another_user_may_not_do_is_said_once_and_is_no_failure(place):
    service(place, "a")
    service(place, "b")
    done = fix(place, before=["setpriv", "--reuid", "12345", "--regid", "12345", "--clear-groups"])
    assert done.stderr.count(b"\n") == 1 and b"some owners or modes cannot be changed (" in done.stderr and b"2 skipped" in done.stdout


@pytest.mark.s6
@pytest.mark.parametrize("sealed", [False, True])
def test_the_hermes_user_controls_a_static_service_after_it_and_not_before(sealed):
    with Bed(environment={"HERMES_INIT_SEALED": "yes"} if sealed else {}) as bed:
        names = ["dashboard", "s6rc-oneshot-runner", "s6-linux-init-shutdownd"]
        for name in names:
            static_service(bed, name)
        bed.rescan()
        for name in names:
            for base in ("", "/log"):
                wait_for(lambda: bed.svstat(f"{SERVICES}/{name}{base}") == "up", what=name + base)
        supervisors, pid = bed.supervisors(), bed.pid_of(f"{SERVICES}/dashboard")
        closed = {name: identity(bed.path(f"{SERVICES}/{name}")) for name in names[1:]}

        def control(name):
            """Returns the results of s6-svstat, s6-svc and s6-svwait as the hermes user."""
            where = f"{SERVICES}/{name}"
            return [
                bed.run(["timeout", "9", *argv], uid=HERMES)
                for argv in (
                    ["s6-svstat", where],
                    ["s6-svc", "-u", where],
                    ["s6-svwait", "-u", "-t", "3000", where],
                    ["s6-svc", "-u", f"{where}/log"],
                    ["s6-svwait", "-u", "-t", "3000", f"{where}/log"],
                )
            ]

        assert all(done.returncode == 111 and b"ermission denied" in done.stderr for done in control("dashboard"))
        bed.init("fix-perms", SERVICES)
        # s6-svwait needs `event`.
        assert [done.returncode for done in control("dashboard")] == ([0, 0, 111, 0, 111] if sealed else [0] * 5)
        assert all(done.returncode == 111 for done in control("s6rc-oneshot-runner"))
        assert (bed.supervisors(), bed.pid_of(f"{SERVICES}/dashboard")) == (supervisors, pid)
        assert {name: identity(bed.path(f"{SERVICES}/{name}")) for name in closed} == closed
        if sealed:
            for script in ("supervise/x", "supervise/lock", "run", "x", "log/supervise/status"):
                assert bed.run(["sh", "-c", f"echo > {SERVICES}/dashboard/{script}"], uid=HERMES).returncode != 0
            assert bed.run(["mkfifo", f"{SERVICES}/dashboard/event/mine"], uid=HERMES).returncode != 0


@pytest.mark.root
@pytest.mark.strace
@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("call", ["openat", "fchmod", "fchown", "write"])
def test_a_run_that_was_killed_is_completed_by_the_next(place, call, sealed):
    options = ["--sealed"] if sealed else []
    service(place / "expected", "a")
    fix(*options, place / "expected")
    expected = snapshot(place / "expected")
    for when in range(1, 40):
        services = place / f"services{when}"
        service(services, "a")
        done = run(
            [
                "strace",
                "-o",
                "/dev/null",
                "-e",
                f"inject={call}:signal=SIGKILL:when={when}",
                executable(),
                "fix-perms",
                "--owner",
                OWNER,
                *options,
                services,
            ],
            env={"PATH": "/usr/bin:/bin"},
        )
        fix(*options, services)
        assert snapshot(services) == expected, when
        if done.returncode == 0:
            break
    assert when > 1


@pytest.mark.root
@pytest.mark.strace
@pytest.mark.parametrize(
    "call, errno, code, says",
    [
        ("fchown", "EIO", 1, b"1 failed"),
        ("fchmod", "EROFS", 1, b"1 failed"),
        ("fchown", "EPERM", 0, b"1 done"),
        ("fchmod", "EPERM", 0, b"1 skipped"),
        ("getdents64", "EIO", 111, b""),
        ("openat", "EMFILE", 111, b""),
    ],
)
def test_a_call_that_the_kernel_refuses_is_said_as_what_it_is(place, call, errno, code, says):
    service(place, "a")
    done = fix(place, code=code, before=["strace", "-o", "/dev/null", "-e", f"inject={call}:error={errno}:when=1+"])
    assert says in done.stdout and (done.stderr or code == 1) and b"panic" not in done.stderr, done

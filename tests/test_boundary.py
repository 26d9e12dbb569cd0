"""The boundary: what the hermes user can do in each mode, row by row of the README's table, and attacks on it. Also what a pass does
where it cannot look, and what programs inherit."""

import os
import re
import resource
import subprocess
import time

import pytest

from support.file_tree import entries_of, identity, snapshot
from support.other_mounts import can_have_mounts, other_mounts
from support.program import HERMES, ROOT, executable, run, wait_for
from support.testbed import SERVICES, Bed, static_service
from support.volume import Volume

pytestmark = pytest.mark.s6
SEALED = {"HERMES_INIT_SEALED": "1"}
SERVICE = "/run/service"
# The name of an entry that s6-supervise takes for a subscriber.
FTRIG = "ftrig1:@400000006b0679b51490d21f:qFl_QX"
INJECT = ["strace", "-f", "-o", "/dev/null", "-e"]


def booted(mode="1"):
    bed = Bed(environment={"HERMES_INIT_SEALED": mode})
    bed.__enter__()
    try:
        bed.profile("coder", "running")
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
    except BaseException:
        bed.__exit__()
        raise
    return bed


@pytest.fixture
def sealed():
    bed = booted()
    yield bed
    bed.__exit__()


@pytest.fixture
def volume(place):
    return Volume(place)


def hermes(bed, script, timeout=20):
    """Runs a shell script as the hermes user. Returns whether it succeeded."""
    return bed.run(["timeout", "9", "sh", "-ec", script], uid=HERMES, timeout=timeout).returncode == 0


def rootfile(bed):
    path = bed.path("/run/rootfile")
    path.write_text("root's")
    path.chmod(0o600)
    return path


# The table of the README: what is said of each mode, and the test of it.


def can_start(bed):
    slot = bed.slot("coder")
    for flag, state in (("-d", "down"), ("-u", "up")):
        if not hermes(bed, f"s6-svc {flag} {slot}"):
            return False
        wait_for(lambda: bed.svstat(slot, uid=HERMES) == state, what=state)
    return True


def can_wait_with_svwait(bed):
    return hermes(bed, f"s6-svwait -u -t 5000 {bed.slot('coder')}")


def can_register(bed):
    bed.profile("new", "stopped")
    bed.init("register", "new", "--down", uid=HERMES, code=None)
    made = os.path.exists(bed.path(bed.slot("new")))
    bed.init("unregister", "new", uid=HERMES, code=None)
    return made


def can_make_root_run(bed):
    hermes(
        bed,
        f"mkdir {SERVICE}/evil; printf '#!/bin/sh\nid -u > /run/bed/ran\nsleep 9\n' > {SERVICE}/evil/run; chmod 755 {SERVICE}/evil/run; "
        f"s6-svscanctl -a {SERVICE}",
    )
    try:
        wait_for(lambda: bed.path("/run/bed/ran").exists() and bed.path("/run/bed/ran").read_text(), 2, "the service")
    except AssertionError:
        return False
    return bed.path("/run/bed/ran").read_text() == "0\n"


def can_change_the_program(bed):
    return hermes(bed, f"cd {bed.slot('coder')}; echo > x; mv x run")


def can_overwrite_a_file_of_roots(bed):
    """s6-supervise writes event bytes to every subscriber."""
    secret, slot = rootfile(bed), bed.slot("coder")
    for place in ("event", "supervise/event"):
        hermes(bed, f"ln -s /run/rootfile {slot}/{place}/{FTRIG}")
    bed.run(["timeout", "5", "s6-svc", "-r", slot])
    try:
        wait_for(lambda: secret.read_text() != "root's", 2, "the event")
    except AssertionError:
        return False
    return True


def can_swallow_commands(bed):
    return hermes(bed, f"exec 3<>{bed.slot('coder')}/supervise/control") or hermes(
        bed, f"timeout 1 cat {bed.slot('coder')}/supervise/control; [ $? = 124 ]"
    )


def can_command_s6_svscan(bed):
    return hermes(bed, f"s6-svscanctl -a {SERVICE}")


def can_hold_up_root(bed):
    """A process of the hermes user holds every lock that it can get."""
    hold = f"for file in {SERVICE} {SERVICE}/.*lock {bed.slot('coder')}; do (exec 5<$file && flock 5 && exec sleep 100) & done; sleep 100"
    holder = subprocess.Popen(bed.command(["sh", "-c", hold], HERMES), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: bed.run(["flock", "-n", SERVICE, "true"]).returncode == 1, what="the lock")
        bed.profile("other", "stopped")
        done = bed.init("register", "other", "--down", code=None)
        return done.returncode != 0
    finally:
        for pid in bed.processes("sleep"):
            if bed.path(f"/proc/{pid}/cmdline").read_bytes() == b"sleep\x00100\x00":
                bed.run(["kill", str(pid)])
        holder.wait(timeout=20)


FLOOD = "import os, sys\nend = os.open(sys.argv[1], os.O_WRONLY)\nwhile True: os.write(end, b'_' * 4096)"


def can_hold_up_root_for_long(bed):
    """A process holds the locks of all directories on the volume, and another one keeps the FIFO of a supervisor full."""
    hold = (
        "for place in /opt/data /opt/data/profiles/*; do (exec 5<$place && flock 5 && exec sleep 1000) & done; "
        f'exec python3 -c "$0" {bed.slot("coder")}/supervise/control'
    )
    holder = subprocess.Popen(bed.command(["sh", "-c", hold, FLOOD], HERMES), stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: bed.run(["flock", "-n", "/opt/data/profiles/coder", "true"]).returncode == 1, what="the lock")
        wait_for(lambda: bed.processes("python3"), what="the flood")
        start = time.monotonic()
        bed.init("stop", "--wait=1", "coder", "default", code=None)
        # A second for each of the gateways, and what the machine needs.
        return time.monotonic() - start > 5 + 2 + 1.5
    finally:
        for pid in [*bed.processes("python3"), *bed.processes("sleep")]:
            bed.run(["kill", "-9", str(pid)])
        holder.wait(timeout=20)


def can_gain_privileges(bed):
    """Whether setuid programs work in a gateway: no_new_privs is not set."""
    pid = bed.pid_of(bed.slot("coder"))
    return "NoNewPrivs:\t0" in bed.path(f"/proc/{pid}/status").read_text()


def can_decide_the_next_boot(bed):
    """A profile that the hermes user makes is started by the pass of root."""
    assert hermes(
        bed,
        'mkdir -p /opt/data/profiles/mine; cd /opt/data/profiles/mine; touch SOUL.md; echo \'{"desired_state": "running"}\' > gateway_state.json',
    )
    bed.init("reconcile")
    return os.path.exists(bed.path(f"{bed.slot('mine')}/run")) and not os.path.exists(bed.path(f"{bed.slot('mine')}/down"))


def can_command_a_static_service(bed, name="dashboard"):
    static_service(bed, name)
    bed.rescan()
    service = f"{SERVICES}/{name}"
    wait_for(lambda: bed.svstat(service) == "up" and bed.svstat(f"{service}/log") == "up", what=name)
    bed.init("fix-perms", SERVICES)
    if not hermes(bed, f"s6-svc -d {service}"):
        return False
    wait_for(lambda: bed.svstat(service, uid=HERMES) == "down", what="down")
    return True


def can_command_a_service_of_s6_overlay(bed):
    return can_command_a_static_service(bed, "s6rc-oneshot-runner")


def can_lead_a_pass_outside(bed):
    """Links in the place of a profile, of files in one, and of the log."""
    secret, folder = rootfile(bed), bed.path("/run/rootdir")
    folder.mkdir()
    for name in ("SOUL.md", "gateway.pid", "processes.json"):
        (folder / name).write_text("root's")
    before = snapshot(folder)
    assert hermes(
        bed,
        "cd /opt/data; mkdir -p profiles; ln -s /run/rootdir profiles/away; ln -sfn /run/rootfile gateway_state.json; rm -rf logs; mkdir logs; "
        "ln -s /run/rootfile logs/container-boot.log; ln -s /run/rootfile logs/container-boot.log.1",
    )
    bed.init("reconcile", environment={"HERMES_GATEWAY_BOOTSTRAP_STATE": "running"}, code=None)
    return secret.read_text() != "root's" or snapshot(folder) != before


def can_lead_root_through_proc(bed):
    """Links in the place of `profiles` and `logs` lead to a directory of the hermes user, in which files of root's are mounted."""
    folder = bed.path("/run/rootdir")
    (folder / "coder").mkdir(parents=True)
    for name in ("coder/SOUL.md", "coder/gateway.pid", "log"):
        (folder / name).write_text("root's")
    before = snapshot(folder)
    assert hermes(bed, "cd /opt/data; mkdir -p mounts/coder; touch mounts/container-boot.log; rm -rf profiles logs")
    pairs = [("/run/rootdir/coder", "/opt/data/mounts/coder"), ("/run/rootdir/log", "/opt/data/mounts/container-boot.log")]
    if not can_have_mounts():
        return False

    def command(argv):
        return bed.command(argv, HERMES)

    with other_mounts("/run/bed/pid", *pairs, command=command, seen=bed.path) as pid:
        assert hermes(bed, f"cd /opt/data; for name in profiles logs; do ln -s /proc/{pid}/root/opt/data/mounts $name; done")
        for arguments in (["reconcile"], ["stop", "coder"], ["start", "coder"]):
            bed.init(*arguments, code=None)
    return snapshot(folder) != before


def can_use_what_root_is_advised(bed):
    """Root's directory in the place of a log directory, by a link or by a new name."""
    # As another user has left it: a directory of root's on the volume.
    assert hermes(bed, "mkdir -p /opt/data/logs")
    assert bed.run(["sh", "-ec", "cd /opt/data/logs; mkdir -m 700 roots; mkdir -m 755 /run/outside; echo x > roots/key"]).returncode == 0
    told = b""
    for plant in ("ln -s /run/outside gateways", "mv roots gateways"):
        assert hermes(bed, f"cd /opt/data/logs; rm -rf gateways; {plant}")
        for command in (["reconcile"], ["status"], ["health"]):
            for uid in (0, HERMES):
                done = bed.init(*command, uid=uid, code=None)
                told += done.stdout + done.stderr
        for command in set(re.findall(r"as root: ([^;\n]*)\)", told.decode())):
            bed.run(["sh", "-c", command])
    assert b"as root: " in told
    return bed.path("/run/outside").stat().st_uid == HERMES or hermes(bed, "cat /opt/data/logs/gateways/key")


def can_get_what_is_roots_by_its_name(bed):
    assert bed.run(["sh", "-ec", "cd /opt/data; echo '{\"key\": 1}' > roots; chmod 600 roots"]).returncode == 0
    assert hermes(bed, "cd /opt/data; mv roots profiles/coder/gateway_state.json")
    for verb in ("stop", "start"):
        bed.init(verb, "coder", code=1)
    return hermes(bed, "grep -r key /opt/data")


ROWS = {
    "start, stop and query a gateway (`s6-svc`, `s6-svstat`)": (True, True, can_start),
    "wait with `s6-svwait` and `s6-svlisten1`": (True, False, can_wait_with_svwait),
    "`register` and `unregister`": (True, False, can_register),
    "command s6-svscan": (True, False, can_command_s6_svscan),
    "change what a slot runs": (True, False, can_change_the_program),
    "have root run any program": (True, False, can_make_root_run),
    "have root overwrite any file": (True, False, can_overwrite_a_file_of_roots),
    "intercept commands that root gives to a gateway": (True, False, can_swallow_commands),
    "delay `register` of root": (True, False, can_hold_up_root),
    "hold up a command of root for more than 5 seconds, with locks or full FIFOs": (False, False, can_hold_up_root_for_long),
    "use `sudo` and other setuid programs in a gateway": (True, False, can_gain_privileges),
    "decide what the next boot starts (profiles and their states)": (True, True, can_decide_the_next_boot),
    "start, stop and query the image's static services": (True, True, can_command_a_static_service),
    "command s6-overlay's own services": (False, False, can_command_a_service_of_s6_overlay),
    "have a boot pass write or remove files outside the volume, through links on it": (False, False, can_lead_a_pass_outside),
    "lead root through a link in `/proc` into another mount namespace": (False, False, can_lead_root_through_proc),
    "get a file outside the volume, or one that only root can read, by a command that root is told to run": (
        False,
        False,
        can_use_what_root_is_advised,
    ),
    "get what only root can read, by giving it the name of a file of a profile": (False, False, can_get_what_is_roots_by_its_name),
}


def test_the_table_of_the_readme_has_these_rows():
    section = re.search(r"^## Who may do what.*?\n(.*?)^## ", (ROOT / "README.md").read_text(), re.M | re.S)[1]
    rows = re.findall(r"^\| (.+) \| (yes|no) \| (yes|no) \|$", section, re.M)
    words = {True: "yes", False: "no"}
    assert rows == [(row, words[delegated], words[shut]) for row, (delegated, shut, _) in ROWS.items()]


@pytest.mark.parametrize("mode", ["delegated", "sealed"])
@pytest.mark.parametrize("row", ROWS)
def test_a_row_of_the_table(row, mode):
    delegated, shut, attempt = ROWS[row]
    bed = booted("1" if mode == "sealed" else "0")
    try:
        assert attempt(bed) == (shut if mode == "sealed" else delegated)
    finally:
        bed.__exit__()


# Sealing what was delegated.


def test_sealing_removes_all_from_event_but_roots_own_fifos(bed):
    bed.profile("coder", "running")
    bed.init("reconcile")
    bed.rescan()
    bed.settle()
    secret, slot = rootfile(bed), bed.slot("coder")
    places = [f"{slot}{log}{event}" for log in ("", "/log") for event in ("/event", "/supervise/event")]
    for place in places:
        assert hermes(bed, f"cd {place}; ln -s /run/rootfile {FTRIG}; mkfifo mine; mkdir -p a/b; mkfifo one; ln one two")
        bed.run(["sh", "-ec", f"umask 077; mkfifo {place}/roots; ln {slot}/run {place}/run"])
    bed.init("reconcile", "--sealed")
    for place in places:
        assert os.listdir(bed.path(place)) == ["roots"]
        assert snapshot(bed.path(place))[b"."] == "dir 700 0:0"
    bed.run(["timeout", "5", "s6-svc", "-d", slot])
    wait_for(lambda: bed.svstat(slot) == "down", what="down")
    assert secret.read_text() == "root's"


def test_fix_perms_sealed_shuts_the_event_directories_of_static_services(place):
    for base in (place / "a", place / "a/log"):
        (base / "event").mkdir(parents=True)
        (base / "supervise/event").mkdir(parents=True)
        os.mkfifo(base / "supervise/control", 0o600)
        for event in (base / "event", base / "supervise/event"):
            os.chown(event, HERMES, HERMES)
            (event / FTRIG).symlink_to("/run/rootfile")
            os.mkfifo(event / "roots")
            os.mkfifo(event / "other")
            os.chown(event / "other", HERMES, HERMES)
    exe = os.environ["HERMES_INIT"]
    for options in ([], ["--sealed"], ["--sealed"]):
        done = run([exe, "fix-perms", *options, "--owner", "10000:10000", place], env={"PATH": "/bin"})
        assert done.returncode == 0, done
    for base in (place / "a", place / "a/log"):
        for event in (base / "event", base / "supervise/event"):
            assert snapshot(event)[b"."] == "dir 700 0:0" and os.listdir(event) == ["roots"]
        assert snapshot(base)[b"supervise/control"] == f"fifo 620 0:{HERMES}"


@pytest.mark.parametrize("call", ["fchown", "fchmod", "unlinkat"])
def test_sealing_of_event_that_was_killed_is_completed(place, call):
    """Wherever a run is killed, the next one still removes what was put in."""
    for number in range(1, 12):
        base = place / f"{number}/a"
        (base / "event").mkdir(parents=True)
        (base / "supervise").mkdir()
        os.chown(base / "event", HERMES, HERMES)
        (base / "event" / FTRIG).symlink_to("/run/rootfile")
        run(
            [
                "strace",
                "-o",
                "/dev/null",
                "-e",
                f"inject={call}:signal=SIGKILL:when={number}",
                os.environ["HERMES_INIT"],
                "fix-perms",
                "--sealed",
                "--owner",
                "10000:10000",
                base.parent,
            ],
            env={"PATH": "/usr/bin:/bin"},
        )
        done = run([os.environ["HERMES_INIT"], "fix-perms", "--sealed", "--owner", "10000:10000", base.parent], env={"PATH": "/bin"})
        assert done.returncode == 0 and os.listdir(base / "event") == [] and snapshot(base)[b"event"] == "dir 700 0:0", number


def test_sealing_shuts_the_control_fifo_that_its_owner_has_opened(bed):
    bed.init("reconcile")
    assert hermes(bed, f"chmod 666 {SERVICE}/.s6-svscan/control {SERVICE}/.s6-svscan/lock")
    bed.init("reconcile", "--sealed")
    tree = snapshot(bed.path(SERVICE))
    assert tree[b".s6-svscan/control"].startswith("fifo 600 0:") and tree[b".s6-svscan/lock"].startswith("file 600 0:")


# Words, and what cannot be read.


@pytest.mark.parametrize(
    "word, shut",
    [
        ("on", True),
        ("maybe", True),
        ("OD", True),
        (" 1", True),
        ("0 ", True),
        ("yes", True),
        ("No", False),
        ("off", False),
        ("0", False),
        ("false", False),
        ("", False),
        ("\n", False),
    ],
)
def test_a_word_that_is_not_understood_shuts(bed, word, shut):
    (bed.path("/run/s6/container_environment") / "HERMES_INIT_SEALED").write_text(word)
    done = bed.init("reconcile")
    assert (bed.path(SERVICE).stat().st_uid == 0) == shut
    assert (b"treated as sealed" in done.stderr) == (shut and word != "yes"), done


@pytest.mark.parametrize("kind", ["symlink", "dangling", "directory", "fifo", "huge"])
def test_a_switch_that_cannot_be_read_shuts(bed, kind):
    path = bed.path("/run/s6/container_environment") / "HERMES_INIT_SEALED"
    {
        "symlink": lambda: path.symlink_to("/etc/hostname"),
        "dangling": lambda: path.symlink_to("/nowhere"),
        "directory": path.mkdir,
        "fifo": lambda: os.mkfifo(path),
        "huge": lambda: path.write_text("0" * 140_000),
    }[kind]()
    done = bed.init("reconcile")
    assert bed.path(SERVICE).stat().st_uid == 0 and b"HERMES_INIT_SEALED" in done.stderr and b"treated as sealed" in done.stderr, done


@pytest.mark.parametrize("path", ["/etc/passwd", "/run/s6/container_environment"])
@pytest.mark.parametrize("errno", ["EACCES", "EIO", "EMFILE"])
def test_what_cannot_be_opened_fails_the_pass_and_is_no_default(bed, path, errno):
    bed.init("reconcile", "--dry-run")
    before = snapshot(bed.path(SERVICE))
    done = bed.run([*INJECT, f"inject=openat:error={errno}", "-P", path, "/run/bed/bin/hermes-init", "reconcile"])
    assert done.returncode == 111 and path.encode() in done.stderr and snapshot(bed.path(SERVICE)) == before, done


# Sealed is remembered.


def test_a_live_sealed_scan_directory_stays_sealed_without_the_variable(sealed):
    (sealed.path("/run/s6/container_environment") / "HERMES_INIT_SEALED").unlink()
    before = snapshot(sealed.path(SERVICE))
    for command in (["reconcile"], ["fix-perms", "/run/none"], ["register", "new", "--down"]):
        if command[0] == "register":
            sealed.profile("new", "stopped")
        done = sealed.init(*command)
        assert b"is sealed and stays sealed; --delegated gives it to the hermes user" in done.stderr, done
    sealed.init("unregister", "new")
    assert snapshot(sealed.path(SERVICE))[b"."] == before[b"."]
    assert b"mode: sealed (the scan directory is sealed)" in sealed.init("reconcile", "--explain", uid=HERMES).stdout


@pytest.mark.parametrize("how", ["option", "variable"])
def test_a_live_sealed_scan_directory_is_handed_over_to_whoever_says_so(sealed, how):
    variable = sealed.path("/run/s6/container_environment") / "HERMES_INIT_SEALED"
    variable.write_text("0") if how == "variable" else variable.unlink()
    done = sealed.init("reconcile", *(["--delegated"] if how == "option" else []))
    assert done.stderr == b"" and sealed.path(SERVICE).stat().st_uid == HERMES
    assert ".hermes-init.lock" not in os.listdir(sealed.path(SERVICE))


def test_a_scan_directory_without_s6_svscan_or_sealed_slots_is_not_sealed(bed):
    bed.profile("coder", "running")
    done = bed.init("reconcile")
    assert done.stderr == b"" and bed.path(SERVICE).stat().st_uid == HERMES


# A pass that cannot seal.


def test_a_sealed_pass_that_may_not_change_owners_says_what_stays_open(bed):
    bed.profile("coder", "running")
    bed.init("reconcile")
    bed.rescan()
    bed.settle()
    weak = ["setpriv", "--bounding-set", "-chown", "--inh-caps", "-chown"]
    done = bed.run([*weak, "/run/bed/bin/hermes-init", "reconcile", "--sealed"])
    assert done.returncode == 1, done
    for what in (b"/run/service", b".s6-svscan", b"gateway-coder", b"gateway-default"):
        assert b"unable to restrict access to " + what + b": " in done.stderr, (what, done)
    assert done.stdout.count(b"action=failed") == 2
    (bed.path("/run/static/a/event")).mkdir(parents=True)
    os.chown(bed.path("/run/static/a/event"), HERMES, HERMES)
    done = bed.run([*weak, "/run/bed/bin/hermes-init", "fix-perms", "--sealed", "/run/static"])
    assert done.returncode == 1 and b"event" in done.stdout and b"1 failed" in done.stdout, done
    bed.init("reconcile", "--sealed")
    assert {line.split()[2].split(":")[0] for line in snapshot(bed.path(SERVICE)).values()} == {"0"}


def test_a_service_behind_a_link_of_roots_that_is_the_hermes_users_is_named(bed):
    bed.path("/run/mine").mkdir()
    os.chown(bed.path("/run/mine"), HERMES, HERMES)
    bed.path(f"{SERVICE}/mine").symlink_to("/run/mine")
    assert b"unable to restrict access to the service mine: " in bed.init("reconcile", "--sealed", code=1).stderr


def test_the_lock_file_of_a_sealed_scan_directory_is_roots_whatever_was_there(bed):
    bed.init("reconcile")
    assert hermes(bed, f"echo > {SERVICE}/.hermes-init.lock; chmod 666 {SERVICE}/.hermes-init.lock")
    holder = subprocess.Popen(bed.command(["flock", f"{SERVICE}/.hermes-init.lock", "sleep", "100"], HERMES), stdin=subprocess.DEVNULL)
    try:
        wait_for(lambda: bed.processes("sleep"), what="the holder")
        done = bed.init("reconcile", "--sealed")
        assert done.stderr == b""
        assert snapshot(bed.path(SERVICE))[b".hermes-init.lock"] == "file 600 0:0 b''"
    finally:
        for pid in bed.processes("sleep"):
            bed.run(["kill", str(pid)])
        holder.wait(timeout=20)


# "Could not look" is not "is not there".


@pytest.mark.parametrize("errno", ["EMFILE", "EACCES", "EIO"])
@pytest.mark.parametrize(
    "call, path", [("openat", "gateway-coder"), ("openat", "finish"), ("openat", "log"), ("openat", "control"), ("newfstatat", "down")]
)
def test_a_live_slot_that_cannot_be_looked_at_is_left_as_it_is(bed, call, path, errno):
    """The slot differs from what is wanted, so a pass that can look would update it."""
    bed.profile("coder", "running")
    bed.init("reconcile")
    bed.rescan()
    bed.settle()
    bed.profile("coder", "stopped")
    slot = bed.path(bed.slot("coder"))
    before, supervisors = identity(slot), bed.supervisors()
    done = bed.run([*INJECT, f"inject={call}:error={errno}", "-P", path, "/run/bed/bin/hermes-init", "reconcile"])
    assert identity(slot) == before and bed.supervisors() == supervisors, done
    assert done.returncode == 1 and b"profile=coder prior_state=stopped action=failed reason=" in done.stdout, done
    assert b"unable to" in done.stderr and b"gateway-coder" in done.stderr
    assert b"coder prior_state=stopped action=failed" in (bed.path("/opt/data/logs/container-boot.log")).read_bytes()
    bed.init("reconcile")
    assert (slot / "down").exists()


@pytest.mark.parametrize("errno", ["EMFILE", "EACCES", "EIO"])
def test_variables_that_cannot_be_read_are_not_dropped(errno):
    with Bed(svscan=False) as bed:
        bed.profile("coder", "running")
        bed.init("reconcile")
        assert hermes(bed, f"cd {bed.slot('coder')}; mkdir env; echo value > env/KEY; rm type")
        done = bed.run([*INJECT, f"inject=openat:error={errno}", "-P", "KEY", "/run/bed/bin/hermes-init", "reconcile"])
        assert done.returncode == 1 and b"coder prior_state=running action=failed" in done.stdout, done
        assert bed.path(f"{bed.slot('coder')}/env/KEY").read_text() == "value\n"
        bed.init("reconcile")
        assert bed.path(f"{bed.slot('coder')}/env/KEY").read_text() == "value\n"


@pytest.mark.parametrize("errno", ["EMFILE", "EACCES", "EIO"])
def test_a_leftover_and_a_slot_without_a_profile_that_cannot_be_looked_at_stay(errno):
    with Bed(svscan=False) as bed:
        bed.init("reconcile")
        for name in (".gateway-a.out.tmp", "gateway-b"):
            bed.run(["cp", "-a", bed.slot("default"), f"{SERVICE}/{name}"])
        os.chown(bed.path(f"{SERVICE}/gateway-b"), 0, 0)
        before = {name: identity(bed.path(f"{SERVICE}/{name}")) for name in (".gateway-a.out.tmp", "gateway-b")}
        done = bed.run(
            [
                *INJECT,
                f"inject=openat:error={errno}",
                "-P",
                ".gateway-a.out.tmp",
                "-P",
                "gateway-b",
                "/run/bed/bin/hermes-init",
                "reconcile",
            ]
        )
        assert {name: identity(bed.path(f"{SERVICE}/{name}")) for name in before} == before, done
        assert (
            done.returncode == 1 and b"profile=b prior_state=None action=failed" in done.stdout and b".gateway-a.out.tmp" in done.stderr
        ), done


@pytest.mark.parametrize("errno", ["EMFILE", "EIO"])
@pytest.mark.parametrize("what", ["a", "log"])
def test_fix_perms_leaves_no_service_out_that_it_cannot_look_at(place, errno, what):
    (place / "a/supervise").mkdir(parents=True)
    (place / "a/log/supervise").mkdir(parents=True)
    done = run(
        [*INJECT, f"inject=newfstatat:error={errno}", "-P", what, os.environ["HERMES_INIT"], "fix-perms", "--owner", "10000:10000", place],
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 1 and b"service=a action=failed" in done.stdout, done


# What is inherited.


def test_no_descriptor_above_2_reaches_a_gateway(bed):
    secret = rootfile(bed)
    script = "for fd in /proc/self/fd/*; do readlink $fd; done > /run/bed/open\nexec /bin/sleep 1\n"
    bed.path("/run/bed/bin/hermes").write_text(f"#!/bin/sh\n{script}")
    bed.profile("coder", "running")
    bed.init("reconcile")
    environment = {"PATH": "/run/bed/bin:/usr/bin:/bin"}
    (bed.path("/run/s6/container_environment") / "PATH").write_text("/run/bed/bin:/usr/bin:/bin")
    done = bed.run(
        ["sh", "-c", f"cd {bed.slot('coder')}; exec 3<>/run/rootfile 7<>/run/rootfile ./run gateway-coder"], environment=environment
    )
    assert done.returncode == 0, done
    open_files = bed.path("/run/bed/open").read_text()
    assert "rootfile" not in open_files and secret.read_text() == "root's"
    # Where nothing can close them, nothing is executed, and what would be can still be printed.
    bed.path("/run/bed/open").unlink()

    def without_fdclose(command):
        script = f"mount -t tmpfs tmpfs /usr/lib/execline/bin; cd {bed.slot('coder')}; exec 3<>/run/rootfile {command}"
        return bed.run(["unshare", "-m", "sh", "-c", script], environment=environment)

    done = without_fdclose("./run gateway-coder")
    assert (
        done.returncode == 111
        and b"unable to run fdclose: it must close inherited file descriptors above 2, and was not found" in done.stdout
        and not bed.path("/run/bed/open").exists()
    ), done
    done = without_fdclose("/run/bed/bin/hermes-init gateway-run --print gateway-coder")
    assert done.returncode == 0 and b"hermes -p coder gateway run" in done.stdout, done


@pytest.mark.parametrize("options", [[], ["--sealed"]])
def test_sealed_by_an_option_the_services_cannot_gain_privileges_either(options):
    with Bed() as bed:
        bed.profile("coder", "running")
        bed.init("reconcile", *options)
        bed.rescan()
        bed.settle()
        bed.record("coder")
        for service in (bed.slot("coder"), bed.slot("coder") + "/log"):
            assert f"NoNewPrivs:\t{len(options)}" in bed.path(f"/proc/{bed.pid_of(service)}/status").read_text()


@pytest.mark.parametrize("variable", ["1", "0"])
def test_sealed_the_dashboard_cannot_gain_privileges(variable):
    with Bed(svscan=False, environment={"HERMES_DASHBOARD": "1", "HERMES_INIT_SEALED": variable}) as bed:
        (bed.path("/run/bed/bin/hermes")).write_text("#!/bin/sh\ngrep NoNewPrivs /proc/self/status > /run/bed/privileges\n")
        (bed.path("/run/s6/container_environment") / "PATH").write_text("/run/bed/bin:/usr/bin:/bin")
        bed.init("dashboard-run")
        assert bed.path("/run/bed/privileges").read_text() == f"NoNewPrivs:\t{variable}\n"


def test_the_limit_of_the_size_of_files_is_an_error_and_not_the_end(volume):
    volume.profile("coder", "running")
    done = volume.reconcile(code=1, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (20, 20)))
    assert b"File too large" in done.stderr and b"action=failed" in done.stdout, done
    assert [name for name in entries_of(volume.scandir) if "tmp" in name] == []
    volume.reconcile()


def test_the_limit_of_the_size_of_files_is_none_of_a_pipe():
    done = run(["prlimit", "--fsize=0", executable(), "--version"])
    assert (done.returncode, done.stderr) == (0, b"") and done.stdout.startswith(b"hermes-init "), done

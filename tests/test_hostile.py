"""A hostile hermes user on the volume and in a delegated scan directory: repeated passes by root change nothing outside, read nothing
outside, and are not stopped. Also refused system calls, kills and missing files."""

import json
import os
import re
import resource
import shutil
import time

import pytest

from support.file_tree import entries_of, snapshot, spoil
from support.path_exchange import beside, exchanging, rounds
from support.program import APART, HERMES, OWNER, executable, run, wait_for
from support.volume import Volume, expected_slot, hermes_owns

pytestmark = pytest.mark.root


@pytest.fixture
def volume(place):
    return Volume(place)


@pytest.fixture
def outside(place):
    """Creates files that only root may change or read."""
    folder = place / "outside"
    for name in ("", "profiles/coder", "log", "supervise", "env", "state"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for name in (
        "SOUL.md",
        "gateway_state.json",
        "gateway.pid",
        "processes.json",
        "container-boot.log",
        "container-boot.log.1",
        "run",
        "finish",
        "type",
        "down",
        "log/run",
        "env/KEY",
        "profiles/coder/SOUL.md",
        "profiles/coder/gateway.pid",
    ):
        (folder / name).write_text("root's")
        (folder / name).chmod(0o600)
    os.mkfifo(folder / "supervise/control", 0o600)
    (folder / "gateway_state.json").write_text('{"gateway_state": "running"}')
    (folder / "state/gateway.lifecycle.json").write_text('{"phase": "exited"}')
    return folder


def as_hermes(script, *arguments):
    """Runs a shell script as the hermes user."""
    return run(["setpriv", "--reuid", HERMES, "--regid", HERMES, "--clear-groups", "sh", "-c", script, *arguments])


def pass_again_and_again(volume, passes, each, exchanged, is_enough=lambda seen: True):
    """Runs at least this number of passes as root, until the racer has run and what was seen is enough. Returns their output."""
    seen = []
    for _ in rounds(passes, lambda: exchanged() and is_enough(seen)):
        done = volume.reconcile("--json", code=None, timeout=30)
        assert done.returncode in (0, 1, 111) and b"panic" not in done.stderr, done
        seen.append(done)
        each(done)
    return seen


def met_both(seen):
    """Returns whether the passes met both the symlink and what it replaces."""
    return len({done.stderr for done in seen} | {done.stdout.replace(b"true", b"false") for done in seen}) > 2


# What the hermes user replaces, and the target of the symlink.
ON_THE_VOLUME = {
    "profile": ("profiles/coder", ""),
    "profiles": ("profiles", "profiles"),
    "logs": ("logs", ""),
    "log": ("logs/container-boot.log", "container-boot.log"),
    "rotated": ("logs/container-boot.log.1", "container-boot.log.1"),
    "state": ("profiles/coder/gateway_state.json", "gateway_state.json"),
    "pid": ("profiles/coder/gateway.pid", "gateway.pid"),
    "lifecycle": ("profiles/coder/state", "state"),
}


@pytest.mark.parametrize("what", ON_THE_VOLUME)
def test_a_racer_on_the_volume_leads_nowhere(volume, outside, what):
    name, target = ON_THE_VOLUME[what]
    directory = volume.profile("coder", "stopped").decode()
    (volume.home / "logs").mkdir()
    os.mkdir(os.path.join(directory, "state"))
    for file in ("logs/container-boot.log", "logs/container-boot.log.1"):
        # Large enough to be rotated in each pass.
        (volume.home / file).write_bytes(b"x" * 262_144)
    path, kept = volume.home / name, volume.place / "kept"
    if path.is_file():
        shutil.copy(path, kept)
    beside(path).symlink_to(outside / target)
    hermes_owns(volume.home)
    before = snapshot(outside)
    with exchanging((path, beside(path))) as exchanged:

        def again(_):
            # Restores what a pass has removed. The racer may have moved the directory away.
            as_hermes(
                'cd "$0"; touch profiles/coder/gateway.pid profiles/coder/processes.json; [ -h "$1" ] || [ -h "$2" ] || '
                'ln -sfn "$3" "$2"; [ -h logs ] || truncate -c -s 262144 logs/container-boot.log; '
                # Exchanged between the two checks, the file itself was replaced by a link: restores it too.
                '[ ! -h "$1" ] || [ ! -h "$2" ] || [ ! -f "$4" ] || { cp "$4" "$2.new" && mv -fT "$2.new" "$2"; }',
                volume.home,
                path,
                beside(path),
                outside / target,
                kept,
            )

        again(None)
        seen = pass_again_and_again(
            volume, 40, again, exchanged, met_both if what in ("profile", "profiles", "logs", "log", "state") else bool
        )
    assert snapshot(outside) == before
    assert not [done for done in seen if b'"prior_state": "running"' in done.stdout or b'"prior_exit": "clean"' in done.stdout]


IN_THE_SCAN_DIRECTORY = [
    "gateway-coder",
    ".gateway-coder.tmp",
    "gateway-coder/log",
    "gateway-coder/supervise",
    "gateway-coder/event",
    "gateway-coder/run",
    "gateway-coder/supervise/control",
    "gateway-coder/env",
    ".gateway-coder.file.tmp",
    ".s6-svscan",
    ".gateway-old.tmp",
]


# No staging directory is used for a slot that is supervised.
@pytest.mark.parametrize(
    "name, held", [(name, held) for name in IN_THE_SCAN_DIRECTORY for held in (False, True) if not held or name != ".gateway-coder.tmp"]
)
def test_a_racer_in_the_scan_directory_leads_nowhere(volume, outside, name, held):
    volume.profile("coder", "running")
    (volume.scandir / ".s6-svscan").chmod(0o700)
    volume.reconcile()
    slot, path = volume.slot("coder"), volume.scandir / name
    (slot / "env").mkdir()
    (slot / "env/KEY").write_text("value\n")
    target = outside / name.split("/", 1)[1] if "/" in name and (outside / name.split("/", 1)[1]).exists() else outside
    hermes_owns(volume.scandir)
    before = snapshot(outside)
    fifo = os.open(slot / "supervise/control", os.O_RDONLY | os.O_NONBLOCK) if held else None
    try:
        with exchanging((path, beside(path))) as exchanged:

            def again(_):
                # Makes work for the next pass. Runs as the hermes user, since the path may lead anywhere.
                as_hermes(
                    'cd "$0" && echo > gateway-coder/run; mkdir -p .gateway-old.tmp/a/b .gateway-coder.file.tmp gateway-coder/env; '
                    'echo value > gateway-coder/env/KEY; [ -h "$1" ] || [ -h "$2" ] || ln -sfn "$3" "$2"',
                    volume.scandir,
                    path,
                    beside(path),
                    target,
                )

            again(None)
            pass_again_and_again(volume, 20, again, exchanged)
    finally:
        if fifo is not None:
            os.close(fifo)
    assert snapshot(outside) == before


def limited(megabytes):
    """Returns the argv prefix that limits the memory of a command."""
    return ["prlimit", f"--data={megabytes << 20}", "--"]


@pytest.mark.parametrize("kind", ["hard link", "symlink", "fifo", "directory"])
def test_what_a_slot_keeps_in_env_is_nothing_of_roots(volume, kind):
    volume.profile("coder", "running")
    volume.reconcile()
    env, secret = volume.slot("coder") / "env", volume.place / "secret"
    secret.write_text("root's")
    secret.chmod(0o600)
    env.mkdir()
    (env / "MINE").write_text("mine\n")
    if kind == "hard link":
        # If fs.protected_hardlinks is 0, the hermes user can create one.
        os.link(secret, env / "KEY")
    elif kind == "symlink":
        (env / "KEY").symlink_to(secret)
    elif kind == "fifo":
        os.mkfifo(env / "KEY")
    else:
        (env / "KEY").mkdir()
    os.chown(env, HERMES, HERMES)
    (volume.slot("coder") / "run").write_text("")
    volume.reconcile(timeout=10)
    tree = snapshot(volume.slot("coder"))
    assert b"env/KEY" not in tree and tree[b"env/MINE"] == f"file 600 {OWNER} {b'mine' + bytes([10])!r}"
    assert snapshot(secret.parent)[b"secret"] == 'file 600 0:0 b"root\'s"'


def test_an_environment_that_no_registration_can_have_made_costs_no_memory(volume):
    volume.profile("coder", "running")
    volume.reconcile()
    env = volume.slot("coder") / "env"
    env.mkdir()
    for number in range(400):
        # A sparse file.
        with open(env / f"V{number}", "wb") as file:
            file.truncate(128 << 10)
    (env / "A").write_text("kept\n")
    hermes_owns(env)
    (volume.slot("coder") / "run").write_text("")
    done = volume.reconcile(before=limited(24))
    assert b"coder prior_state=running action=started" in done.stdout and (volume.slot("coder") / "run").read_text() != ""
    assert (env / "A").read_text() == "kept\n" and sum(file.stat().st_size for file in env.iterdir()) <= 2 << 20


def test_what_the_log_says_of_the_last_boot_is_a_boot_passes_or_nothing(volume):
    volume.profile("coder", "running")
    volume.reconcile()
    env = APART

    def last_boot():
        argv = [executable(), "status", *volume.options()[:-2]]
        lines = run(argv, env=env).stdout.decode().splitlines() + run([*argv, "--json"], env=env).stdout.decode().splitlines()
        assert all(line.isascii() and line.isprintable() for line in lines), lines
        return json.loads(lines[-1])["last_boot"]

    honest = last_boot()
    assert honest.startswith("started 20")
    with open(volume.home / "logs/container-boot.log", "a") as log:
        for time_, action in (
            ("\x1b[2JT", "started"),
            ("T", "\x1b]0;x\x07"),
            ("T", "started"),
            (honest[8:], "\x1b]0;x\x07"),
            (honest[8:], "registered\x1b[2J"),
            ("T\rx", "started"),
            ("T\u202e", "started"),
            ("T  x", "y"),
            ("", ""),
        ):
            log.write(f"{time_} profile=coder prior_state=None action={action} prior_exit=unknown\n")
    assert last_boot() == honest
    # Where no pass is of this boot, the newest one counts.
    (volume.home / "logs/container-boot.log").write_text(
        "2026-05-25T11:21:31+1000 profile=default prior_state=x action=registered\n"
        "2026-05-25T11:21:31+1000 profile=coder prior_state=x action=registered\n"
    )
    assert last_boot() == "registered 2026-05-25T11:21:31+1000"


@pytest.mark.parametrize("kind", ["symlink", "fifo", "directory", "device", "huge", "binary"])
def test_a_log_that_is_none_is_no_trouble_for_status(volume, kind):
    volume.profile("coder", "running")
    volume.reconcile()
    log = volume.home / "logs/container-boot.log"
    log.unlink()
    secret = volume.place / "secret"
    secret.write_text("2026-05-25T11:21:31+1000 profile=coder prior_state=None action=secret\n")
    if kind != "binary":
        spoil(log, kind, secret)
    else:
        log.write_bytes(bytes(range(256)) * 4096)
    done = run([executable(), "status", "--json", *volume.options()[:-2]], env=APART, timeout=10)
    assert done.returncode == 0 and b"secret" not in done.stdout, done
    assert {json.loads(line)["last_boot"] for line in done.stdout.splitlines()} == {None}


NOT_READ = "unable to read logs/container-boot.log: its last 8 MiB do not reach back to the last boot\n"


def line_of_log(profile, action="started", moment=None):
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S+0000", time.gmtime(moment))
    return f"{stamp} profile={profile} prior_state=None action={action} prior_exit=unknown\n"


def filled(text, size):
    return text.encode() * (size // len(text))


# What lies in each of the two files, of a size in bytes, and whether the boot is to be found in it.
LOGS = {
    "150,000 names of this boot": (lambda size: "".join(line_of_log(f"x{number:09}") for number in range(size // 82)).encode(), False),
    "one name of this boot": (lambda size: filled(line_of_log("coder"), size), False),
    "names of an earlier boot": (lambda size: filled(line_of_log("coder", moment=1_700_000_000), size), True),
    "one line": (lambda size: b"x" * size, False),
    "long lines": (lambda size: filled(line_of_log("x" * 60_000), size), False),
    "quotes": (lambda size: filled(line_of_log('" ' * 30_000), size), False),
    "newlines": (lambda size: b"\n" * size, False),
    "a hole": (None, False),
}


def cpu_time(argv):
    """Runs a command. Returns what it has done, and its CPU time in seconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = run(argv, env=APART | {"TZ": "UTC0"})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return done, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


@pytest.mark.parametrize("what", LOGS)
def test_whatever_lies_in_the_boot_log_costs_little_and_what_is_not_read_is_said(volume, what):
    volume.profile("coder", "running")
    volume.reconcile()
    told = (volume.home / "logs/container-boot.log").read_bytes()
    text, is_found = LOGS[what]
    for name in ("container-boot.log.1", "container-boot.log"):
        with open(volume.home / "logs" / name, "wb") as log:
            if text is None:
                log.truncate((1 << 40) if name.endswith("log") else (16 << 20))
            else:
                log.write(text(16 << 20))
            if is_found:
                log.write(told)
    for command in ("status", "health"):
        done, seconds = cpu_time([*limited(6), executable(), command, "--json", *volume.options()[:-2]])
        rows = {row["profile"]: row for row in map(json.loads, done.stdout.splitlines())}
        said = "" if is_found else f"hermes-init {command}: warning: {NOT_READ}"
        if command == "health":
            said += "" if is_found else f"hermes-init health: warning: not everything could be inspected: {executable()} status says why\n"
        assert (done.returncode, done.stderr.decode()) == ({"status": 0, "health": 1 if is_found else 111}[command], said), done
        assert (rows["coder"]["last_boot"] is not None) == is_found and seconds < 0.8, (rows, seconds)
    # The newest pass is known, but not whether it is the boot. That is no matter of health.
    (volume.home / "logs/container-boot.log").write_bytes(told)
    for command in ("status", "health"):
        done = run([*limited(6), executable(), command, "--json", *volume.options()[:-2]], env=APART)
        rows = {row["profile"]: row for row in map(json.loads, done.stdout.splitlines())}
        said = "" if is_found else f"hermes-init {command}: warning: {NOT_READ.replace('.log', '.log.1')}"
        assert done.returncode == {"status": 0, "health": 1}[command] and done.stderr.decode() == said, done
        assert (rows["coder"]["last_boot"] is not None) == (said == "")


def test_states_of_a_megabyte_cost_no_memory(volume):
    for number in range(30):
        volume.profile(f"p{number}", b'{"gateway_state": "' + b"x" * 1_000_000 + b'"}')
    volume.profile("coder", "x" * 256)
    done = volume.reconcile(before=limited(16))
    assert (
        done.stdout.count(b" prior_state=None action=registered") == 31
        and done.stdout.count(b' reason="gateway_state.json: ') == 30
        and done.stderr.count(b"larger than 65536 bytes") == 30
    )
    assert b"profile=coder prior_state=" + b'"' + b"x" * 256 in done.stdout


def test_without_proc_a_link_of_cont_init_leads_to_the_executable(volume):
    folder = volume.place / "bin"
    folder.mkdir()
    shutil.copy(executable(), folder / "hermes-init")
    (folder / "02-reconcile-profiles").symlink_to(folder / "hermes-init")
    script = 'umount -l /proc && exec "$@"'
    argv = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh"]
    for name in ("02-reconcile-profiles", "hermes-init"):
        command = ["reconcile"] if name == "hermes-init" else []
        done = run([*argv, folder / name, *command, *volume.options()], env=APART)
        assert done.returncode == 0, done
        assert (volume.slot("default") / "run").read_text() == f"#!{folder}/hermes-init gateway-run\nHERMES_HOME={volume.home}\n"
        shutil.rmtree(volume.scandir)
    done = run([*argv, "sh", "-c", f'cd {folder} && PATH=. exec hermes-init reconcile "$@"', "sh", *volume.options()], env=APART)
    assert done.returncode == 111 and b"there is no /proc" in done.stderr and not volume.scandir.exists()


def test_a_home_that_is_exchanged_while_it_is_made_takes_nothing_of_roots_along(volume, outside):
    home = volume.place / "hermes/home"
    home.parent.mkdir()
    hermes_owns(home.parent)
    before = snapshot(outside)
    # It is missing in each run; the racer puts its link there as soon as it is created.
    with exchanging((home, beside(home))) as exchanged:
        for _ in rounds(60, lambda: exchanged() >= 50):
            wait_for(lambda: run(["rm", "-rf", home.parent]) and not home.parent.exists(), what="the end of the last one")
            home.parent.mkdir()
            beside(home).symlink_to(outside)
            hermes_owns(home.parent)
            volume.reconcile("--hermes-home", home, code=None)
            assert snapshot(outside)[b"."] == before[b"."]
            run(["rm", "-rf", outside / "logs"])


ZONES = {
    "shadow": ":/etc/shadow",
    "long": "A" * 300,
    "long-path": ":" + "/x" * 2500,
    "up": ":../../../etc/shadow",
    "binary": "\udcff\udcfe:\x01",
    "not-a-zone": "M10.1.0/3,,,-99999999999999999999",
    "directory": ":/etc",
    "device": ":/dev/zero",
    "null-rules": "AAA-24:59:59BBB,J365/167,J1/-167",
}


@pytest.mark.parametrize("zone", [*ZONES, "fifo", "huge", "garbage"])
def test_a_time_zone_can_be_anything(volume, zone):
    path = volume.place / "zone"
    if zone == "fifo":
        os.mkfifo(path)
    elif zone == "huge":
        with open(path, "wb") as file:
            file.write(b"TZif2")
            file.truncate(1 << 40)
    elif zone == "garbage":
        path.write_bytes(b"TZif2" + b"\0" * 15 + b"\xff" * 200_000)
    done = volume.reconcile(environment={"TZ": ZONES.get(zone, f":{path}")}, timeout=10, before=limited(16))
    # One line says what of it cannot be used.
    assert re.fullmatch(rb"(hermes-init reconcile: warning: [ -~]*: the time zone is UTC\n)?", done.stderr), done.stderr
    assert volume.log()[10:11] == "T" and volume.log()[24:].startswith(" profile=default prior_state=None"), volume.log()


@pytest.mark.strace
@pytest.mark.parametrize("close", ["0>&-", "1>&-", "2>&-", "0>&- 1>&- 2>&-"])
def test_no_file_of_its_own_takes_the_place_of_a_closed_stdin_stdout_or_stderr(volume, close):
    volume.profile("coder", b"broken")
    trace = volume.place / "trace"
    # strace keeps its own file descriptors; its child inherits those that the shell leaves open.
    volume.reconcile(
        before=["strace", "-f", "-y", "-e", "trace=openat,open,write,writev", "-o", trace, "sh", "-c", f'exec "$@" {close}', "sh"]
    )
    lines = trace.read_text().split("hermes-init", 1)[-1].splitlines()
    assert not [line for line in lines if " = 0<" in line or " = 1<" in line or " = 2<" in line if "/dev/null" not in line], lines
    assert not [
        line for line in lines if "write(" in line and ("(1<" in line or "(2<" in line) and "/dev/null" not in line and "pipe:" not in line
    ]
    assert volume.log().count("\n") == 2 and snapshot(volume.slot("coder")) == expected_slot(down=True)


def test_where_it_is_started_and_how_the_paths_are_written_does_not_matter(volume):
    volume.profile("coder", "running")
    closed = volume.place / "closed"
    closed.mkdir(mode=0o000)
    volume.reconcile(cwd=closed)
    expected = snapshot(volume.scandir)
    for name in entries_of(volume.scandir):
        shutil.rmtree(volume.scandir / name)
    env = APART
    argv = [executable(), "reconcile", "--owner", OWNER, "--role", "gateway"]
    for home, scandir in (
        ("home", "service"),
        ("./home//", "service/"),
        (f"{volume.home}/", f"{volume.scandir}//"),
        ("home/../home", "./service/."),
    ):
        for how in (["--hermes-home", home, "--scandir", scandir], None):
            # A variable is not relative.
            whole = [path if path.startswith("/") else f"{volume.place}/{path.split('/../')[-1]}" for path in (home, scandir)]
            settings = {} if how else dict(zip(("HERMES_HOME", "S6_PROFILE_GATEWAY_SCANDIR"), whole, strict=True))
            done = run([*argv, *(how or [])], cwd=volume.place, env=env | settings)
            assert done.returncode == 0 and b"action=started" in done.stdout and done.stderr == b"", (home, done)
            assert snapshot(volume.scandir) == expected
            for name in entries_of(volume.scandir):
                shutil.rmtree(volume.scandir / name)


def test_six_hundred_profiles_and_heaps_of_junk_take_little_memory_and_few_descriptors(volume):
    profiles = volume.home / "profiles"
    for number in range(600):
        (profiles / f"p{number:04}").mkdir(parents=True)
        (profiles / f"p{number:04}/SOUL.md").touch()
    for number in range(2000):
        (profiles / f"junk {number}").mkdir()
    hermes_owns(volume.home)
    done = volume.reconcile(before=["prlimit", "--nofile=16", *limited(16)], timeout=60, code=1)
    assert done.stdout.count(b"action=registered") == 498 and done.stdout.count(b"action=failed") == 103
    assert b"profiles without a slot: 103: no capacity: s6-svscan handles 1000" in done.stderr and len(entries_of(volume.scandir)) == 498
    for options, count in ([], 498), (["--max-services", "2000"], 601):
        done = volume.reconcile(*options, before=["prlimit", "--nofile=16", *limited(16)], timeout=60, code=int(not options))
        assert len(entries_of(volume.scandir)) == done.stdout.count(b"action=registered") == count
    again = volume.reconcile("--json", "--max-services=2000", before=["prlimit", "--nofile=16", *limited(16)], timeout=60)
    assert again.stdout.count(b'"changed": false') == 601


@pytest.mark.parametrize("limit", range(3, 12))
def test_too_few_descriptors_are_said_and_end_in_whole_slots_or_none(volume, limit):
    volume.profile("coder", "running")
    done = volume.reconcile(before=["prlimit", f"--nofile={limit}"], code=None)
    assert done.returncode in (0, 1, 111), done
    assert b"No file descriptors available" in done.stderr if done.returncode else volume.slot("coder").is_dir(), done
    for name in entries_of(volume.scandir) if volume.scandir.exists() else []:
        assert name.startswith(".gateway-") or snapshot(volume.scandir / name) == expected_slot(down=name != "gateway-coder")
    volume.reconcile()
    assert snapshot(volume.slot("coder")) == expected_slot(down=False) and len(entries_of(volume.scandir)) == 2


REFUSALS = [
    ("openat2", "ENOSYS", 0),
    ("openat2", "EPERM", 0),
    ("renameat2", "ENOSYS", 0),
    ("renameat2", "EPERM", 0),
    ("fchmodat,fchmodat2", "EIO", 1),
    ("write", "ENOSPC", 1),
    ("mkdirat", "ENOSPC", 1),
    ("mknodat", "EPERM", 1),
    ("fchown", "EIO", 1),
    ("flock", "ENOLCK", 0),
    ("unlinkat", "EIO", 1),
    ("fsync", "EIO", 0),
    ("fstatfs", "EIO", 1),
    ("getdents64", "EIO", 1),
    ("readlink,readlinkat", "ENOENT", 0),
]


@pytest.mark.strace
@pytest.mark.parametrize("calls, errno, code", REFUSALS)
def test_a_call_that_the_kernel_refuses_every_time_is_no_crash(volume, calls, errno, code):
    directory = volume.profile("coder", "running").decode()
    (volume.home / "logs").mkdir()
    os.mkdir(os.path.join(directory, "state"))
    with open(os.path.join(directory, "state/gateway.lifecycle.json"), "w") as file:
        file.write('{"phase": "exited"}')
    hermes_owns(volume.home)
    # Of a scan directory that is not live, nobody asks whether it is sealed.
    (volume.scandir / ".s6-svscan/control").unlink()
    inject = ["strace", "-f", "-o", "/dev/null", "-e", f"inject={calls}:error={errno}:when=1+"]
    # Its messages are written by write(2) too.
    done = volume.reconcile(before=inject, code=None)
    assert done.returncode == code, done
    for name in entries_of(volume.scandir):
        assert name.startswith(".gateway-") or snapshot(volume.scandir / name) == expected_slot(down=name != "gateway-coder")
    if calls == "openat2":
        assert "profile=coder prior_state=running action=started prior_exit=clean" in volume.log()
    volume.reconcile()
    assert snapshot(volume.slot("coder")) == expected_slot(down=False) and len(entries_of(volume.scandir)) == 2


def test_what_cannot_be_written_to_is_said(volume):
    volume.profile("coder", "running")
    volume.scandir.mkdir(exist_ok=True)
    script = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
    private = ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]
    done = volume.reconcile(before=[*private, volume.scandir], code=1)
    assert done.stdout.count(b"action=failed") == 2 and b"Read-only file system" in done.stdout
    done = volume.reconcile(before=[*private, volume.home], code=1)
    assert b"unable to verify the hermes user's access to %s: Read-only file system" % bytes(volume.home) in done.stderr, done
    assert b"logs/container-boot.log: Read-only file system" in done.stderr and snapshot(volume.slot("coder")) == expected_slot(down=False)

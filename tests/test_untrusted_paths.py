"""What others own does not lead root: HERMES_HOME below a directory of the hermes user, other people's processes, PATH; and what
cannot be looked at, is too much, or cannot be printed."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from support.fake_container import SVSCAN, FakeContainer
from support.file_tree import entries_of, identity, snapshot
from support.path_exchange import beside, exchanging, rounds
from support.program import APART, HERMES, OWNER, executable, run, wait_for
from support.svscan import Svscan
from support.volume import Volume, expected_slot, hermes_owns

pytestmark = pytest.mark.root


@pytest.fixture
def volume(place):
    return Volume(place)


@pytest.fixture
def roots(place):
    """A directory of root's that looks like a HERMES_HOME."""
    folder = place / "roots"
    (folder / "logs").mkdir(parents=True)
    for name in ("gateway.pid", "processes.json", "logs/container-boot.log"):
        (folder / name).write_text("root's\n" * 40_000)
    return folder


def below_hermes(place, target):
    """Returns HERMES_HOME in a directory of the hermes user, who has put a symlink on the way."""
    data = place / "data"
    data.mkdir()
    (data / ".hermes").symlink_to(target)
    os.chown(data, HERMES, HERMES)
    return data / ".hermes"


@pytest.mark.parametrize("below", ["", "deep/home", "deep/../home", "../data/.hermes/home"])
@pytest.mark.parametrize("how", ["reconcile", "dry-run", "start", "through root's link"])
def test_a_link_of_the_hermes_user_on_the_way_to_the_home_leads_to_nothing_of_roots(volume, roots, below, how):
    home = below_hermes(volume.place, roots)
    if how == "through root's link":
        (volume.place / "opt").symlink_to("data/.hermes")
        home = volume.place / "opt"
    if below:
        (roots / "deep").mkdir()
        for name in ("home", "deep/home"):
            (roots / name).mkdir()
    before = identity(roots)
    if how == "start":
        volume.reconcile()
        fifo = os.open(volume.slot("default") / "supervise/control", os.O_RDONLY | os.O_NONBLOCK)
        done = run(
            [executable(), "start", "default", "--hermes-home", home / below, "--scandir", volume.scandir, "--owner", OWNER], env=APART
        )
        os.close(fifo)
        assert b"is a symlink to a directory of uid 0" in done.stderr, done
    else:
        done = volume.reconcile("--hermes-home", home / below, *(["--dry-run"] if how == "dry-run" else []), code=111)
        assert b"is a symlink to a directory of uid 0, who is not the hermes user" in done.stderr
    assert identity(roots) == before


@pytest.mark.parametrize("missing", [False, True])
def test_a_link_of_the_hermes_user_to_his_own_directory_and_roots_own_links_are_followed(volume, missing):
    disk = volume.place / "disk"
    disk.mkdir()
    os.chown(disk, HERMES, HERMES)
    home = below_hermes(volume.place, disk)
    (volume.place / "opt").symlink_to(volume.place / "data")
    (volume.place / "var").symlink_to("./opt/../data/")
    if not missing:
        (disk / "inner").mkdir()
        os.chown(disk / "inner", HERMES, HERMES)
    for way in (home, volume.place / "opt/.hermes", volume.place / "var/.hermes"):
        done = volume.reconcile("--hermes-home", way / "inner")
        assert b"profile=default" in done.stdout
    assert (disk / "inner/logs/container-boot.log").read_text().count("\n") == 3


def test_links_in_a_circle_are_an_error(volume):
    (volume.place / "one").symlink_to("other")
    (volume.place / "other").symlink_to("one")
    assert b"it leads through more than 8 symlinks" in volume.reconcile("--hermes-home", volume.place / "one/home", code=111).stderr


@pytest.mark.parametrize("missing", [False, True])
def test_a_home_that_is_exchanged_again_and_again_leads_nowhere(volume, roots, missing):
    data = volume.place / "data"
    (data / ".hermes/logs").mkdir(parents=True)
    beside(data / ".hermes").symlink_to(roots)
    hermes_owns(data)
    before = identity(roots)
    with exchanging((data / ".hermes", beside(data / ".hermes"))) as exchanged:
        for _ in rounds(60, lambda: exchanged() >= 50):
            done = volume.reconcile("--hermes-home", data / ".hermes" / ("made/home" if missing else ""), code=None)
            assert done.returncode in (0, 1, 111) and b"panic" not in done.stderr, done
    assert identity(roots) == before


WRAPPED = ["sh", "-c", "sleep 40; :", "main-wrapper.sh"]


def where(place):
    return ["--hermes-home", place / "home", "--scandir", place / "service", "--owner", OWNER]


# Becomes a process of the hermes user. If it cannot be dumped, the owner of its /proc/PID is root all the same; as the effective
# user alone, root is what a setuid program has.
OTHER = """
import ctypes, os, sys, time
os.setgroups([])
os.setresuid(10000, *((0, 10000) if sys.argv[2] == "effective" else (10000, 10000)))
ctypes.CDLL(None).prctl(4, int(sys.argv[2] == "plain"), 0, 0, 0)
open(sys.argv[1] + "/ready", "w").close()
time.sleep(40)
"""


def cmdline(pid):
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            return file.read()
    except OSError:
        return b""


@pytest.mark.parametrize("words", [["dashboard"], ["gateway", "run"]])
@pytest.mark.parametrize("kind", ["plain", "undumpable", "effective"])
def test_the_processes_of_others_decide_nothing_for_root(home, words, kind):
    home.chmod(0o777)
    argv = ["python3", "-c", OTHER, str(home), kind, "main-wrapper.sh", *words]
    with FakeContainer([["idle"]], first=SVSCAN) as container:
        other = subprocess.Popen(container.command(argv), stdin=subprocess.DEVNULL)
        try:
            wait_for((home / "ready").exists, what="the process")
            done = container.reconcile(*where(home))
            explained = container.reconcile("--explain", *where(home)).stdout
        finally:
            other.kill()
            other.wait(timeout=10)
    assert b"profile=coder prior_state=running action=started" in done.stdout, done
    assert b"profile=default prior_state=None action=registered" in done.stdout and not (home / "home/gateway_state.json").exists()
    assert b"container command: none found" in explained


def test_as_the_hermes_user_his_own_processes_count(home):
    home.chmod(0o755)
    hermes_owns(home)
    drop = ["setpriv", "--reuid", str(HERMES), "--regid", str(HERMES), "--clear-groups"]
    with FakeContainer([["idle"]], first=SVSCAN) as container:
        # Other tests have such processes too.
        own = [*WRAPPED, "dashboard", str(home)]
        other = subprocess.Popen(container.command([*drop, *own]), stdin=subprocess.DEVNULL)
        try:
            # The same words end the argv of nsenter, which runs before it and is no process of the container.
            argv = "".join(f"{word}\0" for word in own).encode()
            wait_for(lambda: argv in map(cmdline, filter(str.isdigit, os.listdir("/proc"))), what="the process")
            done = run(
                container.command([*drop, executable(), "reconcile", *map(str, where(home))]), env={"PATH": "/usr/bin:/bin"}, cwd="/"
            )
        finally:
            other.kill()
            other.wait(timeout=10)
    assert b"nothing to do: this container's command is dashboard" in done.stdout, done


@pytest.mark.strace
@pytest.mark.parametrize("options, looks", [(["--role", "gateway"], False), ([], True)])
def test_the_command_is_looked_for_only_where_it_decides(home, options, looks):
    # Where a gateway would start, it may be the command.
    for state in ("", "profiles/coder/"):
        (home / "home" / state / "gateway_state.json").write_text('{"gateway_state": "stopped"}')
    trace = home / "trace"

    def cmdlines(command, *options):
        argv = ["strace", "-o", trace, "-e", "trace=openat", executable(), command, *map(str, where(home)), *options]
        done = run(container.command(argv), env={"PATH": "/usr/bin:/bin"}, cwd="/")
        assert done.returncode == 0, done
        return trace.read_text().count('/cmdline"')

    # Not beside processes of other tests, which may be front ends.
    with FakeContainer([["idle"]], first=SVSCAN) as container:
        assert (cmdlines("reconcile", *options) > 0) == looks
        assert cmdlines("status") == 0


@pytest.mark.strace
def test_four_kib_of_an_argv_are_read(home):
    trace = home / "trace"
    with FakeContainer([["x" * 4000] * 9] * 20, first=SVSCAN) as container:
        run(
            container.command(["strace", "-y", "-o", trace, "-e", "trace=pread64", executable(), "reconcile", *map(str, where(home))]),
            env={"PATH": "/usr/bin:/bin"},
            cwd="/",
        )
    read = [int(line.rsplit("= ", 1)[1]) for line in trace.read_text().splitlines() if "/cmdline>" in line]
    assert len(read) >= 20 and sum(read) <= 4096 * 30 and max(read) <= 4096


@pytest.fixture
def safe():
    """A directory below directories that root alone can write, which /tmp is not."""
    folder = Path(tempfile.mkdtemp(prefix="hermes-init-test-", dir="/run"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def logger(volume, path, cwd):
    """Starts the logger of a slot as s6-supervise does as root, and waits for its first line, after which it has either become the
    program or waits for a minute. Returns the line."""
    with subprocess.Popen(
        [executable(), "gateway-log", "./run", "gateway-coder/log"],
        cwd=cwd,
        env=APART | {"PATH": path},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        try:
            os.set_blocking(process.stderr.fileno(), False)
            said = bytearray()
            wait_for(lambda: said.extend(process.stderr.read() or b"") or said.endswith(b"\n"), what="a line of the logger")
        finally:
            process.kill()
    return bytes(said)


@pytest.mark.parametrize("kind", ["hermes", "writable", "linked", "script", "relative", "above"])
def test_root_runs_no_logger_that_somebody_else_could_have_put_there(volume, safe, kind):
    volume.profile("coder", "running")
    volume.reconcile()
    service = volume.slot("coder") / "log"
    planted = service if kind == "relative" else safe / "above/planted"
    planted.mkdir(parents=True, exist_ok=True)
    tool = planted / "s6-log"
    tool.write_text('#!/bin/sh\necho "it runs as $(/usr/bin/id -u)" >&2\n')
    tool.chmod(0o755)
    path = "." if kind == "relative" else str(planted)
    if kind == "hermes":
        os.chown(planted, HERMES, HERMES)
    elif kind == "writable":
        planted.chmod(0o777)
    elif kind == "linked":
        (safe / "bin").mkdir()
        (safe / "bin/s6-log").symlink_to(tool)
        os.chown(planted, HERMES, HERMES)
        path = str(safe / "bin")
    elif kind == "script":
        os.chown(tool, HERMES, HERMES)
    elif kind == "above":
        os.chown(planted.parent, HERMES, HERMES)
    said = logger(volume, path, service)
    assert f"gateway-log: fatal: unable to run {path}/s6-log: ".encode() in said and b"it runs" not in said, said
    if kind == "relative":
        return
    # Where root alone can write, it is run, after root has become the hermes user.
    subprocess.run(["chown", "-R", "0:0", safe / "above"], check=True)
    planted.chmod(0o755)
    assert logger(volume, f"/nowhere:{path}", service) == f"it runs as {HERMES}\n".encode()


@pytest.mark.s6
@pytest.mark.strace
@pytest.mark.parametrize("uid", [HERMES, 0])
def test_commands_and_status_execute_nothing(live, uid):
    """s6's tools are not taken from PATH, where others could put them; s6 is spoken to through its files."""
    live.run(
        [
            "sh",
            "-ec",
            (
                "mkdir /run/planted; for tool in s6-svc s6-svstat s6-svscanctl s6-svok s6-svwait; do "
                "printf '#!/bin/sh\\necho $0 >> /run/bed/ran\\n' > /run/planted/$tool; chmod 755 /run/planted/$tool; done; "
                "touch /run/bed/ran; chmod 666 /run/bed/ran"
            ),
        ]
    )
    live.profile("new", "running")
    for number, argv in enumerate(
        (["register", "new"], ["status"], ["stop", "coder"], ["start", "coder"], ["restart", "coder"], ["unregister", "new"])
    ):
        trace = f"/run/bed/trace.{number}"
        done = live.run(
            [
                "strace",
                "-f",
                "-E",
                "PATH=/run/planted",
                "-o",
                trace,
                "-e",
                "trace=execve,fork,vfork,clone,clone3",
                "/run/bed/bin/hermes-init",
                *argv,
            ],
            uid,
        )
        assert done.returncode == 0, (argv, done)
        calls = [line.split(maxsplit=1)[1] for line in live.path(trace).read_text().splitlines() if "+++" not in line]
        assert len(calls) == 1 and calls[0].startswith('execve("/run/bed/bin/hermes-init"'), (argv, calls)
    assert live.path("/run/bed/ran").read_text() == ""


@pytest.mark.parametrize("kind", ["symlink", "loop", "missing", "foreign"])
def test_a_link_among_the_profiles_that_leads_nowhere_has_a_line_in_the_log(volume, kind):
    volume.profile("coder", "running")
    link = volume.home / "profiles/gone"
    link.symlink_to({"loop": "gone", "foreign": "/root"}.get(kind, "/nowhere/at/all" if kind == "missing" else "x" * 300))
    done = volume.reconcile()
    foreign = "is a symlink to a directory of uid 0, who is not the hermes user"
    reason = {"foreign": foreign, "loop": "it leads through more than 8 symlinks"}.get(kind, "is a dangling symlink")
    line = f'profile=gone prior_state=None action=skipped reason="{reason}"'
    assert f" {line} " in volume.log() and f"reconcile: {line}\n" in done.stdout.decode()
    outcome = volume.outcomes()["gone"]
    assert (outcome["action"], outcome["slot"], outcome["reason"]) == ("skipped", None, reason)


@pytest.mark.parametrize("target", ["profiles", "x" * 300, "/nowhere"])
def test_profiles_that_lead_nowhere_are_none(volume, target):
    (volume.home / "profiles").symlink_to(target)
    done = volume.reconcile()
    assert b"unable to use profiles" in done.stderr and b"profile=default" in done.stdout


def hide(errno, path):
    """Returns the argv prefix with which a file cannot be opened, or, for EIO, read. It is opened relative to its directory."""
    path = path if errno == "EIO" else os.path.dirname(path)
    return ["strace", "-f", "-o", "/dev/null", "-P", path, "-e", f"inject={'read' if errno == 'EIO' else 'openat'}:error={errno}:when=1+"]


@pytest.mark.strace
@pytest.mark.parametrize("errno", ["EACCES", "EIO", "EMFILE", "ENOMEM"])
def test_a_state_that_cannot_be_read_is_said_and_makes_no_slot_run(volume, errno):
    state = os.path.join(volume.profile("coder", "running").decode(), "gateway_state.json")
    volume.profile("writer", "running")
    inject = hide(errno, state)
    done = volume.reconcile(before=inject, code=1)
    assert b'profile=coder prior_state=None action=registered reason="gateway_state.json: ' in done.stdout
    assert b"profile=writer prior_state=running action=started" in done.stdout
    assert snapshot(volume.slot("coder")) == expected_slot(down=True)
    assert 'profile=coder prior_state=None action=registered reason="gateway_state.json: ' in volume.log()
    assert volume.reconcile("--json", before=inject, code=1).stdout.count(b'"reason": "gateway_state.json: ') == 1


@pytest.mark.strace
@pytest.mark.parametrize("errno", ["EACCES", "EIO", "EMFILE"])
@pytest.mark.parametrize("state", ["running", "stopped"])
def test_a_live_slot_whose_state_cannot_be_read_stays_what_it_is(volume, errno, state):
    path = os.path.join(volume.profile("coder", state).decode(), "gateway_state.json")
    volume.reconcile()
    fifo = os.open(volume.slot("coder") / "supervise/control", os.O_RDONLY | os.O_NONBLOCK)
    try:
        before = identity(volume.slot("coder"))
        done = volume.reconcile("--json", before=hide(errno, path), code=1)
        assert identity(volume.slot("coder")) == before
        assert b'"changed": true' not in done.stdout, done
    finally:
        os.close(fifo)


@pytest.mark.strace
def test_an_owner_change_that_the_volume_refuses_says_nothing_about_the_scan_directory(volume):
    script = 'mount -t tmpfs tmpfs "$0" && mkdir -p "$0/profiles/coder" && touch "$0/profiles/coder/SOUL.md" && chown -R 10000:10000 "$0" && exec "$@"'
    inject = ["strace", "-f", "-o", "/dev/null", "-P", volume.home / ".gateway_state.json.tmp", "-e", "inject=fchown:error=EPERM:when=1+"]
    done = volume.reconcile(
        before=["unshare", "--mount", "--propagation", "private", "sh", "-c", script, volume.home, *inject],
        environment={"HERMES_GATEWAY_BOOTSTRAP_STATE": "running"},
        code=0,
    )
    # The logs on the volume are made as the hermes user, and need no such change.
    assert done.stderr.count(b"not permitted to change owners") == 1 and done.stderr.count(b"\n") == 1
    assert snapshot(volume.slot("coder")) == expected_slot(down=True) and volume.scandir.stat().st_uid == HERMES


def junk(volume, count, name, soul=True):
    profiles = volume.home / "profiles"
    profiles.mkdir(exist_ok=True)
    for number in range(count):
        folder = profiles / name.format(number)
        folder.mkdir()
        if soul:
            (folder / "SOUL.md").touch()
    os.chown(profiles, HERMES, HERMES)


def test_beyond_twenty_what_is_no_profile_is_one_line(volume):
    junk(volume, 70, "Bad {:03}")
    for number in range(10):
        (volume.home / f"profiles/Gone{number}").symlink_to("/nowhere")
    volume.profile("coder", "running")
    done = volume.reconcile()
    line = 'action=skipped reason="60 more entries cannot have a slot, and 0 were not inspected"'
    assert done.stdout.count(b"action=skipped") == 21 and f"reconcile: profiles {line}\n".encode() in done.stdout
    assert volume.log().count("action=skipped") == 21 and f" profiles {line}\n" in volume.log()
    assert done.stderr.count(b"\n") <= 21 and b"profiles: 60 more entries" in done.stderr
    assert b"profile=coder prior_state=running action=started" in done.stdout
    assert all(json.loads(line)["profile"] for line in volume.reconcile("--json").stdout.splitlines())


def test_s6_svscan_gets_no_service_too_many_and_those_that_run_come_first(volume):
    junk(volume, 30, "p{:02}")
    for number in (3, 25, 29):
        volume.profile(f"p{number:02}", "running")
    # Three services: one has a logger.
    (volume.scandir / "dashboard/log").mkdir(parents=True)
    (volume.place / "static").mkdir()
    (volume.scandir / "linked").symlink_to(volume.place / "static")
    (volume.scandir / "file").write_text("")
    done = volume.reconcile("--max-services", "24", code=1)
    # 24 - 4 - 3 = 17: eight slots.
    slots = sorted(name for name in entries_of(volume.scandir) if name.startswith("gateway-"))
    assert slots == [f"gateway-{name}" for name in ("default", "p00", "p01", "p02", "p03", "p04", "p25", "p29")]
    assert done.stdout.count(b"action=started") == 3 and done.stdout.count(b"action=registered") == 5
    assert done.stdout.count(b'action=failed reason="no capacity: s6-svscan handles 24 services') == 23
    assert volume.log().count("\n") == 31 and b"profiles without a slot: 23: no capacity" in done.stderr
    # What has a slot keeps it, also when others would come first now; a dry run says the same.
    volume.profile("p10", "running")
    before = identity(volume.scandir)
    for options in (["--dry-run"], []):
        outcomes = volume.outcomes(*options, code=1, environment={"HERMES_INIT_MAX_SERVICES": "24"})
        assert len(outcomes) == 31 and outcomes["p10"]["action"] == "failed" and outcomes["p10"]["slot"] is None
    assert identity(volume.scandir) == before
    volume.reconcile("--max-services", "1000")
    assert len(entries_of(volume.scandir)) == 34


def test_default_has_a_slot_whoever_else_wants_one(volume):
    """In `multiplex` its gateway serves the others, also those that have no slot."""
    (volume.home / "gateway_state.json").write_text('{"gateway_state": "stopped"}')
    for number in range(9):
        volume.profile(f"p{number}", "running")
    # Not beside processes of other tests, which may be this gateway in the foreground.
    alone = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]
    done = volume.reconcile("--max-services", "12", "--topology", "multiplex", code=1, before=alone)
    slots = sorted(name for name in entries_of(volume.scandir) if name.startswith("gateway-"))
    assert slots == ["gateway-default", "gateway-p0", "gateway-p1", "gateway-p2"]
    assert b"profile=default prior_state=stopped action=started" in done.stdout and not (volume.scandir / "gateway-default/down").exists()


@pytest.mark.parametrize("word, shown", [("0", "0"), ("x", "x"), ("200000", "200000"), ("-1", "-1"), ("1e3", "1e3")])
def test_a_number_of_services_that_is_none_is_said(volume, word, shown):
    done = volume.reconcile(environment={"HERMES_INIT_MAX_SERVICES": word})
    assert f"HERMES_INIT_MAX_SERVICES: {shown} is not a number of services from 4 to 160000; treated as 1000".encode() in done.stderr
    assert b"is not a number of services from 4 to 160000" in volume.reconcile(f"--max-services={word}", code=100).stderr


KINDS = {"profiles": ("p{}", True), "junk": ("junk {}", False), "bad": ("B{}" + "x" * 200, True)}


@pytest.mark.parametrize("kind", KINDS)
def test_memory_is_flat(kind):
    """On a tmpfs of its own: some file systems are slow with many directories."""
    name, soul = KINDS[kind]
    script = """set -e; mount -t tmpfs -o nr_inodes=0 tmpfs /mnt; mkdir -p /mnt/home/profiles; cd /mnt/home/profiles
        python3 -c 'import os, sys
for number in range(int(sys.argv[1])):
    os.mkdir(sys.argv[2].format(number))
    if sys.argv[3]: os.close(os.open(sys.argv[2].format(number) + "/SOUL.md", os.O_CREAT))' "$@"
        shift 3; cd /; exec "$@" """
    peaks = []
    for count in (1000, 60_000):
        argv = [
            "unshare",
            "--mount",
            "--propagation",
            "private",
            "sh",
            "-c",
            script,
            "sh",
            str(count),
            name,
            "1" if soul else "",
            "python3",
            "-c",
            MEASURE,
            str(executable()),
            "reconcile",
            "--hermes-home",
            "/mnt/home",
            "--scandir",
            "/mnt/service",
            "--owner",
            OWNER,
        ]
        done = run(argv, env=APART, timeout=120)
        assert done.returncode == 0, done
        peaks.append(int(done.stdout))
    assert peaks[1] - peaks[0] < 8 << 20, peaks


# Finds the least limit of the data segment, in MiB, with which the pass is not killed.
MEASURE = """
import subprocess, sys
low, high = 0, 128
while high - low > 1:
    middle = (low + high) // 2
    done = subprocess.run(["prlimit", f"--data={middle << 20}", "--", *sys.argv[1:]], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                          stderr=subprocess.DEVNULL, timeout=60)
    if done.returncode in (0, 1):
        high = middle
    else:
        low = middle
print(high << 20)
"""


@pytest.mark.parametrize("what", ["half", "full"])
def test_a_half_line_in_the_log_is_not_glued_to_the_next(volume, what):
    (volume.home / "logs").mkdir()
    os.chown(volume.home / "logs", HERMES, HERMES)
    log = volume.home / "logs/container-boot.log"
    log.write_text("2026-01-01T00:00:00+0000 profile=default prior_st" if what == "half" else "")
    if what == "full":
        script = (
            'mount -t tmpfs -o size=8k,uid=10000,gid=10000 tmpfs "$0/logs"; cd "$0/logs"; head -c 4076 /dev/zero | tr "\\0" x > container-boot.log; '
            'echo >> container-boot.log; echo > filler; "$@"; rm filler; "$@"; cp container-boot.log ../told'
        )
        volume.reconcile(before=["unshare", "--mount", "--propagation", "private", "sh", "-c", script, volume.home])
        log = volume.home / "told"
    else:
        volume.reconcile()
    lines = log.read_text().splitlines()
    assert len(lines) == (2 if what == "half" else 3) and lines[-1].endswith(
        "profile=default prior_state=None action=registered prior_exit=unknown"
    )
    assert lines[-1][:2] == "20" and lines[-2][-10:] != lines[-1][-10:]


@pytest.mark.parametrize("content", ["", "file"])
def test_a_directory_in_the_place_of_the_rotated_log_costs_no_line(volume, content):
    logs = volume.home / "logs"
    (logs / "container-boot.log.1").mkdir(parents=True)
    os.chown(logs, HERMES, HERMES)
    if content:
        (logs / "container-boot.log.1/file").touch()
    (logs / "container-boot.log").write_text("x\n" * 140_000)
    for number in (1, 2):
        done = volume.reconcile()
        assert volume.log().count("profile=default") == number and b"unable to rotate logs/container-boot.log" in done.stderr


@pytest.mark.strace
@pytest.mark.parametrize("delayed", [True, False])
def test_containers_that_rotate_one_log_at_once_lose_no_line(volume, delayed):
    (volume.home / "logs").mkdir()
    log = volume.home / "logs/container-boot.log"
    for number in range(12):
        volume.profile(f"p{number}")
    argv = [str(word) for word in [executable(), "reconcile", *volume.options()]]
    svscans = [Svscan(volume.place / f"service{number}") for number in range(4)]
    for round_ in range(1 if delayed else 10):
        log.write_text("x\n" * 131_072)
        (volume.home / "logs/container-boot.log.1").unlink(missing_ok=True)
        started = []
        for number in range(4):
            # Each container has its own scan directory.
            argv[argv.index("--scandir") + 1] = str(volume.place / f"service{number}")
            # The first one is about to rotate the log while the others do.
            slow = ["strace", "-o", "/dev/null", "-e", "inject=renameat:delay_enter=4000000"] if delayed and number == 0 else []
            started.append(subprocess.Popen([*slow, *argv], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=APART))
            if slow:
                wait_for(lambda: len(list((volume.place / "service0").glob("gateway-*"))) == 13, what="the first container's slots")
        for process in started:
            assert process.communicate(timeout=60)[1] == b"" and process.returncode == 0
        text = log.read_text() + (volume.home / "logs/container-boot.log.1").read_text()
        assert text.count("profile=") == 4 * 13 and text.count("x\n") == 131_072, round_
    for svscan in svscans:
        svscan.stop()


@pytest.mark.parametrize(
    "argv",
    [
        ["status"],
        ["reconcile", "--explain"],
        ["reconcile", "--dry-run"],
        ["reconcile", "--json"],
        ["help"],
        ["--help"],
        ["--version"],
        ["help", "status"],
    ],
)
def test_a_result_that_cannot_be_printed_is_a_failure(volume, argv):
    options = volume.options()[:-2] if argv[0] in ("status", "reconcile") else []
    full = run(["sh", "-c", 'exec "$@" > /dev/full', "sh", executable(), *argv, *options], env=APART)
    assert full.returncode == 1 and b"unable to write to stdout: No space left on device" in full.stderr, full
    for redirection in ("| true", "> /dev/null"):
        done = run(["sh", "-c", f'{{ "$@"; echo $? >&2; }} {redirection}', "sh", executable(), *argv, *options], env=APART)
        assert done.stderr.endswith(b"0\n"), done


@pytest.mark.parametrize("how", ["> /dev/full", "| true", ">&-"])
def test_a_boot_does_not_depend_on_who_reads_stdout(volume, how):
    volume.profile("coder", "running")
    done = volume.reconcile(before=["bash", "-c", f'set -o pipefail; "$@" {how}', "sh"])
    assert done.returncode == 0 and volume.log().count("\n") == 2 and snapshot(volume.slot("coder")) == expected_slot(down=False)


def test_the_log_is_written_before_stdout(volume):
    volume.profile("coder", "running")
    trace = volume.place / "trace"
    volume.reconcile(before=["strace", "-y", "-e", "trace=write", "-o", trace])
    writes = [line for line in trace.read_text().splitlines() if "container-boot.log>" in line or "write(1<" in line]
    assert "container-boot.log>" in writes[0] and "write(1<" in writes[-1]


@pytest.mark.strace
@pytest.mark.parametrize(
    "call, options",
    [
        # Sealed, no directory has a mode that mkdir cannot set.
        *((call, []) for call in ("mkdirat", "fchmod", "fchown", "mknodat", "openat")),
        *((call, ["--sealed"]) for call in ("mkdirat", "fchown", "mknodat", "openat")),
    ],
)
def test_an_interrupted_seed_is_completed(place, call, options):
    argv = [executable(), "seed", "--owner", OWNER, *options]
    (place / "whole/log").mkdir(parents=True)
    run([*argv, place / "whole"])
    killed = 0
    for when in range(1, 30):
        service = place / f"killed{when}"
        (service / "log").mkdir(parents=True)
        done = run(["strace", "-o", "/dev/null", "-e", f"inject={call}:signal=SIGKILL:when={when}", *argv, service])
        again = run([*argv, service])
        assert again.returncode == 0 and snapshot(service) == snapshot(place / "whole"), (when, again)
        if done.returncode == 0:
            break
        killed += 1
    assert killed > 0


def test_a_seed_takes_nothing_that_is_more_than_its_own(place):
    (place / "supervise").mkdir(mode=0o755)
    (place / "supervise/roots").write_text("root's")
    before = snapshot(place / "supervise")
    run([executable(), "seed", "--owner", OWNER, place])
    after = snapshot(place / "supervise")
    assert after[b"."] == before[b"."] == "dir 755 0:0" and after[b"roots"] == before[b"roots"]


@pytest.mark.strace
def test_a_file_for_which_there_is_no_memory_fails_alone(volume):
    profile = volume.profile("coder", "running")
    (Path(os.fsdecode(profile)) / "config.yaml").write_bytes(b"# x\n" * 250_000)
    volume.profile("writer", "running")
    done = volume.reconcile(before=["prlimit", f"--data={700 << 10}", f"--as={1600 << 10}", "--"])
    said = b"unable to determine gateway.standalone from profiles/coder/config.yaml: Out of memory; treated as not standalone"
    assert said in done.stderr, done
    for name in (b"coder", b"writer"):
        assert b"profile=" + name + b" prior_state=running action=started" in done.stdout

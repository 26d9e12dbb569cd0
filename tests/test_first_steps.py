"""What somebody sees first: what a build lacks, what the tests lack, the demo, and gateways under a real s6 without being root."""

import json
import os
import platform
import re
import shutil
import signal
import subprocess

import pytest

from support.not_emulated import NOT_EMULATED, not_emulated
from support.own import NOBODY, Own
from support.program import ROOT, executable, run, wait_for

README = (ROOT / "README.md").read_text()
real_s6 = pytest.mark.own_s6


# What a build lacks.


def programs(place, **scripts):
    """Creates a directory with the given programs and a few of the machine's, to be PATH."""
    folder = place / "programs"
    folder.mkdir(exist_ok=True)
    for name in ("sh", "sed", "head", "tail", "mkdir", "rm", "cp", "cmp", "sort", "paste", "dirname", "uname"):
        if not (folder / name).exists() and name not in scripts:
            (folder / name).symlink_to(shutil.which(name))
    for name, script in scripts.items():
        path = folder / name.replace("_", "-")
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
    return folder


def checkout(place):
    """Creates a copy of the scripts that make runs first."""
    copy = place / "checkout"
    (copy / "tests").mkdir(parents=True)
    for name in ("Cargo.toml", "tests/build", "tests/toolchain", "tests/setup", "tests/requirements.txt"):
        shutil.copy(ROOT / name, copy / name)
    return copy


MACHINE = platform.machine()
TARGET = f"{MACHINE}-unknown-linux-musl"
RUSTC = """case $1 in
-vV) printf 'rustc {0} (0 2026-01-01)\\nrelease: {0}\\nhost: {1}\\n' ;;
--print) echo /nonexistent ;;
esac"""
HOST = f"{MACHINE}-unknown-linux-gnu"
LINKER = {"RUSTFLAGS": "-Clinker=musl-gcc -Clink-self-contained=no"}


@pytest.mark.parametrize(
    "rustc, cc, flags, said",
    [
        ("1.94.9", None, {}, "Rust 1.95 is needed, this is 1.94\n"),
        ("0.99.0", None, {}, "Rust 1.95 is needed, this is 0.99\n"),
        (None, None, {}, "Rust is missing: 1.95 or newer is needed"),
        ("1.95.0", "exit 0", {}, "this Rust has no linker (rust-lld)\n"),
        ("1.95.0", None, LINKER, "apt-get install gcc libc6-dev"),
        ("1.100.0", 'echo "ld: cannot find -lc" >&2; exit 1', LINKER, "apt-get install libc6-dev; on Fedora"),
    ],
)
def test_a_build_says_what_it_lacks_before_it_downloads_anything(rustc, cc, flags, said, place):
    download = f"touch {place}/downloaded; exit 1"
    scripts = {"cargo": download, "rustup": download}
    scripts |= {"rustc": RUSTC.format(rustc, HOST)} if rustc else {}
    scripts |= {"cc": cc} if cc else {}
    path = programs(place, **scripts)
    done = run(["sh", "tests/build", TARGET, "out"], cwd=checkout(place), env={"PATH": str(path)} | flags)
    assert done.returncode == 1 and said in done.stderr.decode(), done
    (place / "programs/touch").symlink_to(shutil.which("touch"))
    assert not (place / "downloaded").exists()


@pytest.mark.parametrize("version", ["1.95.0", "1.95.0-beta.1", "1.100.2", "2.0.0"])
@pytest.mark.parametrize("linker", [{"rust_lld": ""}, {"cc": ""}])
def test_a_compiler_that_is_new_enough_is_taken(version, linker, place):
    path = programs(place, cargo="", rustc=RUSTC.format(version, HOST), **linker)
    done = run(["sh", "tests/toolchain"], cwd=checkout(place), env={"PATH": str(path)} | (LINKER if "cc" in linker else {}))
    assert (done.returncode, done.stderr) == (0, b""), done


@pytest.mark.parametrize("system, machine", [("Linux", "riscv64"), ("Linux", "armv7l"), ("Darwin", "arm64"), ("FreeBSD", "amd64")])
def test_a_machine_that_cannot_be_built_for_is_named_before_rust_is_asked_for(system, machine, place):
    path = programs(place, uname=f'[ "$1" = -m ] && echo {machine} || echo {system}', cargo="exit 1", rustc="exit 1")
    done = run(["sh", "tests/build", f"{machine}-unknown-linux-musl", "out"], cwd=checkout(place), env={"PATH": str(path)})
    said = f"build: error: this machine is {system} on {machine}, and hermes-init is built on Linux on x86_64 or aarch64 only\n"
    assert (done.returncode, done.stderr.decode()) == (1, said), done


@pytest.mark.parametrize("target", ["x86_64-unknown-linux-gnu", "armv7-unknown-linux-musleabihf", "aarch64"])
def test_a_target_that_is_none_is_answered_with_those_that_are(target, place):
    path = programs(place, cargo="", rust_lld="", rustc=RUSTC.format("1.95.0", HOST))
    done = run(["sh", "tests/build", target, "out"], cwd=checkout(place), env={"PATH": str(path)})
    assert done.returncode == 1 and done.stderr.decode().splitlines() == [
        f"build: error: unknown target {target}",
        "The targets are x86_64-unknown-linux-musl and aarch64-unknown-linux-musl.",
    ]


def test_a_compiler_of_32_bits_on_a_kernel_of_64_is_named(place):
    rustc = RUSTC.format("1.95.0", "armv7-unknown-linux-gnueabihf")
    path = programs(place, uname='[ "$1" = -m ] && echo aarch64 || echo Linux', cargo="", rustc=rustc)
    done = run(["sh", "tests/toolchain"], cwd=checkout(place), env={"PATH": str(path)})
    assert done.returncode == 1 and b"rustc is for armv7-unknown-linux-gnueabihf, and this machine is Linux on aarch64" in done.stderr, done


def test_two_builds_at_once_both_end_well(place):
    copy, sysroot = checkout(place), place / "sysroot"
    (sysroot / f"lib/rustlib/{TARGET}/lib").mkdir(parents=True)
    objcopy = sysroot / f"lib/rustlib/{HOST}/bin/rust-objcopy"
    objcopy.parent.mkdir(parents=True)
    # Both have copied the executable when the first one is done.
    objcopy.write_text(f'#!/bin/sh\ntouch "{place}/copied.$$"\nuntil [ -e {place}/go ]; do sleep 0.1; done\ncat "${{2#*=}}" >> "$3"\n')
    objcopy.chmod(0o755)
    built = copy / f"target/stock/{TARGET}/dist/hermes-init"
    built.parent.mkdir(parents=True)
    built.write_text("executable ")
    rustc = RUSTC.format("1.95.0", HOST).replace("/nonexistent", str(sysroot))
    path = programs(place, cargo="", rust_lld="", rustc=rustc, python3="echo crates")
    for name in ("mkdir", "dirname", "cp", "mv", "rm", "tail", "touch", "sleep", "cat"):
        if not (path / name).exists():
            (path / name).symlink_to(shutil.which(name))
    argv = ["sh", "tests/build", TARGET, "target/dist/hermes-init"]
    both = [subprocess.Popen(argv, cwd=copy, env={"PATH": str(path), "STOCK": "1"}, stderr=subprocess.PIPE) for _ in range(2)]
    wait_for(lambda: len(list(place.glob("copied.*"))) == 2, what="both copies")
    (place / "go").touch()
    said = [process.communicate(timeout=60)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert [(path.name, path.read_text()) for path in (copy / "target/dist").iterdir()] == [("hermes-init", "executable crates\n")]


@pytest.mark.parametrize("mirror", ["", "https://debian.example.org/debian/"])
def test_fresh_machines_are_made_where_apt_gets_another_distribution_too(mirror, place):
    copy = checkout(place)
    shutil.copy(ROOT / "tests/fresh", copy / "tests")
    path = programs(
        place,
        id="echo 0",
        rustc="echo /nonexistent",
        apt_config="",
        apt_get=f"printf %s '{mirror}'",
        mmdebstrap=f'for word; do echo "($word)"; done > {place}/said; exit 7',
    )
    for name in ("bash", "env", "grep"):
        (path / name).symlink_to(shutil.which(name))
    done = run(["tests/fresh", "trixie"], cwd=copy, env={"PATH": str(path)})
    assert done.returncode == 7, done
    words = (place / "said").read_text().splitlines()
    assert words[words.index("(trixie)") + 1 :] == [f"({copy}/target/fresh/trixie)", *([f"({mirror})"] if mirror else [])]


# What was built.


def test_the_executable_is_for_the_target_that_it_names():
    target = re.match(r"hermes-init \S+ \((\w+)-unknown-linux-", run([executable(), "--version"]).stdout.decode())[1]
    machine = int.from_bytes(executable().read_bytes()[18:20], "little")
    assert {62: "x86_64", 183: "aarch64"}[machine] == target


def commit(checkout):
    done = run([checkout / "tests/commit"], cwd="/", env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"})
    assert (done.returncode, done.stderr) == (0, b""), done
    return done.stdout.decode()


def test_a_build_knows_its_commit_and_whether_something_else_is_built(place):
    def git(*words):
        done = run(["git", "-c", "user.name=x", "-c", "user.email=x@example.org", "-C", place / "outer", *words])
        assert done.returncode == 0, done
        return done.stdout.decode()

    checkout = place / "outer"
    for name in ("src/main.rs", "Cargo.toml", "README.md", "inner/tests/commit", "tests/commit"):
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "tests/commit", checkout / name)
    assert commit(checkout) == "unknown\n"
    git("init", "-q")
    assert commit(checkout) == "unknown\n"
    git("add", ".")
    git("commit", "-q", "-m", "x")
    made = git("rev-parse", "HEAD")[:12]
    assert commit(checkout) == f"{made}\n"
    # Sources that were unpacked into somebody else's repository.
    assert commit(checkout / "inner") == "unknown\n"
    (checkout / "README.md").write_text("nothing that is built")
    assert commit(checkout) == f"{made}\n"
    (checkout / "src/new.rs").touch()
    assert commit(checkout) == f"{made}, modified\n"


# What is tested for another machine.


def test_what_is_not_emulated_is_listed_with_a_reason_and_exists():
    listed = [name for names in NOT_EMULATED.values() for name in names]
    assert len(listed) == len(set(listed)) and all(reason and names for reason, names in NOT_EMULATED.items())
    for name in listed:
        assert not_emulated(f"tests/{name}") and not not_emulated(f"tests/{name}_too"), name
    files = sorted({f"tests/{name.partition('::')[0]}" for name in listed})
    collect = ["-n", "0", "--collect-only", *files]
    done = run([ROOT / "tests/python", "-m", "pytest", "-c", "tests/pytest.ini", "--rootdir", ".", *collect], cwd=ROOT, timeout=120)
    collected = {line.removeprefix("tests/") for line in done.stdout.decode().splitlines() if "::" in line}
    # What a name stands for: itself, the tests of a file, or the parameters of a test.
    known = {name.partition(end)[0] for name in collected for end in ("::", "[", "\0")}
    assert set(listed) - known == set(), done


@pytest.mark.parametrize("uid, said", [(0, "apt-get install qemu-user-static"), (1000, "only root gets it emulated")])
def test_an_executable_that_cannot_be_executed_or_emulated_says_why(uid, said, place):
    path = programs(place, id=f"echo {uid}", **({"qemu-aarch64-static": ""} if uid else {}))
    done = run(["sh", ROOT / "tests/emulated", "aarch64-unknown-linux-musl", "/nonexistent", "true"], env={"PATH": str(path)})
    assert done.returncode == 1 and said in done.stderr.decode(), done


# What the tests lack.


def run_setup(place, *purpose, uid=1000, pytest_is_there=True, **scripts):
    copy = checkout(place)
    (copy / "tests/python").write_text(f"#!/bin/sh\nexit {0 if pytest_is_there else 1}\n")
    (copy / "tests/python").chmod(0o755)
    path = programs(place, id=f"echo {uid}", **({"python3": "exit 1"} | scripts))
    # Nothing but these programs is found.
    text = (copy / "tests/setup").read_text()
    assert text.count(":/usr/sbin:/sbin") == 1
    (copy / "tests/setup").write_text(text.replace(":/usr/sbin:/sbin", ""))
    return run(["sh", "tests/setup", *purpose], cwd=copy, env={"PATH": str(path)})


def test_a_user_is_told_what_is_missing_and_the_command_that_installs_it(place):
    done = run_setup(place)
    command = re.search(rb"what needs them is skipped; on Debian, root installs them: apt-get install (.*)\n", done.stdout)
    assert done.returncode == 0 and command, done
    assert {b"procps", b"s6", b"execline", b"podman", b"strace", b"mandoc"} <= set(command[1].split()), done


def test_a_program_that_the_shell_has_built_in_is_not_taken_for_one_on_path(place):
    there = dict.fromkeys(["unshare", "nsenter", "setpriv", "script", "cc", "readelf", "s6_svscan", "execlineb"], "")
    there |= dict.fromkeys(["strace", "mandoc", "podman", "crun", "conmon", "busybox", "zsh", "fish"], "")
    assert b"missing: procps;" in run_setup(place, **there).stdout
    shutil.rmtree(place / "checkout")
    assert run_setup(place, **there, kill="").stdout == b""


def test_root_without_a_network_gets_the_tests_that_can_run(place):
    done = run_setup(place, uid=0, apt_get="exit 100")
    assert done.returncode == 0 and b"what needs them is skipped; with a network: apt-get install " in done.stdout, done


@pytest.mark.parametrize("uid", [0, 1000])
def test_without_pytest_the_command_that_installs_it_is_named(uid, place):
    done = run_setup(place, uid=uid, pytest_is_there=False, apt_get="exit 100")
    assert done.returncode == 1 and done.stdout.endswith(b": apt-get install python3-pytest python3-pytest-xdist python3-yaml\n"), done
    assert b"python3-venv is missing" in done.stdout


# The demo.


def demo(place, **options):
    return run([ROOT / "tests/demo", executable()], cwd=place, env={"PATH": "/usr/bin:/bin"}, timeout=60, **options)


def plain(line):
    """A line without what differs from run to run."""
    line = re.sub(r"\d{4}-\d\d-\d\dT[\d:+]*", "TIME", line.strip())
    return re.sub(r" +", " ", re.sub(r"\b\d{2,7}\b|\b\d+s\b", "N", line))


@real_s6
@pytest.mark.parametrize("who", ["as it is", "an ordinary user"])
def test_the_demo_ends_with_a_gateway_that_died_and_came_back(who, place):
    done = demo(place, **(Own(place).user() if who != "as it is" else {}))
    said = done.stdout.decode()
    assert done.returncode == 0 and done.stderr == b"" and said.count("\n") <= 60, done
    pids = re.findall(r"^coder +gateway +up +(\d+) ", said, re.M)
    killed = re.search(r"^\$ kill -9 (\d+)$", said, re.M)[1]
    assert len(pids) == 3 and len(set(pids)) == 3 and pids[0] == killed
    assert re.search(r"^writer +gateway +down ", said.rpartition("# The container restarts")[2], re.M)
    assert "config.yaml: no model is set" in said and "broken: failed permanently (78: configuration)" in said
    lines = re.search(r"Some of its lines:\n\n((?: {4}.*\n)+)", README)[1].splitlines()
    assert 8 <= len(lines) <= 10
    printed = {plain(line) for line in said.splitlines()}
    assert [line for line in lines if plain(line) not in printed] == []


def test_without_s6_the_demo_shows_what_it_would_run(place):
    # Descriptors above 2 are inherited, as from many a shell; there is no fdclose.
    path = programs(place)
    for name in ("id", "mktemp", "chmod", "cat", "chown", "grep"):
        (path / name).symlink_to(shutil.which(name))
    script = (ROOT / "tests/demo").read_text().replace(":/usr/sbin:/sbin", "")
    (place / "demo").write_text(script)
    done = run(["sh", "-c", f"exec sh {place}/demo {executable()} 3</dev/null"], env={"PATH": str(path)})
    assert done.returncode == 0 and b"hermes -p coder gateway run --replace" in done.stdout, done
    assert b"apt-get install s6" in done.stdout and done.stdout.count(b"\n") <= 60


# A real s6, without being root.


@pytest.fixture
def own(place):
    with Own(place) as made:
        yield made


@real_s6
def test_a_boot_starts_what_ran_and_nothing_else(own):
    own.profile("coder", "running")
    own.profile("writer", "stopped")
    said = own.begin()
    assert "profile=coder prior_state=running action=started\n" in said and "profile=writer prior_state=stopped action=registered\n" in said
    own.up("coder")
    assert own.pid("writer") == -1
    assert own.init("health").returncode == 0
    assert re.search(rb"^writer +gateway +down ", own.init("status").stdout, re.M)


@real_s6
def test_a_gateway_that_is_killed_comes_back(own):
    own.profile("coder", "running")
    own.begin()
    first = own.up("coder")
    wait_for(lambda: b"started coder" in own.init("logs", "--raw", "coder").stdout, what="the first start in the log")
    os.kill(first, signal.SIGKILL)
    second = own.up("coder", other_than=first)
    wait_for(lambda: own.init("logs", "--raw", "coder").stdout.count(b"started coder") == 2, what="two starts in the log")
    assert f"{second} ".encode() in own.init("status", "coder").stdout


@real_s6
def test_a_gateway_runs_as_the_user_who_runs_s6(own):
    own.profile("coder", "running")
    own.begin()
    own.up("coder")
    line = f"started coder as {own.uid} in ".encode()
    wait_for(lambda: line in own.init("logs", "coder").stdout, what="the log")
    assert own.uid not in (0, None) and (own.uid == NOBODY or os.geteuid() != 0)


@real_s6
def test_a_wrong_configuration_is_the_reason_in_status_and_health(own):
    own.profile("broken", "running", what="78")
    own.begin()
    wait_for(lambda: b"broken: failed permanently (78: configuration)" in own.init("status").stdout, what="the reason")
    done = own.init("health")
    assert done.returncode == 1 and b"78: configuration" in done.stdout + done.stderr, done
    assert own.pid("broken") == -1


@real_s6
def test_a_stop_is_for_the_next_boot_too_and_a_start_as_well(own):
    own.profile("coder", "running")
    own.profile("writer", "stopped")
    own.begin()
    own.up("coder")
    assert own.init("stop", "coder").returncode == 0 and own.pid("coder") == -1
    assert own.init("start", "--wait=10", "writer").returncode == 0 and own.pid("writer") != -1
    states = {name: json.loads((own.home / f"profiles/{name}/gateway_state.json").read_text()) for name in ("coder", "writer")}
    assert states["coder"]["desired_state"] == "stopped" and states["writer"]["desired_state"] == "running"
    own.end()
    own.begin()
    own.up("writer")
    assert own.pid("coder") == -1


@real_s6
def test_a_restart_replaces_the_process(own):
    own.profile("coder", "running")
    own.begin()
    first = own.up("coder")
    assert own.init("restart", "--wait=10", "coder").returncode == 0
    assert own.up("coder") != first


@real_s6
def test_a_profile_that_is_new_is_registered_and_unregistered_while_s6_runs(own):
    own.begin()
    own.profile("new")
    done = own.init("register", "--owner", f"{own.uid}:{own.uid}", "new")
    assert done.returncode == 0, done
    own.up("new")
    assert own.init("unregister", "new").returncode == 0
    assert not (own.scandir / "gateway-new").exists()


@real_s6
def test_a_second_pass_changes_nothing_of_what_runs(own):
    own.profile("coder", "running")
    own.begin()
    first = own.up("coder")
    slot = (own.scandir / "gateway-coder/run").stat()
    assert own.init("reconcile", "--owner", f"{own.uid}:{own.uid}").returncode == 0
    assert own.pid("coder") == first
    again = (own.scandir / "gateway-coder/run").stat()
    assert (again.st_ino, again.st_mtime_ns) == (slot.st_ino, slot.st_mtime_ns)

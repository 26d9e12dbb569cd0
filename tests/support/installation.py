"""`make install` in a copy of the project, and what it lays down."""

import os
import platform
import re
import shutil
import stat
import subprocess
from pathlib import Path

from support.program import ROOT, executable, run

PAGE = ROOT / "src/hermes-init.8"
HOST = f"{platform.machine()}-unknown-linux-musl"
# The time of what is in an archive.
SECONDS = 1_234_567_890
DASHBOARD = "etc/s6-overlay/s6-rc.d/dashboard"


def project(place):
    """Creates a copy of what `make install` needs, with the executable under test. A build in it fails."""
    copy = place / "project"
    (copy / "tests").mkdir(parents=True)
    shutil.copytree(ROOT / "src", copy / "src")
    for name in ("Makefile", "LICENSE", "README.md", "Cargo.toml", "Cargo.lock", "tests/rustc", "tests/commit", "tests/sbom.py"):
        shutil.copy2(ROOT / name, copy / name)
    (copy / "tests/build").write_text("#!/bin/sh\necho there is nothing to build >&2\nexit 1\n")
    (copy / "tests/build").chmod(0o755)
    (copy / "target/dist").mkdir(parents=True)
    # A small build for this machine, of no commit, since the copy is no repository.
    (copy / f"target/dist/.kind-small-{HOST}-unknown").touch()
    # The newest file, so that make builds nothing.
    shutil.copyfile(executable(), copy / "target/dist/hermes-init")
    (copy / "target/dist/hermes-init").chmod(0o755)
    return copy


def shippable(place, targets):
    """Creates a copy of what `make dist` needs for these targets. Nothing has to be built: the executable under test stands for
    all, with the target's name after it if that is another machine's."""
    copy = project(place)
    for name in ("tests/dist", "tests/toolchain"):
        shutil.copy2(ROOT / name, copy / name)
    for target in targets:
        folder = copy / "target/dist" if target == HOST else copy / "target/dist" / target
        folder.mkdir(exist_ok=True)
        for old in folder.glob(".kind-*"):
            old.unlink()
        (folder / f".kind-small-{target}-{kind()}").touch()
        (folder / "hermes-init").write_bytes(shipped(target))
        (folder / "hermes-init").chmod(0o755)
    return copy


def shipped(target):
    """The executable of a target in such a copy."""
    return executable().read_bytes() + (b"" if target == HOST else target.encode())


def has_target(target):
    """Whether the compiler of this machine can build for a target."""
    done = run(["rustc", "--print", "target-libdir", "--target", target])
    return done.returncode == 0 and Path(done.stdout.decode().strip()).is_dir()


def commit():
    """The commit of the executable, as it says itself."""
    return re.search(r", commit (.*)\)$", run([executable(), "--version"]).stdout.decode())[1]


def kind():
    """What the Makefile calls an executable of that commit."""
    return {"unknown": "unknown", "modified": "modified"}.get(commit().split()[-1], "clean")


def shipping():
    """The environment in which nothing has to be built: what that commit is, and where the compiler and its crates are."""
    rust = {name: os.environ[name] for name in ("HOME", "CARGO_HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN") if name in os.environ}
    return {"BUILD_COMMIT": commit(), "SOURCE_DATE_EPOCH": str(SECONDS)} | rust


def start(copy, *words, umask=0o022, user=None, environment=None, **options):
    """Starts make. MAKEFLAGS and the like of a surrounding `make test` are not passed on."""
    return subprocess.Popen(
        ["make", "-C", copy, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": os.environ["PATH"]} | (environment or {}),
        umask=umask,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
        **options,
    )


def make(copy, *words, **options):
    with start(copy, *words, **options) as process:
        output = process.communicate(timeout=120)[0]
    assert process.returncode == 0, output
    return output


def laid_down(top, owner=None):
    """Returns the installed tree in the form of `wanted`, and checks the owner."""
    owner = os.geteuid() if owner is None else owner
    found = {}
    for path in [top, *top.rglob("*")]:
        meta = path.lstat()
        assert meta.st_uid == owner, path
        if path.is_symlink():
            what = ("link", 0o777, os.readlink(path))
        elif path.is_dir():
            what = ("directory", stat.S_IMODE(meta.st_mode), None)
        else:
            what = ("file" if path.is_file() else "other", stat.S_IMODE(meta.st_mode), path.read_bytes())
        found["/" + str(path.relative_to(top)).removeprefix(".")] = what
    return found

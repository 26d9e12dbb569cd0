"""`make install` in a copy of the project, and what it lays down."""

import os
import platform
import shutil
import stat
import subprocess

from support.program import ROOT, executable

PAGE = ROOT / "src/hermes-init.8"
DASHBOARD = "etc/s6-overlay/s6-rc.d/dashboard"


def project(place):
    """Creates a copy of what `make install` needs, with the executable under test. A build in it fails."""
    copy = place / "project"
    (copy / "tests").mkdir(parents=True)
    shutil.copytree(ROOT / "src", copy / "src")
    for name in ("Makefile", "LICENSE", "README.md", "Cargo.toml", "Cargo.lock", "tests/rustc", "tests/commit"):
        shutil.copy2(ROOT / name, copy / name)
    (copy / "tests/build").write_text("#!/bin/sh\necho there is nothing to build >&2\nexit 1\n")
    (copy / "tests/build").chmod(0o755)
    (copy / "target/dist").mkdir(parents=True)
    # A small build for this machine, of no commit, since the copy is no repository.
    (copy / f"target/dist/.kind-small-{platform.machine()}-unknown-linux-musl-unknown").touch()
    # The newest file, so that make builds nothing.
    shutil.copyfile(executable(), copy / "target/dist/hermes-init")
    (copy / "target/dist/hermes-init").chmod(0o755)
    return copy


def start(copy, *words, umask=0o022, user=None):
    """Starts make. MAKEFLAGS and the like of a surrounding `make test` are not passed on."""
    return subprocess.Popen(
        ["make", "-C", copy, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={"PATH": os.environ["PATH"]},
        umask=umask,
        user=user,
        group=user,
        extra_groups=None if user is None else [],
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

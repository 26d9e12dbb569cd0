"""What `make install` installs, and an image made with it that has s6 and execline but no shell."""

import os
import re
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support.file_tree import snapshot
from support.installation import DASHBOARD, PAGE, laid_down, make, project, start
from support.namespace import isolated
from support.program import HERMES, ROOT, executable, run, wait_for

NOBODY = 65534
TARGET = "x86_64-unknown-linux-musl"
COMPLETIONS = {
    "bash-completion/completions/hermes-init": "hermes-init.bash",
    "zsh/site-functions/_hermes-init": "hermes-init.zsh",
    "fish/vendor_completions.d/hermes-init.fish": "hermes-init.fish",
}
BUNDLES = ["/etc/s6-overlay/s6-rc.d", "/etc/s6-overlay/user-bundles.d", "/etc/other-bundles"]


def wanted(prefix="/usr", bundles=None):
    """Returns everything expected below DESTDIR: path to kind, mode and content."""
    binary = f"{prefix}/bin/hermes-init"
    files = {
        binary: ("file", 0o755, executable().read_bytes()),
        f"{prefix}/share/man/man8/hermes-init.8": ("file", 0o644, PAGE.read_bytes()),
        f"{prefix}/share/doc/hermes-init/LICENSE": ("file", 0o644, (ROOT / "LICENSE").read_bytes()),
        f"{prefix}/share/doc/hermes-init/NOTICES": ("file", 0o644, (ROOT / "src/NOTICES").read_bytes()),
        f"{prefix}/share/doc/hermes-init/README.md": ("file", 0o644, (ROOT / "README.md").read_bytes()),
        "/etc/cont-init.d/015-supervise-perms": ("link", 0o777, binary),
        "/etc/cont-init.d/02-reconcile-profiles": ("link", 0o777, binary),
        f"/{DASHBOARD}/type": ("file", 0o644, b"longrun\n"),
        f"/{DASHBOARD}/run": ("file", 0o755, f"#!{binary} dashboard-run\n".encode()),
        f"/{DASHBOARD}/finish": ("file", 0o755, f"#!{binary} dashboard-finish\n".encode()),
        f"/{DASHBOARD}/dependencies.d/base": ("file", 0o644, b""),
    }
    for place, name in COMPLETIONS.items():
        content = (ROOT / "src/cli/completions" / name).read_bytes()
        assert content.count(b"/usr/bin/hermes-init") == 1
        files[f"{prefix}/share/{place}"] = ("file", 0o644, content.replace(b"/usr/bin/hermes-init", binary.encode()))
    if bundles:
        files[f"{bundles}/user/contents.d/dashboard"] = ("file", 0o644, b"")
    folders = {str(folder): ("directory", 0o755, None) for path in files for folder in Path(path).parents}
    return folders | files


def test_install_lays_down_exactly_this_and_a_second_one_the_same(place):
    copy, top = project(place), place / "image"
    make(copy, "install", f"DESTDIR={top}")
    assert laid_down(top) == wanted()
    make(copy, "install", f"DESTDIR={top}")
    assert laid_down(top) == wanted()


def test_the_notices_name_each_crate_that_is_linked():
    tree = run(["cargo", "tree", "--locked", "--offline", "-e", "normal", "--prefix", "none", "--target", TARGET], cwd=ROOT)
    assert tree.returncode == 0, tree
    linked = {tuple(line.split()[:2]) for line in tree.stdout.decode().splitlines()}
    notices = (ROOT / "src/NOTICES").read_text()
    named = set(re.findall(r"^(\S+) (\d\S*): ", notices, re.M))
    assert named == {(name, version[1:]) for name, version in linked if name != "hermes-init"}
    assert "Permission is hereby granted, free of charge" in notices and "musl: MIT" in notices


def test_neither_umask_nor_blanks_nor_a_prefix_are_in_the_way(place):
    copy, top = project(place), place / "an image"
    make(copy, "-j4", "install", f"DESTDIR={top}", "PREFIX=/opt/hermes", umask=0o077)
    assert laid_down(top) == wanted("/opt/hermes")


@pytest.mark.parametrize("prefix", ["usr", "/opt/a b", "/opt/a|b", "/opt/a&b", "/opt/it's", '/opt/"a"', "/opt/$$a", "/opt/`a`"])
def test_a_prefix_that_no_script_can_name_is_refused(prefix, place):
    with start(project(place), "install", f"DESTDIR={place}/image", f"PREFIX={prefix}") as process:
        assert b"PREFIX must be an absolute path" in process.communicate(timeout=60)[0]
    assert process.returncode != 0 and not (place / "image").exists()


@pytest.mark.root
def test_an_unprivileged_user_can_install(place):
    copy, top = project(place), place / "image"
    top.mkdir()
    os.chown(top, NOBODY, NOBODY)
    before = snapshot(copy)
    make(copy, "install", f"DESTDIR={top}", user=NOBODY)
    assert laid_down(top, NOBODY) == wanted() and snapshot(copy) == before


def test_installs_at_the_same_time_do_no_harm(place):
    copy, top = project(place), place / "image"
    make(copy, "install", f"DESTDIR={top}")
    whole = executable().stat().st_size
    for _ in range(3):
        running = [start(copy, "install", f"DESTDIR={top}") for _ in range(4)]
        while any(process.poll() is None for process in running):
            # The installed files are complete at any moment.
            assert (top / "usr/bin/hermes-init").stat().st_size == whole
            assert (top / "etc/cont-init.d/015-supervise-perms").is_symlink()
            assert (top / DASHBOARD / "run").read_bytes() == b"#!/usr/bin/hermes-init dashboard-run\n"
        for process in running:
            output = process.communicate(timeout=120)[0]
            assert process.returncode == 0, output
    assert laid_down(top) == wanted()


def test_installs_into_an_empty_place_at_the_same_time(place):
    copy, top = project(place), place / "image"
    running = [start(copy, "install", f"DESTDIR={top}") for _ in range(4)]
    for process in running:
        output = process.communicate(timeout=120)[0]
        assert process.returncode == 0, output
    assert laid_down(top) == wanted()


def test_install_takes_the_place_of_the_scripts_that_were_there(place):
    copy, top = project(place), place / "image"
    (top / "etc/cont-init.d").mkdir(parents=True)
    (top / "usr").mkdir()
    for script in ("015-supervise-perms", "02-reconcile-profiles"):
        (top / "etc/cont-init.d" / script).write_text("#!/bin/sh\n")
    make(copy, "install", f"DESTDIR={top}")
    assert laid_down(top) == wanted()


def test_what_fails_half_way_leaves_no_half_of_a_file(place):
    copy, top = project(place), place / "image"
    # A directory in place of the executable.
    (top / "usr/bin/hermes-init").mkdir(parents=True)
    with start(copy, "install", f"DESTDIR={top}") as process:
        process.communicate(timeout=60)
    assert process.returncode != 0 and sorted(path.name for path in (top / "usr/bin").iterdir()) == ["hermes-init"]
    assert list((top / "usr/bin/hermes-init").iterdir()) == []


def test_uninstall_takes_all_of_it_away_and_nothing_else(place):
    copy, top = project(place), place / "image"
    make(copy, "install", f"DESTDIR={top}")
    foreign = [
        "/usr/bin/hermes",
        "/etc/cont-init.d/01-hermes-setup",
        "/etc/s6-overlay/s6-rc.d/main-hermes/run",
        "/etc/s6-overlay/s6-rc.d/user/contents.d/main-hermes",
        "/usr/share/man/man8/other.8",
    ]
    for path in foreign:
        Path(f"{top}{path}").parent.mkdir(parents=True, exist_ok=True)
        Path(f"{top}{path}").touch()
    for _ in range(2):
        make(copy, "uninstall", f"DESTDIR={top}")
        left = sorted(path for path, (kind, *_) in laid_down(top).items() if kind != "directory")
        assert left == sorted(foreign)
        folders = {path for path, (kind, *_) in laid_down(top).items() if kind == "directory"}
        assert folders == {str(folder) for path in foreign for folder in Path(path).parents}


@pytest.mark.parametrize("bundles", BUNDLES)
def test_the_dashboard_is_added_to_the_bundle_that_is_named(bundles, place):
    copy, top = project(place), place / "image"
    (top / bundles[1:]).parent.mkdir(parents=True)
    make(copy, "install", f"DESTDIR={top}", f"BUNDLES={bundles}")
    assert laid_down(top) == wanted(bundles=bundles)
    make(copy, "uninstall", f"DESTDIR={top}", f"BUNDLES={bundles}")
    assert list(top.iterdir()) == []


def test_uninstall_takes_the_dashboard_out_of_the_images_bundles(place):
    """With the line of README.md's Dockerfile it was put there without make."""
    copy, top = project(place), place / "image"
    for bundles in BUNDLES[:2]:
        (top / bundles[1:] / "user/contents.d").mkdir(parents=True)
        (top / bundles[1:] / "user/contents.d/dashboard").touch()
        (top / bundles[1:] / "user/type").write_text("bundle\n")
    make(copy, "uninstall", f"DESTDIR={top}")
    assert {path for path, (kind, *_) in laid_down(top).items() if kind == "file"} == {f"{bundles}/user/type" for bundles in BUNDLES[:2]}


def test_bundles_that_are_no_path_are_refused(place):
    with start(project(place), "install", f"DESTDIR={place}/image", "BUNDLES=yes") as process:
        assert b"BUNDLES" in process.communicate(timeout=60)[0]
    assert process.returncode != 0 and not (place / "image").exists()


def test_uninstall_leaves_what_somebody_added_to_the_service(place):
    copy, top = project(place), place / "image"
    make(copy, "install", f"DESTDIR={top}")
    (top / DASHBOARD / "timeout-finish").write_text("1000\n")
    make(copy, "uninstall", f"DESTDIR={top}")
    assert [path.name for path in (top / DASHBOARD).iterdir()] == ["timeout-finish"]


# A gateway for an image that cannot run scripts.
STAND_IN = r"""
#include <stdio.h>
#include <unistd.h>
int main(int argc, char **argv) {
    char directory[4096];
    printf("started");
    for (int word = 1; word < argc; word++) printf(" %s", argv[word]);
    printf(" as %d:%d in %s\n", (int)getuid(), (int)getgid(), getcwd(directory, sizeof directory));
    fflush(stdout);
    for (;;) pause();
}
"""
SHELLS = re.compile(r"(r?ba|da|a|k|mk|pdk|lk|z|c|tc|fi|po|ye|nu|el|o|w)?sh|busybox|toybox|sbase-box|python.*|perl.*|rc|es|env")
PATH = "/opt/hermes/bin:/usr/bin:/usr/lib/execline/bin"


class Image:
    """A root file system made with `make install`, s6 and execline, in a PID and mount namespace."""

    def __init__(self, place, steps_first):
        self.place = place
        self.root = place / "root"
        self.steps_first = steps_first
        self.unshare = self.pid = None

    def add(self, program):
        """Copies a program and its libraries to the same paths as on this machine."""
        for path in [str(program), *re.findall(r"(?:=> )?(/\S+) \(0x", run(["ldd", program]).stdout.decode())]:
            target = self.root / path.lstrip("/")
            if not target.exists():
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(path, target)

    def build(self):
        make(project(self.place), "install", f"DESTDIR={self.root}")
        for name in ("dev", "proc", "run", "tmp", "opt/data", "opt/hermes/bin"):
            (self.root / name).mkdir(parents=True, exist_ok=True)
        (self.root / "dev/null").touch()
        (self.root / "etc/passwd").write_text("root:x:0:0:root:/root:\nhermes:x:10000:10000:Hermes:/opt/data:\n")
        (self.root / "etc/group").write_text("root:x:0:\nhermes:x:10000:\n")
        s6 = Path(shutil.which("s6-svscan")).parent
        # Debian's /usr/bin/execlineb is a /bin/sh script that executes the real one.
        execline = Path("/usr/lib/execline/bin")
        execline = execline if execline.is_dir() else Path(shutil.which("execlineb")).parent
        tools = ("execlineb", "if", "foreground", "background", "importas", "redirfd", "exit")
        for program in [*s6.glob("s6-*"), *(execline / name for name in tools)]:
            with open(program, "rb") as file:
                if file.read(4) == b"\x7fELF":
                    self.add(program)
        source, hermes = self.place / "hermes.c", self.root / "opt/hermes/bin/hermes"
        source.write_text(STAND_IN)
        done = run(["cc", "-static", "-O1", "-o", hermes, source], timeout=120)
        assert done.returncode == 0, done
        # Process 1, which runs the boot steps first: `if` continues only after exit code 0.
        (self.root / "init").write_text(
            f"#!{execline}/execlineb -P\nif {{ /etc/cont-init.d/015-supervise-perms }}\n"
            "if { /etc/cont-init.d/02-reconcile-profiles }\ns6-svscan /run/service\n"
        )
        (self.root / "init").chmod(0o755)
        for profile, state in (("coder", "running"), ("writer", "stopped")):
            folder = self.root / "opt/data/profiles" / profile
            folder.mkdir(parents=True)
            (folder / "SOUL.md").touch()
            (folder / "gateway_state.json").write_text(f'{{"gateway_state": "{state}"}}')
        for path in [self.root / "opt/data", *(self.root / "opt/data").rglob("*")]:
            os.chown(path, HERMES, HERMES)

    def __enter__(self):
        try:
            self.build()
            self.enter()
        except BaseException:
            self.__exit__()
            raise
        return self

    def enter(self):
        first = "/init" if self.steps_first else f"{shutil.which('s6-svscan')} /run/service"
        # This machine's shell makes the mounts, as a container runtime does; after the chroot there is no shell.
        script = f"""set -e
cd '{self.root}'
mount -t tmpfs -o mode=0755 tmpfs run
mount -t proc proc proc
mount --bind /dev/null dev/null
mkdir -p run/service run/s6/container_environment run/s6-rc/servicedirs
printf %s '{PATH}' > run/s6/container_environment/PATH
cp -R {DASHBOARD} run/s6-rc/servicedirs/dashboard
touch run/s6-rc/servicedirs/dashboard/down
ln -s /run/s6-rc/servicedirs/dashboard run/service/dashboard
exec env -i PATH={PATH}:/usr/sbin:/sbin chroot . {first}
"""
        with open(self.place / "log", "wb") as log:
            self.unshare = subprocess.Popen(
                isolated("sh", "-c", script),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        children = Path(f"/proc/{self.unshare.pid}/task/{self.unshare.pid}/children")

        def child():
            assert self.unshare.poll() is None, self.log()
            return children.read_text().split()

        self.pid = int(wait_for(child, 30, "the namespace")[0])
        wait_for(lambda: child() and self.path("/run/service/.s6-svscan/control").exists(), 30, "s6-svscan")

    def __exit__(self, *_):
        # When process 1 ends, so do all processes of the namespace, and then the mounts.
        if self.unshare is not None:
            if self.unshare.poll() is None:
                self.unshare.send_signal(signal.SIGKILL)
            self.unshare.wait(timeout=20)
            wait_for(lambda: not (self.pid and Path(f"/proc/{self.pid}/exe").is_symlink() and self.path("/").exists()), 20, "the end")

    def log(self):
        return (self.place / "log").read_bytes().decode()

    def path(self, inside):
        """Returns a path in the image as seen from outside. It must not contain an absolute symlink."""
        return Path(f"/proc/{self.pid}/root{inside}")

    def run(self, *argv, uid=0):
        """Runs a program of the image. Its environment is PATH."""
        drop = ["/usr/bin/s6-applyuidgid", "-u", uid, "-g", uid, "-G", ""] if uid else []
        return run(["nsenter", "-t", self.pid, "-m", "-p", "-r", "-w", "--", *drop, *argv], env={"PATH": PATH})

    def up(self, service, uid=0):
        done = self.run("/usr/bin/s6-svstat", "-o", "up", f"/run/service/{service}", uid=uid)
        return {b"true\n": "up", b"false\n": "down"}.get(done.stdout, done.stderr)

    def programs(self):
        """Returns the names of all processes in it."""
        found = set()
        for entry in self.path("/proc").iterdir():
            try:
                if entry.name.isdigit():
                    found.add((entry / "comm").read_text().strip())
            except OSError:
                pass
        return found


@pytest.mark.s6
@pytest.mark.parametrize("steps_first", [False, True], ids=["s6_svscan_runs_already", "steps_first"])
def test_an_image_without_a_shell_boots(steps_first, place):
    with Image(place, steps_first) as image:
        names = [name for _, _, files in os.walk(image.root) for name in files]
        assert "execlineb" in names and [name for name in names if SHELLS.fullmatch(name)] == []
        assert image.run("/bin/sh", "-c", ":").returncode == 127
        if steps_first:
            said = image.log()
            assert "service=dashboard action=skipped" in said
        else:
            # As in s6-overlay, the service is supervised already, for root only.
            wait_for(lambda: image.up("dashboard") == "down", 30, "the dashboard's supervisor")
            assert b"Permission denied" in image.up("dashboard", uid=HERMES)
            said = ""
            for step in ("015-supervise-perms", "02-reconcile-profiles"):
                done = image.run(f"/etc/cont-init.d/{step}")
                assert done.returncode == 0 and done.stderr == b"", done
                said += done.stdout.decode()
            assert "service=dashboard action=done" in said
            assert image.run("/usr/bin/s6-svscanctl", "-a", "/run/service").returncode == 0
        for line in (
            "reconcile: profile=default prior_state=None action=registered\n",
            "reconcile: profile=coder prior_state=running action=started\n",
            "reconcile: profile=writer prior_state=stopped action=registered\n",
        ):
            assert line in said

        # The running gateway is up as the hermes user and its output is logged; the stopped one is down.
        current = image.path("/opt/data/logs/gateways/coder/current")
        line = "started -p coder gateway run --replace as 10000:10000 in /opt/data\n"
        wait_for(lambda: current.exists() and line in current.read_text(), 30, "the gateway's line in its log")
        assert (current.stat().st_uid, current.stat().st_gid) == (HERMES, HERMES)
        assert line in image.log()
        wait_for(lambda: image.up("gateway-coder", uid=HERMES) == "up", 30, "the supervisor's own view of it")
        wait_for(lambda: image.up("gateway-writer", uid=HERMES) == "down", 30, "the supervisor of the stopped gateway")
        assert "profile=coder" in image.path("/opt/data/logs/container-boot.log").read_text()

        # s6-rc starts the dashboard, which is disabled: it goes down and is not restarted.
        tally = image.path("/run/s6-rc/servicedirs/dashboard/supervise/death_tally")
        wait_for(lambda: image.up("dashboard", uid=0 if steps_first else HERMES) == "down", 30, "the dashboard's supervisor")
        assert image.run("/usr/bin/s6-svc", "-u", "/run/service/dashboard", uid=0 if steps_first else HERMES).returncode == 0
        wait_for(lambda: tally.exists() and tally.stat().st_size > 0, 30, "the dashboard's end")
        wait_for(lambda: image.up("dashboard") == "down", 30, "the dashboard down")
        size = tally.stat().st_size
        end = time.monotonic() + 3.2
        while time.monotonic() < end:
            assert image.up("dashboard") == "down" and tally.stat().st_size == size
            time.sleep(0.1)

        assert image.programs() == {"s6-svscan", "s6-supervise", "s6-log", "hermes"}
        done = image.run("/usr/bin/hermes-init", "stop", "--wait", "coder", uid=HERMES)
        assert done.returncode == 0 and image.up("gateway-coder", uid=HERMES) == "down", done

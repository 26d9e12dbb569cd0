"""Root that lacks capabilities, as a hardened container has it, or that a file server takes for nobody: either everything works, or the
pass says what does not and exits 1."""

import itertools
import os
import subprocess

import pytest

from support.program import HERMES, wait_for
from support.svscan import is_read
from support.testbed import Bed, static_service

pytestmark = [pytest.mark.root, pytest.mark.s6]
CAPABILITIES = ["chown", "setuid", "setgid", "dac_override", "fowner", "fsetid", "kill"]
SETS = [chosen for size in range(len(CAPABILITIES) + 1) for chosen in itertools.combinations(CAPABILITIES, size)]
PROGRAM = "/run/bed/bin/hermes-init"


def limited(capabilities):
    bounds = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    return ["setpriv", f"--bounding-set={bounds}", "--inh-caps=-all", "timeout", "120"]


class Boot:
    """A container's root with these capabilities: s6-svscan in a scan directory of its own, and the pass."""

    def __init__(self, bed, scandir, capabilities, *options):
        self.bed, self.scandir, self.root = bed, scandir, limited(capabilities)
        bed.path(scandir).mkdir(mode=0o755)
        self.svscan = subprocess.Popen(
            bed.command([*self.root, "s6-svscan", scandir]),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": "/run/bed/bin:/usr/bin:/bin"},
            cwd="/",
        )
        wait_for(lambda: is_read(bed.path(scandir) / ".s6-svscan/control"), what="s6-svscan")
        self.done = self.run("reconcile", *options)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.bed.run(["s6-svscanctl", "-t", self.scandir])
        # A child of the stand-in may keep the logger's pipe open; what is left ends with the namespace.
        self.svscan.kill()
        self.svscan.wait(timeout=10)

    def run(self, *words, uid=0):
        words = [PROGRAM, *words, "--scandir", self.scandir]
        return self.bed.run([*self.root, *words] if uid == 0 else words, uid)

    def works(self):
        """Checks that the gateway comes up as the hermes user and obeys root and him, and that the boot is logged."""
        bed, service = self.bed, f"{self.scandir}/gateway-coder"
        bed.run([*self.root, "s6-svscanctl", "-a", self.scandir])
        wait_for(lambda: bed.svstat(service) == "up" and bed.svstat(f"{service}/log") == "up", what="the gateway")
        for uid in (HERMES, 0):
            for command, state in (("stop", "down"), ("start", "up")):
                done = self.run(command, "--wait=10", "coder", uid=uid)
                assert done.returncode == 0 and done.stderr == b"" and bed.svstat(service) == state, (uid, done)
        assert os.stat(f"/proc/{bed.pid}/root/proc/{bed.pid_of(service)}").st_uid == HERMES
        again = self.run("reconcile")
        assert again.returncode == 0 and again.stderr == b"", again
        log = bed.path("/opt/data/logs/container-boot.log")
        assert b" profile=coder prior_state=running action=started " in log.read_bytes()
        assert log.stat().st_uid == HERMES and bed.path("/opt/data/logs/gateways/coder/current").exists()


@pytest.mark.parametrize("volume", [0o700, 0o755])
@pytest.mark.parametrize("sealed", [True, False])
def test_with_any_capabilities_everything_works_or_the_pass_says_what_does_not(sealed, volume):
    good = []
    with Bed(svscan=False, environment={"HERMES_INIT_SEALED": str(int(sealed))}) as bed:
        for number, capabilities in enumerate(SETS):
            bed.profile("coder", "running").chmod(volume)
            bed.path("/opt/data").chmod(volume)
            bed.run(["rm", "-rf", "/opt/data/logs"])
            with Boot(bed, f"/run/scan{number}", capabilities) as boot:
                if boot.done.returncode == 0:
                    assert boot.done.stderr == b"", (capabilities, boot.done)
                    boot.works()
                    good.append(capabilities)
                else:
                    assert boot.done.returncode in (1, 111) and b"apabilit" in boot.done.stderr, (capabilities, boot.done)
    needed = {"chown", "setuid", "setgid", "kill"} | (set() if sealed else {"dac_override"})
    assert good == [chosen for chosen in SETS if needed <= set(chosen)]


FOUR = ("chown", "setuid", "setgid", "kill")
KEPT = b"root lacks the capability DAC_OVERRIDE: it could not use what belongs to the hermes user"


def is_roots(path):
    """Returns whether a tree is root's, whatever its group is."""
    return {found.lstat().st_uid for found in [path, *path.rglob("*")]} == {0}


@pytest.fixture
def hardened():
    """A container whose root has four capabilities, with a static service of the image's, supervised and down."""
    with Bed(svscan=False) as bed:
        bed.profile("coder", "running")
        for name in ("main", "dashboard"):
            # It puts a link into /run/service, where no s6-svscan runs.
            static_service(bed, name)
            bed.path(f"/run/servicedirs/{name}/down").touch()
        with Boot(bed, "/run/scan", FOUR, "--dry-run") as boot:
            for name in ("main", "dashboard"):
                bed.path(f"/run/scan/{name}").symlink_to(f"/run/servicedirs/{name}")
            bed.run([*boot.root, "s6-svscanctl", "-a", "/run/scan"])
            wait_for(lambda: all(bed.svstat(f"/run/servicedirs/{name}") == "down" for name in ("main", "dashboard")), what="down")
            yield boot


def starts_as_s6_rc_does(boot, name):
    """Root of the container starts a static service."""
    bed, service = boot.bed, f"/run/servicedirs/{name}"
    done = bed.run([*boot.root, "s6-svc", "-u", service])
    assert done.returncode == 0, done
    wait_for(lambda: bed.svstat(service) == "up", what=name)


@pytest.mark.parametrize("options", [[], ["--delegated"]], ids=["default", "option"])
def test_what_root_could_not_use_then_is_not_given_away(hardened, options):
    boot, bed = hardened, hardened.bed
    done = bed.run([*boot.root, PROGRAM, "fix-perms", *options, "/run/servicedirs"])
    assert done.returncode == 1 and KEPT in done.stderr, done
    assert is_roots(bed.path("/run/servicedirs"))
    for name in ("main", "dashboard"):
        starts_as_s6_rc_does(boot, name)
    bed.run(["mkdir", "/run/other"])
    done = bed.run([*boot.root, PROGRAM, "seed", *options, "/run/other"])
    assert done.returncode == 1 and KEPT in done.stderr and is_roots(bed.path("/run/other")), done
    done = boot.run("reconcile", *options)
    assert done.returncode == 1 and KEPT in done.stderr and b"profile=coder prior_state=running action=started" in done.stdout, done
    assert is_roots(bed.path(boot.scandir))
    # What is made later, by whoever is root.
    bed.path(f"{boot.scandir}/late").symlink_to("/run/servicedirs/main")
    assert bed.run([*boot.root, "s6-svscanctl", "-a", boot.scandir]).returncode == 0
    service = f"{boot.scandir}/gateway-coder"
    wait_for(lambda: bed.svstat(service) == "up", what="the gateway")
    assert os.stat(f"/proc/{bed.pid}/root/proc/{bed.pid_of(service)}").st_uid == HERMES
    for uid in (HERMES, 0):
        for command in ("stop", "start"):
            assert boot.run(command, "--wait=10", "coder", uid=uid).returncode == 0


def test_the_remedy_works_with_the_same_capabilities(hardened):
    boot, bed = hardened, hardened.bed
    assert b"; add the capability, or use --sealed\n" in boot.run("reconcile").stderr
    done = bed.run([*boot.root, PROGRAM, "fix-perms", "--sealed", "/run/servicedirs"])
    assert done.returncode == 0 and done.stderr == b"", done
    done = boot.run("reconcile", "--sealed")
    assert done.returncode == 0 and done.stderr == b"", done
    for name in ("main", "dashboard"):
        starts_as_s6_rc_does(boot, name)
    bed.path("/run/s6/container_environment/HERMES_INIT_SEALED").write_text("1")
    boot.works()


def test_the_other_remedy_works_too():
    with Bed(svscan=False) as bed:
        bed.profile("coder", "running")
        with Boot(bed, "/run/scan", (*FOUR, "dac_override")) as boot:
            assert boot.done.returncode == 0 and boot.done.stderr == b""
            assert bed.path("/run/scan").stat().st_uid == HERMES


def test_capabilities_that_capget_does_not_tell_are_in_proc():
    """Some seccomp filters refuse capget(2). If nothing tells what root has, nothing is given away."""
    with Bed() as bed:
        bed.profile("coder", "running")
        tracer = ["strace", "-f", "-o", "/dev/null", "-e", "inject=capget:error=EPERM"]
        done = bed.run([*tracer, PROGRAM, "reconcile", "--dry-run"])
        assert done.returncode == 0 and done.stderr == b"", done
        done = bed.run([*tracer, PROGRAM, "reconcile"])
        assert done.returncode == 0 and done.stderr == b"" and bed.path("/run/service").stat().st_uid == HERMES, done

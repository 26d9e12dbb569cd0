"""Root that lacks capabilities, as a hardened container has it, or that a file server takes for nobody: either everything works, or the
pass says what does not and exits 1."""

import itertools
import os
import subprocess

import pytest

from support.program import HERMES, wait_for
from support.svscan import is_read
from support.testbed import Bed

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

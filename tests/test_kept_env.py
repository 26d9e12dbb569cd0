"""The variables of `register --env`: they are kept on the volume, beside the profile's state, and come back with the slot."""

import os

import pytest

from support.program import HERMES, wait_for
from support.svscan import Svscan

pytestmark = [pytest.mark.root, pytest.mark.s6]
FILE = "/opt/data/profiles/new/.hermes-init-env"
OPTIONS = ["--env", "A=1", "--env", "B=two\nlines =", "--env", "C="]
KEPT = b"A=1\0B=two\nlines =\0C=\0"


def env(bed, scandir="/run/service"):
    """Returns the variables of the slot, as the gateway gets them."""
    return {path.name: path.read_bytes() for path in (bed.path(scandir) / "gateway-new/env").glob("*")}


def boot(bed, *options, code=0):
    """The next boot's pass, in an empty scan directory."""
    bed.run(["rm", "-rf", "/run/again"])
    svscan = Svscan(bed.path("/run/again"))
    done = bed.init("reconcile", "--scandir", "/run/again", *options, code=code)
    svscan.stop()
    return done


@pytest.mark.parametrize("uid, mode", [(HERMES, []), (0, []), (0, ["--sealed"])])
def test_variables_come_back_with_the_slot(live, uid, mode):
    live.profile("new", "running")
    live.init("register", *OPTIONS, *mode, "new", uid=uid)
    file = live.path(FILE)
    assert file.read_bytes() == KEPT
    assert (file.stat().st_uid, file.stat().st_gid, file.stat().st_mode & 0o7777) == (HERMES, HERMES, 0o600)
    made = env(live)
    assert made == {"A": b"1\n", "B": b"two\nlines =\n", "C": b"\n"}
    boot(live, *mode)
    assert env(live, "/run/again") == made
    slot = live.path("/run/again/gateway-new/env")
    assert (
        slot.stat().st_uid == (0 if mode else HERMES)
        and (slot / "A").stat().st_mode == (live.path(live.slot("new")) / "env/A").stat().st_mode
    )
    # The slot alone is lost, and made again by a start or a registration.
    for command in ("register", "start"):
        live.run(["cp", "-p", FILE, "/run/kept"])
        live.init("unregister", *mode, "new", uid=uid)
        assert not file.exists()
        live.run(["cp", "-p", "/run/kept", FILE])
        live.init(command, *mode, "new", uid=uid)
        assert env(live) == made
    live.init("unregister", *mode, "new", uid=uid)
    assert not file.exists()
    boot(live, *mode)
    assert env(live, "/run/again") == {}


def test_new_variables_replace_the_kept_ones_and_the_gateway_gets_them(live):
    live.profile("new")
    live.init("register", *OPTIONS, "--down", "new", uid=HERMES)
    live.init("unregister", "new", uid=HERMES)
    live.init("register", "--env", "A=3", "--down", "new", uid=HERMES)
    assert live.path(FILE).read_bytes() == b"A=3\0" and env(live) == {"A": b"3\n"}
    live.init("start", "--wait", "new", uid=HERMES)
    assert live.record("new")[2][b"A"] == b"3"


SECRET = "A=secret"
HOSTILE = {
    "symlink": "ln -s /run/secret {file}",
    "hard-link": "cp /run/secret {home}/.x; ln {home}/.x {file}; chown 10000:10000 {file}",
    "roots": "cp /run/secret {file}",
    "fifo": "mkfifo {file}; chown 10000:10000 {file}",
    "directory": "mkdir {file}; chown 10000:10000 {file}",
    "large": "head -c 65537 /dev/zero > {file}; chown 10000:10000 {file}",
    "many": "for i in $(seq 257); do printf 'V%d=\\0' $i; done > {file}; chown 10000:10000 {file}",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_what_is_no_file_of_the_hermes_users_gives_no_variables(live, what):
    live.profile("new", "running")
    live.run(["sh", "-ec", f"umask 077; printf '{SECRET}\\0' > /run/secret; " + HOSTILE[what].format(file=FILE, home="/opt/data/profiles")])
    done = boot(live, code=1)
    assert done.stderr.count(b"\n") == 1 and b"unable to use profiles/new/.hermes-init-env: " in done.stderr, done
    assert b'profile=new prior_state=running action=started reason="unable to use profiles/new/.hermes-init-env: ' in done.stdout
    assert live.path("/run/again/gateway-new").is_dir() and env(live, "/run/again") == {}
    # A start, too, makes the slot all the same.
    done = live.init("start", "new")
    assert done.stderr.count(b"\n") == 1 and b"unable to use profiles/new/.hermes-init-env: " in done.stderr and env(live) == {}
    assert boot(live, "--explain").stdout.count(b"  but: unable to use profiles/new/.hermes-init-env: ") == 1


def test_what_is_no_variable_is_passed_over_and_the_last_one_of_a_key_counts(live):
    live.profile("new", "running")
    live.path(FILE).write_bytes(b"A=0\0A=1\0\0=x\0../B=2\0.C=3\0D\0E=4=5\0F=6")
    os.chown(live.path(FILE), HERMES, HERMES)
    assert boot(live).stderr == b""
    assert env(live, "/run/again") == {"A": b"1\n", "E": b"4=5\n", "F": b"6\n"}


def test_more_than_can_be_kept_is_an_error(live):
    live.profile("new", "running")
    for options in (["--env", f"A={'x' * 65_536}"], [word for number in range(257) for word in ("--env", f"V{number}=")]):
        done = live.init("register", *options, "new", uid=HERMES, code=1)
        assert b"unable to store the variables in profiles/new/.hermes-init-env: File too large" in done.stderr
        assert env(live) and not live.path(FILE).exists()
        live.init("unregister", "new", uid=HERMES)
    # As much as can be kept comes back.
    most = [word for number in range(256) for word in ("--env", f"V{number}={'x' * 240}")]
    live.init("register", *most, "new", uid=HERMES)
    made = env(live)
    assert boot(live).stderr == b"" and env(live, "/run/again") == made and len(made) == 256


def test_a_slot_that_is_there_keeps_its_own(live):
    live.profile("new", "running")
    live.init("register", "--env", "A=1", "new", uid=HERMES)
    live.path(FILE).write_bytes(b"A=2\0")
    assert live.init("reconcile").stderr == b"" and env(live) == {"A": b"1\n"}


def test_variables_that_cannot_be_kept_are_an_error(live):
    live.profile("new", "running")
    live.run(["chown", "0:0", "/opt/data/profiles/new"])
    done = live.init("register", "--env", "A=1", "new", uid=HERMES, code=1)
    assert b"unable to store the variables in profiles/new/.hermes-init-env: Permission denied" in done.stderr
    assert env(live) == {"A": b"1\n"}
    wait_for(lambda: live.svstat(live.slot("new")) == "up", what="the gateway")
    # Nor forgotten.
    live.run(["chmod", "700", "/opt/data/profiles/new"])
    done = live.init("unregister", "new", uid=HERMES, code=1)
    assert b"unable to use the profile profiles/new: Permission denied (" in done.stderr and not live.path(live.slot("new")).exists()
    # Nor is it registered without anybody knowing whether it is a profile.
    done = live.init("register", "--env", "A=1", "new", uid=HERMES, code=111)
    assert b"unable to use the profile profiles/new: Permission denied (" in done.stderr and not live.path(live.slot("new")).exists()
    # Nothing half made is left.
    assert sorted(os.listdir(live.path("/opt/data/profiles/new"))) == ["SOUL.md", "gateway_state.json"]


@pytest.mark.strace
def test_variables_are_kept_before_the_slot_is_there(live):
    """A command that is killed between the two leaves no slot whose variables the next boot does not know."""
    live.profile("new", "running")
    trace = ["strace", "-f", "-o", "/run/trace", "-e", "trace=renameat,renameat2"]
    assert live.run([*trace, "/run/bed/bin/hermes-init", "register", "--env", "A=1", "new"]).returncode == 0
    renamed = live.path("/run/trace").read_text()
    assert 0 < renamed.index('".hermes-init-env"') < renamed.index('"gateway-new"')


def test_a_registration_that_fails_keeps_nothing(live):
    live.profile("new", "running")
    live.run(["chmod", "000", "/run/service/.s6-svscan/control"])
    live.run(["chown", "0:0", "/run/service/.s6-svscan/control"])
    live.init("register", "--env", "A=1", "new", uid=HERMES, code=1)
    assert not live.path(live.slot("new")).exists() and not live.path(FILE).exists()

"""Exit codes where more than one thing decides: several names of which two fail differently, slots without a profile, a request that
is not kept, a log that appears while it is followed."""

import json
import os
import signal
import subprocess

import pytest

from support.program import APART, HERMES, executable, run, wait_for

# What is printed; `{}` are the parts that differ.
NO_SUCH = "warning: no such gateway {}: no profile of that name in /opt/data/profiles\n"
BROKEN = "warning: unable to read supervise/status: not a regular file\n"
GONE = "warning: unable to find the profile {}: it is not on the volume, so the next boot starts nothing\n"
NOT_KEPT = "warning: unable to record the desired state of {}: the next boot may not know that it should be {}\n"
NO_STATE = "warning: unable to use profiles/{}/gateway_state.json: not a regular file\n"
NO_LOG = "logs: warning: {} has no log yet: its gateway has not been started\n"
NO_FILE = "logs: warning: unable to read logs/gateways/{}/current: not a regular file\n"


def desired(bed, profile):
    return json.loads((bed.path("/opt/data/profiles") / profile / "gateway_state.json").read_text()).get("desired_state")


@pytest.fixture
def several(live):
    """A live container with coder and writer up, and `broken`, whose state cannot be read."""
    for name in ("broken", "writer"):
        live.profile(name, "running")
    live.init("reconcile")
    live.rescan()
    live.settle()
    live.run(["sh", "-ec", f"cd {live.slot('broken')}/supervise; mv status true; mkfifo status"])
    return live


# `lost` is no profile and has no slot: 1. `broken` cannot be asked: 111. The first failure counts, and the others are done.
@pytest.mark.s6
@pytest.mark.parametrize(
    "names, code",
    [
        (["lost", "coder", "broken"], 1),
        (["broken", "coder", "lost"], 111),
        (["coder", "lost", "broken"], 1),
        (["coder", "broken", "lost"], 111),
        (["broken", "lost", "coder"], 111),
        (["lost", "coder"], 1),
        (["broken", "coder"], 111),
        (["coder", "writer"], 0),
    ],
)
def test_of_several_names_the_first_that_fails_has_the_exit_code_and_the_others_are_done(several, names, code):
    for command, state in (("stop", "down"), ("start", "up"), ("restart", "up")):
        pid = several.pid_of(several.slot("coder"))
        done = several.init(command, *names, uid=HERMES, code=code)
        said = done.stderr.decode()
        assert (NO_SUCH.format("lost") in said, BROKEN in said) == ("lost" in names, "broken" in names), done
        assert said.count("\n") == len({"lost", "broken"} & set(names)), done
        wait_for(lambda state=state: several.svstat(several.slot("coder")) == state, what=state)
        assert several.pid_of(several.slot("coder")) != pid
        assert desired(several, "coder") == ("stopped" if command == "stop" else "running")


@pytest.mark.s6
def test_a_command_that_fails_counts_before_its_request_that_is_not_kept(several):
    state = several.path("/opt/data/profiles/broken/gateway_state.json")
    state.unlink()
    (state / "x").mkdir(parents=True)
    done = several.init("stop", "broken", uid=HERMES, code=111)
    assert done.stderr.decode().endswith(BROKEN) and NO_STATE.format("broken") in done.stderr.decode(), done
    # Where it works, a request that is not kept is 1.
    several.run(["mv", several.slot("broken") + "/supervise/true", several.slot("broken") + "/supervise/status"])
    done = several.init("stop", "broken", uid=HERMES, code=1)
    assert done.stderr.decode().endswith(NOT_KEPT.format("broken", "stopped")) and several.svstat(several.slot("broken")) == "down", done


@pytest.mark.s6
@pytest.mark.parametrize("uid", [HERMES, 0])
def test_stop_of_a_slot_without_a_profile_is_0_and_its_start_1(live, uid):
    """It does what it is told. Only of a start the next boot would have to know."""
    live.run(["mv", "/opt/data/profiles/coder", "/opt/data/aside"])
    for options in ([], ["--wait"]):
        done = live.init("stop", *options, "coder", uid=uid, code=0)
        assert (done.stdout, done.stderr) == (b"", b"") and live.svstat(live.slot("coder")) == "down"
    for command in ("start", "restart"):
        said = live.init(command, "--wait", "coder", uid=uid, code=1).stderr.decode()
        assert GONE.format("coder") in said and said.endswith(NOT_KEPT.format("coder", "running")), said
        assert live.svstat(live.slot("coder")) == "up"
    assert not live.path("/opt/data/profiles/coder").exists()
    # Nor is anything to be forgotten.
    assert live.init("unregister", "coder", uid=uid, code=0).stderr == b""


@pytest.mark.s6
def test_stop_of_what_has_neither_slot_nor_profile_is_1(live):
    assert NO_SUCH.format("nobody") in live.init("stop", "nobody", uid=HERMES, code=1).stderr.decode()
    live.profile("host", "running")
    live.init("stop", "host", uid=HERMES, code=0)
    assert desired(live, "host") == "stopped"


@pytest.mark.s6
def test_of_several_names_status_is_1_if_one_is_unknown(live):
    for names, code in ((["coder"], 0), (["nobody"], 1), (["nobody", "coder"], 1), (["coder", "nobody"], 1)):
        done = live.init("status", "--json", *names, uid=HERMES, code=code)
        assert [json.loads(line)["profile"] for line in done.stdout.splitlines()] == [name for name in names if name == "coder"]
        assert done.stderr.count(b"no such gateway nobody") == (code == 1)
    assert live.init("health", "coder", "nobody", uid=HERMES, code=1).stdout == b""


class Following:
    """`logs -f` in the background."""

    def __init__(self, home, *names):
        self.child = subprocess.Popen(
            [executable(), "logs", "-f", "--hermes-home", home, *names],
            env=APART | {"TZ": "UTC0"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        os.set_blocking(self.child.stdout.fileno(), False)
        os.set_blocking(self.child.stderr.fileno(), False)
        self.printed, self.said = b"", b""

    def until(self, text):
        def came():
            self.printed += self.child.stdout.read() or b""
            self.said += self.child.stderr.read() or b""
            assert self.child.poll() is None, (self.printed, self.said)
            return text in self.printed + self.said

        wait_for(came, what=text)

    def code(self):
        """Closes its stdout. Returns its exit code."""
        self.child.stdout.close()
        code = self.child.wait(timeout=10)
        self.said += self.child.stderr.read() or b""
        return code

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.child.poll() is None:
            self.child.send_signal(signal.SIGKILL)
        self.child.stdout.close()
        self.child.wait(timeout=10)
        self.child.stderr.close()


@pytest.fixture
def home(place):
    """A HERMES_HOME with a profile, and a function that writes a log."""
    home = place / "home"
    for name in ("coder", "late"):
        (home / "profiles" / name).mkdir(parents=True)
        (home / "profiles" / name / "SOUL.md").touch()
    return home


def write(home, name, text):
    folder = home / "logs/gateways" / name
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "next").write_bytes(text)
    (folder / "next").rename(folder / "current")
    return folder / "current"


@pytest.mark.root
def test_followed_logs_that_appear_later_are_0_and_those_that_never_do_1_without_following(home):
    for names in (["late"], ["coder", "late"], ["late", "coder"]):
        write(home, "coder", b"x\n")
        done = run([executable(), "logs", "--hermes-home", home, *names], env=APART)
        assert (done.returncode, done.stderr.decode().split("hermes-init ")[-1]) == (1, NO_LOG.format("late")), done
        with Following(home, *names) as following:
            following.until(NO_LOG.format("late").encode())
            write(home, "late", b"first\n")
            following.until(b"first\n")
            assert following.code() == 0 and following.said.count(b"\n") == 1
        (home / "logs/gateways/late/current").unlink()


@pytest.mark.root
def test_a_followed_log_that_can_be_read_again_is_0_and_one_that_cannot_1(home):
    path = write(home, "coder", b"first\n")
    with Following(home, "coder") as following:
        following.until(b"first\n")
        path.unlink()
        os.mkfifo(path)
        following.until(NO_FILE.format("coder").encode())
        assert following.code() == 1
    with Following(home, "coder") as following:
        following.until(NO_FILE.format("coder").encode())
        path.unlink()
        write(home, "coder", b"second\n")
        following.until(b"second\n")
        assert following.code() == 0 and following.said.count(b"\n") == 1

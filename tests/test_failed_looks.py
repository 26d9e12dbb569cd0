"""A look that fails is neither presence nor absence: what could not be looked at is said, is left as it is, and is a failure."""

import json
import os
import subprocess
import time

import pytest

from support.fake_container import FakeContainer
from support.file_tree import identity
from support.forged_state import OWNER, Forged
from support.program import APART, HERMES, executable, run

pytestmark = [pytest.mark.root, pytest.mark.strace]

# What is printed; `{}` are the parts that differ.
LEFTOVER = "hermes-init reconcile: warning: unable to inspect the leftover {}: I/O error\n"
SUPERVISOR = "unable to check for a supervisor of gateway-coder: I/O error"
FIFO = {
    "status": "coder: unable to inspect supervise/control: I/O error\n",
    "health": "coder: unable to inspect supervise/control: I/O error\n",
    "stop": "hermes-init stop: warning: unable to check for a supervisor of gateway-coder: I/O error\n",
}
NOT_KNOWN = "  slot now: gateway-coder is up to date; it is not known whether s6-supervise is running\n"
STATE = "gateway_state.json: I/O error"
STATE_SAID = "hermes-init reconcile: warning: unable to use gateway_state.json: I/O error\n"
FOLDED = "hermes-init reconcile: warning: default starts because its gateway serves profiles whose desired state is running: coder\n"
FOLDED_WHY = (
    "  because: gateway_state.json cannot be used: I/O error; but its gateway serves profiles whose desired state is running: coder\n"
)
FOREGROUND = "the container's command, gateway run, runs this gateway in the foreground"
VARIABLE = "hermes-init reconcile: warning: unable to read /run/s6/container_environment/{}: not a regular file\n"
LOG = "hermes-init logs: warning: unable to read logs/gateways/{}/current: not a regular file\n"
LOGS = "hermes-init logs: warning: unable to open logs/gateways/{}: "
NOT_ALL = "hermes-init health: warning: not everything could be inspected: /usr/bin/hermes-init status says why\n"
SERVICE = "unable to inspect dashboard: I/O error"
STALE = "hermes-init reconcile: warning: unable to inspect profiles/coder/{}: I/O error\n"
SVSCAN = "hermes-init reconcile: warning: unable to check whether s6-svscan runs on /place/service: I/O error\n"
REWRITTEN = "hermes-init reconcile: warning: unable to inspect .multiplex_opt_out_rewritten: I/O error\n"


@pytest.fixture
def forged(place):
    with Forged(place) as forged:
        yield forged


def failing(*faults):
    """Returns the argv prefix that fails calls: each fault is `call path when`. A path is what the program opens below a directory, or
    that of an open file. All faults of a run have the same paths."""
    words = ["strace", "-f", "-o", "/dev/null"]
    for call, path, when in faults:
        words += ["-P", path, "-e", f"inject={call}:error=EIO" + (f":when={when}" if when else "")]
    return words


def trace_of(forged):
    path = forged.place / "trace"
    return path.read_text() if path.exists() else ""


def each_look(forged, call, path, look):
    """Calls `look` with the argv prefix that fails the first, the second, … such call, until there is none. Returns how many failed."""
    for when in range(1, 60):
        look(["strace", "-f", "-o", forged.place / "trace", "-P", path, "-e", f"inject={call}:error=EIO:when={when}"])
        if "INJECTED" not in trace_of(forged):
            return when - 1
    raise AssertionError("there is no end")


# Leftovers.


@pytest.mark.parametrize(
    "name, call, path, when",
    [
        (".gateway-a.tmp", "openat", ".gateway-a.tmp", 1),
        (".gateway-a.tmp", "openat", "supervise", 1),
        (".gateway-a.tmp", "openat", "control", 1),
        (".gateway-a.tmp", "openat", "log", 1),
        # The first look is whether the scan directory is sealed.
        ("gateway-a.tmp", "openat", "gateway-a.tmp", 2),
        ("gateway-a.tmp", "newfstatat", "gateway-a.tmp", 1),
        (".gateway-a.out.tmp", "openat", ".gateway-a.out.tmp", 2),
        (".gateway-a.out.tmp", "newfstatat", "run", 1),
        (".gateway-a.out.tmp", "newfstatat", "supervise", 1),
        (".gateway-a.gone.tmp", "openat", ".gateway-a.gone.tmp", 1),
        (".gateway-a.gone.tmp", "openat", "supervise", 1),
    ],
)
def test_a_leftover_that_cannot_be_looked_at_stays_and_fails_the_pass(forged, name, call, path, when):
    folder = forged.service(name, held=False, logger=())
    (folder / "run").write_text("")
    before = identity(folder)
    done = forged.run("reconcile", before=failing((call, path, when)), code=1)
    assert done.stderr == LEFTOVER.format(name) and "action=failed" not in done.stdout, done
    assert identity(folder) == before
    # The next pass can look. Nobody reads the commands that it has for an s6-svscan.
    forged.svscan.stop()
    done = forged.run("reconcile", code=0)
    assert not folder.exists() and (forged.scandir / "gateway-a").exists() == (name == ".gateway-a.out.tmp"), done


def test_a_leftover_that_cannot_be_removed_fails_no_pass(forged):
    """It was looked at: nobody is kept from anything by it."""
    folder = forged.service(".gateway-a.tmp", held=False, logger=())
    done = forged.run("reconcile", before=failing(("unlinkat", "control", 1)), code=0)
    assert done.stderr == "hermes-init reconcile: warning: unable to remove the leftover .gateway-a.tmp: I/O error\n" and folder.exists(), (
        done
    )


# FIFOs.


def booted(forged):
    """Makes coder's slot as a pass makes it, has somebody read its FIFO, and leaves a stale file."""
    forged.profile("coder", "running")
    forged.run("reconcile", code=0)
    control = forged.scandir / "gateway-coder/supervise/control"
    pidfile = forged.home / "profiles/coder/gateway.pid"
    pidfile.write_text("42")
    os.chown(pidfile, HERMES, HERMES)
    return control, pidfile


@pytest.mark.parametrize("path", ["control", "supervise"])
def test_where_it_is_not_known_whether_a_supervisor_lives_stale_files_stay(forged, path):
    control, pidfile = booted(forged)
    forged.held[control] = os.open(control, os.O_RDONLY | os.O_NONBLOCK)
    slot = identity(forged.scandir / "gateway-coder")

    def look(before):
        done = forged.run("reconcile", before=before)
        assert pidfile.exists() and identity(forged.scandir / "gateway-coder") == slot, done
        # That of s6-svscan decides nothing.
        if "INJECTED" in trace_of(forged) and done.stderr != SVSCAN:
            assert done.returncode == 1 and done.stdout.count("action=failed reason=") == 1, done
            reasons.update(line.split("reason=")[1] for line in done.stdout.splitlines() if "action=failed" in line)

    reasons = set()
    assert each_look(forged, "openat", path, look) >= (2 if path == "control" else 1)
    assert json.dumps(SUPERVISOR) in reasons
    # Without a supervisor they are stale.
    os.close(forged.held.pop(control))
    forged.run("reconcile", code=0)
    assert not pidfile.exists()


def test_a_dry_run_and_explain_do_not_guess_whether_a_supervisor_lives(forged):
    _control, _ = booted(forged)
    forged.profile("default", "stopped")
    looks = ["strace", "-f", "-o", "/dev/null", "-P", forged.scandir / "gateway-coder/supervise", "-e", "inject=openat:error=EIO:when="]

    def changed(*before):
        return {
            row["profile"]: row["changed"]
            for row in map(json.loads, forged.run("reconcile", "--dry-run", "--json", before=before).stdout.splitlines())
        }

    assert changed() == {"default": False, "coder": True}
    # The slot is compared first, and its supervisor is looked for then.
    unknown = [
        when for when in range(1, 9) if NOT_KNOWN in forged.run("reconcile", "--explain", before=[*looks[:-1], f"{looks[-1]}{when}"]).stdout
    ]
    assert unknown
    for when in unknown:
        assert changed(*looks[:-1], f"{looks[-1]}{when}") == {"default": False, "coder": False}


@pytest.mark.parametrize("command, code", [("status", 1), ("health", 111), ("stop", 111)])
@pytest.mark.parametrize("path", ["control", "supervise"])
def test_a_fifo_that_cannot_be_looked_at_is_no_missing_supervisor(forged, command, code, path):
    forged.profile("coder", "running" if command != "stop" else "stopped")
    forged.slot("coder", up=command != "stop")
    names = ["coder"] if command == "stop" else []
    base = forged.run(command, *names)
    assert (base.returncode, base.stderr) == (0, ""), base
    said = []

    def look(before):
        done = forged.run(command, *names, before=before)
        assert "supervised" not in done.stdout + done.stderr, done
        if "INJECTED" in trace_of(forged):
            said.append((done.returncode, done.stdout + done.stderr))

    each_look(forged, "openat", path, look)
    # The first look only decides whether s6-svscan has to be told, or the slot counts as unsupervised.
    assert len(said) >= 2 and [found for found, _ in said] == [0] + [code] * (len(said) - 1), said
    done = forged.run(command, *names, before=failing(("openat", path, None)))
    assert done.returncode == code and "supervised" not in done.stdout + done.stderr and FIFO[command] in done.stdout + done.stderr, done
    assert all("I/O error" in text for found, text in said if found), said


def test_a_static_service_that_cannot_be_looked_at_is_a_fault(forged):
    forged.service("dashboard")
    # s6-svscan's own FIFO is looked at twice before.
    for call, path, when in (("openat", "dashboard", 1), ("newfstatat", "dashboard", 1), ("newfstatat", "control", 3)):
        row = forged.rows(before=failing((call, path, when)), code=1)["/dashboard"]
        assert (row["state"], row["note"]) == ("unknown", SERVICE), (call, path)
        done = forged.run("health", before=failing((call, path, when)), code=111)
        assert (done.stdout, done.stderr) == (f"dashboard: {SERVICE}\n", "")


@pytest.mark.parametrize(
    "logger, reason",
    [(False, "unable to read supervise/death_tally: not a regular file"), (True, "unable to inspect log: not a regular file")],
)
@pytest.mark.parametrize("name", ["dashboard", "gateway-coder"])
def test_a_fifo_in_the_place_of_the_deaths_is_a_fault(forged, name, logger, reason):
    forged.profile("coder", "running")
    deaths = forged.service(name, logger=()) / ("log" if logger else ".") / "supervise/death_tally"
    deaths.unlink()
    os.mkfifo(deaths)
    done = forged.run("health", name.removeprefix("gateway-"), code=111)
    assert (done.stdout, done.stderr) == (f"{name.removeprefix('gateway-')}: {reason}\n", "")
    assert forged.run("status", code=1).stdout.count(reason) == 1


# The state of default, where its gateway serves others.


def fold(forged, coder):
    forged.profile("default", '{"desired_state": "stopped"}')
    forged.profile("coder", coder)


# It is the first one that is opened.
UNREAD = failing(("openat", "gateway_state.json", 1))


def test_default_starts_for_others_also_if_its_own_state_cannot_be_read(forged):
    fold(forged, "running")
    done = forged.run("reconcile", "--topology", "multiplex", before=UNREAD, code=1)
    assert done.stdout.splitlines()[0] == f'reconcile: profile=default prior_state=None action=started reason="{STATE}"', done
    assert done.stderr == STATE_SAID + FOLDED and not (forged.scandir / "gateway-default/down").exists()
    [line] = [line for line in (forged.home / "logs/container-boot.log").read_text().splitlines() if " profile=default " in line]
    assert line.endswith(f' action=started reason="{STATE}" prior_exit=unknown folded_into_root=True')
    shown = forged.run("reconcile", "--explain", "--topology", "multiplex", before=UNREAD, code=0).stdout
    assert "profile default\n  at the next boot: started\n" + FOLDED_WHY in shown
    done = forged.run("status", "--json", "--topology", "multiplex", before=UNREAD)
    rows = {row["profile"]: row for row in map(json.loads, done.stdout.splitlines())}
    assert rows["default"]["wanted"] == "up" and rows["coder"]["wanted"] == "by default"


@pytest.mark.parametrize("is_down", [True, False])
def test_where_nobody_wants_it_defaults_slot_stays_what_it_is(forged, is_down):
    fold(forged, "stopped")
    if not is_down:
        forged.profile("default", "running")
    forged.run("reconcile", "--topology", "multiplex", code=0)
    before = identity(forged.scandir / "gateway-default")
    done = forged.run("reconcile", "--topology", "multiplex", before=UNREAD, code=1)
    assert done.stdout.splitlines()[0] == f'reconcile: profile=default prior_state=None action=registered reason="{STATE}"', done
    assert identity(forged.scandir / "gateway-default") == before and (forged.scandir / "gateway-default/down").exists() == is_down
    [row] = list(map(json.loads, forged.run("status", "--json", "--topology", "multiplex", "default", before=UNREAD).stdout.splitlines()))
    assert (row["wanted"], row["note"]) == ("unknown", STATE)


def test_a_sign_of_the_topology_that_cannot_be_looked_at_is_said_and_is_none(forged):
    fold(forged, "running")
    (forged.home / ".multiplex_opt_out_rewritten").touch()
    assert "topology: multiplex" in forged.run("reconcile", "--explain").stdout
    done = forged.run("reconcile", "--explain", before=failing(("newfstatat", ".multiplex_opt_out_rewritten", None)))
    assert "topology: per-profile" in done.stdout and done.stderr == REWRITTEN, done


# What decides whether default is the container's command, in the foreground.


@pytest.mark.parametrize("topology", ["per-profile", "multiplex"])
@pytest.mark.parametrize(
    "variable, others", [("HERMES_GATEWAY_NO_SUPERVISE", {}), ("HERMES_GATEWAY_BOOTSTRAP_STATE", {"HERMES_GATEWAY_NO_SUPERVISE": "1"})]
)
def test_a_variable_about_the_foreground_that_cannot_be_read_starts_no_second_gateway(forged, variable, others, topology):
    forged.profile("default", "running" if topology == "per-profile" else "stopped")
    forged.profile("coder", "running")
    where = ["--hermes-home", forged.home, "--scandir", forged.scandir, "--owner", OWNER, "--topology", topology]
    with FakeContainer([["sh", "/opt/main-wrapper.sh", "gateway", "run"]], environment=others) as container:
        folder = f"/proc/{container.pid}/root/run/s6/container_environment/{variable}"
        os.mkdir(folder)
        done = container.reconcile(*where, code=None)
        first = done.stdout.decode().splitlines()[0]
        assert first.endswith(f'action=registered reason="{FOREGROUND}"') and VARIABLE.format(variable) in done.stderr.decode(), done
        assert (forged.scandir / "gateway-default/down").exists()
        done = container.reconcile("--explain", *where, code=0)
        assert f"profile default\n  at the next boot: stays down\n  because: {FOREGROUND}\n" in done.stdout.decode(), done
        # What can be read and says no, or is not there, starts it.
        os.rmdir(folder)
        with open(folder, "w") as file:
            file.write("no" if variable == "HERMES_GATEWAY_NO_SUPERVISE" else "running")
        assert " profile=default prior_state=" in container.reconcile(*where, code=0).stdout.decode()
        assert not (forged.scandir / "gateway-default/down").exists()


# Logs.


def follow(forged, *names):
    argv = [executable(), "logs", "-f", "--hermes-home", forged.home, *names]
    return subprocess.Popen(argv, env=APART, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.parametrize("names", [["coder"], ["coder", "writer"]])
@pytest.mark.parametrize("kind", ["fifo", "closed"])
def test_a_followed_log_that_cannot_be_read_is_said_once(forged, names, kind):
    for name in names:
        folder = forged.home / "logs/gateways" / name
        folder.parent.mkdir(parents=True, exist_ok=True)
        if kind == "fifo":
            folder.mkdir()
            os.mkfifo(folder / "current")
        else:
            folder.write_text("")
    child = follow(forged, *names)
    try:
        # At least five looks.
        time.sleep(1.3)
        assert child.poll() is None
        child.stdout.close()
        assert child.wait(timeout=10) == 1
        said = child.stderr.read().decode()
    finally:
        if child.poll() is None:
            child.kill()
            child.wait(timeout=10)
        child.stderr.close()
    assert said.count("\n") == len(names) and all(said.count((LOG if kind == "fifo" else LOGS).format(name)) == 1 for name in names), said
    # Nor is it said to be missing.
    done = run([executable(), "logs", "--hermes-home", forged.home, *names], env=APART)
    assert done.returncode == 1 and done.stderr.decode() == said


# Profiles.


@pytest.mark.parametrize("name", ["gateway.pid", "processes.json"])
def test_a_stale_file_that_cannot_be_looked_at_is_said(forged, name):
    forged.profile("coder", "running")
    # The first such look is at default's.
    done = forged.run("reconcile", before=failing(("newfstatat", name, 2)))
    assert done.stderr == STALE.format(name) and "profile=coder prior_state=running action=started" in done.stdout, done


def close(path):
    os.chown(path, 0, 0)
    path.chmod(0o700)


def test_health_is_111_where_not_all_profiles_could_be_looked_at(forged):
    """Twenty are named; of more of them only the number is known."""
    for folder in [forged.profile(f"p{number:02}", "running") for number in range(21)]:
        close(folder)
    done = forged.run("health", uid=HERMES, code=111)
    assert done.stderr == NOT_ALL and done.stdout.count("\n") == 20, done
    os.chown(forged.home / "profiles/p20", HERMES, HERMES)
    done = forged.run("health", uid=HERMES, code=1)
    assert done.stderr == "" and done.stdout.count("\n") == 21, done


def test_health_is_111_where_the_profiles_cannot_be_listed(forged):
    forged.profile("coder", "running")
    close(forged.home / "profiles")
    assert forged.run("health", uid=HERMES, code=111).stderr == NOT_ALL


def test_profiles_without_room_are_known(forged):
    for name in ("a", "b", "c"):
        forged.profile(name, "running")
    done = forged.run("health", environment={"HERMES_INIT_MAX_SERVICES": "8"}, code=1)
    assert done.stderr == "" and [line.split(":")[0] for line in done.stdout.splitlines()] == ["a", "b", "c"]


@pytest.mark.parametrize("what", ["too many", "all"])
def test_where_others_have_no_room_what_could_not_be_looked_at_is_still_111(forged, what):
    if what == "too many":
        folders = [forged.profile(f"p{number:02}", "running") for number in range(24)]
        for folder in folders[:22]:
            close(folder)
    else:
        forged.profile("coder", "running")
        close(forged.home / "profiles")
    done = forged.run("health", uid=HERMES, environment={"HERMES_INIT_MAX_SERVICES": "6" if what == "too many" else "4"})
    assert "no capacity" in done.stdout and done.stderr == NOT_ALL and done.returncode == 111, done

"""The role of the container: forms of argv in the field, in a PID namespace; and explicit roles."""

import json
import os
import shutil
import signal
import subprocess

import pytest

from support.fake_container import SVSCAN, FakeContainer
from support.file_tree import identity
from support.program import OWNER, executable, run

pytestmark = pytest.mark.root

RC_INIT = ["/bin/sh", "-e", "/run/s6/basedir/scripts/rc.init", "top"]
WRAPPER = "/opt/hermes/docker/main-wrapper.sh"
DISPATCH = "/opt/hermes/docker/entrypoint-dispatch.sh"
V2_INIT = ["s6-svscan", "-t0", "/var/run/s6/services"]
V2_STAGE2 = ["foreground", "", "/etc/s6/init/init-stage2", WRAPPER]
SUPERVISED = [["s6-supervise", "s6-linux-init-shutdownd"], ["s6-supervise", "dashboard"], ["/command/s6-ipcserverd", "-1", "--", "x"]]

# name: process 1, other processes, the command as --explain prints it, the front end
SHAPES = {
    "overlay3-gateway": (SVSCAN, [*SUPERVISED, [*RC_INIT, WRAPPER, "gateway", "run"]], "gateway run", None),
    "overlay3-dashboard": (
        SVSCAN,
        [*SUPERVISED, [*RC_INIT, WRAPPER, "dashboard", "--host", "0.0.0.0"]],
        "dashboard --host 0.0.0.0",
        "dashboard",
    ),
    "overlay3-hermes": (SVSCAN, [[*RC_INIT, WRAPPER, "hermes", "dashboard"]], "dashboard", "dashboard"),
    "overlay3-hermes-path": (
        SVSCAN,
        [[*RC_INIT, WRAPPER, "/opt/hermes/.venv/bin/hermes", "serve", "--port", "1"]],
        "serve --port 1",
        "serve",
    ),
    "overlay3-dispatch": (SVSCAN, [[*RC_INIT, WRAPPER, DISPATCH, "gui"]], "gui", "gui"),
    "overlay3-dispatch-hermes": (SVSCAN, [[*RC_INIT, WRAPPER, DISPATCH, "hermes", "desktop"]], "desktop", "desktop"),
    "overlay3-profile": (SVSCAN, [[*RC_INIT, WRAPPER, "hermes", "-p", "coder", "gateway", "run"]], "-p coder gateway run", None),
    "overlay3-no-command": (SVSCAN, [[*RC_INIT, WRAPPER]], "none found", None),
    "overlay3-shell": (SVSCAN, [[*RC_INIT, WRAPPER, "bash", "-c", "hermes dashboard"]], 'bash -c "hermes dashboard"', None),
    "overlay3-sleep": (SVSCAN, [[*RC_INIT, WRAPPER, "sleep", "infinity"]], "sleep infinity", None),
    "overlay3-supervised-only": (SVSCAN, SUPERVISED, "none found", None),
    "overlay2-gateway": (V2_INIT, [[*V2_STAGE2, "gateway", "run"]], "gateway run", None),
    "overlay2-dashboard": (V2_INIT, [[*V2_STAGE2, "dashboard"]], "dashboard", "dashboard"),
    "tini-gateway": (["tini", "--", WRAPPER, "gateway", "run"], [["/bin/sh", WRAPPER, "gateway", "run"]], "gateway run", None),
    "tini-dashboard": (["/usr/bin/tini", "-g", "--", WRAPPER, "dashboard"], [["hermes", "dashboard"]], "dashboard", "dashboard"),
    "docker-init": (["/sbin/docker-init", "--", WRAPPER, "hermes", "serve"], [], "serve", "serve"),
    "docker-plain": (["/bin/sh", WRAPPER, "gateway", "run", "--no-supervise"], [], "gateway run --no-supervise", None),
    "docker-bash": (["/bin/bash", "-e", WRAPPER, DISPATCH, "dashboard"], [], "dashboard", "dashboard"),
    "docker-relative": (["sh", "./main-wrapper.sh", "gui"], [], "gui", "gui"),
    "no-wrapper": (["/bin/sh"], [["hermes", "dashboard"], ["python3", "-m", "hermes", "serve"]], "none found", None),
    "only-like-it": (["/bin/sh"], [["sh", "/x/main-wrapper.sh.bak", "dashboard"], ["vi", "xmain-wrapper.sh", "gui"]], "none found", None),
    "word-elsewhere": (SVSCAN, [[*RC_INIT, WRAPPER, "gateway", "run", "dashboard"]], "gateway run dashboard", None),
    "first-process-has-precedence": (["tini", "--", WRAPPER, "gateway", "run"], [[*RC_INIT, WRAPPER, "dashboard"]], "gateway run", None),
    "first-process-has-precedence-too": (
        ["tini", "--", WRAPPER, "dashboard"],
        [[*RC_INIT, WRAPPER, "gateway", "run"]],
        "dashboard",
        "dashboard",
    ),
    "not-utf8": (
        SVSCAN,
        [[b"\xff\xfe", b"\xe9"], [*RC_INIT, b"/opt/\xff/main-wrapper.sh", b"gateway", b"run", b"\xe9"]],
        'gateway run "\\ufffd"',
        None,
    ),
    "not-utf8-dashboard": ([b"\x80\x81"], [[b"sh", b"\xff/main-wrapper.sh", b"dashboard", b"\xff"]], None, "dashboard"),
    "not-utf8-like-it": (SVSCAN, [[*RC_INIT, WRAPPER, b"dashboard\xff"]], '"dashboard\\ufffd"', None),
    "newline": (SVSCAN, [[*RC_INIT, WRAPPER, "x\nrole: frontend"]], '"x\\nrole: frontend"', None),
    "empty-words": (SVSCAN, [["sh", "", WRAPPER, "", "dashboard"]], "dashboard", "dashboard"),
    "many-words": (SVSCAN, [["sh", WRAPPER, "gateway", "run", *["x" * 1000] * 1000]], None, None),
    "behind-many-words": (SVSCAN, [["sh", *["x" * 1000] * 3, WRAPPER, "dashboard"]], "dashboard", "dashboard"),
    # Only the first 4 KiB of an argv are read.
    "behind-too-many-words": (SVSCAN, [["sh", *["x" * 1000] * 1000, WRAPPER, "dashboard"]], "none found", None),
    "cut-in-a-word": (SVSCAN, [["sh", "x" * (4096 - 3 - 1 - len(WRAPPER) - 1 - 9), WRAPPER, "dashboardx"]], "none found", None),
}


def where(place):
    return ["--hermes-home", place / "home", "--scandir", place / "service", "--owner", OWNER]


WHY = "this container's command is {}, a front end; gateways belong in the gateway's container\n"


@pytest.mark.parametrize("name", SHAPES)
def test_the_command_of_the_container_decides(home, name):
    first, others, command, frontend = SHAPES[name]
    before = identity(home)
    with FakeContainer(others, first=first) as container:
        explained = container.reconcile("--explain", *where(home)).stdout.decode()
        assert identity(home) == before
        done = container.reconcile(*where(home))
    if frontend:
        why = WHY.format(frontend)
        assert done.stdout.decode() == f"reconcile: nothing to do: {why}" and done.stderr == b""
        assert explained == f"role: frontend (default)\nno gateway is reconciled here: {why}"
        assert identity(home) == before
    else:
        if command is not None:
            assert explained.splitlines()[0] == f"role: gateway (default; container command: {command})"
        assert b"profile=coder prior_state=running action=started" in done.stdout
        assert not (home / "home/profiles/coder/gateway.pid").exists() and (home / "service/gateway-coder").is_dir()


DASHBOARD, GATEWAY = [*RC_INIT, WRAPPER, "dashboard"], [*RC_INIT, WRAPPER, "gateway", "run"]


# the container's command, option, environment, container environment; expected source and role
@pytest.mark.parametrize(
    "command, option, environment, inner, source, role",
    [
        (DASHBOARD, None, None, None, "default", "frontend"),
        (DASHBOARD, "gateway", None, None, "option", "gateway"),
        (DASHBOARD, None, "gateway", None, "environment", "gateway"),
        (DASHBOARD, None, None, "gateway", "container environment", "gateway"),
        (GATEWAY, "frontend", None, None, "option", "frontend"),
        (GATEWAY, None, "frontend", None, "environment", "frontend"),
        (GATEWAY, None, None, "frontend", "container environment", "frontend"),
        (GATEWAY, "gateway", "frontend", "frontend", "option", "gateway"),
        (GATEWAY, "frontend", "gateway", "gateway", "option", "frontend"),
        (GATEWAY, None, "frontend", "gateway", "environment", "frontend"),
        (GATEWAY, "auto", "frontend", "frontend", "option", "gateway"),
        (DASHBOARD, "auto", "gateway", "gateway", "option", "frontend"),
        (DASHBOARD, None, "auto", "gateway", "environment", "frontend"),
        (DASHBOARD, None, "", "gateway", "container environment", "gateway"),
        (DASHBOARD, None, None, "", "default", "frontend"),
    ],
)
def test_the_role_can_be_decided_by_hand(home, command, option, environment, inner, source, role):
    before = identity(home)
    options = where(home) + (["--role", option] if option else [])
    environment = {} if environment is None else {"HERMES_INIT_ROLE": environment}
    with FakeContainer([command], environment={} if inner is None else {"HERMES_INIT_ROLE": inner}) as container:
        explained = container.reconcile("--explain", *options, environment=environment)
        assert explained.stdout.decode().startswith(f"role: {role} ({source}")
        done = container.reconcile(*options, environment=environment)
    assert done.stderr == b""
    assert (identity(home) == before) == (role == "frontend")
    assert (b"profile=coder" in done.stdout) == (role == "gateway")
    if role == "frontend" and command is GATEWAY:
        assert done.stdout.decode() == f"reconcile: nothing to do: the role is frontend ({source})\n"


@pytest.mark.parametrize("word", ["Gateway", "dashboard", "x\ny", "frontend "])
def test_a_role_that_is_none_is_said_and_the_command_decides(home, word):
    with FakeContainer([DASHBOARD], environment={"HERMES_INIT_ROLE": word}) as container:
        done = container.reconcile(*where(home))
    shown = json.dumps(word) if word in ("x\ny", "frontend ") else word
    meant = {"Gateway": " (did you mean gateway?)", "frontend ": " (did you mean frontend?)"}.get(word, "")
    assert done.stderr.decode() == (
        f"hermes-init reconcile: warning: HERMES_INIT_ROLE={shown} is not one of gateway, frontend, auto{meant}: treated as auto\n"
    )
    assert b"nothing to do" in done.stdout


@pytest.mark.parametrize("variables", [{"HERMES_GATEWAY_BOOTSTRAP_STATE": "running"}, {"GATEWAY_MULTIPLEX_PROFILES": "odd"}, {}])
@pytest.mark.parametrize("options", [[], ["--json"], ["--dry-run"], ["--sealed"]])
def test_a_frontend_changes_nothing_whatever_else_is_asked(place, variables, options):
    """Nothing is created, not even on an empty machine: no HERMES_HOME, scan directory, state or log."""
    before = identity(place)
    with FakeContainer([DASHBOARD], environment=variables) as container:
        done = container.reconcile(*where(place), *options)
    # With --json, stdout has nothing but objects.
    said, silent = (done.stderr, done.stdout) if "--json" in options else (done.stdout, done.stderr)
    assert b"nothing to do: this container's command is dashboard" in said and said.count(b"\n") == 1 and silent == b""
    assert identity(place) == before


def test_processes_that_come_and_go_are_passed_over(home):
    churn = "i=0; while [ $i -lt 3000 ]; do /bin/true & /bin/true & wait; i=$((i+1)); done"
    with FakeContainer([DASHBOARD]) as container:
        busy = subprocess.Popen(container.command(["sh", "-c", churn]), stdin=subprocess.DEVNULL, start_new_session=True)
        try:
            for _ in range(60):
                done = container.reconcile("--dry-run", *where(home))
                assert b"nothing to do" in done.stdout and done.stderr == b""
            assert busy.poll() is None, "nothing came and went any more"
        finally:
            os.killpg(busy.pid, signal.SIGKILL)
            busy.wait(timeout=10)


@pytest.mark.strace
@pytest.mark.parametrize("errno", ["ENOENT", "ESRCH", "EACCES", "EPERM"])
@pytest.mark.parametrize(
    ("call", "path"),
    [("newfstatat", "1"), ("openat", "1/status"), ("openat", "1/cmdline"), ("pread64", "/proc/1/status"), ("pread64", "/proc/1/cmdline")],
)
def test_a_process_that_cannot_be_read_is_passed_over(home, place, call, path, errno):
    """The refused process is process 1, which is read first and would have decided."""
    with FakeContainer([GATEWAY], first=["tini", "--", WRAPPER, "dashboard"]) as container:
        inject = ["strace", "-f", "-o", place / "trace", "-P", path, "-e", f"inject={call}:error={errno}:when=1+"]
        done = run(
            container.command([*inject, executable(), "reconcile", "--explain", *where(home)]), env={"PATH": "/usr/bin:/bin"}, cwd="/"
        )
    assert done.returncode == 0 and done.stdout.startswith(b"role: gateway (default; container command: gateway run)\n"), done
    assert "(INJECTED)" in (place / "trace").read_text()


def test_without_proc_it_is_a_gateway_container(home):
    script = 'mount -t tmpfs tmpfs /proc && exec "$@"'
    shutil.copy(executable(), home / "hermes-init")
    done = run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh", home / "hermes-init", "reconcile", *where(home)],
        env={"PATH": "/usr/bin:/bin"},
    )
    assert done.returncode == 0 and b"profile=coder prior_state=running action=started" in done.stdout, done


@pytest.mark.parametrize("groups", [[], range(1, 2000)])
def test_the_command_of_a_container_in_a_namespace_below_is_not_this_ones(place, groups):
    """With `--pid=host`, those of all others are to be seen. Many groups stand before the namespaces in what the kernel tells."""
    with FakeContainer([[WRAPPER, "dashboard"]], groups=groups) as other:
        assert other.pid
        argv = [executable(), "reconcile", "--explain", "--hermes-home", place / "home", "--scandir", place / "service", "--owner", OWNER]
        (place / "home").mkdir()
        inside, outside = run(other.command([executable(), *argv[1:]])), run(argv, env={"PATH": "/usr/bin:/bin"}, cwd="/")
        assert b"container command: dashboard" in inside.stdout or b"front end" in inside.stdout, inside
        assert b"container command: none found" in outside.stdout, outside

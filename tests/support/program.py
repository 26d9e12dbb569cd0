"""The program under test: where it is, and how a test runs it and waits for its effects."""

import os
import subprocess
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
HERMES = 10000
OWNER = f"{HERMES}:{HERMES}"
COMMANDS = [
    "reconcile",
    "fix-perms",
    "seed",
    "gateway-run",
    "gateway-log",
    "gateway-finish",
    "dashboard-run",
    "dashboard-finish",
    "register",
    "unregister",
    "hand-over",
    "start",
    "stop",
    "restart",
    "status",
    "health",
    "logs",
    "complete",
]

# Environment of a pass outside a bed: it must not depend on the processes of other tests in /proc.
APART = {"PATH": "/usr/bin:/bin", "HERMES_INIT_ROLE": "gateway", "HERMES_GATEWAY_NO_SUPERVISE": "1"}


def executable():
    """Returns the path of the executable under test: HERMES_INIT, or the one that `make` built. Under pytest it is the copy
    that conftest.py made, which every user can execute."""
    path = Path(os.environ.get("HERMES_INIT", ROOT / "target/dist/hermes-init"))
    if not path.exists():
        raise AssertionError(f"{path} is missing: run make first")
    return path


# Before a command, by root: a PID namespace of its own. A process of another test may look like the container's command.
APART_FROM_PROCESSES = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"]


def run(argv, timeout=30, **options):
    """Runs a command with a timeout. Its output is bytes."""
    return subprocess.run(
        [str(word) if not isinstance(word, bytes) else word for word in argv],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=timeout,
        check=False,
        **options,
    )


def wait_for(condition, seconds=10.0, what="it"):
    """Waits until `condition` returns a true value, and returns it. Fails after `seconds`."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"timeout after {seconds} seconds: {what}")
        time.sleep(0.01)

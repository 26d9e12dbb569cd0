"""A process of the hermes user with mounts of its own. In its user and mount namespace, directories of his are mounts of somebody else's;
elsewhere they are what they were. Through the links of /proc, root can reach them."""

import contextlib
import functools
import subprocess
import sys

from support.program import HERMES, run, wait_for

# `mount --bind` needs no more of its source than that it can be reached.
NAMESPACE = ["unshare", "--user", "--map-root-user", "--mount", "--propagation", "private"]
SCRIPT = """ready=$1; shift
while [ $# -gt 0 ]; do mount --bind "$1" "$2" || exit; shift 2; done
echo $$ > "$ready.new"; mv "$ready.new" "$ready"
exec setpriv --pdeathsig KILL sleep 1000
"""


def as_hermes(argv):
    return ["setpriv", "--reuid", str(HERMES), "--regid", str(HERMES), "--clear-groups", *argv]


@functools.cache
def can_have_mounts():
    """Some machines permit no user namespaces."""
    return run(as_hermes([*NAMESPACE, "true"])).returncode == 0


@contextlib.contextmanager
def other_mounts(ready, *pairs, command=as_hermes, seen=lambda path: path):
    """Context manager: the process binds each first path to the second. Yields its process ID. `ready` is a file that it makes, in a
    directory of the hermes user's; `command` makes the argv that runs another one as him, and `seen` the path of a file from here."""
    argv = [*NAMESPACE, "sh", "-c", SCRIPT, "sh", str(ready), *(str(path) for pair in pairs for path in pair)]
    process = subprocess.Popen(command(argv), stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr)
    try:

        def pid():
            assert process.poll() is None, "the namespace could not be made"
            return seen(ready).exists() and int(seen(ready).read_text())

        yield wait_for(pid, what="the mounts")
    finally:
        process.kill()
        process.wait(timeout=20)
        seen(ready).unlink(missing_ok=True)

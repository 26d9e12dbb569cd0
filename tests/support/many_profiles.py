"""A HERMES_HOME with any number of profiles, for what counts or times."""

import os
import subprocess
import time

from support.program import OWNER

# What a gateway that was killed has left: its process is gone.
PID_FILE = '{"pid": 4194304, "kind": "hermes-gateway", "start_time": 7}'
HOUR = 3600


def make(home, count, state=None, lifecycle=False, stale=False):
    """Makes `home`. Half of the gateways are running and half are stopped, or all are in `state`. They have written it an hour ago.
    With `stale`, each of them has left its pid file."""
    for number in range(count):
        profile = home / f"profiles/profile-{number:04}"
        profile.mkdir(parents=True)
        (profile / "SOUL.md").touch()
        (profile / "gateway_state.json").write_text(f'{{"gateway_state": "{state or ("running", "stopped")[number % 2]}"}}')
        os.utime(profile / "gateway_state.json", (time.time() - HOUR,) * 2)
        if lifecycle:
            (profile / "state").mkdir()
            (profile / "state/gateway.lifecycle.json").write_text('{"phase": "exited"}')
        if stale:
            (profile / "gateway.pid").write_text(PID_FILE)
    # Without a state of default the pass looks at all processes of the machine, whose number is not the program's.
    (home / "gateway_state.json").write_text('{"gateway_state": "stopped"}')
    subprocess.run(["chown", "-R", OWNER, home], check=True, timeout=60)

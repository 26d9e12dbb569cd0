"""What a soak runs in: a container on a volume that outlives it, and stand-ins that behave like gateways of Hermes Agent."""

import contextlib
import json
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from support.program import HERMES, wait_for
from support.soak_model import Volume
from support.testbed import Bed

MARKER = ".gateway-planned-stop.json"
# What `restart` leaves for `finish`.
RESTART = ".hermes-init-restart.json"
PARKED = "gateway.parked"
STANDALONE = "gateway:\n  standalone: true\n"
# Longest time until nothing changes any more, and the time for which nothing must have changed, in seconds.
CALM, STILL = 25, 0.4

# It does what /run/bed/fate.NAME says: `drain SECONDS` after SIGTERM (`drain 0`: at once), `crash N CODE`: every Nth start ends soon, or
# `end CODE`: every start does. It reads and writes the files of its profile as the real gateway does: a marker with its process ID
# makes its end a planned one, and it looks for that every half second; other members of the state file stay. With /run/bed/serves, the
# gateway of default serves others by the rules of support/host_gateway.py, with `always` also where there was nobody at its start.
STAND_IN = r'''#!/usr/bin/env -S python3 -IS
import json, os, signal, subprocess, sys, time

name = sys.argv[2] if sys.argv[1] == "-p" else "default"
folder = "/opt/data" if name == "default" else "/opt/data/profiles/" + name
state, marker, holder = (folder + "/" + file for file in ("gateway_state.json", ".gateway-planned-stop.json", "gateway.pid"))
signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])


def read(path):
    try:
        with open(path) as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def replace(path, text):
    try:
        with open(f"{path}.{os.getpid()}", "w") as file:
            file.write(text)
        os.rename(f"{path}.{os.getpid()}", path)
    except FileNotFoundError:
        # The profile was deleted.
        pass


def report(word):
    now = {"gateway_state": word, "pid": os.getpid(), "start_time": start_time}
    replace(state, json.dumps(read(state) | now | (host or {})))


def is_planned():
    if read(marker).get("target_pid") != os.getpid():
        return False
    try:
        os.unlink(marker)
    except FileNotFoundError:
        return False
    return True


def take_over():
    """Ends the process that holds the profile, as --replace does."""
    pid = read(holder).get("pid")
    try:
        argv = open(f"/proc/{pid}/cmdline", "rb").read().split(b"\0")
        if argv[2] == sys.argv[0].encode() and argv[3:5] == [word.encode() for word in sys.argv[1:3]] and pid != os.getpid():
            os.kill(pid, signal.SIGKILL)
            while os.path.exists(f"/proc/{pid}/exe"):
                time.sleep(0.01)
    except (OSError, IndexError):
        pass


def fate():
    try:
        what, *numbers = open(f"/run/bed/fate.{name}").read().split()
    except OSError:
        return "drain", [0.0]
    return what, [float(number) for number in numbers]


def number_of_this_start():
    with open(f"/run/bed/starts.{name}", "a+") as file:
        file.write("x")
        return file.tell()


def others():
    """Returns the profiles that have no gateway of their own."""
    found = []
    for entry in sorted(os.listdir("/opt/data/profiles")):
        home = "/opt/data/profiles/" + entry
        try:
            if os.path.exists(home + "/SOUL.md") and "standalone: true" not in (read_text(home + "/config.yaml") or ""):
                found.append(entry)
        except OSError:
            pass
    return found


def read_text(path):
    try:
        with open(path) as file:
            return file.read()
    except OSError:
        return None


def has_own(entry):
    """Returns whether a profile's own slot is to be up."""
    slot = "/run/service/gateway-" + entry
    said = subprocess.run(["s6-svstat", "-o", "wantedup", slot], capture_output=True).stdout
    return said == b"true\n" or (said != b"false\n" and os.path.exists(slot) and not os.path.exists(slot + "/down"))


def serving():
    """Returns what the gateway of default says of whom it serves."""
    parked = {entry for entry in others() if os.path.exists(f"/opt/data/profiles/{entry}/gateway.parked")}
    return {"served_profiles": ["default", *(entry for entry in others() if entry not in parked)], "multiplex_standalone_reason": None}


def first_serving():
    """Returns what it says at its start, or None: it is no host."""
    how = read_text("/run/bed/serves") if name == "default" else None
    if how is None:
        return None
    own = [entry for entry in others() if has_own(entry)]
    if own:
        why = f"profile(s) {', '.join(map(repr, own))} still run their own gateway; fold them with `hermes gateway migrate --multiplex`"
    elif others() or how == "always":
        return serving()
    else:
        why = "only one profile exists (nothing to multiplex)"
    return {"served_profiles": [], "multiplex_standalone_reason": why}


def look_again():
    """Serves who has come, and no more who is parked. A state file that somebody has replaced gets the report again."""
    global host
    if not host:
        return
    now = serving() if host["served_profiles"] else host
    if now != host or (read(state) and read(state).get("pid") != os.getpid()):
        host = now
        report("running")


print(f"started {name}", flush=True)
start_time = int(read_text("/proc/self/stat").rpartition(")")[2].split()[19])
host = None
what, numbers = fate()
if what == "end":
    sys.exit(int(numbers[0]))
take_over()
replace(holder, json.dumps({"pid": os.getpid()}))
host = first_serving()
report("running")
replace(f"/run/bed/up.{name}", str(os.getpid()))
if what == "crash" and number_of_this_start() % numbers[0] == 0:
    time.sleep(0.1)
    sys.exit(int(numbers[1]))
planned = False
while not planned and not signal.sigtimedwait([signal.SIGTERM], 0.1 if host else 0.5):
    planned = is_planned()
    look_again()
planned = planned or is_planned()
report("draining")
time.sleep(numbers[0] if what == "drain" else 0)
report("stopped" if planned else "running")
if read(holder).get("pid") == os.getpid():
    try:
        os.unlink(holder)
    except FileNotFoundError:
        pass
print(f"ended {name}", flush=True)
sys.exit(0 if planned else 1)
'''


@dataclass(frozen=True)
class Slot:
    """What s6-svstat says of a slot and its logger. `is_wanted`: to be up; `starts`: there is no file `down`."""

    is_supervised: bool
    is_up: bool = False
    is_wanted: bool = False
    starts: bool = False
    pid: int = -1
    has_logger: bool = False


# A slot can vanish while it is looked at.
SVSTAT = """cd /run/service || exit
for slot in gateway-*; do
    [ -d "$slot" ] || continue
    said=$(s6-svstat -o up,wantedup,normallyup,pid "$slot" 2> /dev/null) || said=unsupervised
    echo "${slot#gateway-} $(s6-svstat -o up "$slot/log" 2> /dev/null || echo unsupervised) $said"
done
"""


class Container:
    """A volume, and a container on it that can be booted again. A context manager."""

    def __init__(self, setup):
        self.setup = setup
        self.fates = {name: profile.fate for name, profile in setup.profiles.items()}
        self.folder = Path(tempfile.mkdtemp(prefix="hermes-init-soak-"))
        self.home = self.folder / "home"
        self.bed = None

    def __enter__(self):
        self.home.mkdir()
        (self.home / "profiles").mkdir()
        for name, profile in self.setup.profiles.items():
            self.make_profile(name, profile)
        for path in (self.home, self.home / "profiles"):
            os.chown(path, HERMES, HERMES)
        return self

    def __exit__(self, *_):
        self.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def close(self):
        if self.bed:
            bed, self.bed = self.bed, None
            bed.__exit__()

    def directory(self, name):
        return self.home if name == "default" else self.home / "profiles" / name

    def make_profile(self, name, profile):
        """Makes a profile, which appears whole. `default` is there from the beginning."""
        folder = self.home if name == "default" else self.folder / name
        folder.mkdir(exist_ok=True)
        files = {"SOUL.md": ""}
        if profile.state is not None:
            files["gateway_state.json"] = profile.state
        if profile.is_standalone:
            files["config.yaml"] = STANDALONE
        if profile.is_parked:
            files[PARKED] = ""
        for file, text in files.items():
            (folder / file).write_text(text)
            os.chown(folder / file, HERMES, HERMES)
        os.chown(folder, HERMES, HERMES)
        if name != "default":
            with contextlib.suppress(OSError):
                folder.rename(self.directory(name))

    def delete_profile(self, name):
        """Deletes a profile. Its gateway may write into it meanwhile."""
        gone = self.folder / f"gone.{time.monotonic_ns()}"
        with contextlib.suppress(OSError):
            self.directory(name).rename(gone)
        shutil.rmtree(gone, ignore_errors=True)

    def edit(self, name, text):
        """Replaces the state file as an editor does, in one step; removes it without a text."""
        path = self.directory(name) / "gateway_state.json"
        with contextlib.suppress(FileNotFoundError):
            if text is None:
                path.unlink()
            else:
                new = path.with_name("edited")
                new.write_text(text)
                os.chown(new, HERMES, HERMES)
                new.rename(path)

    def park(self, name, is_parked):
        """Makes or removes what keeps default from serving a profile, as the hermes user, as `hermes gateway stop` and `start` do."""
        words = ["touch"] if is_parked else ["rm", "-f"]
        self.bed.run([*words, f"/opt/data/{'' if name == 'default' else f'profiles/{name}/'}{PARKED}"], uid=HERMES)

    def make_standalone(self, name, is_standalone):
        """Says in config.yaml whether a profile has a gateway of its own in every topology."""
        path = self.directory(name) / "config.yaml"
        with contextlib.suppress(OSError):
            new = path.with_name("edited.yaml")
            new.write_text(STANDALONE if is_standalone else "gateway: {}\n")
            os.chown(new, HERMES, HERMES)
            new.rename(path)

    def boot(self):
        """Boots the container: fix-perms and reconcile as root, then a scan. Returns how the two ended."""
        self.bed = Bed(environment=self.setup.environment, stand_in=STAND_IN, volume=self.home)
        self.bed.__enter__()
        for name, fate in self.fates.items():
            self.bed.path(f"/run/bed/fate.{name}").write_text(fate)
        if self.setup.serves:
            self.bed.path("/run/bed/serves").write_text(self.setup.serves)
        done = [self.bed.init(step, code=None, timeout=90) for step in ("fix-perms", "reconcile")]
        self.bed.rescan()
        return done

    def stop(self, how):
        """Ends the container: `kill` as a power cut, `stop` as docker stop with a short time of grace."""
        if how == "stop":
            self.bed.run(["kill", "-TERM", "-1"])
            with contextlib.suppress(AssertionError):
                wait_for(lambda: not self.gateways(), 1.0)
        bed, self.bed = self.bed, None
        bed.svscan = bed.svscan and how == "stop"
        bed.__exit__()

    def slots(self):
        """Returns the slots that s6-svscan can see, by the names of their profiles."""
        found = {}
        for line in self.bed.run(["timeout", "20", "sh", "-c", SVSTAT]).stdout.decode().splitlines():
            name, logger, *said = line.split()
            if said == ["unsupervised"]:
                found[name] = Slot(False, has_logger=logger == "true")
            else:
                up, wanted, starts = (word == "true" for word in said[:3])
                found[name] = Slot(True, up, wanted, starts, int(said[3]), logger == "true")
        return found

    def gateways(self):
        """Returns the processes of the stand-ins, by the names of their profiles."""
        found = {}
        for entry in self.bed.path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    argv = (entry / "cmdline").read_bytes().split(b"\0")
                    if b"/run/bed/bin/hermes" in argv and b"gateway" in argv:
                        name = argv[argv.index(b"-p") + 1].decode() if b"-p" in argv else "default"
                        found.setdefault(name, []).append(int(entry.name))
        return found

    def end(self, pids):
        """Ends processes, and waits until they are gone."""
        self.bed.run(["kill", "-9", *map(str, pids)])
        wait_for(lambda: all(self.start_time(pid) is None for pid in pids), what="the end of gateways")

    def supervisor(self, name):
        """Returns the process ID of the supervisor of a slot. One that has just ended has no argv."""
        for pid in self.bed.supervisors():
            with contextlib.suppress(OSError):
                if self.bed.path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[1:2] == [f"gateway-{name}".encode()]:
                    return pid
        return None

    def deaths(self, name):
        """Returns the number of deaths of a gateway since the boot that nobody has asked for."""
        lines = self.bed.run(["timeout", "5", "s6-svdt", f"/run/service/gateway-{name}"]).stdout.decode().splitlines()
        return len([line for line in lines if not line.endswith(("exitcode 0", "signal SIGTERM"))])

    def marker(self, name, file=MARKER):
        """Returns the process ID in a marker of a profile; None without one."""
        try:
            return json.loads((self.directory(name) / file).read_text()).get("target_pid")
        except (OSError, ValueError):
            return None

    def is_settled(self, slots):
        """Returns whether no gateway is on its way up or down."""
        for name, slot in slots.items():
            # A supervisor that was killed comes back; the logger of a slot that nobody has scanned has none either.
            if (slot.is_up != slot.is_wanted) if slot.is_supervised else slot.has_logger:
                return False
            # A gateway ends that has a marker, of a restart too, and one that says so, of which the supervisor may know nothing.
            if slot.is_up and (slot.pid in (self.marker(name), self.marker(name, RESTART)) or self.is_draining(name, slot.pid)):
                return False
            if slot.is_up and not self.setup.makes_pauses and not self.is_started(name, slot.pid):
                return False
        return self.has_looked_again(slots)

    def has_looked_again(self, slots):
        """Returns whether the gateway of default, if it serves others, says so of those whom it is to serve."""
        state, slot = self.state(), slots.get("default")
        if not slot or not slot.is_up or state.get("pid") != slot.pid or not state.get("served_profiles"):
            return True
        volume = Volume(self)
        served = [name for name in volume.names()[1:] if not volume.is_standalone(name) and not volume.is_parked(name)]
        return state["served_profiles"] == ["default", *served]

    def state(self):
        """Returns the state file of default; nothing of one that is torn."""
        try:
            state = json.loads((self.home / "gateway_state.json").read_text())
        except (OSError, ValueError):
            return {}
        return state if isinstance(state, dict) else {}

    def start_time(self, pid):
        """Returns when a process was started, in clock ticks; None if it has ended."""
        try:
            return int(self.bed.path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19])
        except (OSError, ValueError):
            return None

    def is_draining(self, name, pid):
        """Returns whether the process of a slot is on its way down, as its state file says."""
        try:
            state = json.loads((self.directory(name) / "gateway_state.json").read_text())
        except (OSError, ValueError):
            return False
        return isinstance(state, dict) and (state.get("gateway_state"), state.get("pid")) == ("draining", pid)

    def is_started(self, name, pid):
        """Returns whether the process of a slot has become its stand-in, which has written its state."""
        try:
            return int(self.bed.path(f"/run/bed/up.{name}").read_text()) == pid
        except (OSError, ValueError):
            return False

    def files(self):
        """Returns what tells one state of the state files from another."""
        found = []
        for folder in [self.home, *sorted((self.home / "profiles").iterdir())]:
            with contextlib.suppress(OSError):
                meta = (folder / "gateway_state.json").stat()
                found.append((folder.name, meta.st_ino, meta.st_mtime_ns))
        return found

    def calm(self):
        """Waits until nothing changes any more. Returns the slots, and whether it has become calm."""
        end, since, last = time.monotonic() + CALM, time.monotonic(), None
        while True:
            now = (self.slots(), self.files())
            if now != last or not self.is_settled(now[0]):
                since, last = time.monotonic(), now
            if time.monotonic() - since > STILL:
                return now[0], True
            if time.monotonic() > end:
                return now[0], False
            time.sleep(0.03)

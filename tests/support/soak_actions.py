"""The steps of a soak: how a round chooses them, and how they are carried out. They are chosen before the round begins, so that a seed
gives the same steps whatever comes of them."""

import os
import random
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from support.program import HERMES
from support.soak_model import ALONE, NAMES, combination, setup, some_profile

# Seconds that a command has; more than each of its waits.
LIMIT = 90
ORDERS = ("start", "stop", "restart")
COMMANDS = (*ORDERS, "register", "unregister", "reconcile", "status", "health", "logs")
# What changes nothing that is known.
LOOKS = ("status", "health", "logs", "svscanctl")
# They end a process, which its supervisor starts again.
JOLTS = ("kill gateway", "svc -t", "svc -r")
KINDS = {
    "start": 10,
    "stop": 10,
    "restart": 10,
    "register": 7,
    "unregister": 6,
    "reconcile": 6,
    "status": 3,
    "health": 3,
    "logs": 2,
    "svscanctl": 4,
    "svc -u": 1,
    "svc -d": 2,
    "svc -t": 2,
    "svc -r": 1,
    "edit": 4,
    "kill gateway": 4,
    "kill supervisor": 3,
    "create": 2,
    "delete": 1,
    "container": 3,
    # What `status` says is done.
    "advice": 3,
    # Others make and remove gateway.parked, and change what config.yaml says of gateway.standalone.
    "park": 4,
    "unpark": 3,
    "standalone": 3,
}
# Those of a release that has no gateway for all profiles are not told from those of one that has.
OF_A_HOST = ("park", "unpark", "standalone")
ALONE_IN_STEP = ("container", "advice")
TORN = ('{"desired_state": "runni', "", '["running"]')


@dataclass(frozen=True)
class Action:
    """One process, or one deed of somebody else's. `kill` is after how many seconds a command is killed."""

    kind: str
    name: str = ""
    words: tuple = ()
    uid: int = 0
    kill: float | None = None
    # The text of an edited file, or the profile that is made.
    what: object = None

    def __str__(self):
        who = "hermes" if self.uid else "root"
        if self.kind in COMMANDS:
            killed = "" if self.kill is None else f", killed after {self.kill * 1000:.1f} ms"
            return f"{' '.join(['hermes-init', self.kind, *self.words])} ({who}{killed})"
        if self.kind.startswith("svc"):
            return f"s6-{self.kind} gateway-{self.name} ({who})"
        if self.kind == "svscanctl":
            return f"s6-svscanctl -a ({who})"
        if self.kind == "advice":
            return "what status advises is done"
        if self.kind == "container":
            return f"the container ends ({self.what}) and boots"
        what = "" if self.what is None else f": {self.what}"
        return f"{self.kind} {self.name}{what}" if self.kind != "edit" or self.what is not None else f"edit {self.name}: remove"

    def waits(self):
        """Returns the seconds of --wait; None without that."""
        given = [word for word in self.words if word.startswith("--wait")]
        return int(given[0].partition("=")[2] or 30) if given else None


@dataclass
class Outcome:
    """What has come of an action."""

    code: int | None = None
    stdout: bytes = b""
    stderr: bytes = b""
    seconds: float = 0.0
    is_killed: bool = False

    def __str__(self):
        code = "killed" if self.is_killed else f"exit code {self.code}"
        said = f": {self.stderr.decode(errors='replace').strip()[:300]}" if self.stderr else ""
        return f"{code}, {self.seconds:.2f} s{said}"


class Plan:
    """The steps of a round. A step is a list of actions that are carried out at once."""

    def __init__(self, seed, number, count):
        self.choose = random.Random(f"{seed} {number}")
        self.mode, self.kind = combination(seed, number)
        self.setup = setup(self.choose, self.mode, self.kind)
        self.there = set(self.setup.profiles)
        self.tears = dict.fromkeys(NAMES, 0)
        self.tokens = 0
        self.steps = []
        if self.kind == ALONE:
            self.steps += [[self.action("create", "default")] for _ in range(3)]
        while sum(map(len, self.steps)) < count:
            self.steps.append(self.step())

    def step(self):
        choose = self.choose
        size, focus = choose.choice((1, 1, 1, 2, 2, 3, 4)), choose.choice(NAMES)
        found = []
        while len(found) < size:
            kind = choose.choices(list(KINDS), list(KINDS.values()))[0]
            if kind in ALONE_IN_STEP and size > 1:
                continue
            action = self.action(kind, focus)
            # A profile is made or deleted once in a step.
            if action and not (
                kind in ("create", "delete", "edit", *OF_A_HOST)
                and any(other.kind == kind and other.name == action.name for other in found)
            ):
                found.append(action)
        return found

    def action(self, kind, focus):
        choose = self.choose
        there = sorted(self.there)
        name = focus if focus in self.there and choose.random() < 0.6 else choose.choice(there)
        uid = HERMES if choose.random() < 0.6 else 0
        if self.setup.serves and kind in ORDERS and choose.random() < 0.15:
            name = "default"
        if kind in OF_A_HOST:
            # In `auto`, each is a sign of a release with such a gateway. The marker says nothing of default.
            is_other = self.kind == "auto" or (kind == "standalone" and (name == "default" or not self.setup.serves))
            return None if is_other else Action(kind, name, what=choose.random() < 0.5 if kind == "standalone" else None)
        if kind == "create":
            absent = [name for name in NAMES if name not in self.there]
            if not absent:
                return None
            name = choose.choice(absent)
            self.there.add(name)
            return Action(kind, name, what=some_profile(choose, self.token(), bool(self.setup.serves)))
        if kind == "delete":
            if name == "default" or len(there) < 4:
                return None
            self.there.discard(name)
            return Action(kind, name)
        if kind == "edit":
            return Action(kind, name, what=self.text(name))
        if kind == "container":
            return Action(kind, what=choose.choice(("stop", "kill")))
        if kind == "advice":
            return Action(kind, uid=uid)
        if kind in ("svscanctl", "reconcile"):
            # Sealed, the hermes user may not command s6-svscan.
            uid = 0 if self.mode == "sealed" and kind == "svscanctl" else uid
            return Action(kind, uid=uid, kill=self.killed() if kind == "reconcile" else None)
        if kind in ("kill gateway", "kill supervisor"):
            return Action(kind, name)
        if kind not in COMMANDS:
            return Action(kind, name, uid=uid)
        # A gateway of which the profile is gone may be asked for, too.
        if choose.random() < 0.05:
            name = choose.choice(NAMES)
        words, kill = [name], None
        if kind in ORDERS:
            words = [*choose.choice(([], [], ["--wait"], ["--wait=1"], ["--wait=8"])), name]
        elif kind == "register":
            words = [*choose.choice(([], ["--down"])), *choose.choice(([], ["--env", f"KEY={self.token()}"])), name]
        elif kind in ("status", "health"):
            words = choose.choice(([], ["--json"]))
        if kind not in LOOKS:
            kill = self.killed()
        return Action(kind, name if kind not in LOOKS else "", tuple(words), uid, kill)

    def killed(self):
        longest = self.choose.choice((0.008, 0.05, 0.5))
        return self.choose.uniform(0, longest) if self.choose.random() < 0.15 else None

    def token(self):
        self.tokens += 1
        return f"token{self.tokens}"

    def text(self, name):
        """Returns the text of an edited state file; None: it is removed."""
        choose = self.choose
        kind = choose.choice(("running", "stopped", "running", "stopped", "gateway", "torn", "absent"))
        # A command gives a torn file another name, of which there are nine.
        if kind == "torn" and self.tears[name] < 4:
            self.tears[name] += 1
            return choose.choice(TORN)
        if kind == "absent":
            return None
        if kind == "gateway":
            return f'{{"gateway_state": "running", "kept": "{self.token()}"}}'
        return f'{{"desired_state": "{"stopped" if kind == "stopped" else "running"}", "kept": "{self.token()}"}}'


def act(container, action, before):
    """Carries out an action. `before` are the slots before the step."""
    bed, slot = container.bed, before.get(action.name)
    started = time.monotonic()
    if action.kind in COMMANDS:
        found = command(container, action)
    elif action.kind.startswith("svc") or action.kind == "svscanctl":
        words = ["s6-svc", action.kind.split()[1], bed.slot(action.name)] if action.name else ["s6-svscanctl", "-a", "/run/service"]
        done = bed.run(["timeout", "5", *words], uid=action.uid)
        found = Outcome(done.returncode, done.stdout, done.stderr)
    elif action.kind in ("kill gateway", "kill supervisor"):
        pid = container.supervisor(action.name) if action.kind == "kill supervisor" else slot.pid if slot else None
        if pid and pid > 1:
            bed.run(["kill", "-9", str(pid)])
        found = Outcome(0 if pid and pid > 1 else None)
    else:
        if action.kind == "edit":
            container.edit(action.name, action.what)
        elif action.kind == "create":
            container.fates[action.name] = action.what.fate
            bed.path(f"/run/bed/fate.{action.name}").write_text(action.what.fate)
            container.make_profile(action.name, action.what)
        elif action.kind in ("park", "unpark"):
            container.park(action.name, action.kind == "park")
        elif action.kind == "standalone":
            container.make_standalone(action.name, action.what)
        else:
            container.delete_profile(action.name)
        found = Outcome(0)
    found.seconds = time.monotonic() - started
    return found


def command(container, action):
    """Runs one of our commands, and kills it if that is to be done. `code` is None if it hangs."""
    argv = container.bed.command(["/run/bed/bin/hermes-init", action.kind, *action.words], action.uid)
    child = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
        cwd="/",
    )
    killed = False
    if action.kill is not None:
        killed = kill_later(child, action.kill)
    try:
        stdout, stderr = child.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        kill_later(child, 0)
        child.kill()
        stdout, stderr = child.communicate(timeout=LIMIT)
        return Outcome(None, stdout, stderr)
    return Outcome(child.returncode, stdout, stderr, is_killed=killed and child.returncode == -signal.SIGKILL)


def kill_later(child, seconds):
    """Kills the process that nsenter has started, some time after it has become our executable. Returns whether it was killed."""
    children = Path(f"/proc/{child.pid}/task/{child.pid}/children")
    while child.poll() is None:
        try:
            pid = int((children.read_text().split() or ["0"])[0])
            if not pid or Path(f"/proc/{pid}/comm").read_text() != "hermes-init\n":
                time.sleep(0.0005)
                continue
            process = os.pidfd_open(pid)
        except OSError:
            continue
        try:
            time.sleep(seconds)
            signal.pidfd_send_signal(process, signal.SIGKILL)
            return True
        except OSError:
            return False
        finally:
            os.close(process)
    return False


def carry_out(container, actions, before):
    """Carries out the actions of a step at once. Returns their outcomes."""
    with ThreadPoolExecutor(len(actions)) as pool:
        return list(pool.map(lambda action: act(container, action, before), actions))

#!/usr/bin/env python3
"""Random sequences of our commands, s6's, edits, kills and restarts of the container, compared with a model of what is promised.

    tests/soak.py [SECONDS [SEED [ROUND [ONLY]]]]

A round is a new volume with several profiles, in one mode and one topology: all combinations have their turn. A step is one action, or
up to four at once, as root and as the hermes user; after it everything becomes calm, and the checks of support/soak_checks.py look at
s6-svstat, `status`, `health` and the volume, and after a restart of the container at what the boot has done. What is wrong is printed with
the steps up to then, and with the command that repeats the round. ROUND is one round alone, ONLY are those of its steps that are
carried out, `1-3,7`. A round ends with the first step at which something is wrong. Exit code 1 means that something was.
"""

import random
import signal
import subprocess
import sys
import time

from support.program import HERMES
from support.soak_actions import ALONE_IN_STEP, Plan, carry_out
from support.soak_advice import advice_helps
from support.soak_checks import OF_A_BOOT, OF_A_STEP, OF_EVERY_CALM
from support.soak_container import Container
from support.soak_learning import Seen, learn, learn_boot, token_of
from support.soak_model import Model, Volume

# The number of actions of a round.
ACTIONS = 40


class Round:
    """A round: the steps of a plan, or only some of them."""

    def __init__(self, seed, number, count=ACTIONS, only=None):
        self.seed, self.number = seed, number
        self.plan = Plan(seed, number, count)
        self.only = only
        self.model = Model()
        self.lines, self.wrong, self.actions, self.followed = [], [], 0, []

    def run(self):
        """Returns what is wrong, by the names of checks."""
        with Container(self.plan.setup) as container:
            for name, profile in self.plan.setup.profiles.items():
                self.model.known(name).tokens = {token_of(profile.state)}
                self.lines.append(
                    f"   {name}: {profile.state}{', standalone' if profile.is_standalone else ''}; its gateway: {profile.fate}"
                )
            try:
                self.boot(container)
                for at, actions in enumerate(self.plan.steps, 1):
                    if self.wrong:
                        break
                    if self.only is None or at in self.only:
                        self.step(container, at, actions)
                if not self.wrong:
                    self.follow_advice(container)
            except (AssertionError, subprocess.TimeoutExpired) as error:
                self.wrong.append(("it could not be carried on", str(error)))
        return self.wrong

    def boot(self, container, at=0):
        seen = self.seen(container, [], at)
        seen.asked = {name: seen.volume.next_boot(name) == "up" for name in seen.volume.names()}
        seen.outcomes = container.boot()
        seen.slots, seen.is_calm = container.calm()
        learn_boot(seen)
        self.check(seen, OF_A_BOOT)
        if not self.wrong:
            self.check(seen, OF_EVERY_CALM)

    def seen(self, container, actions, at):
        volume = Volume(container)
        names = volume.names()
        words = {name: volume.word(name) for name in names}
        of_default, refused, parked = (
            {name for name in names if holds(name)} for holds in (volume.is_of_default, volume.is_refused, volume.is_parked)
        )
        before = container.slots() if container.bed else {}
        host = volume.host(before) if container.bed else "down"
        return Seen(container, volume, self.model, actions, before, words, names, of_default, refused, parked, host, uid=HERMES * (at % 2))

    def step(self, container, at, actions):
        self.actions += len(actions)
        if actions[0].kind in ALONE_IN_STEP:
            self.lines.append(f"{at:3} {actions[0]}")
        if actions[0].kind == "advice":
            return self.follow_advice(container, at)
        if actions[0].kind == "container":
            container.stop(actions[0].what)
            return self.boot(container, at)
        seen = self.seen(container, actions, at)
        seen.outcomes = carry_out(container, actions, seen.before)
        seen.slots, seen.is_calm = container.calm()
        for number, (action, outcome) in enumerate(seen.pairs):
            self.lines.append(f"{at:3}{'' if len(actions) == 1 else chr(ord('a') + number)} {action}: {outcome}")
        learn(seen)
        self.check(seen, (*OF_A_STEP, *OF_EVERY_CALM))
        return None

    def follow_advice(self, container, at=0):
        """Does what `status` says."""
        seen, before = self.seen(container, [], at), len(self.followed)
        seen.slots = seen.before
        self.wrong += [(advice_helps.__name__, problem) for problem in advice_helps(seen, self.followed)]
        self.lines += [f"    {note}" for note in self.followed[before:]]
        if not self.wrong:
            self.check(seen, OF_EVERY_CALM)

    def check(self, seen, checks):
        for check in checks:
            for problem in check(seen):
                self.wrong.append((check.__name__, problem))

    def report(self):
        """Returns the text about what is wrong."""
        steps = "" if self.only is None else f" ONLY={','.join(map(str, sorted(self.only)))}"
        return "\n".join(
            [
                f"soak: round {self.number}: {self.plan.setup}",
                *self.lines,
                *(f"  {check}: {problem}" for check, problem in self.wrong),
                f"  again: make soak SEED={self.seed} ROUND={self.number}{steps}",
            ]
        )


def soak(seed, numbers, seconds=None, count=ACTIONS, only=None, say=print):
    """Runs rounds until the time is over. Returns the reports of those in which something was wrong."""
    end = None if seconds is None else time.monotonic() + seconds
    failed, ran, actions, followed = [], 0, 0, 0
    say(f"soak: seed {seed}")
    for number in numbers:
        if end is not None and time.monotonic() > end:
            break
        this = Round(seed, number, count, only)
        if this.run():
            failed.append(this.report())
            say(failed[-1])
        ran, actions, followed = ran + 1, actions + this.actions, followed + len(this.followed)
    say(f"soak: {ran} rounds, {actions} actions, {followed} pieces of advice, in {len(failed)} rounds something was wrong, seed {seed}")
    return failed


def numbers_of(text):
    """Returns the numbers in `1-3,7`."""
    ranges = [word.partition("-") for word in text.split(",")]
    return {number for first, _, last in ranges for number in range(int(first), int(last or first) + 1)}


def main(seconds="600", seed="", number="", steps=""):
    chosen = int(seed) if seed else random.randrange(1 << 32)
    numbers = [int(number)] if number else range(1 << 32)
    return soak(chosen, numbers, float(seconds or 600), only=numbers_of(steps) if steps else None)


if __name__ == "__main__":
    # A run that is ended early also removes its namespaces and folders.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.stdout.reconfigure(line_buffering=True)
    sys.exit(1 if main(*sys.argv[1:]) else 0)

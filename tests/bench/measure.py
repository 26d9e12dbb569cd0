"""Times whole processes, from the fork to the end, in turn."""

import contextlib
import os
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

NO_ENVIRONMENT = {"PATH": "/usr/bin:/bin"}


@dataclass
class Contender:
    """A command. What `around` makes, a context manager, is there during each of its runs and is not timed; it yields a function that is
    called after the run, and that returns how many requests were made, or None."""

    name: str
    argv: list
    environment: dict = field(default_factory=lambda: NO_ENVIRONMENT)
    around: Callable = lambda: contextlib.nullcontext(lambda: None)
    directory: str = "/"


@dataclass
class Times:
    """What the runs of a contender took, in seconds, and the requests that each made, if somebody counts them."""

    seconds: list = field(default_factory=list)
    requests: list = field(default_factory=list)


def spread(numbers):
    """Returns the median and the quartiles."""
    if len(numbers) < 2:
        return numbers[0], numbers[0], numbers[0]
    low, middle, high = statistics.quantiles(numbers, n=4, method="inclusive")
    return middle, low, high


def once(contender, errors):
    """Runs it. Returns the seconds from its start to its end, and its requests."""
    argv = [os.fsencode(word) for word in contender.argv]
    with contender.around() as after, contextlib.chdir(contender.directory):
        streams = [
            (os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
            (os.POSIX_SPAWN_OPEN, 1, "/dev/null", os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, errors, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600),
        ]
        begin = time.perf_counter()
        process = os.posix_spawn(argv[0], argv, contender.environment, file_actions=streams)
        _, status = os.waitpid(process, 0)
        seconds = time.perf_counter() - begin
        # A faster failure is no success.
        if status != 0:
            raise AssertionError(f"{contender.argv} failed ({status}): {Path(errors).read_text()}")
        return seconds, after()


def in_turn(contenders, rounds, errors="/run/bench/stderr"):
    """Runs the contenders in turn: A B, B A, A B ... so that what the machine does meanwhile meets all of them. The first round does not
    count. Returns the Times of each, by name."""
    found = {contender.name: Times() for contender in contenders}
    for number in range(rounds + 1):
        for contender in contenders if number % 2 else reversed(contenders):
            seconds, requests = once(contender, errors)
            if number:
                found[contender.name].seconds.append(seconds)
                if requests is not None:
                    found[contender.name].requests.append(requests)
    return found

"""The figures as a Markdown table, and whether the goals are met."""

import platform
import re
from pathlib import Path

from bench.cases import DELAY, GATEWAYS, OURS, REFERENCE, SCRIPT, SLOW_PROFILES, TRUE
from bench.measure import spread

# A pass over a volume behind a network: at most this part of what the reference takes, and this many requests if its client keeps
# attributes. Each stale file that is removed is one more.
TIME_GOAL, REQUESTS_GOAL = 0.5, 190


def machine():
    model = re.search(r"^model name\s*:\s*(.*)", Path("/proc/cpuinfo").read_text(), re.M)
    memory = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text())[1]) / (1 << 20)
    processors = len(re.findall(r"^processor\s*:", Path("/proc/cpuinfo").read_text(), re.M))
    return f"{processors} processors ({model[1] if model else platform.machine()}), {memory:.0f} GiB, Linux {platform.release()}"


def shown(number):
    """Returns a number with about three significant digits."""
    return f"{number:,.{0 if number >= 100 else 1 if number >= 10 else 2 if number >= 0.1 else 3}f}"


def milliseconds(times):
    middle, low, high = (shown(seconds * 1e3) for seconds in spread(times["seconds"]))
    return f"{middle} ({low} to {high})"


def requests(times):
    low, high = min(times["requests"]), max(times["requests"])
    return f"{low}" if low == high else f"{low} to {high}"


def ratios(times, others):
    """Of each round; what slowed the machine down slowed both."""
    return spread([a / b for a, b in zip(times["seconds"], others["seconds"], strict=True)])


def ratio(times, name, other):
    if other not in times:
        return "-"
    middle, low, high = (shown(number) for number in ratios(times[name], times[other]))
    return f"{middle} ({low} to {high})"


def cell(times, name):
    return milliseconds(times[name]) if name in times else "-"


def table(heads, rows):
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def volume_of(row):
    kept = f"attributes kept for {row['cache']} s" if row["cache"] else "nothing kept"
    return f"{kept}, {'stale pid files' if row['stale'] else 'first pass'}"


def markdown(found):
    passes = [
        [f"{row['profiles']:,}", row["kind"], cell(row["times"], OURS), cell(row["times"], REFERENCE), ratio(row["times"], OURS, REFERENCE)]
        for row in found["reconcile"]
    ]
    commands = [
        [what, cell(times, name), cell(times, TRUE), ratio(times, name, TRUE)]
        for what, times, name in (
            ("`--version`", found["start-up"], OURS),
            ("`gateway-run`, up to the end of `hermes`, here /bin/true", found["gateway-run"], OURS),
            ("the same by a shell script with s6-envdir and s6-setuidgid", found["gateway-run"], SCRIPT),
            (f"`status` of {GATEWAYS} gateways that run", found["live"], "status"),
            (f"`health` of {GATEWAYS} gateways that run", found["live"], "health"),
        )
    ]
    volumes = [
        [
            volume_of(row),
            cell(row["times"], OURS),
            requests(row["times"][OURS]),
            cell(row["times"], REFERENCE),
            requests(row["times"][REFERENCE]) if REFERENCE in row["times"] else "-",
            ratio(row["times"], OURS, REFERENCE),
        ]
        for row in found["slow"]
    ]
    what = (
        f"Measured on {found['machine']}, with {found['version']}: {found['reference'] or 'no reference'}. Whole processes, in turn; "
        "milliseconds; median (lower to upper quartile); ratios of each round."
    )
    return "\n\n".join(
        [
            what,
            "## A boot pass on a tmpfs",
            table(["profiles", "slots", OURS, REFERENCE, "ratio"], passes),
            "## Other commands",
            table(["command", "time", TRUE, "ratio"], commands),
            f"## A boot pass on a volume behind a network: {SLOW_PROFILES} profiles, {DELAY:g} ms a request",
            table(["volume", OURS, "requests", REFERENCE, "requests", "ratio"], volumes),
            "## Goals",
            "\n".join(f"- {line}" for _, line in goals(found)),
        ]
    )


def goals(found):
    """Returns, for each goal, whether it is met, or None if that was not measured, and a sentence with the figures."""
    stated = []

    def state(is_met, what):
        stated.append((is_met, f"{'met' if is_met else 'not measured' if is_met is None else 'NOT MET'}: {what}"))

    for row in found["slow"]:
        times, what = row["times"], volume_of(row)
        if REFERENCE in times:
            middle = ratios(times[OURS], times[REFERENCE])[0]
            state(middle <= TIME_GOAL, f"{what}: {shown(middle)} of the reference's time, at most {TIME_GOAL}")
        else:
            state(None, f"{what}: at most {TIME_GOAL} of the reference's time; no REFERENCE is named")
        if row["cache"]:
            most = max(times[OURS]["requests"])
            goal = REQUESTS_GOAL + SLOW_PROFILES * row["stale"]
            state(most <= goal, f"{what}: {most} requests, at most {goal}")
    return stated

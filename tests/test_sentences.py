"""Each sentence of a note of `status`, of `--explain` and of a quiet boot, by a row of its own; and the borders of SINCE."""

import json
import os
import subprocess
import time

import pytest

from support.fake_container import FakeContainer
from support.forged_state import EPOCH, OWNER, Forged, steadily
from support.program import HERMES, executable, run
from support.testbed import tai64_epoch

pytestmark = pytest.mark.root
PROGRAM = "/usr/bin/hermes-init"

# What is printed of a gateway; `{}` are the parts that differ.
START = "{}: " + PROGRAM + " start {}"
WORDS = {
    "never": "it was never started",
    "failed": "the last start failed; not retried at boot",
    "ended": "its gateway has ended",
    "request": "stopped on request",
    "other": "{} is {}",
}
RUNS = "it is running, but the next boot keeps it down: {}"
RUNS_SERVED = "it is running, but from the next boot on the gateway of default serves it"
NOT_STARTED = "it has not been started since the boot"
ENDED = (
    "it has ended by itself (exit code 0), or was stopped temporarily; see: "
    + PROGRAM
    + " logs {0}; to start it again: "
    + PROGRAM
    + " start {0}"
)
STOPPED = "it was stopped temporarily"
DIED = "it has died ({})"
PERMANENT = "failed permanently ({}); see: " + PROGRAM + " logs {}"
LOOP = "keeps dying: {} times within 180 seconds ({}); see: " + PROGRAM + " logs {}"
WAITING = "; waiting, starts again at {}"
LOGGER = "its logger keeps dying; the container's log says why"
UNSUPERVISED = "it is not supervised yet"
NO_SLOT_OF_OURS = "{}, not a slot: leave it to the program that created it"
SLOT_IS_GONE = "the slot that the last boot created is gone"
NO_SLOT_MADE = "the last boot created no slot"
MADE_SINCE = "created since the last boot"
NO_SLOT = "it has no slot"
SERVED = "{}: the gateway of default serves it"
NO_SOUL = "it has no SOUL.md, so it is not a profile; restore the file, then"
NO_SOUL_SLOT = "it has no SOUL.md, so it is not a profile; restore the file, or remove the slot: " + PROGRAM + " unregister {}"
PROFILE_GONE = "its profile is gone: " + PROGRAM + " unregister {}"
NOBODYS_SLOT = "no profile can have a slot of this name"
STOPPING = "it is stopping, and stays down then"
LAST_PASS = "the last boot pass failed for it; the boot log says why; as root: " + PROGRAM + " reconcile"
CLOSED = (
    "hermes-init {}: warning: unable to use the profile profiles/{}: Permission denied (/place/home/profiles belongs to 0:0, mode 0700; as root: "
    + PROGRAM
    + " hand-over /place/home/profiles)\n"
)
LACKS = "unable to use profiles/{}/.hermes-init-env: it does not belong to the hermes user, or has another hard link"
NEW = "up for only {} seconds"
BAD_NAME = "name is not [a-z0-9][a-z0-9_-]*"
BAD_STATE = "gateway_state.json: {}"
KEPT_DOWN = BAD_STATE + "; the next boot keeps it down: " + PROGRAM + " start {}"
FRONTEND = "the role is frontend ({})"
FRONTENDS_COMMAND = "this container's command is dashboard, a front end; gateways belong in the gateway's container"
FOREGROUND = "the container's command, gateway run, runs this gateway in the foreground"
UNKNOWN = "hermes-init {}: warning: no such gateway {}: {}\n"
NO_PROFILE = "no profile of that name in /place/home/profiles"
UNUSED = "it has no slot, and was never started"
NO_ROOM = "no capacity: s6-svscan handles {} services (--max-services), a slot and its logger count as two, and 4 are kept free"
REST = "{} more entries cannot have a slot, and {} were not inspected"

# Of the boots in the boot log; the last one is that of default's line.
LAST, EARLIER = "2026-03-02T01:01:01+0000", "2026-03-01T01:01:01+0000"


@pytest.fixture
def forged(place):
    with Forged(place) as forged:
        forged.delegate()
        yield forged


def start(what, name):
    return START.format(what, name)


def desired(word):
    return json.dumps({"desired_state": word})


DOWN, UP, GONE = {"up": False}, {}, None
STAYS = [
    (None, WORDS["never"]),
    ("stopped", WORDS["ended"]),
    (desired("stopped"), WORDS["request"]),
    ("starting", WORDS["failed"]),
    ("startup_failed", WORDS["failed"]),
    (desired("starting"), WORDS["other"].format("desired_state", "starting")),
    (desired("draining"), WORDS["other"].format("desired_state", "draining")),
    ("paused", WORDS["other"].format("gateway_state", "paused")),
    ('{"gateway_state": "half done=x"}', WORDS["other"].format("gateway_state", r'"half\u0020done\u003dx"')),
]
CODES = {
    78: "78: configuration",
    111: "111: a system call failed",
    126: "126: the program cannot be executed",
    127: "127: the program or its interpreter is not found",
}


def sentences():
    """Returns the rows: the state file, what s6 knows of the slot (None: there is none), the line of the boot log, the state, the next
    boot, the note without the name, whether it is a fault."""
    rows = {}
    for number, (state, words) in enumerate(STAYS):
        rows[f"down-{number}"] = (state, DOWN, None, "down", "down", lambda name, words=words: start(words, name), False)
        rows[f"runs-{number}"] = (state, UP, None, "up", "down", RUNS.format(words), False)
        rows[f"loops-{number}"] = (
            state,
            {"deaths": [(9, 1, 0), (5, 1, 0)]},
            None,
            "restarting",
            "down",
            lambda name: LOOP.format(2, "exit code 1", name),
            False,
        )
    for number, state in enumerate(("running", "draining", "degraded", desired("running"))):
        rows[f"up-{number}"] = (state, UP, None, "up", "up", None, False)
        rows[f"not-started-{number}"] = (state, DOWN, None, "down", "up", lambda name: start(NOT_STARTED, name), True)
    for title, death, text in (
        ("stopped", (50, 143, 15), STOPPED),
        ("died", (50, 3, 0), DIED.format("exit code 3")),
        ("killed", (50, 137, 9), DIED.format("signal 9")),
        ("killed-78", (50, 78, 9), DIED.format("signal 9")),
        ("long-ago", (5000, 3, 0), DIED.format("exit code 3")),
    ):
        rows[f"now-{title}"] = ("running", DOWN | {"deaths": [death]}, None, "down", "up", lambda name, text=text: start(text, name), True)
    rows["now-ended"] = ("running", DOWN | {"deaths": [(50, 0, 0)]}, None, "down", "up", ENDED.format, True)
    for code, text in CODES.items():

        def permanent(name, text=text):
            return PERMANENT.format(text, name)

        rows[f"permanent-{code}"] = ("running", DOWN | {"deaths": [(50, code, 0)]}, None, "down", "up", permanent, True)
        # Also where the next boot keeps it down, but for a stop that somebody asked for.
        rows[f"permanent-{code}-stopped"] = ("stopped", DOWN | {"deaths": [(50, code, 0)]}, None, "down", "down", permanent, False)
        rows[f"permanent-{code}-asked"] = (
            desired("stopped"),
            DOWN | {"deaths": [(50, code, 0)]},
            None,
            "down",
            "down",
            lambda name: start(WORDS["request"], name),
            False,
        )
    rows |= {
        "finishing": ("running", {"up": False, "finishing": True}, None, "down", "up", lambda name: start(NOT_STARTED, name), True),
        "to-go-down": ("running", {"wanted": False}, None, "up", "up", start(STOPPING, "to-go-down"), True),
        "loops": (
            "running",
            {"deaths": [(9, 1, 0), (5, 7, 0)]},
            None,
            "restarting",
            "up",
            lambda name: LOOP.format(2, "exit code 7", name),
            True,
        ),
        "loops-down": (
            "running",
            {"up": False, "wanted": True, "deaths": [(9, 137, 9), (5, 137, 9)]},
            None,
            "restarting",
            "up",
            lambda name: LOOP.format(2, "signal 9", name),
            True,
        ),
        "loops-no-more": ("running", {"deaths": [(190, 1, 0), (180, 1, 0), (5, 1, 0)]}, None, "up", "up", None, False),
        "loops-still": (
            "running",
            {"deaths": [(age, 1, 0) for age in (190, 180, 179, 125, 70, 15)]},
            None,
            "restarting",
            "up",
            lambda name: LOOP.format(4, "exit code 1", name),
            True,
        ),
        "logger": ("running", {"logger": [(9, 1, 0), (5, 1, 0)]}, None, "up", "up", LOGGER, True),
        "logger-of-one-that-stays-down": (desired("stopped"), {"logger": [(9, 1, 0), (5, 1, 0)]}, None, "up", "down", LOGGER, True),
        "unsupervised": ("running", {"held": False}, None, "unsupervised", "up", lambda name: start(UNSUPERVISED, name), True),
        "unsupervised-down": (
            desired("stopped"),
            {"held": False},
            None,
            "unsupervised",
            "down",
            lambda name: start(UNSUPERVISED, name),
            False,
        ),
        "bad-state": ("!", UP, None, "up", "down", KEPT_DOWN.format("not JSON", "bad-state"), True),
        "bad-state-down": (
            "{}",
            DOWN,
            None,
            "down",
            "down",
            KEPT_DOWN.format("neither desired_state nor gateway_state is a string", "bad-state-down"),
            True,
        ),
        "a-symlink": ("running", "symlink", None, "unknown", "up", NO_SLOT_OF_OURS.format("a symlink"), True),
        "a-file": ("running", "file", None, "unknown", "up", NO_SLOT_OF_OURS.format("a regular file"), True),
        "a-fifo": (desired("stopped"), "fifo", None, "unknown", "down", NO_SLOT_OF_OURS.format("a FIFO"), False),
        "missing-new": ("running", GONE, None, "no slot", "up", lambda name: start(MADE_SINCE, name), True),
        "missing-new-stopped": (desired("stopped"), GONE, None, "no slot", "down", lambda name: start(MADE_SINCE, name), False),
        "missing-of-an-earlier-boot": ("running", GONE, f"started {EARLIER}", "no slot", "up", lambda name: start(MADE_SINCE, name), True),
        "missing-started": ("running", GONE, f"started {LAST}", "no slot", "up", lambda name: start(SLOT_IS_GONE, name), True),
        "missing-registered": ("running", GONE, f"registered {LAST}", "no slot", "up", lambda name: start(SLOT_IS_GONE, name), True),
        "missing-skipped": ("running", GONE, f"skipped {LAST}", "no slot", "up", lambda name: start(NO_SLOT_MADE, name), True),
        "missing-failed": ("running", GONE, f"failed {LAST}", "no slot", "up", lambda name: start(NO_SLOT_MADE, name), True),
        "failed": ("running", UP, f"failed {LAST}", "up", "up", LAST_PASS, True),
        # The newest pass has not failed for it.
        "failed-earlier": ("running", UP, f"failed {EARLIER}", "up", "up", None, False),
        "failed-and-down": (desired("stopped"), DOWN, f"failed {LAST}", "down", "down", lambda name: start(WORDS["request"], name), True),
        "started": ("running", UP, f"started {LAST}", "up", "up", None, False),
        # A profile that can have no slot has no next boot.
        "Bad": ("running", GONE, f"skipped {LAST}", "no slot", None, BAD_NAME, False),
        "Bad-before": ("running", GONE, f"failed {LAST}", "no slot", None, BAD_NAME, False),
    }
    return rows


def said(row, name):
    return row(name) if callable(row) else row


@pytest.mark.parametrize("uid", [0, HERMES])
def test_each_sentence_of_a_note(forged, uid):
    rows = sentences()
    log = f"{LAST} profile=default prior_state=None action=registered prior_exit=unknown\n"
    (forged.home / "profiles").mkdir()
    for name, (state, slot, line, *_) in rows.items():
        folder = forged.home / "profiles" / name
        folder.mkdir()
        (folder / "SOUL.md").touch()
        if state is not None:
            (folder / "gateway_state.json").write_text(state if state[0] in "{!" else json.dumps({"gateway_state": state}))
        if line:
            action, moment = line.split(" ")
            log = (
                (log if moment == LAST else "")
                + f"{moment} profile={name} prior_state=None action={action} prior_exit=unknown\n"
                + ("" if moment == LAST else log)
            )
        if slot == "symlink":
            (forged.scandir / f"gateway-{name}").symlink_to("gateway-up-0")
        elif slot == "file":
            (forged.scandir / f"gateway-{name}").touch()
        elif slot == "fifo":
            os.mkfifo(forged.scandir / f"gateway-{name}")
    forged.boot_log(log)

    def look(now):
        for name, (_, slot, *_) in rows.items():
            if isinstance(slot, dict):
                forged.slot(name, now=now, **slot)
        return forged.rows(uid=uid), forged.run("health", uid=uid)

    seen, health = steadily(look)
    assert list(seen) == sorted(rows)
    expected = {name: (state, wanted, said(note, name)) for name, (_, _, _, state, wanted, note, _) in rows.items()}
    assert {name: (row["state"], row["wanted"], row["note"]) for name, row in seen.items()} == expected
    assert {name: row["last_boot"] for name, row in seen.items()} == {
        name: None if line and line.endswith(EARLIER) else line for name, (_, _, line, *_) in rows.items()
    }
    faults = [f"{name}: {said(rows[name][5], name)}" for name in sorted(rows) if rows[name][6]]
    assert (health.returncode, health.stdout.splitlines(), health.stderr) == (1, faults, "")


@pytest.mark.parametrize("uid", [0, HERMES])
def test_each_sentence_of_a_slot_without_a_profile(forged, uid):
    (forged.home / "profiles/no-soul").mkdir(parents=True)
    (forged.home / "profiles/no-soul-slot").mkdir()
    (forged.home / "profiles/No Profile").mkdir()
    rows = {
        "gone-up": (UP, "up", None, PROFILE_GONE.format("gone-up"), False),
        "gone-down": (DOWN, "down", None, PROFILE_GONE.format("gone-down"), False),
        "gone-loops": ({"deaths": [(9, 1, 0), (5, 1, 0)]}, "restarting", None, PROFILE_GONE.format("gone-loops"), False),
        "gone-unsupervised": ({"held": False}, "unsupervised", None, PROFILE_GONE.format("gone-unsupervised"), False),
        "Bad": (UP, "unknown", None, NOBODYS_SLOT, False),
        "no-soul-slot": (UP, "up", None, NO_SOUL_SLOT.format("no-soul-slot"), False),
    }
    for name, (slot, *_) in rows.items():
        forged.slot(name, **slot)
    (forged.scandir / "gateway-file").touch()
    forged.profile("default", soul=False)
    rows |= {
        "file": (None, "unknown", None, NO_SLOT_OF_OURS.format("a regular file"), False),
        "no-soul": (None, "no slot", None, start(NO_SOUL, "no-soul"), False),
    }
    seen = forged.rows(uid=uid)
    assert {name: (row["state"], row["wanted"], row["note"]) for name, row in seen.items()} == {
        name: tuple(row[1:4]) for name, row in rows.items()
    }
    assert forged.run("health", uid=uid).stdout.splitlines() == [f"{name}: {row[3]}" for name, row in rows.items() if row[4]]


@pytest.mark.parametrize("uid", [0, HERMES])
def test_each_sentence_of_default(forged, uid):
    """Unused, it is on every volume and needs no note; without a slot, it needs no row."""
    # Its name is reserved among the others.
    (forged.home / "profiles/default").mkdir(parents=True)
    assert forged.rows(uid=uid) == {}
    forged.slot("default", up=False)
    assert (forged.rows(uid=uid)["default"]["wanted"], forged.rows(uid=uid)["default"]["note"]) == ("down", None)
    forged.slot("default")
    assert forged.rows(uid=uid)["default"]["note"] is None
    for state, slot, note in (
        (desired("stopped"), DOWN, start(WORDS["request"], "default")),
        (desired("stopped"), UP, RUNS.format(WORDS["request"])),
        ("running", DOWN, start(NOT_STARTED, "default")),
        ("!", DOWN, KEPT_DOWN.format("not JSON", "default")),
    ):
        forged.profile("default", state)
        forged.slot("default", **slot)
        assert forged.rows(uid=uid)["default"]["note"] == note


NOT_YET = f"the gateway of default does not serve it yet: it looks every 30 seconds; if this lasts: {PROGRAM} restart default"
SERVED_YET = f"the gateway of default serves it, although it was stopped on request: {PROGRAM} stop {{}}"
TWICE = f"two gateways serve it: its own, and that of default; to stop its own: {PROGRAM} start {{}}"
SERVES = json.dumps(
    {"desired_state": "stopped", "served_profiles": ["default", "served", "rests", "missing", "missing-and-rests", "twice"]}
)


@pytest.mark.parametrize("uid", [0, HERMES])
def test_each_sentence_where_the_gateway_of_default_serves_all(forged, uid):
    rows = {
        "runs": ("running", UP, "up", "by default", RUNS_SERVED, False),
        "served": ("running", DOWN, "served", "by default", None, False),
        "unserved": ("running", DOWN, "not served", "by default", NOT_YET, True),
        "loops": ("running", {"deaths": [(9, 1, 0), (5, 1, 0)]}, "restarting", "by default", LOOP.format(2, "exit code 1", "loops"), False),
        "rests": (desired("stopped"), DOWN, "served", "by default", SERVED_YET.format("rests"), False),
        "rests-unserved": (desired("stopped"), DOWN, "not served", "by default", NOT_YET.partition("; if")[0], False),
        "rests-and-runs": (desired("stopped"), UP, "up", "by default", RUNS_SERVED, False),
        "missing": ("running", GONE, "served", "by default", SERVED.format(MADE_SINCE), False),
        "missing-and-rests": (desired("stopped"), GONE, "served", "by default", SERVED_YET.format("missing-and-rests"), False),
        "missing-unserved": ("running", GONE, "not served", "by default", NOT_YET, True),
        "twice": ("running", UP, "up", "by default", TWICE.format("twice"), True),
        "parked": ("running", DOWN, "parked", "down", start("parked on request", "parked"), False),
        "own": ("running", UP, "up", "up", None, False),
        "own-missing": ("running", GONE, "no slot", "up", start(MADE_SINCE, "own-missing"), True),
        "default": (SERVES, UP, "up", "up", None, False),
    }
    for name, (state, slot, *_) in rows.items():
        folder = forged.profile(name, state)
        if name == "parked":
            (folder / "gateway.parked").touch()
        if name.startswith("own"):
            (folder / "config.yaml").write_text("gateway:\n  standalone: true\n")
        if slot is not None:
            forged.slot(name, **slot)
    seen = forged.rows("--topology", "multiplex", uid=uid)
    assert {name: (row["state"], row["wanted"], row["note"]) for name, row in seen.items()} == {
        name: tuple(row[2:5]) for name, row in rows.items()
    }
    health = forged.run("health", "--topology", "multiplex", uid=uid)
    assert health.stdout.splitlines() == [f"{name}: {row[4]}" for name, row in sorted(rows.items()) if row[5]]


@pytest.mark.parametrize(
    "options, environment, source", [(["--role", "frontend"], {}, "option"), ([], {"HERMES_INIT_ROLE": "frontend"}, "environment")]
)
def test_in_a_front_ends_container_the_note_says_so_and_there_is_no_next_boot(forged, options, environment, source):
    forged.profile("coder", "running")
    forged.profile("slot", "running")
    forged.profile("Bad", "running")
    forged.slot("slot", up=False)
    seen = forged.rows(*options, environment=environment)
    assert {name: (row["wanted"], row["note"]) for name, row in seen.items()} == {
        "Bad": (None, BAD_NAME),
        "coder": (None, FRONTEND.format(source)),
        "slot": ("up", start(NOT_STARTED, "slot")),
    }
    # What cannot be looked at is no fault here, where it gets no gateway.
    (forged.home / "profiles/coder").chmod(0)
    os.chown(forged.home / "profiles/coder", 0, 0)
    assert forged.run("health", "coder", *options, environment=environment, uid=HERMES, code=0).stdout == ""
    assert forged.run("health", "coder", uid=HERMES, code=1).stdout.startswith("coder: Permission denied (")


def in_container(forged, command, *argv, environment=None, role=()):
    """Runs a command of the executable in a container with this command. Returns its stdout."""
    with FakeContainer([command], environment=environment) as container:
        where = ["--hermes-home", forged.home, "--scandir", forged.scandir, "--owner", OWNER]
        done = run(container.command([executable(), *argv, *where, *role]), env={"PATH": "/usr/bin:/bin", "TZ": "UTC0"}, cwd="/")
        return forged.plain(done.stdout)


def test_the_containers_command_is_in_the_note(forged):
    forged.profile("coder", "running")
    forged.profile("default", "running")
    forged.slot("default", up=False)

    def rows(text):
        return {row["profile"]: (row["wanted"], row["note"]) for row in map(json.loads, text.splitlines())}

    front = rows(in_container(forged, ["main-wrapper.sh", "dashboard"], "status", "--json"))
    assert front["coder"] == (None, FRONTENDS_COMMAND)
    front = rows(in_container(forged, ["main-wrapper.sh"], "status", "--json", environment={"HERMES_INIT_ROLE": "frontend"}))
    assert front["coder"] == (None, FRONTEND.format("container environment"))
    own = rows(in_container(forged, ["main-wrapper.sh", "gateway", "run", "--no-supervise"], "status", "--json"))
    assert own["default"] == ("down", FOREGROUND) and own["coder"] == ("up", start(MADE_SINCE, "coder"))
    # Also where it serves the others: these are not started, and it has not said yet that it does.
    own = rows(in_container(forged, ["main-wrapper.sh", "gateway", "run", "--no-supervise"], "status", "--json", "--topology", "multiplex"))
    assert own["default"] == ("down", FOREGROUND) and own["coder"] == (
        "by default",
        "the container's command, which is to serve it, has not reported yet whom it serves; the container's log says why",
    )


@pytest.mark.parametrize("uid", [0, HERMES])
def test_what_a_gateway_lacks_explains_why_it_has_not_been_started_and_nothing_else(forged, uid):
    """Here the variables of its registration, which are no file of the hermes user."""
    rows = {
        "up": ("running", UP),
        "down": ("running", DOWN),
        "loops": ("running", {"deaths": [(9, 1, 0), (5, 1, 0)]}),
        "rests": (desired("stopped"), DOWN),
        "unsupervised": ("running", {"held": False}),
        "missing": ("running", GONE),
        "failed": ("running", DOWN | {"deaths": [(9, 78, 0)]}),
        "ended": ("running", DOWN | {"deaths": [(9, 0, 0)]}),
        "died": ("running", DOWN | {"deaths": [(9, 137, 9)]}),
    }
    for name, (state, slot) in rows.items():
        (forged.profile(name, state) / ".hermes-init-env").touch()
        if slot is not None:
            forged.slot(name, **slot)
    for name in rows:
        os.chown(forged.home / "profiles" / name / ".hermes-init-env", 1234, 1234)
    notes = {name: [LACKS.format(name)] for name in rows} | {"missing": [start(MADE_SINCE, "missing")]}
    # Not how it has ended.
    notes["loops"].append(LOOP.format(2, "exit code 1", "loops"))
    notes["failed"].append(PERMANENT.format(CODES[78], "failed"))
    notes["ended"].append(ENDED.format("ended"))
    notes["died"].append(DIED.format("signal 9"))
    assert {name: row["note"] for name, row in forged.rows(uid=uid).items()} == {name: "; ".join(notes[name]) for name in notes}
    assert forged.run("health", uid=uid).stdout.splitlines() == [f"{name}: {note}" for name in sorted(rows) for note in notes[name]]


def test_a_boot_log_that_is_older_than_the_slots_is_of_another_machine(forged):
    """A backup that was restored, for example. The oldest slot's type file was made by this boot."""
    boot = 1_772_413_261
    assert time.strftime("%Y-%m-%dT%H:%M:%S+0000", time.gmtime(boot)) == LAST
    for name in ("default", "up", "gone", "unmade", "late"):
        forged.profile(name, "running")
    forged.boot_log(
        f"{LAST} profile=default prior_state=running action=started prior_exit=unknown\n"
        f"{LAST} profile=up prior_state=running action=failed prior_exit=unknown\n"
        f"{LAST} profile=gone prior_state=running action=started prior_exit=unknown\n"
        f"{LAST} profile=unmade prior_state=running action=failed prior_exit=unknown\n"
    )
    believed = {
        "default": None,
        "up": LAST_PASS,
        "gone": start(SLOT_IS_GONE, "gone"),
        "unmade": start(NO_SLOT_MADE, "unmade"),
        "late": start(MADE_SINCE, "late"),
    }
    doubted = {"default": None, "up": None} | {name: start(NO_SLOT, name) for name in ("gone", "unmade", "late")}
    for oldest, notes in ((boot - 0.5, believed), (boot + 0.999, believed), (boot + 1, doubted), (boot + 86_400, doubted)):
        for name, made in (("default", boot + 86_400), ("up", oldest)):
            kind = forged.slot(name) / "type"
            kind.write_text("longrun\n")
            os.utime(kind, (made, made))
        rows = forged.rows(command="status")
        health = {line.partition(": ")[0]: line.partition(": ")[2] for line in forged.run("health").stdout.splitlines()}
        faults = {name: note for name, note in notes.items() if note}
        assert {name: row["note"] for name, row in rows.items()} == notes, oldest
        assert health == faults, oldest
        # What is printed has its time.
        assert rows["up"]["last_boot"] == f"failed {LAST}"


def test_without_a_readable_boot_log_nobody_knows_when_a_profile_was_made(forged):
    forged.profile("coder", "running")
    forged.boot_log("")
    assert forged.rows()["coder"]["note"] == start(MADE_SINCE, "coder")
    # Of a log without a line about default, each line is of the last boot.
    for action, note in (("started", SLOT_IS_GONE), ("failed", NO_SLOT_MADE)):
        forged.boot_log(f"{LAST} profile=coder prior_state=None action={action} prior_exit=unknown\n")
        assert forged.rows()["coder"]["note"] == start(note, "coder")
    (forged.home / "logs/container-boot.log").unlink()
    assert forged.rows()["coder"]["note"] == start(MADE_SINCE, "coder")
    os.mkfifo(forged.home / "logs/container-boot.log")
    assert forged.rows()["coder"]["note"] == start(NO_SLOT, "coder")


@pytest.mark.parametrize("command", ["status", "health"])
def test_a_name_that_nothing_has_is_said_for_what_it_is(forged, command):
    (forged.home / "profiles/no-soul").mkdir(parents=True)
    for name, shown, why in (
        ("nobody", "nobody", NO_PROFILE),
        ("Bad Name", '"Bad\\u0020Name"', NO_PROFILE),
        ("default", "default", UNUSED),
        ("defalt", "defalt", f"{NO_PROFILE}; did you mean default?"),
        ("gateway-no-soul/", "gateway-no-soul/", f"{NO_PROFILE}; did you mean no-soul?"),
    ):
        done = forged.run(command, name, code=1)
        assert done.stderr == UNKNOWN.format(command, shown, why), done
    done = forged.run("status", "no-soul", code=0)
    assert done.stderr == "" and start(NO_SOUL, "no-soul") in done.stdout
    # Where nobody can look, nobody knows whether there is such a gateway.
    (forged.home / "profiles").chmod(0o700)
    os.chown(forged.home / "profiles", 0, 0)
    done = forged.run(command, "nobody", uid=HERMES, code=None)
    assert (
        done.returncode == (1 if command == "status" else 111)
        and "no such gateway" not in done.stderr
        and CLOSED.format(command, "nobody") in done.stderr
    ), done


# SINCE: seconds below 100, minutes below 100, hours below 48, then days.
SPANS = {
    -5: "-",
    0: "0s",
    1: "1s",
    59: "59s",
    60: "60s",
    99: "99s",
    100: "1m",
    119: "1m",
    120: "2m",
    3599: "59m",
    3600: "60m",
    5999: "99m",
    6000: "1h",
    7199: "1h",
    7200: "2h",
    86399: "23h",
    86400: "24h",
    172799: "47h",
    172800: "2d",
    259199: "2d",
    259200: "3d",
    31536000: "365d",
}


@pytest.mark.parametrize("uid", [0, HERMES])
def test_each_border_of_since(forged, uid):
    def look(now):
        for age in SPANS:
            forged.service(f"age{age}", now=now, age=age)
            forged.slot(f"age{age}", now=now, age=age, up=False)
        return now, forged.run("status", uid=uid).stdout, forged.run("status", "--json", uid=uid).stdout

    now, table, objects = steadily(look)
    lines = [line.split() for line in table.split("\n\n")[0].splitlines()[1:]]
    since = {(words[0], words[1]): words[4] for words in lines}
    assert since == {(f"age{age}", kind): text for age, text in SPANS.items() for kind in ("service", "gateway")}
    stamps = {row["slot"].rpartition("/")[2]: row["since"] for row in map(json.loads, objects.splitlines())}
    expected = {age: time.strftime("%Y-%m-%dT%H:%M:%S+0000", time.gmtime(now - age)) for age in SPANS}
    assert stamps == {name.format(age): stamp for age, stamp in expected.items() for name in ("age{}", "gateway-age{}")}


# Deaths of one that dies every second from its start on, and how long the pause after the last one is.
@pytest.mark.parametrize("deaths, length", [(4, None), (5, 2), (6, 4), (10, 60)])
def test_a_pause_is_in_the_note_until_it_is_over(forged, deaths, length):
    forged.profile("coder", "running")
    ages, pauses = [0], {5: 2, 6: 4, 7: 8, 8: 16, 9: 32}
    for number in range(deaths - 1, 0, -1):
        ages.insert(0, ages[0] + pauses.get(number, 0) + 1)
    how = {"deaths": [(age, 1, 0) for age in ages], "age": 0}

    def look(now, after, **more):
        forged.slot("coder", now=now - after, **how | more)
        return now, forged.rows()["coder"]["note"]

    def plain(count):
        return LOOP.format(count, "exit code 1", "coder")

    for after in (0, 1, (length or 1) - 1, length or 0, (length or 0) + 1):
        now, note = steadily(lambda now, after=after: look(now, after))
        until = now - after + (length or 0)
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S+0000", time.gmtime(until))
        assert note == plain(deaths) + (WAITING.format(stamp) if length and until > now else ""), after
    # One that is down is not waiting, and where there are no pauses none is.
    assert steadily(lambda now: look(now, 0, up=False, wanted=True))[1] == plain(deaths)
    forged.slot("coder", **how)
    assert forged.rows(environment={"HERMES_INIT_BACKOFF": "0"})["coder"]["note"] == plain(deaths)


@pytest.mark.parametrize("uid", [0, HERMES])
def test_a_minimum_uptime_holds_from_its_second_on(forged, uid):
    for name, state in (("young", "running"), ("old", "running"), ("stopped", desired("stopped")), ("runs", desired("stopped"))):
        forged.profile(name, state)

    def look(now):
        forged.slot("young", now=now, age=119)
        forged.slot("old", now=now, age=120)
        forged.slot("stopped", now=now, age=1, up=False)
        # Nobody waits for what is to stay down.
        forged.slot("runs", now=now, age=1)
        return forged.run("health", "--min-up=120", uid=uid), forged.run("health", "--min-up=119", uid=uid)

    short, long = steadily(look)
    assert (short.returncode, short.stdout) == (1, f"young: {NEW.format(119)}\n") and (long.returncode, long.stdout) == (0, "")


# s6-svstat says "up 0 seconds" of a service that is stamped later than now, for as long as that is so.
@pytest.mark.parametrize("uid", [0, HERMES])
@pytest.mark.parametrize("ahead", [2, 3600, 400 * 86_400])
def test_what_is_stamped_later_than_now_is_ignored(forged, uid, ahead):
    """The clock was set back, as on a machine without a battery."""
    forged.profile("coder", "running")
    forged.profile("writer", "running")
    forged.profile("failed", "running")

    def look(now):
        crashes = [(-ahead + number, 1, 0) for number in range(9, -1, -1)]
        forged.slot("coder", now=now, age=-ahead, deaths=crashes, logger=crashes)
        forged.service("dashboard", now=now, age=-ahead, deaths=crashes)
        # One death before the clock was set back, one since: not again and again.
        forged.slot("writer", now=now, age=7, deaths=[(-ahead, 1, 0), (8, 1, 0)])
        # How it ended is known, whenever that was.
        forged.slot("failed", now=now, age=-ahead, up=False, deaths=[(-ahead, 78, 0)])
        return forged.rows(uid=uid), forged.run("status", uid=uid).stdout, forged.run("health", "--min-up=5", uid=uid)

    # All deaths are still to come when the last look ends.
    rows, table, health = look(int(time.time()) + 9)
    assert {name: row["state"] for name, row in rows.items()} == {"coder": "up", "/dashboard": "up", "writer": "up", "failed": "down"}
    assert [rows[name]["note"] for name in ("coder", "/dashboard", "writer")] == [None] * 3
    assert rows["failed"]["note"] == PERMANENT.format("78: configuration", "failed")
    assert [rows[name]["deaths"] for name in ("coder", "/dashboard")] == [0, 0]
    since = {line.split()[0]: line.split()[4] for line in table.split("\n\n")[0].splitlines()[1:]}
    assert [since[name] for name in ("coder", "dashboard", "failed")] == ["-"] * 3
    # How long it has been up is not known, and no fault.
    assert health.stdout == f"failed: {PERMANENT.format('78: configuration', 'failed')}\n"


def test_the_whole_table(forged):
    assert forged.run("status").stdout == "NAME  KIND  STATE  PID  SINCE  NEXT BOOT  LAST BOOT\n"
    forged.profile("coder", "running")
    forged.profile("writer", desired("stopped"))
    forged.boot_log(
        "".join(
            f"{LAST} profile={name} prior_state=None action={action} prior_exit=unknown\n"
            for name, action in (("default", "registered"), ("coder", "started"))
        )
    )

    def look(now):
        forged.slot("coder", now=now, age=61, pid=7)
        forged.service("dashboard", now=now, age=7200, pid=123456)
        return forged.run("status").stdout

    assert (
        steadily(look)
        == f"""\
NAME       KIND     STATE    PID     SINCE  NEXT BOOT  LAST BOOT
coder      gateway  up       7       61s    up         started {LAST}
writer     gateway  no slot  -       -      down       -
dashboard  service  up       123456  2h     -          -

writer: {start(MADE_SINCE, "writer")}

gateways: 1 up, 1 no slot
"""
    )


# --explain.


def explain(forged, *options, before=(), environment=None):
    """Returns the lines about the settings, and by profile the lines about it without their indentation."""
    text = forged.run("reconcile", "--explain", *options, before=before, environment=environment, code=0).stdout
    settings, *blocks = text.rstrip("\n").split("\n\n")
    return settings.splitlines(), {
        block.split("\n")[0].removeprefix("profile "): [line.strip() for line in block.split("\n")[1:]] for block in blocks
    }


EXPLAINED = {
    "started": "at the next boot: started",
    "down": "at the next boot: stays down",
    "none": "at the next boot: no slot",
    "left": "at the next boot: slot left as it is",
}


def test_explain_of_states(forged):
    rows = {
        "running": ("running", "started", "gateway_state is running"),
        "draining": ("draining", "started", "gateway_state is draining, which counts as running"),
        "degraded": ("degraded", "started", "gateway_state is degraded, which counts as running"),
        "asked": (desired("running"), "started", "desired_state is running"),
        "stopped": ("stopped", "down", "gateway_state is stopped"),
        "request": (desired("stopped"), "down", "desired_state is stopped"),
        "starting": ("starting", "down", f"gateway_state is starting: {start(WORDS['failed'], 'starting')}"),
        "startup": ("startup_failed", "down", f"gateway_state is startup_failed: {start(WORDS['failed'], 'startup')}"),
        "asked-starting": (desired("starting"), "down", "desired_state is starting"),
        "never": (None, "down", "there is no state file: it was never started"),
        "broken": ("!", "down", "profiles/broken/gateway_state.json cannot be used: not JSON"),
        "odd": (desired("a b=c"), "down", r'desired_state is "a\u0020b\u003dc"'),
    }
    for name, (state, *_) in rows.items():
        forged.profile(name, state)
    _, seen = explain(forged)
    assert {name: lines[:2] for name, lines in seen.items() if name != "default"} == {
        name: [EXPLAINED[what], f"because: {why}"] for name, (_, what, why) in sorted(rows.items())
    }
    # Where the root gateway serves all, but each profile has a slot of its own.
    _, seen = explain(forged, "--topology", "per-profile", environment={"GATEWAY_MULTIPLEX_PROFILES": "1"})

    def served(why):
        return f"because: {why.removesuffix(', which counts as running')}, but the root gateway serves all profiles (multiplex: GATEWAY_MULTIPLEX_PROFILES (environment))"

    assert {name: lines[1] for name, lines in seen.items() if name != "default"} == {
        name: served(why) if what == "started" else f"because: {why}" for name, (_, what, why) in rows.items()
    }


@pytest.mark.parametrize(
    "state, own",
    [
        (None, "there is no state file: it was never started"),
        (desired("stopped"), "desired_state is stopped"),
        ("startup_failed", f"gateway_state is startup_failed: {start(WORDS['failed'], 'default')}"),
        ("!", "gateway_state.json cannot be used: not JSON"),
    ],
)
@pytest.mark.parametrize("count", [1, 8, 9, 11])
def test_explain_of_default_that_starts_for_others(forged, state, own, count):
    names = [f"p{number:02}" for number in range(count)]
    for name in names:
        forged.profile(name, "running")
    forged.profile("default", state)
    _, seen = explain(forged, "--topology", "multiplex")
    shown = ", ".join(names[:8]) + (f" and {count - 8} more" if count > 8 else "")
    assert seen["default"][:2] == [
        EXPLAINED["started"],
        f"because: {own}; but its gateway serves profiles whose desired state is running: {shown}",
    ]
    assert all(
        seen[name][:2] == [EXPLAINED["down"], "because: gateway_state is running; the gateway of default serves it"] for name in names
    )
    # Who does not want to run is not served, and who has a gateway of its own says so.
    forged.profile("rests", desired("stopped"))
    (forged.home / "profiles/p00/config.yaml").write_text("gateway:\n  standalone: true\n")
    _, seen = explain(forged, "--topology", "multiplex")
    assert seen["rests"][:2] == [EXPLAINED["down"], "because: desired_state is stopped"]
    assert seen["p00"][:2] == [EXPLAINED["started"], "because: gateway_state is running; standalone: it has a gateway of its own"]


@pytest.mark.strace
def test_explain_of_slots(forged):
    forged.profile("coder", "running")

    def slot(*arguments, **how):
        return [line for line in explain(forged, *arguments, **how)[1]["coder"] if line.startswith("slot now: ")]

    assert slot() == ["slot now: gateway-coder is missing"]
    forged.run("reconcile", code=0)
    assert slot() == ["slot now: gateway-coder is up to date; s6-supervise is not running"]
    forged.profile("coder", desired("stopped"))
    assert slot() == ["slot now: gateway-coder is not up to date; s6-supervise is not running"]
    control = forged.scandir / "gateway-coder/supervise/control"
    forged.held[control] = os.open(control, os.O_RDONLY | os.O_NONBLOCK)
    assert slot() == ["slot now: gateway-coder is not up to date; s6-supervise is running"]
    (forged.scandir / "gateway-coder/run").write_text("#!/bin/sh\nexec sleep 1\n")
    assert slot() == [
        "slot now: gateway-coder was created by another program; s6-supervise is running: it is left as it is unless --adopt is given"
    ]
    assert slot("--adopt") == slot("--sealed") == ["slot now: gateway-coder is not up to date; s6-supervise is running"]
    failing = ["strace", "-f", "-o", "/dev/null", "-P", "gateway-coder", "-e", "inject=openat:error=EIO:when=1"]
    assert explain(forged, before=failing)[1]["coder"] == [EXPLAINED["left"], "because: unable to inspect gateway-coder: I/O error"]
    subprocess.run(["rm", "-r", forged.scandir], check=True)
    assert slot() == ["slot now: gateway-coder is missing"]


def test_explain_of_what_can_have_no_slot_or_is_no_profile(forged):
    forged.profile("Bad", "running")
    forged.profile("a.b", "running")
    (forged.home / "profiles/file").touch()
    (forged.home / "profiles/default").mkdir()
    for number in range(21):
        (forged.home / f"profiles/empty{number:02}").mkdir()
    _, seen = explain(forged)
    assert seen["Bad"] == seen["a.b"] == [EXPLAINED["none"], f"because: {BAD_NAME}"]
    assert seen["profiles/default is not a profile"] == ["because: the name is reserved for the profile at HERMES_HOME"]
    empty = [name for name in seen if name.startswith("profiles/empty")]
    # The reserved name is one of the twenty.
    assert empty == [f"profiles/empty{number:02} is not a profile" for number in range(19)]
    assert {tuple(seen[name]) for name in empty} == {("because: it contains no SOUL.md",)}
    assert seen["2 more directories are not profiles"] == ["because: they contain no SOUL.md"]
    assert not [name for name in seen if "profiles/file" in name or "more entries" in name]
    for number in range(20):
        forged.profile(f"B{number:02}")
    _, seen = explain(forged)
    # Twenty of what can have no slot are named.
    assert f"profiles: {REST.format(2, 0)}" in seen and "Bad" not in seen and "a.b" not in seen


def test_explain_of_what_a_gateway_lacks_and_of_its_last_end(forged):
    for name, phase in (("clean", '"exited"'), ("unclean", '"running"'), ("unknown", "1")):
        folder = forged.profile(name, "running")
        (folder / "state").mkdir()
        (folder / "state/gateway.lifecycle.json").write_text(f'{{"phase": {phase}}}')
    (forged.home / "profiles/clean/.hermes-init-env").write_text("A=b\0")
    os.chown(forged.home / "profiles/clean/.hermes-init-env", 0, 0)
    _, seen = explain(forged)
    lacks = f"but: {LACKS.format('clean')}"
    assert {name: lines[2:-1] for name, lines in seen.items()} == {
        "default": ["last exit: unknown"],
        "clean": [lacks, "last exit: clean"],
        "unclean": ["last exit: unclean"],
        "unknown": ["last exit: unknown"],
    }


def test_explain_where_there_is_no_room(forged):
    for name in ("a", "b"):
        forged.profile(name, "running")
    _, seen = explain(forged, "--max-services", "8")
    assert seen["a"][0] == EXPLAINED["started"] and seen["b"] == [EXPLAINED["none"], f"because: {NO_ROOM.format(8)}"]


@pytest.mark.parametrize(
    "config, environment, line",
    [
        (None, {}, "multiplex: off (default)"),
        (None, {"GATEWAY_MULTIPLEX_PROFILES": "0"}, "multiplex: off (GATEWAY_MULTIPLEX_PROFILES (environment))"),
        (None, {"GATEWAY_MULTIPLEX_PROFILES": "1"}, "multiplex: on (GATEWAY_MULTIPLEX_PROFILES (environment))"),
        ("\nmultiplex_profiles: false\n", {}, "multiplex: off (config.yaml line 2)"),
        ("multiplex_profiles: true\n", {}, "multiplex: on (config.yaml line 1)"),
        ("multiplex_profiles: [\n", {}, "multiplex: off (config.yaml is ambiguous)"),
        ("FIFO", {}, "multiplex: off (config.yaml cannot be read)"),
    ],
)
def test_explain_of_multiplexing(forged, config, environment, line):
    if config == "FIFO":
        os.mkfifo(forged.home / "config.yaml")
    elif config is not None:
        (forged.home / "config.yaml").write_text(config)
    settings, _ = explain(forged, environment=environment)
    assert settings[-1] == line
    # Where the topology is set to multiplex nobody asks.
    assert not [line for line in explain(forged, "--topology", "multiplex", environment=environment)[0] if line.startswith("multiplex")]


@pytest.mark.parametrize("sign", ["none", "on", "served", "nobody", "single", "standalone", "parked", "rewritten"])
def test_explain_of_the_topology(forged, sign):
    folder = forged.profile("coder", "running")
    if sign == "served":
        forged.profile("default", '{"gateway_state": "running", "served_profiles": ["default", "coder"]}')
    elif sign == "nobody":
        forged.profile("default", '{"gateway_state": "running", "served_profiles": []}')
    elif sign == "single":
        forged.profile(
            "default", '{"served_profiles": [], "multiplex_standalone_reason": "only one profile exists (nothing to multiplex)"}'
        )
    elif sign == "parked":
        (folder / "gateway.parked").touch()
    elif sign == "standalone":
        (folder / "config.yaml").write_text("gateway:\n  standalone: true\n")
    elif sign == "rewritten":
        (forged.home / ".multiplex_opt_out_rewritten").touch()
    text = {
        "none": "per-profile (default; auto: nothing on the volume shows a gateway that serves all profiles)",
        "on": "multiplex (default; auto: multiplex is on)",
        "served": "multiplex (default; auto: served_profiles in gateway_state.json)",
        "nobody": "per-profile (default; auto: the gateway of default served no other profile)",
        "single": "multiplex (default; auto: not known: the gateway of default had no other profile to serve)",
        "standalone": "multiplex (default; auto: gateway.standalone in profiles/coder/config.yaml)",
        "parked": "multiplex (default; auto: profiles/coder/gateway.parked exists)",
        "rewritten": "multiplex (default; auto: .multiplex_opt_out_rewritten exists)",
    }[sign]
    environment = {"GATEWAY_MULTIPLEX_PROFILES": "1"} if sign == "on" else {}
    assert f"topology: {text}" in explain(forged, environment=environment)[0]
    for word in ("per-profile", "multiplex"):
        assert f"topology: {word} (option)" in explain(forged, "--topology", word, environment=environment)[0]
        assert f"topology: {word} (environment)" in explain(forged, environment=environment | {"HERMES_INIT_TOPOLOGY": word})[0]


@pytest.mark.parametrize(
    "command, environment, why",
    [
        (["gateway", "run"], {}, [EXPLAINED["started"], "because: there is no state file yet, and the container's command is gateway run"]),
        (
            ["sleep"],
            {"HERMES_GATEWAY_BOOTSTRAP_STATE": "running"},
            [
                EXPLAINED["started"],
                "because: there is no state file yet, and HERMES_GATEWAY_BOOTSTRAP_STATE is running (container environment)",
            ],
        ),
        (["gateway", "run", "--no-supervise"], {}, [EXPLAINED["down"], "because: there is no state file: it was never started"]),
    ],
)
def test_explain_of_a_first_boot(forged, command, environment, why):
    text = in_container(forged, ["main-wrapper.sh", *command], "reconcile", "--explain", environment=environment)
    assert text.splitlines()[0] == f"role: gateway (default; container command: {' '.join(command)})"
    assert [line.strip() for line in text.split("\nprofile default\n")[1].splitlines()[:2]] == why


def test_explain_of_a_gateway_in_the_foreground(forged):
    forged.profile("default", "running")
    text = in_container(forged, ["main-wrapper.sh", "gateway", "run", "--no-supervise"], "reconcile", "--explain")
    assert f"profile default\n  at the next boot: stays down\n  because: {FOREGROUND}\n" in text


@pytest.mark.parametrize("how, source", [(["--role", "frontend"], "option"), ([], "container environment")])
def test_explain_of_a_front_end(forged, how, source):
    environment = {} if how else {"HERMES_INIT_ROLE": "frontend"}
    text = in_container(forged, ["main-wrapper.sh", "x"], "reconcile", "--explain", environment=environment, role=how)
    assert text == f"role: frontend ({source})\nno gateway is reconciled here: {FRONTEND.format(source)}\n"
    text = in_container(forged, ["main-wrapper.sh", "dashboard"], "reconcile", "--explain")
    assert text == f"role: frontend (default)\nno gateway is reconciled here: {FRONTENDS_COMMAND}\n"
    assert in_container(forged, ["main-wrapper.sh", "dashboard"], "reconcile") == f"reconcile: nothing to do: {FRONTENDS_COMMAND}\n"


# The quiet boot.

QUIET = {"S6_VERBOSITY": "0"}


def line(profile, state, action, reason=None):
    return f"reconcile: profile={profile} prior_state={state} action={action}" + (f" reason={json.dumps(reason)}" if reason else "") + "\n"


def boot(forged, *options, code, **how):
    """Runs a pass, quiet and not, each in a scan directory of its own. Returns the two stdouts."""
    done = forged.run("reconcile", *options, environment=QUIET, code=code, **how)
    loud = forged.run("reconcile", *options, code=code, **how)
    assert loud.stderr == done.stderr, (loud, done)
    return done.stdout, loud.stdout


def test_a_quiet_boot_says_nothing_of_what_is_as_it_should_be(forged):
    forged.profile("coder", "running")
    forged.profile("Bad", "running")
    forged.profile("broken", "!")
    quiet, loud = boot(forged, code=0)
    assert quiet == "" and loud == (
        line("default", "None", "registered")
        + line("Bad", "None", "skipped", BAD_NAME)
        + line("broken", "None", "registered", BAD_STATE.format("not JSON"))
        + line("coder", "running", "started")
    )
    # Objects are for a program, whatever the boot prints.
    assert forged.run("reconcile", "--json", environment=QUIET).stdout.count("\n") == 4
    assert forged.run("reconcile", "--dry-run", environment=QUIET).stdout == loud


def test_a_quiet_boot_says_what_has_no_room(forged):
    for name in ("a", "b", "c"):
        forged.profile(name, "running")
    quiet, loud = boot(forged, "--max-services", "8", code=1)
    failed = "".join(line(name, state, "failed", NO_ROOM.format(8)) for name, state in (("b", "None"), ("c", "None")))
    assert quiet == failed and loud == line("default", "None", "registered") + line("a", "running", "started") + failed


@pytest.mark.strace
def test_a_quiet_boot_says_which_slot_could_not_be_made(forged):
    forged.profile("coder", "running")
    failing = ["strace", "-f", "-o", "/dev/null", "-P", "gateway-coder", "-e", "inject=openat:error=EIO"]
    quiet, loud = boot(forged, code=1, before=failing)
    failed = line("coder", "running", "failed", "unable to inspect gateway-coder: I/O error")
    assert quiet == failed and loud == line("default", "None", "registered") + failed


@pytest.mark.strace
def test_a_quiet_boot_is_silent_about_a_state_that_could_not_be_read_but_for_stderr(forged):
    forged.profile("coder", "running")
    failing = ["strace", "-f", "-o", "/dev/null", "-P", "gateway_state.json", "-e", "inject=openat:error=EIO:when=2"]
    quiet, loud = boot(forged, code=1, before=failing)
    assert quiet == "" and loud == line("default", "None", "registered") + line(
        "coder", "None", "registered", BAD_STATE.format("I/O error")
    )


@pytest.mark.parametrize("closed", [0, 1])
def test_a_quiet_boot_counts_what_was_not_looked_at_and_nothing_else(forged, closed):
    """Twenty of what is no profile are named; of more of them the number is known."""
    os.chown(forged.scandir, HERMES, HERMES)
    for number in range(22):
        forged.profile(f"B{number:02}")
    for number in range(closed):
        forged.profile(f"z{number}")
    for number in range(closed):
        (forged.home / f"profiles/z{number}").chmod(0)
        os.chown(forged.home / f"profiles/z{number}", 0, 0)
    quiet, loud = boot(forged, code=closed, uid=HERMES)
    rest = f"reconcile: profiles action={'failed' if closed else 'skipped'} reason={json.dumps(REST.format(2, closed))}\n"
    assert quiet == (rest if closed else "") and loud.endswith(rest) and loud.count("\n") == 22


def test_a_quiet_boot_of_a_front_end_says_that_there_is_nothing_to_do(forged):
    done = forged.run("reconcile", "--role", "frontend", environment=QUIET, code=0)
    assert done.stdout == f"reconcile: nothing to do: {FRONTEND.format('option')}\n"


@pytest.mark.parametrize("word, is_quiet", [("0", True), ("1", False), ("00", False), ("", False), ("no", False)])
def test_only_0_is_quiet(forged, word, is_quiet):
    assert (forged.run("reconcile", environment={"S6_VERBOSITY": word}).stdout == "") == is_quiet


@pytest.mark.s6
def test_the_labels_of_forged_states_are_those_of_s6():
    assert tai64_epoch() == EPOCH


# TZ, and why it cannot be used; None: it can. `{}` is a place of the test.
PLACES = "a time zone file below /usr/share/zoneinfo, /usr/lib/zoneinfo or /etc/zoneinfo nor a rule as in POSIX"
ZONES = {
    "mistyped": ("Europe/Berln", f"TZ=Europe/Berln is neither {PLACES}"),
    "short": ("CET+", f"TZ=CET+ is neither {PLACES}"),
    "colon": (":Nowhere", f"TZ=:Nowhere is neither {PLACES}"),
    "outside": ("../../../etc/passwd", f"TZ=../../../etc/passwd is neither {PLACES}"),
    "no zone file": ("{}/text", f"TZ={{}}/text is neither {PLACES}"),
    "a directory": ("{}", "unable to read {}: not a regular file"),
    "rule": ("CET-1CEST,M3.5.0,M10.5.0/3", None),
    # Right also where there are no zone files.
    "UTC": ("UTC", None),
    "Etc/UTC": ("Etc/UTC", None),
}


@pytest.mark.parametrize("what", ZONES)
def test_a_time_zone_that_cannot_be_used_is_said_once_by_each_command_that_prints_times(forged, what):
    value, why = ZONES[what]
    (forged.place / "text").write_text("no zone\n")
    environment = {"TZ": value.format(forged.place)}
    why = why and why.format("/place")
    forged.profile("coder", "running")
    forged.profile("writer", "running")
    for name in ("coder", "writer"):
        forged.slot(name, age=70)
        (forged.home / "logs/gateways" / name).mkdir(parents=True)
        (forged.home / "logs/gateways" / name / "current").write_text("@" + f"{EPOCH:016x}" + "00000000 a line\n" * 3)
    forged.profile("other")

    def said(*argv, code=0):
        return forged.run(*argv, environment=environment, code=code).stderr

    for argv in (["status"], ["status", "--json"], ["logs", "coder", "writer"], ["reconcile"]):
        expected = f"hermes-init {argv[0]}: warning: {why}: the time zone is UTC\n" if why else ""
        assert [line for line in said(*argv).splitlines(True) if "zone" in line] == [expected] * bool(why), argv
    # A health check prints times of pauses only, and runs again and again.
    assert "zone" not in said("health", code=None)
    # What prints none says nothing.
    assert "zone" not in said("logs", "--raw", "coder") + said("reconcile", "--dry-run")
    settings, _ = explain(forged, environment=environment)
    assert [line for line in settings if "zone" in line] == ([f"time zone: UTC ({why})"] if why else [])


def test_a_damaged_localtime_is_said(forged):
    (forged.place / "localtime").write_text("TZif")
    forged.profile("coder", "running")
    forged.slot("coder", age=70)
    script = f'touch /etc/localtime; mount --bind {forged.place}/localtime /etc/localtime; exec "$@"'
    before = ["unshare", "--mount", "sh", "-ec", script, "sh"]
    done = forged.run("status", environment={"TZ": ""}, before=before, code=0)
    assert done.stderr == "hermes-init status: warning: /etc/localtime is not a time zone file: the time zone is UTC\n"
    settings, _ = explain(forged, environment={"TZ": ""}, before=before)
    assert settings[-1] == "time zone: UTC (/etc/localtime is not a time zone file)"


# What keeps s6-svscan from taking a slot, and what is said of it. What was not seen is not named: it may be a limit of processes.
HINDRANCES = {
    "nothing": ("what s6-svscan says of it is in the container's log", {}),
    "dangling": ("lost in the scan directory is a dangling symlink, on which s6-svscan 2.12 and later starts no new service", {}),
    "many": (
        "the scan directory has 7 services, and s6-svscan handles 6 (--max-services)",
        {"HERMES_INIT_MAX_SERVICES": "6"},
    ),
}


@pytest.mark.parametrize("what", HINDRANCES)
def test_of_a_slot_that_s6_svscan_does_not_take_only_what_was_seen_is_said(forged, what):
    expected, environment = HINDRANCES[what]
    forged.profile("coder")
    if what == "dangling":
        (forged.scandir / "lost").symlink_to("nowhere")
    if what == "many":
        for number in range(5):
            (forged.scandir / f"service{number}").mkdir()
    # An s6-svscan that reads its orders and starts nothing.
    with open(forged.scandir / ".s6-svscan/control", "r+b", buffering=0) as control:
        reader = subprocess.Popen(["cat"], stdin=control, stdout=subprocess.DEVNULL)
    try:
        done = forged.run("register", "coder", environment=environment, code=1)
    finally:
        reader.kill()
        reader.wait()
    assert done.stderr.splitlines()[-1] == (
        "hermes-init register: fatal: unable to start a supervisor for gateway-coder: "
        f"s6-svscan has not started one within 10 seconds; {expected}"
    ), done

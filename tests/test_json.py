"""`--json`: one JSON object a line, or nothing, on standard output, whatever there is to say; the rest is on standard error. The objects
of `--explain` have the facts of its text."""

import json
import os
import re

import pytest

from support.program import APART, COMMANDS, HERMES, executable, run

COMMANDS_WITH_JSON = {
    "reconcile": ["reconcile"],
    "dry run": ["reconcile", "--dry-run"],
    "explain": ["reconcile", "--explain"],
    "fix-perms": ["fix-perms"],
    "status": ["status"],
    "health": ["health"],
}


@pytest.fixture
def machine(place):
    """A volume with a profile that runs, one that cannot have a slot and a directory that is none; and static services."""
    for profile in ("coder", "Upper", "notes"):
        (place / "home/profiles" / profile).mkdir(parents=True)
    for profile in ("coder", "Upper"):
        (place / "home/profiles" / profile / "SOUL.md").touch()
        (place / "home/profiles" / profile / "gateway_state.json").write_text('{"gateway_state": "running"}')
    (place / "services/dashboard/supervise").mkdir(parents=True)
    (place / "services/dashboard/event").mkdir()
    (place / "services/linked").mkdir()
    (place / "services/linked/supervise").symlink_to(place)
    (place / "empty").mkdir()
    (place / "file").touch()
    if os.geteuid() == 0:
        for path in [place / "home", *(place / "home").rglob("*")]:
            os.chown(path, HERMES, HERMES)
    return place


# What there is, beside what the machine has: options that name other places, variables.
SITUATIONS = {
    "fine": ({}, {}),
    "a front end by an option": ({"--role": "frontend"}, {}),
    "a front end by a variable": ({}, {"HERMES_INIT_ROLE": "frontend"}),
    "no volume": ({"--hermes-home": "none"}, {}),
    "an empty volume": ({"--hermes-home": "empty"}, {}),
    "a file for a volume": ({"--hermes-home": "file"}, {}),
    "no scan directory": ({"--scandir": "none"}, {}),
    "a file for a scan directory": ({"--scandir": "file"}, {}),
    "no services": ({"DIR": "none"}, {}),
    "an empty directory of services": ({"DIR": "empty"}, {}),
    "a file for services": ({"DIR": "file"}, {}),
    "no such owner": ({"--owner": "nobody:such"}, {}),
    "unknown words": ({}, {"HERMES_INIT_TOPOLOGY": "both", "HERMES_INIT_SEALED": "perhaps"}),
    "a quiet boot": ({}, {"S6_VERBOSITY": "0"}),
}


def command_line(machine, command, given):
    words = list(COMMANDS_WITH_JSON[command])
    options = {"--hermes-home": "home", "--scandir": "service", "--role": None, "--owner": None, "DIR": "services"} | given
    for option, value in options.items():
        if option == "DIR":
            words += [str(machine / value)] if command == "fix-perms" else []
        elif value is not None and (command != "fix-perms" or option == "--owner"):
            is_path = option in ("--hermes-home", "--scandir")
            words += [option, str(machine / value) if is_path else value]
    return words


def init(words, variables=None):
    return run([executable(), *words], env=APART | (variables or {}))


@pytest.mark.parametrize("situation", SITUATIONS)
@pytest.mark.parametrize("command", COMMANDS_WITH_JSON)
def test_stdout_is_objects_or_nothing_and_what_is_not_there_is_on_stderr(machine, command, situation):
    given, variables = SITUATIONS[situation]
    words = command_line(machine, command, given)
    # The first pass makes what the others find.
    init(words, variables)
    plain, done = init(words, variables), init([*words, "--json"], variables)
    objects = [json.loads(line) for line in done.stdout.splitlines()]
    assert all(isinstance(found, dict) and found for found in objects), done
    assert done.returncode == plain.returncode and (done.stderr == plain.stderr or not objects or command == "fix-perms"), (plain, done)
    # An empty table has its titles.
    is_empty = not plain.stdout or (plain.stdout.splitlines()[1:] == [] and plain.stdout.startswith(b"NAME "))
    assert objects or done.stderr or is_empty, "the text says something, and --json nothing"
    if b": fatal: " in done.stderr:
        assert not objects and done.returncode in (100, 111), done
    elif command == "fix-perms":
        assert list(objects[-1]) == ["done", "skipped", "refused", "failed"]


def test_every_command_that_takes_json_is_here():
    taking = {command for command in COMMANDS if b" --json " in init([command, "--help"]).stdout}
    assert taking == {words[0] for words in COMMANDS_WITH_JSON.values()}


def test_nothing_to_do_is_no_object_but_an_empty_count(machine):
    done = init(["fix-perms", "--json", machine / "none"])
    assert done.stdout == b'{"done": 0, "skipped": 0, "refused": 0, "failed": 0}\n'
    assert done.stderr.decode() == f"hermes-init fix-perms: info: nothing to do: {machine}/none is missing\n" and done.returncode == 0
    for options in ([], ["--dry-run"]):
        done = init(["reconcile", "--json", "--role", "frontend", *options])
        assert done.stdout == b"" and done.returncode == 0
        assert done.stderr == b"hermes-init reconcile: info: nothing to do: the role is frontend (option)\n"
    done = init(["reconcile", "--json", "--role", "frontend", "--explain"])
    note = "no gateway is reconciled here: the role is frontend (option)"
    assert json.loads(done.stdout) == {"setting": "role", "value": "frontend", "source": "option", "note": note} and done.stderr == b""


def shown(text, is_sentence=False):
    """Returns a value as it is printed for people; one from the volume has no blanks."""
    if re.fullmatch("[A-Za-z0-9._:+/@-]{1,64}", text):
        return text
    return json.dumps(text) if is_sentence else json.dumps(text).replace(" ", "\\u0020").replace("=", "\\u003d")


def lines(fact):
    """Returns the lines of a fact, as `--explain` prints it without --json."""
    match fact:
        case {"setting": "role", "value": "frontend", "source": source, "note": note}:
            return f"role: frontend ({source})\n{note}\n"
        case {"setting": name, "value": value, "source": source, "note": note}:
            return f"{name}: {shown(value, is_sentence=True)} ({source}{f'; {note}' if note else ''})\n"
        case {"profile": name, "at_next_boot": what, "because": because, "but": but, "last_exit": last, "slot_now": slot}:
            told = {"but": but, "last exit": last, "slot now": slot}
            rest = "".join(f"  {what}: {text}\n" for what, text in told.items() if text is not None)
            return f"\nprofile {shown(name)}\n  at the next boot: {what}\n  because: {because}\n{rest}"
        case {"directory": path, "because": because}:
            return f"\n{shown(path)} is not a profile\n  because: {because}\n"
        case {"more_directories": more, "because": because}:
            return f"\n{more} more directories are not profiles\n  because: {because}\n"
        case {"more_without_slot": skipped, "more_not_inspected": failed}:
            return f"\nprofiles: {skipped} more entries cannot have a slot, and {failed} were not inspected\n"


@pytest.mark.parametrize("topology", ["per-profile", "multiplex", "auto"])
def test_the_objects_of_explain_have_the_facts_of_its_text(machine, topology):
    for number in range(25):
        (machine / f"home/profiles/without-soul-{number:02}").mkdir()
        (machine / f"home/profiles/X bad {number:02}").mkdir()
        (machine / f"home/profiles/X bad {number:02}/SOUL.md").touch()
    (machine / "home/profiles/default").mkdir()
    (machine / "home/profiles/closed").mkdir()
    (machine / "home/profiles/closed/SOUL.md").touch()
    (machine / "home/profiles/closed/gateway_state.json").mkdir()
    words = ["reconcile", "--explain", "--hermes-home", machine / "home", "--scandir", machine / "service", "--topology", topology]
    for role in ("gateway", "frontend"):
        plain, done = init([*words, "--role", role]), init([*words, "--role", role, "--json"])
        facts = [json.loads(line) for line in done.stdout.splitlines()]
        # Other tests run processes that look like a container's command.
        texts = [re.sub("container command: .*", "", text) for text in ("".join(map(lines, facts)), plain.stdout.decode())]
        assert texts[0] == texts[1] and done.stderr == plain.stderr
    # Each kind of fact was there.
    facts = [json.loads(line) for line in init([*words, "--role", "gateway", "--json"]).stdout.splitlines()]
    profiles = {fact["profile"]: fact for fact in facts if "profile" in fact}
    assert {"default", "coder", "closed", "Upper", "X bad 00"} <= set(profiles)
    assert profiles["coder"]["slot_now"] == "gateway-coder is missing" and profiles["Upper"]["slot_now"] is None
    assert {"directory": "profiles/without-soul-00", "because": "it contains no SOUL.md"} in facts
    assert any("more_directories" in fact for fact in facts) and any("more_without_slot" in fact for fact in facts)
    settings = [fact["setting"] for fact in facts if "setting" in fact]
    multiplex = [] if topology == "multiplex" else ["multiplex"]
    assert settings == ["role", "HERMES_HOME", "scan directory", "owner", "mode", "topology", *multiplex]

"""Multiplexing: values of the variable, forms of config.yaml, and a comparison with a real YAML parser."""

import collections
import os
import random
import re
import socket

import pytest
import yaml

from support.file_tree import identity
from support.program import HERMES, OWNER, executable, run
from support.yaml_documents import FALSE, TRUE, Odd, Ordinary

CAP = 1 << 20


class Config:
    """A HERMES_HOME whose only relevant file is config.yaml."""

    def __init__(self, place):
        self.place, self.home = place, place / "home"
        self.home.mkdir()
        if os.geteuid() == 0:
            os.chown(self.home, HERMES, HERMES)
        self.path = self.home / "config.yaml"

    def ask(self, text=None, environment=None, options=()):
        """Returns what `--explain` prints about multiplexing with this config.yaml: on or off, the reason, and stderr."""
        if text is not None:
            self.path.write_bytes(text if isinstance(text, bytes) else text.encode())
        done = run(
            [
                executable(),
                "reconcile",
                "--explain",
                "--role",
                "gateway",
                "--hermes-home",
                self.home,
                "--scandir",
                self.place / "service",
                *options,
            ],
            timeout=10,
            env=environment or {},
            cwd="/",
        )
        assert done.returncode == 0, done
        answer, why = re.search(r"^multiplex: (on|off) \((.*)\)$", done.stdout.decode(), re.MULTILINE).groups()
        return answer, why, done.stderr.decode()

    def claim(self, text):
        """Returns on, off or unsure, and the number of the deciding line, if any."""
        answer, why, said = self.ask(text)
        doubt = why == "config.yaml is ambiguous"
        assert doubt == ("unable to determine multiplex_profiles from config.yaml: line " in said) and (doubt or not said), (
            text,
            said,
        )
        line = re.fullmatch(r"config\.yaml line (\d+)", why)
        assert doubt or line or (answer, why) == ("off", "default"), (text, why)
        return "unsure" if doubt else answer, int(line[1]) if line else None


@pytest.fixture
def config(place):
    return Config(place)


@pytest.mark.parametrize(
    "word, answer",
    [
        *[(word, "on") for word in ("1", "true", "yes", "on", "TRUE", "Yes", "oN", "tRuE")],
        *[(word, "off") for word in ("0", "false", "no", "off", "FALSE", "No", "OFF", "oFf")],
    ],
)
@pytest.mark.parametrize(
    "text", ["multiplex_profiles: true\n", "multiplex_profiles: false\n", "gateway: {multiplex_profiles: true}\n", None]
)
def test_the_variable_decides_before_config(config, word, answer, text):
    assert config.ask(text, {"GATEWAY_MULTIPLEX_PROFILES": word}) == (answer, "GATEWAY_MULTIPLEX_PROFILES (environment)", "")


@pytest.mark.parametrize("word", ["2", "y", "enabled", "true ", " 1", "on\n", "\u00e9", "truetrue", "null"])
def test_another_word_is_as_if_unset_and_is_said(config, word):
    answer, why, said = config.ask("a: 1\nmultiplex_profiles: true\n", {"GATEWAY_MULTIPLEX_PROFILES": word})
    assert (answer, why) == ("on", "config.yaml line 2")
    assert said.count("\n") == 1 and "warning: GATEWAY_MULTIPLEX_PROFILES=" in said and said.endswith(": treated as unset\n")


def test_an_empty_word_is_unset(config):
    assert config.ask("multiplex_profiles: true\n", {"GATEWAY_MULTIPLEX_PROFILES": ""}) == ("on", "config.yaml line 1", "")
    assert config.ask("", {"GATEWAY_MULTIPLEX_PROFILES": ""}) == ("off", "default", "")


@pytest.mark.root
@pytest.mark.parametrize("owner, mode, answer", [(HERMES, 0o600, "on"), (HERMES, 0o000, "off"), (0, 0o600, "off"), (0, 0o644, "on")])
def test_dotenv_is_read_as_the_hermes_user(config, owner, mode, answer):
    """What the gateway cannot read is nothing for it; root could."""
    dotenv = config.home / ".env"
    dotenv.write_text("SECRET=hidden\nGATEWAY_MULTIPLEX_PROFILES=on\n")
    os.chown(dotenv, owner, owner)
    dotenv.chmod(mode)
    got, why, said = config.ask(None, options=("--owner", OWNER))
    assert got == answer and "hidden" not in said
    if answer == "on":
        assert (why, said) == ("GATEWAY_MULTIPLEX_PROFILES (.env line 2)", "")
    else:
        assert why == "default" and "warning: unable to read .env: Permission denied; GATEWAY_MULTIPLEX_PROFILES in it is" in said


def test_dotenv_is_read_up_to_its_cap(config):
    last = "\nGATEWAY_MULTIPLEX_PROFILES=on\n"
    for size, answer in ((1 << 18, "on"), ((1 << 18) + 1, "off")):
        (config.home / ".env").write_text("#".ljust(size - len(last), "x") + last)
        if os.geteuid() == 0:
            os.chown(config.home / ".env", HERMES, HERMES)
        got, _, said = config.ask()
        assert got == answer and ("unable to read .env: larger than 262144 bytes" in said) == (answer == "off")


@pytest.mark.parametrize("value", TRUE + FALSE)
def test_a_value_is_what_yaml_says_of_it(config, value):
    for text, line in ((f"multiplex_profiles: {value}\n", 1), (f"gateway:\n  multiplex_profiles: {value}\n", 2)):
        assert config.claim(text) == ("on" if value in TRUE else "off", line)


@pytest.mark.parametrize(
    "text, answer, line",
    [
        ("\ufeffmultiplex_profiles: true\n", "on", 1),
        ("a: 1\r\nmultiplex_profiles: true\r\n", "on", 2),
        ("\ufeffgateway:\r\n\r\n  # x\r\n  multiplex_profiles: true # y", "on", 4),
        ('"multiplex_profiles": true\n', "on", 1),
        ("'gateway' :\n 'multiplex_profiles' : true\n", "on", 2),
        ("multiplex_profiles:\ttrue\t# x\n", "on", 1),
        ("multiplex_profiles: true#x\n", "unsure", None),
        ("gateway:\n\tmultiplex_profiles: true\n", "unsure", None),
        ("gateway:\n  a: 1\n\tmultiplex_profiles: true\n", "unsure", None),
        ("# multiplex_profiles: true\n", "off", None),
        ("text: '\n multiplex_profiles: true'\n", "off", None),
        ("multiplex_profiles: false\ngateway:\n  multiplex_profiles: false\n", "off", 1),
        ("multiplex_profiles: true\ngateway:\n  multiplex_profiles: false\n", "unsure", None),
        ("multiplex_profiles: true\nmultiplex_profiles: true\n", "unsure", None),
        ("gateway: {multiplex_profiles: true}\n", "unsure", None),
        ("{multiplex_profiles: true}\n", "unsure", None),
        ("gateway: &a\n  multiplex_profiles: true\n", "unsure", None),
        ("multiplex_profiles: &a true\n", "unsure", None),
        ("b: &b\n  multiplex_profiles: true\ngateway: *b\n", "unsure", None),
        ("b: &b\n  multiplex_profiles: true\n<<: *b\n", "unsure", None),
        ("multiplex_profiles: 'true'\n", "unsure", None),
        ("multiplex_profiles: 1\n", "unsure", None),
        (b"multiplex_profiles: true\nx: \xe9\n", "unsure", None),
        ("multiplex_profiles: true\n".encode("utf-16"), "off", None),
        ("multiplex_profiles: true\n---\nmultiplex_profiles: false\n", "unsure", None),
        ('x: {"a":"} # \nmultiplex_profiles: true\n"}\n', "unsure", None),
        ('x: {"a": "} # \nmultiplex_profiles: true\n"}\n', "off", None),
        ("", "off", None),
        ("\n\n", "off", None),
        ("\x00multiplex_profiles: true", "unsure", None),
    ],
)
def test_shapes_of_config(config, text, answer, line):
    assert config.claim(text) == (answer, line)


@pytest.mark.parametrize("size, answer", [(CAP - 1, "on"), (CAP, "on"), (CAP + 1, "off")])
def test_config_is_read_up_to_its_cap(config, size, answer):
    tail = b"gateway:\n  multiplex_profiles: true\n"
    item = b"- {a: 'b', c: [d, e]} # multiplex\n"
    text = b"list:\n" + item * ((size - len(tail) - 8) // len(item))
    text += b"#" + b"x" * (size - len(tail) - len(text) - 2) + b"\n" + tail
    assert len(text) == size
    got, why, said = config.ask(text)
    assert got == answer
    if size > CAP:
        assert why == "config.yaml cannot be read" and f"unable to read config.yaml: larger than {CAP} bytes" in said
    else:
        lines = text.count(b"\n")
        assert why == f"config.yaml line {lines}" and not said


@pytest.mark.parametrize(
    "kind, why",
    [
        ("fifo", "not a regular file"),
        ("directory", "not a regular file"),
        ("socket", "not a regular file"),
        ("symlink", "is a symlink, and symlinks are not followed"),
        ("dangling", "is a symlink, and symlinks are not followed"),
    ],
)
def test_what_is_no_regular_file_is_said_and_off(config, kind, why):
    if kind == "fifo":
        os.mkfifo(config.path)
    elif kind == "directory":
        config.path.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as unix:
            unix.bind(str(config.path))
    else:
        (config.place / "elsewhere.yaml").write_text("multiplex_profiles: true\n")
        config.path.symlink_to("/nowhere" if kind == "dangling" else config.place / "elsewhere.yaml")
    before = identity(config.place)
    assert config.ask() == ("off", "config.yaml cannot be read", f"hermes-init reconcile: warning: unable to read config.yaml: {why}\n")
    assert config.ask(None, {"GATEWAY_MULTIPLEX_PROFILES": "on"}) == ("on", "GATEWAY_MULTIPLEX_PROFILES (environment)", "")
    assert identity(config.place) == before


def opinion(text):
    """Returns the verdict of PyYAML: on if a value of the two keys is True, off, or rejected."""
    try:
        document = yaml.safe_load(text.encode() if isinstance(text, str) else text)
    # KeyError and the like too: safe_load raises them for malformed values of its own types.
    except (yaml.YAMLError, ValueError, KeyError, TypeError, OverflowError, AttributeError, RecursionError):
        return "rejected"
    if not isinstance(document, dict):
        return "off"
    gateway = document.get("gateway")
    values = [document.get("multiplex_profiles"), gateway.get("multiplex_profiles") if isinstance(gateway, dict) else None]
    return "on" if any(value is True for value in values) else "off"


CHUNKS, SIZE = 8, 190


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_of_an_ordinary_document_the_reader_is_sure_and_right(config, chunk):
    """Documents of yaml_documents.Ordinary. The reader must be certain of each."""
    answers = collections.Counter()
    for number in range(SIZE):
        text = Ordinary(random.Random(f"ordinary {chunk} {number}")).document()
        answer, line = config.claim(text)
        assert answer == opinion(text), text
        assert line is None or "multiplex_profiles" in text.split("\n")[line - 1], text
        answers[answer] += 1
    assert min(answers["on"], answers["off"]) > SIZE / 10, answers


@pytest.mark.parametrize("chunk", range(CHUNKS))
def test_of_an_odd_document_the_reader_is_right_or_in_doubt(config, chunk):
    """If PyYAML accepts the document, a certain answer must equal PyYAML's. If PyYAML rejects it, there is no right answer. The reader
    ignores what is not about its keys, so it may answer `on`: the line that it names must then say so by itself."""
    count = collections.Counter()
    for number in range(SIZE):
        text = Odd(random.Random(f"odd {chunk} {number}")).document()
        answer, line = config.claim(text)
        right = opinion(text)
        count[answer if answer == "unsure" else "sure", right] += 1
        if right != "rejected":
            assert answer in (right, "unsure"), text
        elif answer == "on":
            named = text.split("\n")[line - 1].removeprefix("\ufeff")
            alone = f"gateway:\n{named}\n" if named.startswith(" ") else f"{named}\n"
            assert opinion(alone) == "on" or opinion(named.strip()) == "on", text
    # The reader is certain of most documents that PyYAML accepts.
    taken = {
        kind: sum(number for (sure, right), number in count.items() if sure == kind and right != "rejected") for kind in ("sure", "unsure")
    }
    assert taken["sure"] > 3 * taken["unsure"], count

"""Golden stories: text files that describe a volume, a container and the expected results.

    # The purpose of the story.
    [home]                      files in HERMES_HOME, owned by the hermes user
    profiles/a/                 a directory
    profiles/a/SOUL.md          an empty file
    config.yaml = a: 1\n        a file with this content, with Python's escapes
    logs -> OUTSIDE             a symlink
    state fifo                  a FIFO
    [outside]                   files in a directory beside HERMES_HOME, owned by UID 1234; OUTSIDE in symlinks
    [environment]               the container environment, KEY=value
    [command]                   the argv of the process that runs the container's command
    [options]                   further arguments of hermes-init

All other sections are expected results. A test compares them, or rewrites them if HERMES_INIT_GOLDEN=write is in the environment.
"""

import codecs
import os
import re
from pathlib import Path

from support.fake_container import FakeContainer
from support.program import HERMES, OWNER, executable
from support.svscan import Svscan

GOLDEN = Path(__file__).resolve().parent.parent / "golden"
GIVEN = ("home", "outside", "environment", "command", "options")


def stories(folder):
    """Returns the names of the stories in a folder."""
    return sorted(path.stem for path in (GOLDEN / folder).glob("*.txt"))


class Story:
    """A story, whose volume is created in `place`."""

    def __init__(self, folder, name, place):
        self.path = GOLDEN / folder / f"{name}.txt"
        self.comment, self.sections = "", {}
        lines = None
        for line in self.path.read_text().splitlines():
            if re.fullmatch(r"\[[a-z ]+\]", line):
                lines = self.sections.setdefault(line[1:-1], [])
            elif lines is None:
                self.comment += line + "\n"
            else:
                lines.append(line)
        # Sections end with an empty line for readability.
        self.sections = {key: "\n".join(lines).rstrip("\n").split("\n") for key, lines in self.sections.items()}
        self.place, self.home, self.scandir = place, place / "home", place / "service"
        self.outside = place / "outside"
        self.svscan = Svscan(self.scandir)
        for top, uid, key in ((self.home, HERMES, "home"), (self.outside, 1234, "outside")):
            top.mkdir()
            for line in self.given(key):
                self.make(top, line)
            for path in [top, *top.rglob("*")]:
                os.chown(path, uid, uid, follow_symlinks=False)

    def given(self, key):
        return [line for line in self.sections.get(key, []) if line]

    def make(self, top, line):
        path, what, content = re.fullmatch(r"(\S+?)(?: (=|->|fifo)(?: (.*))?)?", line).groups()
        target = top / path
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.endswith("/"):
            target.mkdir(exist_ok=True)
        elif what == "->":
            target.symlink_to(content.replace("OUTSIDE", str(self.outside)))
        elif what == "fifo":
            os.mkfifo(target)
        else:
            target.write_bytes(codecs.escape_decode((content or "").encode())[0])

    def container(self):
        environment = dict(line.split("=", 1) for line in self.given("environment"))
        return FakeContainer([line.split(" ") for line in self.given("command")], environment=environment)

    def options(self):
        where = ["--hermes-home", self.home, "--scandir", self.scandir, "--owner", OWNER]
        return where + [word for line in self.given("options") for word in line.split(" ")]

    def text(self, output):
        """Returns output without the parts that differ from run to run."""
        text = output.decode("ascii").replace(str(executable()), "/usr/bin/hermes-init")
        return text.replace(str(self.place), "PLACE").splitlines()

    def check(self, came):
        """Compares the results section by section, or writes them."""
        if os.environ.get("HERMES_INIT_GOLDEN") == "write":
            sections = {key: self.sections[key] for key in self.sections if key in GIVEN} | came
            body = ["\n".join([f"[{key}]", *lines, ""]) for key, lines in sections.items() if lines or key in GIVEN]
            self.path.write_text(self.comment.rstrip("\n") + "\n\n" + "\n".join(body))
        else:
            told = {key: lines for key, lines in self.sections.items() if key not in GIVEN}
            assert {key: lines for key, lines in came.items() if lines} == told

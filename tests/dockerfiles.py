"""Lints the Dockerfiles of the project, and the blocks of its documents that are Dockerfiles, with hadolint."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HADOLINT = Path(sys.executable).parent / "hadolint"
CONFIGURATION = ROOT / "tests/hadolint.yaml"


def files():
    """Returns the files of the project."""
    for path in sorted(ROOT.rglob("*")):
        inside = path.relative_to(ROOT)
        if not {".git", "target"} & set(inside.parts) and path.is_file():
            yield path, inside


def dockerfiles():
    """Returns name, number of lines before it, and text of each."""
    for path, inside in files():
        if re.search(r"(^|\.)(Dockerfile|Containerfile)($|\.)", path.name):
            yield inside, 0, path.read_text()
        elif path.suffix == ".md":
            text = path.read_text()
            for block in re.finditer(r"^```dockerfile\n(.*?)^```", text, re.M | re.S):
                yield inside, text[: block.start(1)].count("\n"), block[1]


def lint(name, before, text):
    """Prints what hadolint says, with the lines of the file, and returns whether that is nothing."""
    command = [HADOLINT, "--no-color", "--config", CONFIGURATION, "-"]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    for line in (done.stdout + done.stderr).splitlines():
        place = re.match(r"-:(\d+)(.*)", line)
        print(f"{name}:{before + int(place[1])}{place[2]}" if place else line)
    return done.returncode == 0


def main():
    results = [lint(*found) for found in dockerfiles()]
    print(f"hadolint: {len(results)} Dockerfiles")
    return 0 if results and all(results) else 1


if __name__ == "__main__":
    sys.exit(main())

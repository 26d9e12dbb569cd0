"""Fixtures, and the requirements of tests. A test whose requirements are missing is skipped, or fails with HERMES_INIT_CI."""

import functools
import os
import re
import shutil
import tempfile
from pathlib import Path

import pytest

from support.not_emulated import not_emulated
from support.other_mounts import can_have_mounts
from support.program import HERMES, ROOT, executable, run
from support.svscan import Svscan
from support.testbed import Bed


def pytest_configure(config):
    # pytest's own directories stay in the checkout.
    (ROOT / "target").mkdir(exist_ok=True)
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", str(ROOT / "target"))
    if not hasattr(config, "workerinput"):
        copy_executable(config)
    config.addinivalue_line("markers", "root: needs root")
    config.addinivalue_line("markers", "s6: needs root, namespaces and s6")
    config.addinivalue_line("markers", "own_s6: needs s6, as any user")
    config.addinivalue_line("markers", "strace: needs strace")
    config.addinivalue_line("markers", "userns: needs user namespaces that the hermes user may make")


def copy_executable(config):
    """Copies the executable to a directory that every user can search, and has all tests use the copy: some run it as another
    user, who may not be able to reach the checkout (below a directory of mode 0700). The pytest-xdist workers inherit the
    variable from the controller, which alone makes the copy, and removes it at the end of the run."""
    folder = Path(tempfile.mkdtemp(prefix="hermes-init-executable-"))
    config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
    folder.chmod(0o755)
    copy = folder / "hermes-init"
    try:
        shutil.copyfile(executable(), copy)
    except AssertionError as error:
        raise pytest.UsageError(str(error)) from None
    copy.chmod(0o755)
    os.environ["HERMES_INIT"] = str(copy)


# The programs that tests with a marker run, besides those of coreutils.
PROGRAMS = {
    "s6": ("s6-svscan", "execlineb", "kill", "unshare", "nsenter", "setpriv"),
    "own_s6": ("s6-svscan", "s6-svscanctl", "s6-svstat", "s6-log", "execlineb"),
    "strace": ("strace",),
}


@functools.cache
def can_unshare():
    """Root in a container may lack the capability."""
    return run(["unshare", "--mount", "--pid", "--fork", "--propagation", "private", "true"]).returncode == 0


@functools.cache
def can_have_home():
    return run([ROOT / "tests/with-home", "true"]).returncode == 0


def missing(item):
    if (item.get_closest_marker("root") or item.get_closest_marker("s6")) and os.geteuid() != 0:
        return "needs root"
    for marker, programs in PROGRAMS.items():
        absent = [program for program in programs if item.get_closest_marker(marker) and not shutil.which(program)]
        if absent:
            return f"needs {', '.join(absent)} (make test says with which package they come)"
    if item.get_closest_marker("s6") and not can_unshare():
        return "needs namespaces, which this root may not make"
    if item.get_closest_marker("userns") and not can_have_mounts():
        return "needs user namespaces, which ordinary users may not make"
    if item.get_closest_marker("own_s6") and not can_have_home():
        return "needs /opt/data, or a namespace that can have one"
    return None


def pytest_runtest_setup(item):
    # Also with HERMES_INIT_CI: these are listed.
    if os.environ.get("HERMES_INIT_EMULATED") and (reason := not_emulated(item.nodeid)):
        pytest.skip(f"not under emulation: {reason}")
    reason = missing(item)
    if reason and os.environ.get("HERMES_INIT_CI"):
        pytest.fail(f"{reason}; HERMES_INIT_CI is set, so no test may be skipped")
    if reason:
        pytest.skip(reason)


def known_programs():
    """Returns the programs that tests/setup looks for."""
    return set(re.findall(r"([\w-]+):[a-z]", (ROOT / "tests/setup").read_text()))


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    """A test that runs a program which tests/setup could not install is skipped, also if no marker says what it needs."""
    outcome = yield
    error = call.excinfo.value if call.excinfo else None
    if not isinstance(error, FileNotFoundError) or os.environ.get("HERMES_INIT_CI"):
        return
    name = os.path.basename(os.fsdecode(error.filename or ""))
    if (name in known_programs() or name.startswith("s6-")) and not shutil.which(name):
        report = outcome.get_result()
        report.outcome, report.longrepr = "skipped", (str(item.path), item.location[1], f"Skipped: needs {name}")


@pytest.fixture
def place():
    """A temporary directory that every user can search."""
    folder = Path(tempfile.mkdtemp(prefix="hermes-init-test-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def home(place):
    """The directory of a HERMES_HOME that gives a pass something to do, and of a scan directory."""
    profile = place / "home/profiles/coder"
    profile.mkdir(parents=True)
    (profile / "SOUL.md").touch()
    (profile / "gateway_state.json").write_text('{"desired_state": "running"}')
    (profile / "gateway.pid").write_text("1")
    if os.geteuid() == 0:
        for path in (place / "home", place / "home/profiles", profile, *profile.iterdir()):
            os.chown(path, HERMES, HERMES)
    svscan = Svscan(place / "service")
    yield place
    svscan.stop()


@pytest.fixture
def bed():
    """A test bed with s6-svscan."""
    with Bed() as started:
        yield started


@pytest.fixture
def live():
    """A booted container with the profiles default (down) and coder (up)."""
    with Bed() as bed:
        bed.profile("coder", "running")
        bed.init("reconcile")
        bed.rescan()
        bed.settle()
        assert len(bed.supervisors()) == 4
        yield bed

"""The dashboard's service programs under a real s6-svscan."""

import datetime
import time

import pytest

from support.program import HERMES, executable, run, wait_for
from support.testbed import DASHBOARD, DOCKER, Bed, dashboard

WORDS = ["1", "true", "TRUE", "True", "yes", "YES", "Yes"]


def init(*arguments, **environment):
    return run([executable(), *arguments], env={"PATH": "/usr/bin:/bin"} | environment)


@pytest.mark.parametrize("word", WORDS)
def test_seven_words_are_on(word):
    assert init("dashboard-finish", "1", "0", "dashboard", HERMES_DASHBOARD=word).returncode == 0
    assert (
        b"argv: hermes dashboard --host 127.0.0.1 --port 9119 --no-open\n" in init("dashboard-run", "--print", HERMES_DASHBOARD=word).stdout
    )


@pytest.mark.parametrize("word", ["", "0", "on", "tRUE", "y", "true ", "false", "2"])
def test_no_other_word_is(word):
    assert init("dashboard-finish", "1", "0", "dashboard", HERMES_DASHBOARD=word).returncode == 125
    assert init("dashboard-run", HERMES_DASHBOARD=word).returncode == 0


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["x"],
        ["./finish"],
        ["./finish", "1"],
        ["./finish", "", "-", "--json", "y"],
        ["--", "-1"],
        ["./finish", "99999999999999999999", "0", "d", "1", "2", "3"],
        ["./finish", "256", "9", "dashboard"],
    ],
)
def test_finish_answers_whatever_it_is_given(arguments):
    assert init("dashboard-finish", *arguments, HERMES_DASHBOARD="1").returncode == 0
    assert init("dashboard-finish", *arguments).returncode == 125


@pytest.mark.parametrize("code", ["111", "126", "127"])
def test_what_a_restart_does_not_change_is_permanent(code):
    assert init("dashboard-finish", "./finish", code, "0", "dashboard", HERMES_DASHBOARD="1").returncode == 125


@pytest.mark.parametrize(
    "arguments", [["./finish", "78", "0", "dashboard"], ["./finish", "78", "0", "dashboard", "7"], ["78", "0", "dashboard"]]
)
def test_a_bad_configuration_is_permanent(arguments):
    assert init("dashboard-finish", *arguments, HERMES_DASHBOARD="1").returncode == 125


def test_insecure_is_ignored_with_a_warning():
    done = init("dashboard-run", "--print", HERMES_DASHBOARD="1", HERMES_DASHBOARD_INSECURE="yes", HERMES_DASHBOARD_HOST="0.0.0.0")
    assert b"--insecure" not in done.stdout and b"--host 0.0.0.0" in done.stdout and b"HERMES_DASHBOARD_INSECURE is ignored" in done.stderr
    assert init("dashboard-run", "--print", HERMES_DASHBOARD="1", HERMES_DASHBOARD_INSECURE="0").stderr == b""


def deaths(bed):
    """Returns the size of the death tally, which grows by one record each time the service dies."""
    tally = bed.path(f"{DASHBOARD}/supervise/death_tally")
    return tally.stat().st_size if tally.exists() else 0


@pytest.mark.s6
def test_off_it_settles_at_down(bed):
    dashboard(bed)
    wait_for(lambda: deaths(bed) > 0 and bed.svstat(DASHBOARD) == "down", what="down")
    died = deaths(bed)
    end = time.monotonic() + 3.2
    while time.monotonic() < end:
        assert bed.svstat(DASHBOARD) == "down" and deaths(bed) == died
        time.sleep(0.1)


@pytest.mark.s6
def test_on_it_runs_as_hermes_and_comes_back_until_its_configuration_is_bad():
    with Bed(environment={"HERMES_DASHBOARD": "1", "HERMES_DASHBOARD_PORT": "80 80"}) as bed:
        dashboard(bed)
        argv, identity, environment = bed.record("dashboard")
        assert argv == [b"dashboard", b"--host", b"127.0.0.1", b"--port", b"80 80", b"--no-open"]
        assert identity == f"{HERMES} {HERMES} {HERMES} {DOCKER} /opt/data"
        assert environment == {
            b"HOME": b"/opt/data",
            b"HERMES_HOME": b"/opt/data",
            b"HERMES_DASHBOARD": b"1",
            b"HERMES_DASHBOARD_PORT": b"80 80",
            b"PATH": b"/run/bed/bin:/command:/usr/bin:/bin",
        }
        wait_for(lambda: bed.svstat(DASHBOARD) == "up", what="up")
        pid = bed.pid_of(DASHBOARD)
        bed.run(["kill", "-9", str(pid)])
        wait_for(lambda: bed.svstat(DASHBOARD) == "up" and bed.pid_of(DASHBOARD) not in (pid, -1), what="up again")
        bed.tell("dashboard", "exit 78")
        bed.run(["kill", "-9", str(bed.pid_of(DASHBOARD))])
        wait_for(lambda: bed.svstat(DASHBOARD) == "down", what="down")
        time.sleep(2.2)
        assert bed.svstat(DASHBOARD) == "down"


def starts(bed):
    return bed.log().count(b"started dashboard\n")


@pytest.mark.s6
@pytest.mark.parametrize("code", [1, 0])
def test_one_that_dies_again_and_again_makes_the_pauses_of_a_gateway(code):
    """One that is on does not end by itself as intended, so 0 is no other end than 1."""
    with Bed(environment={"HERMES_DASHBOARD": "1"}) as bed:
        bed.tell("dashboard", f"exit {code}")
        dashboard(bed)
        wait_for(lambda: starts(bed) == 5, 15, "five starts")
        time.sleep(1.5)
        assert starts(bed) == 5 and bed.svstat(DASHBOARD) == "up"
        bed.init("fix-perms", "/run/service")
        wait_for(lambda: starts(bed) == 6, 5, "the sixth start")
        sixth = time.monotonic()
        wait_for(lambda: deaths(bed) == 6 * 14 and bed.svstat(DASHBOARD) == "up", what="the pause")
        # Its process is up, and only waits.
        for uid in (0, HERMES):
            done = bed.init("health", uid=uid, code=1).stdout.decode()
            start = f"dashboard: keeps dying: 6 times within 180 seconds (exit code {code}); the container's log says why; waiting, starts again at "
            assert done.startswith(start), done
            until = datetime.datetime.fromisoformat(done.strip().rpartition(" ")[2]).timestamp()
            assert 0 <= until - time.time() < 4
        time.sleep(max(0, sixth + 3.5 - time.monotonic()))
        assert starts(bed) == 6
        # Each step is said once.
        said = [
            bed.log().count(b"dashboard-run: warning: the dashboard keeps dying: it starts again %d seconds after" % length)
            for length in (2, 4, 8)
        ]
        assert said == [1, 1, 0]
        # A stop ends the pause at once, and whoever starts it again does not wait.
        bed.tell("dashboard", "sleep")
        for option, state in (("-d", "down"), ("-u", "up")):
            assert bed.run(["timeout", "5", "s6-svc", option, DASHBOARD]).returncode == 0
            wait_for(lambda state=state: bed.svstat(DASHBOARD) == state, 2, state)
        wait_for(lambda: starts(bed) == 7, 1.5, "the start that somebody wants")


@pytest.mark.s6
def test_its_pauses_can_be_switched_off():
    with Bed(environment={"HERMES_DASHBOARD": "1", "HERMES_INIT_BACKOFF": "0"}) as bed:
        bed.tell("dashboard", "exit 1")
        dashboard(bed)
        wait_for(lambda: starts(bed) >= 8, 15, "eight starts")

"""What stands in compose files and env files: quotes that nobody removes, line ends of Windows, relative paths, and words that look like
those of a switch."""

import os
import re

import pytest

from support.program import executable, run
from support.testbed import Bed

CONTAINER = "/run/s6/container_environment"
# Values as they are written, and what is meant; None where nobody can know.
PATHS = {
    '"{}"': "{}",
    "'{}'": "{}",
    "{}\r": "{}",
    '"{}"\r': "{}",
    "{}\t": "{}",
    '"{}': None,
    "opt/data": None,
    "./opt/data\r": None,
}


def tree(bed):
    """Returns the paths of everything that a command could have made."""
    return sorted(
        os.path.join(folder, name)
        for top in ("/opt/data", "/run")
        for folder, directories, files in os.walk(bed.path(top))
        for name in (*directories, *files)
        if CONTAINER not in folder
    )


@pytest.mark.root
@pytest.mark.s6
@pytest.mark.parametrize(
    "variable, path", [("HERMES_HOME", "/opt/data"), ("S6_PROFILE_GATEWAY_SCANDIR", "/run/service")], ids=["home", "scandir"]
)
def test_a_path_that_cannot_be_meant_is_an_error_before_anything_is_made(variable, path):
    with Bed(svscan=False) as bed:
        bed.profile("coder", "running")
        for written, meant in PATHS.items():
            value = written.format(path)
            for contained in (True, False):
                if contained:
                    (bed.path(CONTAINER) / variable).write_text(value)
                environment = {} if contained else {variable: value}
                before = tree(bed)
                for words in (["reconcile"], ["reconcile", "--explain"], ["register", "other"], ["status"], ["health"], ["logs", "coder"]):
                    # In the directory in which a boot step works.
                    done = bed.run(["env", "-C", "/run/bed", "/run/bed/bin/hermes-init", *words], environment=environment)
                    assert done.returncode == 111 and done.stdout == b"", (value, words, done)
                    shown = (f"{variable}={value}").replace('"', '\\"').replace("\r", "\\r").replace("\t", "\\t")
                    assert b"fatal: unable to use the variable " in done.stderr and shown.encode() in done.stderr, done
                    assert tree(bed) == before, (value, words)
                (bed.path(CONTAINER) / variable).unlink(missing_ok=True)
            # The advice, as it stands.
            advice = re.search(rb"; write (.*)\n", done.stderr)
            assert (advice and advice[1].decode()) == (meant and f"{variable}={meant.format(path)}"), done
            if advice:
                done = bed.run(["env", advice[1], "/run/bed/bin/hermes-init", "reconcile"])
                assert done.returncode == 0 and b"unable to use the variable" not in done.stderr, done
            else:
                assert b"; an absolute path is needed\n" in done.stderr, done


@pytest.mark.root
@pytest.mark.s6
@pytest.mark.parametrize("value", ['"/opt/data"', "/opt/data\r", "data"])
def test_a_program_of_a_service_makes_nothing_of_such_a_path(value):
    with Bed(svscan=False, environment={"HERMES_HOME": value}) as bed:
        for service in ("gateway-coder", "gateway-coder/log"):
            folder = bed.path(f"/run/service/{service}")
            (folder / "supervise").mkdir(parents=True)
            (folder / "run").touch()
            os.chown(folder, 10000, 10000)
        before = tree(bed)
        for command, service in (("gateway-run", "gateway-coder"), ("gateway-log", "gateway-coder/log")):
            # A logger that has failed waits for a minute.
            argv = ["timeout", "1", "env", "-C", f"/run/service/{service}", "/run/bed/bin/hermes-init", command, service]
            done = bed.run(argv)
            said = done.stdout + done.stderr
            assert b"unable to use the variable " in said and done.returncode == (111 if command == "gateway-run" else 124), done
            assert tree(bed) == before
        # A variable of the slot counts for the gateway in the same way.
        (bed.path(CONTAINER) / "HERMES_HOME").write_text("/opt/data")
        folder = bed.path("/run/service/gateway-coder/env")
        folder.mkdir()
        (folder / "HERMES_HOME").write_text(value)
        argv = ["timeout", "1", "env", "-C", "/run/service/gateway-coder", "/run/bed/bin/hermes-init", "gateway-run", "gateway-coder"]
        done = bed.run(argv)
        assert b"unable to use the variable " in done.stdout and done.returncode == 111, done


@pytest.mark.root
@pytest.mark.s6
def test_a_path_of_an_option_may_be_relative_and_is_what_it_is():
    with Bed(svscan=False, environment={"HERMES_HOME": '"/opt/data"'}) as bed:
        bed.profile("coder", "running")
        program = "/run/bed/bin/hermes-init"
        bed.run(["mkdir", "/run/bed/odd\r"])
        for home, folder in (("data", "/opt"), ("./data/", "/opt"), ("odd\r", "/run/bed"), ("/run/bed/odd\r", "/")):
            argv = ["env", "-C", folder, program, "reconcile", "--hermes-home", home, "--scandir", "/run/service"]
            done = bed.run(argv)
            assert done.returncode == 0, (home, done)


@pytest.mark.parametrize("word", ["on", '"true"', "true\r", "tRUE", "enabled", "01"])
def test_a_word_that_does_not_turn_the_dashboard_on_is_said(word):
    argv = [executable(), "dashboard-run", "--print"]
    done = run(argv, env={"PATH": "/usr/bin:/bin", "HERMES_DASHBOARD": word})
    assert done.returncode == 0 and done.stdout.startswith(b"off: "), done
    words = re.search(rb"warning: HERMES_DASHBOARD=\S+ is not one of (.*): the dashboard stays off\n", done.stderr)
    for known in words[1].decode().split(", "):
        done = run(argv, env={"PATH": "/usr/bin:/bin", "HERMES_DASHBOARD": known})
        assert b"\nargv: hermes dashboard --host " in done.stdout and done.stderr == b"", (known, done)


@pytest.mark.parametrize("word", ["", "0", "no", "OFF", "false"])
def test_a_word_for_no_is_nothing_to_say(word):
    done = run([executable(), "dashboard-run"], env={"PATH": "/usr/bin:/bin", "HERMES_DASHBOARD": word})
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


@pytest.mark.root
@pytest.mark.s6
@pytest.mark.parametrize(
    "word, said", [('"running"', True), ("running\r", True), ("Running", True), ("stopped", False), ("running", False)]
)
def test_a_first_boot_that_is_asked_for_with_another_spelling_is_said(word, said):
    with Bed(svscan=False, environment={"HERMES_GATEWAY_BOOTSTRAP_STATE": word}) as bed:
        done = bed.init("reconcile")
        assert (b"warning: HERMES_GATEWAY_BOOTSTRAP_STATE=" in done.stderr) == said, done
        assert (b"is not running: treated as unset" in done.stderr) == said, done
        assert (b"profile=default prior_state=running action=started" in done.stdout) == (word == "running"), done

"""The compose file and the Kubernetes manifest are valid by their schemas, and agree with the executable, the manual page and each other.
image/test_engines.py carries them out."""

import re
import sys
from pathlib import Path

import pytest

from support.examples import COMPOSE, EXECUTABLE, KUBERNETES, compose, kubernetes, template, variables
from support.installed import needs
from support.program import APART, ROOT, executable, run
from support.testbed import Bed

PAGE = (ROOT / "src/hermes-init.8").read_text()
UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
# ReadWriteOncePod, for everybody.
OLDEST = (1, 29)


def commands(value):
    """Returns all commands of the executable in a document."""
    if isinstance(value, dict):
        return [found for member in value.values() for found in commands(member)]
    if not isinstance(value, list):
        return []
    words = [str(word) for word in value]
    if EXECUTABLE in words:
        return [words[words.index(EXECUTABLE) :]]
    return [found for member in value for found in commands(member)]


def environments():
    """Returns the environment of each container of both files."""
    return [
        *(service.get("environment", {}) for service in compose()["services"].values()),
        variables(template()[1]),
    ]


def seconds(text):
    number, unit = re.fullmatch(r"(\d+)(s|m)", text).groups()
    return int(number) * {"s": 1, "m": 60}[unit]


def drain(environment):
    """Returns the seconds that gateways have at the end of a container: s6-overlay's default is three."""
    return int(environment.get("S6_KILL_GRACETIME", 3000)) / 1000


def test_the_compose_file_is_valid_by_the_specification(tmp_path):
    needs("check_jsonschema")
    check = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = run([*check, COMPOSE], timeout=60)
    assert done.returncode == 0, done.stdout.decode()
    # A key that it does not have.
    wrong = tmp_path / "compose.yaml"
    wrong.write_text(COMPOSE.read_text().replace("stop_grace_period:", "stop_graceperiod:"))
    assert run([*check, wrong], timeout=60).returncode == 1


def test_the_manifest_is_valid_in_every_release_of_kubernetes_that_has_what_it_uses():
    needs("kubernetes_validate")
    import kubernetes_validate

    schemas = Path(kubernetes_validate.__file__).parent / "kubernetes-json-schema"
    releases = {tuple(map(int, re.findall(r"\d+", path.name)[:2])) for path in schemas.iterdir()}
    wanted = sorted(release for release in releases if release >= OLDEST)
    assert len(wanted) > 5
    for release in wanted:
        for document in kubernetes().values():
            kubernetes_validate.validate(document, ".".join(map(str, release)), strict=True)
    wrong = kubernetes()["StatefulSet"]
    wrong["spec"]["template"]["spec"]["terminationGraceperiodSeconds"] = 30
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, ".".join(map(str, wanted[-1])), strict=True)


def test_every_command_of_them_is_one_of_the_executable():
    found = [*commands(compose()), *(found for document in kubernetes().values() for found in commands(document))]
    assert [command[1] for command in found] == ["health", "health", "health"]
    for command in found:
        # The executable is where `make install` puts it, and --help is looked at last.
        assert f".It Pa {command[0]}\n" in PAGE
        done = run([executable(), *command[1:], "--help"], env=APART)
        assert done.returncode == 0 and done.stderr == b"", done


def test_every_variable_of_them_is_known_and_has_a_value_that_is(place):
    own = re.findall(r"^\.(?:It )?Ev (.*)$", PAGE, re.M)
    known = {word for line in own for word in line.split()}
    for environment in environments():
        for name in environment:
            if name.startswith(("HERMES_INIT_", "S6_")):
                assert name in known, name
        done = run([executable(), "reconcile", "--explain", "--hermes-home", place], env={"PATH": APART["PATH"]} | environment)
        assert b"HERMES_" not in done.stderr, done
    dashboard = compose()["services"]["dashboard"]
    said = run([executable(), "reconcile", "--explain"], env={"PATH": APART["PATH"]} | dashboard["environment"]).stdout
    assert said.startswith(b"role: frontend (environment"), said


def test_volumes_are_where_the_executable_looks_for_them(place):
    said = run([executable(), "reconcile", "--explain"], env=APART).stdout.decode()
    home, scan = (re.search(rf"^{what}: (\S+) \(default\)$", said, re.M)[1] for what in ("HERMES_HOME", "scan directory"))
    specification, container = template()
    mounts = {mount["mountPath"]: mount["name"] for mount in container["volumeMounts"]}
    assert mounts == {home: "data", str(Path(scan).parent): "run"}
    assert [claim["metadata"]["name"] for claim in kubernetes()["StatefulSet"]["spec"]["volumeClaimTemplates"]] == ["data"]
    assert [volume["name"] for volume in specification["volumes"]] == ["run"]
    for service in compose()["services"].values():
        assert service["volumes"] == [f"data:{home}"] and service["tmpfs"] == f"{Path(scan).parent}:exec"


def test_a_container_is_given_longer_to_end_than_gateways_have_to_drain():
    gateway, dashboard = (compose()["services"][name] for name in ("gateway", "dashboard"))
    specification, container = template()
    # Five seconds for the static services, which end first, and for s6.
    assert seconds(gateway["stop_grace_period"]) >= drain(gateway["environment"]) + 5
    # Docker's default.
    assert seconds(dashboard.get("stop_grace_period", "10s")) >= drain(dashboard["environment"]) + 5
    assert specification["terminationGracePeriodSeconds"] >= drain(variables(container)) + 5


def test_a_probe_has_time_for_all_that_may_lie_on_the_volume_and_only_the_startup_probe_can_restart():
    _, container = template()
    # tests/test_bounds.py holds an answer to two seconds of CPU time.
    assert container["startupProbe"]["timeoutSeconds"] >= 5 and container["readinessProbe"]["timeoutSeconds"] >= 5
    assert "livenessProbe" not in container
    # One gateway's fault must not restart the others.
    assert container["startupProbe"]["exec"]["command"] == re.search(r"^\.Ql (/command/s6-svok \S+) ,$", PAGE, re.M)[1].split()
    assert container["readinessProbe"]["exec"]["command"][:2] == [EXECUTABLE, "health"]
    for service in compose()["services"].values():
        assert seconds(service["healthcheck"]["timeout"]) >= 5


def test_the_manifest_adds_the_capabilities_that_the_manual_page_lists_and_no_other():
    # A change of the sentence is a change of the manifest.
    listed = re.search(r"needs the capabilities ([A-Z, ]+) and ([A-Z]+), in delegated mode also ([A-Z_]+);", PAGE)
    needed = {*listed[1].split(", "), listed[2]}
    security = template()[1]["securityContext"]
    assert security["capabilities"] == {"drop": ["ALL"], "add": sorted({*needed, listed[3]})}
    assert f"it does not need {listed[3]}." in KUBERNETES.read_text()


def test_pods_do_not_share_a_volume_and_the_group_is_that_of_the_hermes_user():
    whole = kubernetes()["StatefulSet"]
    assert whole["spec"]["volumeClaimTemplates"][0]["spec"]["accessModes"] == ["ReadWriteOncePod"]
    specification, _ = template()
    said = run([executable(), "reconcile", "--explain", "--owner", str(specification["securityContext"]["fsGroup"])], env=APART).stdout
    assert re.search(rb"^owner: 10000:10000 ", said, re.M), said
    labels = whole["spec"]["template"]["metadata"]["labels"]
    assert whole["spec"]["selector"]["matchLabels"] == labels == kubernetes()["Service"]["spec"]["selector"]
    assert whole["spec"]["serviceName"] == kubernetes()["Service"]["metadata"]["name"]


@pytest.mark.root
@pytest.mark.s6
def test_the_tmpfs_of_the_manifest_has_room_for_as_many_slots_as_s6_svscan_has():
    size = template()[0]["volumes"][0]["emptyDir"]["sizeLimit"]
    size = int(size[:-2]) * UNITS[size[-2:]]
    with Bed() as bed:
        assert bed.run(["mount", "-o", f"remount,size={size}", "/run"]).returncode == 0
        for number in range(500):
            bed.profile(f"p{number}", "running")
        said = bed.init("reconcile", code=1)
        text = said.stdout + said.stderr
        [most] = re.findall(r"s6-svscan handles at\s+#\s+most (\d+)", KUBERNETES.read_text())
        # The image's static services count, too.
        assert int(most) - 5 <= said.stdout.count(b"action=started") <= int(most), text[-1000:]
        assert b"no room" not in text and b"no capacity" in text


def test_the_readme_links_to_both():
    readme = (ROOT / "README.md").read_text()
    for path in (COMPOSE, KUBERNETES):
        name = str(path.relative_to(ROOT))
        assert f"({name})" in readme or f"`{name}`" in readme, name

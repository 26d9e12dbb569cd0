"""The compose file and the Kubernetes manifest, carried out with podman: what they start becomes ready by their own probes, and ends
within their own grace periods."""

import json
import os
import time

import pytest
import yaml

from support.examples import COMPOSE, compose, pod, template, variables
from support.installed import needs
from support.podman import IMAGE, Container
from support.program import HERMES, wait_for

# Each profile has a gateway of its own: the stand-in for Hermes Agent serves no other one.
APART = {"HERMES_INIT_TOPOLOGY": "per-profile"}
UNITS = {"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
# There is no network to have.
OVERRIDE = f"""services:
  gateway: {{image: {IMAGE}, network_mode: none}}
  dashboard: {{image: {IMAGE}, network_mode: none, ports: !reset []}}
"""


class Pod(Container):
    """A pod of the manifest, with its volumes as kubelet makes them: `data` is empty, `run` is a tmpfs of its size to which everybody may
    write, and both are given to the group of fsGroup."""

    def __init__(self, pods, ordinal, **changes):
        self.specification = pod(ordinal, IMAGE, **changes)
        self.pod = self.specification["metadata"]["name"]
        super().__init__(pods, f"{self.pod}-gateway")
        self.data, self.run_folder = (pods.volume(f"{name}-{self.pod}") for name in ("data", "run"))
        whole, _ = template()
        size = whole["volumes"][0]["emptyDir"]["sizeLimit"]
        size = int(size[:-2]) * UNITS[size[-2:]]
        inside = "/" + str(self.run_folder).split("/root/", 1)[1]
        pods.host("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", inside)
        self.inside = inside
        for folder in (self.data, self.run_folder):
            os.chown(folder, 0, whole["securityContext"]["fsGroup"])
            folder.chmod(0o2777 if folder == self.run_folder else 0o2775)

    def play(self):
        file = self.podman.folder / f"{self.pod}.yaml"
        file.write_text(yaml.safe_dump(self.specification))
        self.podman.call("kube", "play", "--network", "none", file)
        return self

    def __exit__(self, *_):
        def is_gone():
            # It fails while a process of the pod is still ending.
            self.podman.call("pod", "rm", "-f", "-t", "0", self.pod, code=None)
            return self.podman.call("pod", "exists", self.pod, code=None).returncode == 1

        wait_for(is_gone, 30, "the end of the pod")
        self.podman.host("umount", "-l", self.inside)
        self.podman.call("volume", "rm", "-f", *(f"{name}-{self.pod}" for name in ("data", "run")))

    def succeeds(self, probe):
        """Waits as long as kubelet does for a probe to succeed, and checks that no attempt takes longer than it may."""
        end = time.monotonic() + probe["periodSeconds"] * probe.get("failureThreshold", 3)
        while True:
            before = time.monotonic()
            done = self.run(*probe["exec"]["command"], user="root", code=None)
            assert time.monotonic() - before < probe["timeoutSeconds"]
            if done.returncode == 0:
                return
            assert time.monotonic() < end, (done, self.log())
            time.sleep(1)

    def stop(self):
        before = time.monotonic()
        whole, _ = template()
        self.podman.call("pod", "stop", "-t", whole["terminationGracePeriodSeconds"], self.pod)
        return time.monotonic() - before, int(self.inspect("State.ExitCode"))


def profile(folder, name, does):
    home = folder / "profiles" / name
    home.mkdir(parents=True)
    (home / "SOUL.md").touch()
    (home / "gateway_state.json").write_text('{"gateway_state": "running"}')
    (home / "do").write_text(f"{does}\n")
    for path in (folder / "profiles", home, *home.iterdir()):
        os.chown(path, HERMES, HERMES)
    return home


def test_two_pods_become_ready_and_end_within_the_grace_period(podman):
    _, container = template()
    grace = int(variables(container)["S6_KILL_GRACETIME"]) / 1000
    pods = podman.pods()
    with Pod(pods, 0, **APART) as first, Pod(pods, 1) as second:
        # Longer than s6-overlay's own grace time.
        home = profile(first.data, "coder", "drain 50")
        for started in (first, second):
            started.play()
        for started in (first, second):
            started.succeeds(container["startupProbe"])
            started.succeeds(container["readinessProbe"])
            said = started.log()
            assert "/etc/cont-init.d/015-supervise-perms exited 0\n" in said
            assert "/etc/cont-init.d/02-reconcile-profiles exited 0\n" in said
            assert "warning" not in said and "Permission denied" not in said
            assert started.sh("stat -f -c %T /run/service") == "tmpfs\n"
        first.until({"default": "up", "coder": "up"})
        second.until({"default": "up"})
        # What the hermes user may do in delegated mode.
        first.init("restart", "--wait", "coder")
        took, code = first.stop()
        whole, _ = template()
        assert grace <= took < whole["terminationGracePeriodSeconds"] and code == 0
        assert "stopped coder" in first.log() and json.loads((home / "gateway_state.json").read_text())["gateway_state"] == "stopped"
        assert second.states() == {"default": "up"}


def test_a_pod_in_sealed_mode_needs_no_dac_override(podman):
    _, container = template()
    with Pod(podman.pods(), 0, without=["DAC_OVERRIDE"], HERMES_INIT_SEALED="1") as started:
        started.play()
        started.succeeds(container["startupProbe"])
        started.succeeds(container["readinessProbe"])
        said = started.log()
        assert "/etc/cont-init.d/015-supervise-perms exited 0\n" in said and "/etc/cont-init.d/02-reconcile-profiles exited 0\n" in said
        assert "lacks the capability" not in said and started.states() == {"default": "up"}
        # What root executes and reads is in /run: whoever can write there can put another one in its place.
        for name in ("service", "s6", "s6-rc"):
            assert b"Permission denied" in started.run("mv", f"/run/{name}", f"/run/{name}-moved", code=1).stderr
        assert b"Permission denied" in started.run("touch", "/run/made", code=1).stderr


def test_a_gateway_with_a_fault_makes_the_pod_not_ready_and_restarts_nothing(podman):
    """Kubernetes restarts a container whose startup probe fails."""
    _, container = template()
    with Pod(podman.pods(), 0, **APART) as started:
        profile(started.data, "misconfigured", "exit 78")
        started.play().booted()
        started.until({"default": "up", "misconfigured": "down"})
        assert started.run(*container["readinessProbe"]["exec"]["command"], code=None).returncode == 1
        started.succeeds(container["startupProbe"])


def test_the_compose_file_starts_gateways_and_a_dashboard_on_one_volume(podman):
    needs("podman_compose")
    services = compose()["services"]
    grace = int(services["gateway"]["environment"]["S6_KILL_GRACETIME"]) / 1000
    override = podman.folder / "override.yaml"
    override.write_text(OVERRIDE)
    files, project = (COMPOSE, override), compose()["name"]
    containers = {name: Container(podman, f"{project}_{name}_1") for name in services}
    gateway, dashboard = containers["gateway"], containers["dashboard"]
    try:
        podman.compose(files, "up", "-d", DASHBOARD_PASSWORD="secret")
        gateway.booted().until({"default": "up"})
        # The startup probe of the manifest tells a boot that makes slots.
        probe = template()[1]["startupProbe"]["exec"]["command"]
        assert gateway.run(*probe).returncode == 0 and dashboard.run(*probe, code=None).returncode != 0
        dashboard.said("started dashboard: dashboard --host 0.0.0.0 --port 9119 --no-open as 10000:10000")
        assert dashboard.sh("ls /run/service | grep gateway", code=None) == ""
        for name, container in containers.items():
            assert container.sh("stat -f -c %T /run/service") == "tmpfs\n"
            # What podman took from the file: it runs the check itself, and here has no systemd to repeat it.
            wait_for(lambda name=name: podman.call("healthcheck", "run", f"{project}_{name}_1", code=None).returncode == 0, what=name)
        before = time.monotonic()
        podman.compose(files, "stop", DASHBOARD_PASSWORD="secret")
        assert time.monotonic() - before >= grace
        for container in containers.values():
            assert container.inspect("State.ExitCode") == "0"
    finally:
        podman.compose(files, "down", "-v", "-t", "0", DASHBOARD_PASSWORD="secret")


def test_without_a_password_the_compose_file_starts_nothing_and_says_so(podman):
    needs("podman_compose")
    with pytest.raises(AssertionError, match="is the password of the dashboard"):
        podman.compose([COMPOSE], "config")

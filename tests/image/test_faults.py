"""What a real container showed: the numbers are those of issue 18's list."""

import re
import time

import pytest

from support.podman import BASE, IMAGE, Volume
from support.program import HERMES, wait_for

NEWER = f"{BASE}-3.2.3.2"
# s6-overlay 3.2.3.2 has the image's bundles in another place.
UPGRADE = f"""FROM {BASE}
RUN echo 3.2.3.2 > /package/stages/version && mkdir /etc/s6-overlay/user-bundles.d && \\
    mv /etc/s6-overlay/s6-rc.d/user /etc/s6-overlay/user-bundles.d/user
"""


def test_1_the_longest_name_lets_the_container_stop(podman, volume):
    """Where s6-linux-init-shutdownd cannot rename a slot, the container does not come to its end."""
    fits, long = "a" * 215, "b" * 216
    volume.profile(fits, "running")
    volume.profile(long, "running")
    with podman.boot(volume) as container:
        wait_for(lambda: container.service(f"gateway-{fits}") == "up", 15, "the gateway with the longest name")
        took, code = container.stop()
        assert took < 8 and code == 0
        assert [(line["profile"].strip('"'), line["action"]) for line in volume.boots()] == [
            ("default", "registered"),
            (fits, "started"),
            (long, "skipped"),
        ]


@pytest.mark.parametrize("options", [(), ("--read-only", "-e", "S6_READ_ONLY_ROOT=1")], ids=["writable", "read_only"])
def test_2_the_images_own_services_start_under_3_2_3_2(options, podman, volume):
    """s6-overlay ignores user-bundles.d as soon as s6-rc.d/user exists."""
    newer = podman.folder / "newer"
    newer.mkdir(exist_ok=True)
    (newer / "Dockerfile").write_text(UPGRADE)
    podman.call("build", "--isolation", "chroot", "--pull=never", "-t", NEWER, newer)
    podman.build(f"{IMAGE}-3.2.3.2", base=NEWER)
    with podman.start(volume, options=("-e", "HERMES_DASHBOARD=1", *options), image=f"{IMAGE}-3.2.3.2") as container:
        container.said("main-hermes is up\n", 10)
        container.said("started dashboard", 10)
        container.until({"default": "down"})
        assert "is deprecated" not in container.log()


def test_5_the_last_words_of_a_gateway_are_kept_when_the_container_stops(podman, volume):
    """kill -1 reaches loggers and gateways at the same time."""
    volume.profile("coder", "running", does="drain 5")
    with podman.boot(volume) as container:
        container.until({"default": "down", "coder": "up"})
        container.said("started coder")
        took, code = container.stop()
        assert took < 8 and code == 0
        lines = [*(f"draining coder {tenth}" for tenth in range(1, 6)), "stopped coder"]
        assert re.findall(r"(?:draining|stopped) coder.*", volume.current("coder")) == lines
        assert re.findall(r"(?:draining|stopped) coder.*", container.log()) == lines
        assert volume.state("coder")["gateway_state"] == "stopped" and not (volume.home("coder") / "gateway.pid").exists()


def test_8_nothing_loops_where_nobody_can_become_the_hermes_user(podman, place):
    """A user namespace with only uid 0 in it: setresuid to 10000 is EINVAL."""
    volume = Volume(place / "volume", owner=100000)
    volume.profile("coder", "running")
    options = ("--uidmap", "0:100000:1", "--gidmap", "0:100000:1", "-e", "HERMES_DASHBOARD=1", "--entrypoint", "/init")
    with podman.boot(volume, options=options) as container:
        time.sleep(3)
        said = container.log()
        # No service ends more than twice in three seconds.
        ends = {
            service: int(container.sh(f"cat /run/service/{service}/supervise/death_tally 2>/dev/null | wc -c", user="root")) // 12
            for service in ("gateway-coder", "gateway-coder/log", "gateway-default/log", "dashboard")
        }
        assert {service: count for service, count in ends.items() if count > 2} == {}, said
        assert "/etc/cont-init.d/02-reconcile-profiles exited 1\n" in said
        assert re.search(rf"reconcile: .*{HERMES}.*Invalid argument", said), said


def test_10_a_line_in_the_containers_log_says_whose_it_is(podman, volume):
    volume.profile("coder", "running")
    with podman.boot(volume) as container:
        container.said("started coder: ")
        assert re.search(r"^\S*coder\S* started coder: ", container.log(), re.M), container.log()


def test_10_the_prefix_can_be_switched_off(podman, volume):
    volume.profile("coder", "running")
    with podman.boot(volume, options=("-e", "HERMES_INIT_LOG_PREFIX=0")) as container:
        container.said("started coder: ")
        assert re.search(r"^started coder: ", container.log(), re.M), container.log()


def test_10_a_quiet_boot_says_nothing_of_single_profiles(podman, volume):
    volume.profile("coder", "running")
    with podman.boot(volume, options=("-e", "S6_VERBOSITY=0")) as container:
        container.until({"default": "down", "coder": "up"})
        said = container.log()
        assert "cont-init" not in said
        assert not re.search(r"^(reconcile: profile|fix-perms: service)=", said, re.M), said
        assert [line["profile"] for line in volume.boots()] == ["default", "coder"]

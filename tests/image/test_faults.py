"""What a real container showed: the numbers are those of issue 18's list."""

import re

from bed import wait_for


def test_1_the_longest_name_lets_the_container_stop(yard, volume):
    """Where s6-linux-init-shutdownd cannot rename a slot, the container does not come to its end."""
    fits, long = "a" * 215, "b" * 216
    volume.profile(fits, "running")
    volume.profile(long, "running")
    with yard.boot(volume) as box:
        wait_for(lambda: box.service(f"gateway-{fits}") == "up", 15, "the gateway with the longest name")
        took, code = box.stop()
        assert took < 8 and code == 0
        assert [(line["profile"].strip('"'), line["action"]) for line in volume.boots()] == [
            ("default", "registered"), (fits, "started"), (long, "skipped")]


def test_5_the_last_words_of_a_gateway_are_kept_when_the_container_stops(yard, volume):
    """kill -1 reaches loggers and gateways at the same time."""
    volume.profile("coder", "running", does="drain 5")
    with yard.boot(volume) as box:
        box.until({"default": "down", "coder": "up"})
        box.said("started coder")
        took, code = box.stop()
        assert took < 8 and code == 0
        lines = [*(f"draining coder {tenth}" for tenth in range(1, 6)), "stopped coder"]
        assert re.findall(r"(?:draining|stopped) coder.*", volume.current("coder")) == lines
        assert re.findall(r"(?:draining|stopped) coder.*", box.log()) == lines
        assert volume.state("coder")["gateway_state"] == "stopped" and not (volume.home("coder") / "gateway.pid").exists()


def test_10_a_line_in_the_containers_log_says_whose_it_is(yard, volume):
    volume.profile("coder", "running")
    with yard.boot(volume) as box:
        box.said("started coder: ")
        assert re.search(r"^\S*coder\S* started coder: ", box.log(), re.M), box.log()


def test_10_the_prefix_can_be_switched_off(yard, volume):
    volume.profile("coder", "running")
    with yard.boot(volume, options=("-e", "HERMES_INIT_LOG_PREFIX=0")) as box:
        box.said("started coder: ")
        assert re.search(r"^started coder: ", box.log(), re.M), box.log()


def test_10_a_quiet_boot_says_nothing_of_single_profiles(yard, volume):
    volume.profile("coder", "running")
    with yard.boot(volume, options=("-e", "S6_VERBOSITY=0")) as box:
        box.until({"default": "down", "coder": "up"})
        said = box.log()
        assert "cont-init" not in said
        assert not re.search(r"^(reconcile: profile|fix-perms: service)=", said, re.M), said
        assert [line["profile"] for line in volume.boots()] == ["default", "coder"]

"""The real gateway, with its API server on the loopback as its only platform, in our slots on real s6."""

import json

import pytest

from support.hermes_agent import MARKER, MID, NEW, OLD, VERSIONS, PeerBed, owners
from support.program import HERMES, wait_for


@pytest.fixture
def real(version):
    """A container whose first boot was told to start `default`, and the number of its gateway."""
    with PeerBed(version, real=True, HERMES_GATEWAY_BOOTSTRAP_STATE="running") as bed:
        bed.boot()
        yield bed, bed.serving()


@pytest.mark.parametrize("version", VERSIONS)
def test_it_comes_up_as_the_hermes_user_and_when_the_container_ends_it_comes_up_again(real):
    bed, pid = real
    state = bed.state("default")
    assert (state["kind"], state["pid"], state["gateway_state"]) == ("hermes-gateway", pid, "running")
    assert state["argv"][-3:] == ["gateway", "run", "--replace"]
    assert state["platforms"]["api_server"]["state"] == "connected"
    assert "desired_state" not in state, "the pass wrote more than the image does"
    assert state.get("served_profiles") == (None if bed.version == OLD else []), "the sign of a gateway that serves nobody else"
    assert json.loads((bed.home("default") / "gateway.pid").read_text())["pid"] == pid
    assert f"Uid:\t{HERMES}\t{HERMES}\t{HERMES}\t{HERMES}" in bed.path(f"/proc/{pid}/status").read_text()
    assert (bed.home("default") / "logs/gateways/default/current").exists()
    assert owners(bed.home("default")) == {(HERMES, HERMES)}
    # docker stop: SIGTERM without a word before. It ends with 1 and says running.
    bed.run(["s6-svc", "-d", bed.slot("default")])
    bed.down()
    assert bed.ends_of() == [1] and bed.state("default")["gateway_state"] == "running"
    outcome = bed.next_boot()["default"]
    assert (outcome["action"], outcome["prior_state"]) == ("started", "running")
    assert outcome["prior_exit"] == ("unknown" if bed.version == OLD else "clean")


def test_one_that_was_killed_comes_up_again_and_the_log_says_so(real):
    bed, pid = real
    bed.run(["kill", "-9", str(pid)])
    again = bed.serving(other_than=pid)
    bed.run(["s6-svc", "-O", bed.slot("default")])
    bed.run(["kill", "-9", str(again)])
    bed.down()
    outcome = bed.next_boot()["default"]
    assert (outcome["action"], outcome["prior_exit"]) == ("started", "unclean" if bed.version == NEW else "unknown")


def planned_end(bed, profile="default"):
    """The gateway took its end for a planned one, and nothing is left of the marker.

    Upstream makes 0 and `stopped` of that, unless the gateway has found the marker before the signal comes, for which it looks every half
    second. Then the handler of 0.19.0 and 0.21.4 runs twice, the second time without a marker: 1 and `running`. Or the gateway has ended
    already, all but its process, which has no handler any more."""
    assert bed.was_told(profile), "it was not told that it is stopped"
    assert not (bed.home(profile) / MARKER).exists()
    end = (bed.ends_of(profile)[-1], bed.state(profile)["gateway_state"])
    log = (bed.home(profile) / "logs/gateway.log").read_text()
    was_first = "Received UNKNOWN as a planned gateway stop" in log
    assert end == (0, "stopped") or (bed.version != NEW and end == (1, "running")) or (was_first and end == ("SIGTERM", "stopped")), log


def planned_stop(bed, profile="default"):
    """A stop that the next boot keeps, however the gateway ended."""
    assert bed.svstat(bed.slot(profile)) == "down" and bed.state(profile)["desired_state"] == "stopped"
    planned_end(bed, profile)


def mark(bed, pid):
    """Has the gateway find a marker before any signal comes."""
    marker = bed.home("default") / MARKER
    bed.python(f"import json\nfrom gateway.status import write_planned_stop_marker\nprint(json.dumps(write_planned_stop_marker({pid})))")
    wait_for(lambda: not marker.exists(), 10, "the marker to be read")


def test_stop_survives_a_boot_ten_times_of_ten(real):
    """A boot right after the command, whatever the gateway wrote while it went down; once when the signal comes after the marker was read."""
    bed, pid = real
    for number in range(10):
        if number == 5:
            mark(bed, pid)
        bed.init("stop", "default", *(["--wait"] if number % 2 else []), uid=HERMES)
        outcome = bed.next_boot()["default"]
        assert (outcome["action"], outcome["prior_state"]) == ("registered", "stopped"), number
        planned_stop(bed)
        if number < 9:
            bed.init("start", "default", uid=HERMES)
            pid = bed.serving(other_than=pid)
            assert bed.next_boot()["default"]["action"] == "started"


def test_restart_and_unregister_are_planned(real):
    bed, pid = real
    bed.init("restart", "default", "--wait", uid=HERMES)
    assert bed.was_told(), "the first one was not told that it is stopped"
    again = bed.serving(other_than=pid)
    assert bed.ends_of() == [0] or (bed.version != NEW and bed.ends_of() == [1])
    assert bed.state("default")["desired_state"] == "running" and not (bed.home("default") / MARKER).exists()
    bed.init("unregister", "default", uid=HERMES)
    assert not bed.path(bed.slot("default")).exists() and not bed.path(f"/proc/{again}").exists()
    assert bed.was_told() and not (bed.home("default") / MARKER).exists()


# What writes the desired state, made slower: it reads the state file, and replaces it, without a lock.
SLOW = "(setattr(pathlib.Path, 'replace', lambda self, to: (time.sleep({delay}), os.replace(self, to))), m.stop('gateway-default'))[1]"


@pytest.mark.parametrize(("version", "delay"), [(OLD, 0), (MID, 0), (NEW, 0.01)])
def test_its_stop_on_our_slot_is_planned(real, delay):
    """And the next boot keeps it, where no desired state was in the file when the gateway started. `gateway_state` is not promised: the
    desired state is written while the gateway goes down, into what was read a moment before."""
    bed, _ = real
    assert bed.manager(SLOW.format(delay=delay) if delay else "m.stop('gateway-default')") is None
    bed.down()
    assert bed.was_told(), "it was not told that it is stopped"
    assert not (bed.home("default") / MARKER).exists()
    assert bed.ends_of() == [0] or (bed.version != NEW and bed.ends_of() == [1])
    assert bed.state("default")["desired_state"] == "stopped"
    assert bed.next_boot()["default"]["action"] == "registered"


@pytest.mark.parametrize("version", [NEW])
def test_its_client_stops_a_gateway_of_a_first_boot_until_it_is_started(real):
    """As with the image's own first boot. After a start there is a desired state in the file, which this gateway writes back."""
    bed, pid = real
    bed.client("gateway", "stop")
    bed.down()
    assert bed.ends_of()[-1] == 0 and bed.next_boot()["default"]["action"] == "registered"
    bed.client("gateway", "start")
    bed.serving(other_than=pid)
    bed.client("gateway", "stop")
    bed.down()
    # Row "`stop`": ours is recorded again when the gateway is down.
    assert bed.ends_of()[-1] == 0 and bed.state("default")["desired_state"] == "running"


def test_a_marker_that_an_earlier_stop_left_stops_nothing_and_is_replaced(real):
    bed, pid = real
    (bed.home("default") / MARKER).write_text(
        json.dumps({"target_pid": pid, "target_start_time": 1, "stopper_pid": 1, "written_at": "2026-01-01T00:00:00+00:00"})
    )
    bed.chown(f"/opt/data/{MARKER}")
    bed.init("stop", "default", "--wait", uid=HERMES)
    planned_stop(bed)


def test_a_named_profile_is_served_by_default_and_starts_nothing():
    with PeerBed(NEW, real=True) as bed:
        bed.profile("coder", "running")
        bed.enable_api_server()
        bed.boot()
        # Nobody ever started default: that coder wants to run does.
        assert bed.svstat(bed.slot("coder")) == "down"
        pid = bed.serving()
        wait_for(lambda: "coder" in bed.state("default").get("served_profiles", []), 30, "coder among the profiles that are served")
        bed.init("start", "coder", "--wait", uid=HERMES)
        done = bed.init("restart", "coder", uid=HERMES, code=1)
        assert b"default" in done.stderr and b"serves" in done.stderr
        assert bed.svstat(bed.slot("coder")) == "down" and bed.pid_of(bed.slot("default")) == pid
        assert b"by default" in bed.init("status", uid=HERMES).stdout
        # From its own traces `auto` knows what it is.
        bed.path("/run/s6/container_environment/HERMES_INIT_TOPOLOGY").write_text("auto")
        outcomes = bed.next_boot()
        assert {name: outcome["action"] for name, outcome in outcomes.items()} == {"default": "started", "coder": "registered"}
        assert all(outcome["folded_into_root"] for outcome in outcomes.values())


def test_a_standalone_profile_has_a_gateway_of_its_own_beside_that_of_default():
    with PeerBed(NEW, real=True) as bed:
        bed.profile("default", "running")
        bed.profile("coder", "running")
        own = bed.profile("own", "running")
        (own / "config.yaml").write_text("gateway:\n  standalone: true\n")
        bed.enable_api_server()
        bed.enable_api_server("own")
        bed.boot()
        bed.serving()
        bed.serving("own")
        assert bed.svstat(bed.slot("coder")) == "down"
        assert "own" not in bed.state("default")["served_profiles"]
        bed.init("stop", "own", "--wait", uid=HERMES)
        planned_stop(bed, "own")
        assert {name: outcome["action"] for name, outcome in bed.next_boot().items()} == {
            "default": "started",
            "coder": "registered",
            "own": "registered",
        }

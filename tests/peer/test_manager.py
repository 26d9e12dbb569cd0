"""Its service manager on our slots, and our commands on its slots, as the hermes user on real s6."""

import json

import pytest

from support.hermes_agent import HOME, MARKER, NEW, VERSIONS, PeerBed
from support.program import HERMES, wait_for


def rows(bed):
    return {row["profile"]: row for row in map(json.loads, bed.init("status", "--json", uid=HERMES).stdout.splitlines())}


def up(bed, profile, other_than=-1):
    wait_for(lambda: bed.pid_of(bed.slot(profile)) not in (-1, other_than), 15, f"gateway-{profile} up")
    return bed.pid_of(bed.slot(profile))


def prepared(bed, profile):
    """Until the stand-in has set its trap."""
    wait_for(lambda: bed.path(f"/run/bed/environ.{profile}").exists(), 15, f"the stand-in of {profile}")


@pytest.fixture
def its(version):
    """A container booted with its own pass: default, coder and idle, all down or up as it decides; then coder is up."""
    with PeerBed(version, HERMES_INIT_TOPOLOGY="per-profile") as bed:
        bed.profile("coder", "running")
        bed.profile("idle", "stopped")
        bed.profile("default", "stopped")
        bed.chown("/run/service")
        (printed,) = bed.theirs([(HOME, "/run/service", {})])
        assert "profile=coder" in printed
        bed.rescan()
        bed.settle()
        if bed.svstat(bed.slot("coder")) != "up":
            bed.run(["s6-svc", "-u", bed.slot("coder")])
        up(bed, "coder")
        prepared(bed, "coder")
        yield bed


def test_it_finds_s6_and_lists_our_slots(ours):
    assert ours.manager("[m.kind, sorted(m.list_profile_gateways()), m.is_running('gateway-coder'), m.is_running('gateway-idle')]") == [
        "s6",
        ["coder", "default", "idle"],
        True,
        False,
    ]


def test_its_stop_start_and_restart_work_on_our_slot(ours):
    prepared(ours, "coder")
    pid = up(ours, "coder")
    assert ours.manager("m.stop('gateway-coder')", home=f"{HOME}/profiles/coder") is None
    ours.down("coder")
    assert ours.ended("coder") == 0, "the marker did not name the gateway"
    assert ours.state("coder")["desired_state"] == "stopped" and ours.next_boot()["coder"]["action"] == "registered"
    assert ours.manager("m.start('gateway-coder')") is None
    started = up(ours, "coder", pid)
    assert ours.state("coder")["desired_state"] == "running" and ours.next_boot()["coder"]["action"] == "started"
    assert ours.manager("m.restart('gateway-coder')") is None
    up(ours, "coder", started)
    assert ours.manager("m.is_running('gateway-coder')") is True and rows(ours)["coder"]["state"] == "up"


def test_its_register_refuses_a_slot_of_ours_and_its_commands_a_missing_one(ours):
    assert ours.manager("m.register_profile_gateway('coder')")[0] == "ValueError"
    assert [ours.manager(f"m.{command}('gateway-typo')")[0] for command in ("start", "stop", "restart")] == [
        "GatewayNotRegisteredError"
    ] * 3


def test_its_unregister_takes_our_slot_away_and_our_pass_makes_it_again(ours):
    assert ours.manager("m.unregister_profile_gateway('coder')") is None
    assert not ours.path(ours.slot("coder")).exists() and sorted(ours.manager("m.list_profile_gateways()")) == ["default", "idle"]
    assert rows(ours)["coder"]["state"] == "no slot" and rows(ours)["coder"]["note"]
    ours.init("start", "coder", "--wait", uid=HERMES)
    assert ours.svstat(ours.slot("coder")) == "up"
    assert ours.manager("m.is_running('gateway-coder')") is True


def test_its_unregister_after_which_its_register_and_our_commands_go_on(ours):
    for _ in range(3):
        assert ours.manager("m.unregister_profile_gateway('idle')") is None
        assert ours.manager("m.register_profile_gateway('idle', start_now=False)") is None
        wait_for(lambda: ours.svstat(ours.slot("idle")) == "down", 10, "the supervisor of idle")
        ours.init("start", "idle", "--wait", uid=HERMES)
        ours.init("stop", "idle", "--wait", uid=HERMES)


def test_in_sealed_mode_it_may_ask_start_and_stop_and_no_more(version):
    """Its manager, and its client. Profiles that are created or renamed keep their slots, or none, until the next boot."""
    with PeerBed(version, HERMES_INIT_TOPOLOGY="per-profile", HERMES_INIT_SEALED="1") as bed:
        for name, state in (("coder", "running"), ("idle", "stopped")):
            # On 0.22.2, the client starts no other named gateway.
            (bed.profile(name, state) / "config.yaml").write_text("gateway:\n  standalone: true\n")
        bed.boot()
        prepared(bed, "coder")
        pid = up(bed, "coder")
        assert bed.manager("[m.kind, sorted(m.list_profile_gateways()), m.is_running('gateway-coder')]") == [
            "s6",
            ["coder", "default", "idle"],
            True,
        ]
        assert bed.manager("m.register_profile_gateway('new')")[0] == "PermissionError"
        assert f"(PID: {pid})" in bed.client("-p", "coder", "gateway", "status")
        assert all(name in bed.client("gateway", "list") for name in ("default", "coder", "idle"))
        bed.client("-p", "coder", "gateway", "stop")
        bed.down("coder")
        assert bed.ended("coder") == 0 and bed.state("coder")["desired_state"] == "stopped"
        bed.client("-p", "coder", "gateway", "start")
        pid = up(bed, "coder")
        bed.client("-p", "coder", "gateway", "restart")
        up(bed, "coder", pid)
        assert "Stopped 3 profile gateway(s)" in bed.client("gateway", "stop", "--all")
        bed.down("coder")
        before = slots(bed)
        # One line, and the exit code is 0.
        assert bed.client("profile", "create", "new").count("Could not register s6 gateway service: [Errno 13] Permission denied") == 1
        assert bed.client("profile", "rename", "idle", "other").count("Could not register") == (version == NEW)
        assert bed.home("new").exists() and bed.home("other").exists() and slots(bed) == before


def slots(bed):
    return {slot.name for slot in bed.path("/run/service").glob("gateway-*")}


@pytest.mark.parametrize("version", VERSIONS)
def test_its_client_creates_renames_and_deletes_with_our_slots(version):
    with PeerBed(version, HERMES_INIT_TOPOLOGY="per-profile") as bed:
        bed.profile("idle", "stopped")
        bed.boot()
        bed.client("profile", "create", "new")
        assert slots(bed) == {"gateway-default", "gateway-idle", "gateway-new"}
        bed.client("profile", "delete", "new", "--yes")
        assert slots(bed) == {"gateway-default", "gateway-idle"}
        bed.client("profile", "rename", "idle", "other")
        assert slots(bed) == {"gateway-default", "gateway-other" if version == NEW else "gateway-idle"}
        # What status says of it helps.
        if version != NEW:
            assert b"hermes-init unregister idle" in bed.init("status", uid=HERMES).stdout
            bed.init("unregister", "idle", uid=HERMES)
            bed.init("start", "other", "--wait", uid=HERMES)
        assert slots(bed) == {"gateway-default", "gateway-other"}


def test_our_status_shows_its_slots(its):
    folded = "up" if its.version == NEW else "down"
    assert {name: row["state"] for name, row in rows(its).items()} == {"default": folded, "coder": "up", "idle": "down"}
    assert rows(its)["coder"]["pid"] == its.pid_of(its.slot("coder"))


def test_our_stop_start_and_restart_work_on_its_slot(its):
    pid = its.pid_of(its.slot("coder"))
    its.init("stop", "coder", "--wait", uid=HERMES)
    assert its.svstat(its.slot("coder")) == "down" and its.manager("m.is_running('gateway-coder')") is False
    assert its.state("coder")["desired_state"] == "stopped"
    its.init("start", "coder", "--wait", uid=HERMES)
    started = its.pid_of(its.slot("coder"))
    assert started not in (-1, pid) and its.state("coder")["desired_state"] == "running"
    its.init("restart", "coder", "--wait", uid=HERMES)
    assert its.pid_of(its.slot("coder")) not in (-1, started)


@pytest.mark.parametrize("command", ["stop", "restart", "unregister"])
def test_a_gateway_that_we_end_is_told_so_by_the_marker(ours, command):
    """The keys and their values are those that its reader checks; a reader of its own, which has the marker consumed, says so too."""
    prepared(ours, "coder")
    pid = up(ours, "coder")
    start = int(ours.path(f"/proc/{pid}/stat").read_text().split()[21])
    ours.init(command, "coder", *([] if command == "unregister" else ["--wait"]), uid=HERMES)
    marker = json.loads(ours.path("/run/bed/marker.coder").read_text())
    assert sorted(marker) == ["stopper_pid", "target_pid", "target_start_time", "written_at"]
    assert (marker["target_pid"], marker["target_start_time"]) == (pid, start) and type(marker["stopper_pid"]) is int
    assert marker["written_at"].endswith("+00:00")
    fresh = ours.python(
        f"import json\nfrom gateway.status import _marker_is_stale\nprint(json.dumps(_marker_is_stale({marker['written_at']!r}, 60)))"
    )
    assert fresh is False
    assert not (ours.home("coder") / MARKER).exists()


def test_our_unregister_takes_its_slot_away_with_its_supervisors(its):
    before = len(its.supervisors())
    its.init("unregister", "coder", uid=HERMES)
    assert not its.path(its.slot("coder")).exists()
    wait_for(lambda: len(its.supervisors()) == before - 2, 5, "the end of two supervisors")
    its.init("register", "coder", uid=HERMES)
    assert its.manager("[sorted(m.list_profile_gateways()), m.is_running('gateway-coder')]") == [["coder", "default", "idle"], True]


def test_a_slot_that_it_registers_at_run_time_is_ours_to_command(ours):
    assert ours.manager("m.register_profile_gateway('new', extra_env={'A': 'b c'})") is None
    ours.profile("new")
    up(ours, "new")
    prepared(ours, "new")
    assert b"A=b c" in ours.path("/run/bed/environ.new").read_bytes().split(b"\0")
    assert rows(ours)["new"]["state"] == "up"
    pid = up(ours, "new")
    ours.init("restart", "new", "--wait", uid=HERMES)
    assert up(ours, "new", pid)
    ours.init("stop", "new", "--wait", uid=HERMES)
    ours.init("unregister", "new", uid=HERMES)
    assert sorted(ours.manager("m.list_profile_gateways()")) == ["coder", "default", "idle"]


def test_a_live_pass_leaves_a_slot_that_it_registered_with_its_variables(ours):
    assert ours.manager("m.register_profile_gateway('new', extra_env={'A': 'b c'})") is None
    ours.profile("new", "running")
    up(ours, "new")
    scripts = {name: (ours.path(ours.slot("new")) / name).read_bytes() for name in ("run", "finish", "log/run")}
    outcomes = {outcome["profile"]: outcome for outcome in map(json.loads, ours.init("reconcile", "--json").stdout.splitlines())}
    assert outcomes["new"]["changed"] is False
    assert scripts == {name: (ours.path(ours.slot("new")) / name).read_bytes() for name in scripts}
    assert b"--adopt" in ours.init("reconcile", "--explain").stdout
    # Not a profile's state: a slot that is adopted is as every other.
    ours.init("reconcile", "--adopt")
    assert ours.path(ours.slot("new")).joinpath("run").read_bytes() == ours.path(ours.slot("coder")).joinpath("run").read_bytes()


def test_a_slot_that_we_register_is_its_to_command(ours):
    ours.profile("new", "stopped")
    ours.init("register", "new", "--down", uid=HERMES)
    assert ours.manager("m.start('gateway-new')") is None
    pid = up(ours, "new")
    prepared(ours, "new")
    assert ours.manager("m.restart('gateway-new')") is None
    up(ours, "new", pid)
    assert ours.manager("m.stop('gateway-new')", home=f"{HOME}/profiles/new") is None
    ours.down("new")
    assert ours.manager("m.unregister_profile_gateway('new')") is None
    assert not ours.path(ours.slot("new")).exists()

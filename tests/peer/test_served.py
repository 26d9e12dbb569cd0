"""Who serves whom: what the real gateway says of it in `gateway_state.json`, what `auto` makes of that at the next boot, and the profile
whose gateway runs in the foreground."""

import contextlib
import json
import re
import subprocess
import time

import pytest
from support.hermes_agent import ENVIRONMENT, HOME, MID, NEW, OLD, VERSIONS, PeerBed
from support.program import HERMES, wait_for

VARIABLE = "GATEWAY_MULTIPLEX_PROFILES"


def served(bed):
    return bed.state("default").get("served_profiles")


def actions(bed):
    return {name: outcome["action"] for name, outcome in bed.next_boot().items()}


def switch(bed, topology):
    bed.path("/run/s6/container_environment/HERMES_INIT_TOPOLOGY").write_text(topology)


def test_auto_leaves_the_profiles_of_0_21_4_their_own_gateways_from_boot_to_boot():
    """It writes an empty list at each start, and under s6 its gateways run side by side."""
    with PeerBed(MID, real=True, HERMES_INIT_TOPOLOGY="auto") as bed:
        bed.profile("default", "running")
        bed.profile("coder", "running")
        for profile in ("default", "coder"):
            bed.enable_api_server(profile)
        bed.boot()
        for profile in ("default", "coder"):
            bed.serving(profile)
            assert bed.state(profile)["served_profiles"] == []
            assert bed.state(profile)["multiplex_standalone_reason"].startswith("s6-supervised container: ")
        assert actions(bed) == {"default": "started", "coder": "started"}
        explained = bed.init("reconcile", "--explain").stdout.decode()
        assert 'auto: the gateway of default served no other profile: "s6-supervised container: ' in explained
        # No marker: it knows none, and its own commands are those of the slot.
        bed.client("-p", "coder", "gateway", "stop")
        bed.down("coder")
        assert not (bed.home("coder") / "gateway.parked").exists()
        assert actions(bed) == {"default": "started", "coder": "registered"}


@pytest.mark.parametrize("version", [MID, NEW])
def test_a_gateway_that_had_no_other_profile_to_serve_says_nothing_of_the_topology(version):
    with PeerBed(version, real=True, HERMES_INIT_TOPOLOGY="auto") as bed:
        bed.profile("default", "running")
        bed.enable_api_server()
        bed.boot()
        bed.serving()
        assert served(bed) == []
        assert bed.state("default")["multiplex_standalone_reason"] == "only one profile exists (nothing to multiplex)"
        bed.profile("coder", "running")
        bed.enable_api_server("coder")
        assert actions(bed) == {"default": "started", "coder": "registered"}
        said = bed.init("reconcile", "--explain").stderr
        assert b"unable to determine the topology" in said and b"set HERMES_INIT_TOPOLOGY" in said
        # Each has the one that it needs.
        for topology, coder in (("per-profile", "started"), ("multiplex", "registered")):
            switch(bed, topology)
            assert actions(bed) == {"default": "started", "coder": coder}
            assert b"unable to determine" not in bed.init("reconcile", "--explain").stderr


@pytest.mark.parametrize("version", [OLD, MID])
def test_the_variable_in_dotenv_makes_the_gateway_serve_all_and_ours_start_no_other(version):
    with PeerBed(version, real=True, HERMES_INIT_TOPOLOGY="per-profile") as bed:
        bed.profile("default", "running")
        bed.profile("coder", "running")
        bed.enable_api_server()
        with (bed.home("default") / ".env").open("a") as file:
            file.write(f"export {VARIABLE}='true' # one for all\n")
        bed.boot()
        bed.serving()
        wait_for(lambda: served(bed) == ["default", "coder"], 30, "coder among the profiles that are served")
        assert bed.svstat(bed.slot("coder")) == "down"
        # From its own traces `auto` knows it, too.
        switch(bed, "auto")
        assert actions(bed) == {"default": "started", "coder": "registered"}


# Contents of .env, some of which make ours say that it is not sure.
DOTENVS = [
    *(
        f"{VARIABLE}={word}\n"
        for word in ("true", "TRUE", "1", "on", "yes", "0", "false", "off", "no", "", " yes ", "'on'", '"off"', "2", "oui")
    ),
    f"export {VARIABLE}=1",
    f"  export   {VARIABLE} = 'yes' # why\n",
    f"{VARIABLE}=yes # why\n",
    f"{VARIABLE}=yes#why\n",
    f"#{VARIABLE}=1\n",
    f"{VARIABLE}=1\n{VARIABLE}=0\n",
    f"{VARIABLE}=0\r\nOTHER=1\r\n",
    f"OTHER='a\n{VARIABLE}=1\n'\n",
    f"OTHER='a\n{VARIABLE}=1\n",
    f"\ufeff{VARIABLE}=1\n",
    f"{VARIABLE}\n",
    f"{VARIABLE}=$OTHER\nOTHER=1\n",
    f'{VARIABLE}="\\x31"\n',
    f"{VARIABLE}: 1\n",
    f"{VARIABLE.lower()}=1\n",
]


@pytest.mark.parametrize("version", VERSIONS)
def test_dotenv_says_what_the_gateway_reads_in_it_or_nothing(version):
    with PeerBed(version, HERMES_INIT_TOPOLOGY="per-profile") as bed:
        bed.profile("default", "running")
        bed.profile("coder", "running")
        cases = [(text, variable) for text in DOTENVS for variable in (None, "1", "0")[: 1 if DOTENVS.index(text) > 12 else 3]]
        theirs = bed.python(
            "import json, os, pathlib\n"
            "from hermes_cli.env_loader import load_hermes_dotenv\n"
            "from gateway.config import _env_multiplex_profiles_override\n"
            "answers = []\n"
            f"for text, variable in {cases!r}:\n"
            f"    os.environ.pop('{VARIABLE}', None)\n"
            f"    if variable: os.environ['{VARIABLE}'] = variable\n"
            f"    pathlib.Path('{HOME}/.env').write_bytes(text.encode())\n"
            f"    load_hermes_dotenv(hermes_home='{HOME}')\n"
            "    answers.append(_env_multiplex_profiles_override())\n"
            "print(json.dumps(answers))"
        )
        unsure = []
        for (text, variable), answer in zip(cases, theirs, strict=True):
            (bed.home("default") / ".env").write_bytes(text.encode())
            done = bed.init("reconcile", "--explain", environment={VARIABLE: variable} if variable else {})
            word, why = re.search(r"^multiplex: (on|off) \((.*)\)$", done.stdout.decode(), re.MULTILINE).groups()
            if b"unable to use .env" in done.stderr:
                unsure.append(text)
            elif text[0] != "\ufeff" or version != OLD:
                # Row "multiplex": 0.19.0 takes a byte order mark for a part of the name.
                assert (None if why == "default" else word == "on") == answer, (text, variable, done)
        assert len(set(unsure)) <= 5, unsure


@contextlib.contextmanager
def foreground(bed, *words):
    """The container's command, as the image runs it: root's wrapper stays, and what it starts is the hermes user's."""
    user = f"setpriv --reuid {HERMES} --regid {HERMES} --clear-groups"
    bed.path("/run/bed/main-wrapper.sh").write_text(f'{user} "$@" > /dev/null 2>&1 &\nread -r _\nkill $!\nwait\n')
    command = bed.command(["sh", "/run/bed/main-wrapper.sh", "hermes", *words])
    process = subprocess.Popen(command, env=bed.environment | ENVIRONMENT, cwd="/", stdin=subprocess.PIPE)
    try:
        yield
    finally:
        process.stdin.close()
        process.wait(timeout=30)


@pytest.mark.parametrize(
    ("version", "words", "is_sticky"),
    [
        (OLD, ["-p", "coder", "gateway", "run", "--no-supervise"], False),
        (MID, ["gateway", "run", "--no-supervise"], True),
        (NEW, ["--profile", "coder", "gateway", "run", "--no-supervise"], False),
    ],
)
def test_a_profile_whose_gateway_runs_in_the_foreground_gets_no_second_one(version, words, is_sticky):
    with PeerBed(version, real=True, HERMES_INIT_TOPOLOGY="auto") as bed:
        bed.profile("default", "stopped")
        coder = bed.profile("coder", "running")
        if version == NEW:
            # There, no other one may run beside that of default.
            (coder / "config.yaml").write_text("gateway:\n  standalone: true\n")
        if is_sticky:
            (bed.home("default") / "active_profile").write_text("coder\n")
        bed.enable_api_server("coder")
        with foreground(bed, *words):

            def runs():
                with contextlib.suppress(OSError, ValueError, KeyError):
                    return bed.state("coder")["gateway_state"] == "running" and bed.answers("coder") and bed.state("coder")["pid"]
                return False

            pid = wait_for(runs, 60, "the gateway in the foreground")
            bed.boot()
            assert bed.svstat(bed.slot("coder")) == "down"
            assert "in the foreground" in bed.next_boot()["coder"]["reason"]
            assert (bed.state("coder")["pid"], bed.svstat(bed.slot("default"))) == (pid, "down")


def test_its_client_parks_and_unparks_and_auto_keeps_the_topology():
    """Parking is a matter of a file, of which the gateway of default hears at once from the client, and else looks for every 30 seconds."""
    with PeerBed(NEW, real=True, HERMES_INIT_TOPOLOGY="multiplex") as bed:
        bed.profile("default", "running")
        bed.profile("coder", "running")
        bed.enable_api_server()
        bed.boot()
        pid = bed.serving()
        wait_for(lambda: served(bed) == ["default", "coder"], 30, "coder among the profiles that are served")
        before = bed.state("coder")
        assert "already serves profile 'coder'" in bed.client("-p", "coder", "gateway", "start", code=78)
        assert "parked" in bed.client("-p", "coder", "gateway", "stop")
        marker = bed.home("coder") / "gateway.parked"
        assert (marker.stat().st_size, marker.stat().st_uid) == (0, HERMES)
        wait_for(lambda: served(bed) == ["default"], 10, "coder to be dropped")
        # Its own state says nothing of it, and default runs on.
        assert bed.state("coder") == before and (bed.state("default")["pid"], bed.state("default")["gateway_state"]) == (pid, "running")
        # What default says now is what a gateway that serves nobody else says.
        switch(bed, "auto")
        assert "topology: multiplex" in bed.init("reconcile", "--explain").stdout.decode()
        assert actions(bed)["coder"] == "registered"
        assert "served" in bed.client("-p", "coder", "gateway", "start") and not marker.exists()
        wait_for(lambda: served(bed) == ["default", "coder"], 10, "coder to be served again")
        # Without the client; and a state of its own that says stopped changes nothing.
        state = bed.home("coder") / "gateway_state.json"
        state.write_text(json.dumps(before | {"desired_state": "stopped"}))
        time.sleep(2)
        assert served(bed) == ["default", "coder"]
        marker.touch()
        wait_for(lambda: served(bed) == ["default"], 40, "coder to be dropped by the next look")


def rows(bed):
    return {row["profile"]: row for row in map(json.loads, bed.init("status", "--json", uid=HERMES).stdout.splitlines())}


def state_of(bed, profile):
    row = rows(bed)[profile]
    return row["state"], row["note"]


def test_our_stop_and_start_alone_park_a_profile_and_have_it_served_again():
    """Beside it, whatever would start a second gateway leaves that of default as it is. Each look of the real gateway is 30 seconds after
    the one before."""
    with PeerBed(NEW, real=True, HERMES_INIT_TOPOLOGY="multiplex") as bed:
        bed.profile("default", "running")
        bed.profile("coder", "running")
        bed.enable_api_server()
        bed.boot()
        pid = bed.serving()
        wait_for(lambda: served(bed) == ["default", "coder"], 30, "coder among the profiles that are served")
        assert state_of(bed, "coder") == ("served", None) and bed.init("health").stdout == b""
        # Its own gateway would take the place of default.
        assert bed.run(["s6-svc", "-u", bed.slot("coder")]).returncode == 0
        wait_for(lambda: bed.ended("coder") == 78, 20, "the refusal")
        bed.profile("new", "running")
        assert b"its slot stays down, because the gateway of default serves it" in bed.init("register", "new", uid=HERMES).stderr
        bed.init("stop", "--wait=45", "coder", uid=HERMES, timeout=90)
        assert "coder" not in served(bed) and state_of(bed, "coder")[0] == "parked"
        assert "parked" in bed.client("-p", "coder", "gateway", "status", code=None)
        # The same look has found the new one.
        wait_for(lambda: served(bed) == ["default", "new"], 10, "new to be served")
        assert actions(bed) == {"default": "started", "coder": "registered", "new": "registered"}
        bed.init("start", "--wait=45", "coder", uid=HERMES, timeout=90)
        assert served(bed) == ["default", "coder", "new"] and state_of(bed, "coder")[0] == "served"
        assert {bed.svstat(bed.slot(name)) for name in ("coder", "new")} == {"down"} and bed.pid_of(bed.slot("default")) == pid
        assert bed.init("health").stdout == b""
        # The client finds what ours has left, and ours what the client has.
        bed.client("-p", "coder", "gateway", "stop")
        wait_for(lambda: state_of(bed, "coder")[0] == "parked", 10, "coder to be parked")


def test_a_default_that_had_nobody_to_serve_serves_after_the_restart_that_is_advised():
    with PeerBed(NEW, real=True, HERMES_INIT_TOPOLOGY="multiplex") as bed:
        bed.profile("default", "running")
        bed.enable_api_server()
        bed.boot()
        bed.serving()
        bed.profile("coder", "running")
        state, note = state_of(bed, "coder")
        assert state == "not served" and note.endswith(" restart default"), note
        assert note.encode() in bed.init("start", "coder", uid=HERMES, code=1).stderr
        bed.init("restart", "default", uid=HERMES, timeout=90)
        bed.serving()
        wait_for(lambda: state_of(bed, "coder") == ("served", None), 30, "coder to be served")
        assert bed.init("health").stdout == b""


def test_a_release_that_does_not_know_the_marker_goes_on_serving_and_that_is_said():
    with PeerBed(MID, real=True, HERMES_INIT_TOPOLOGY="multiplex", **{VARIABLE: "true"}) as bed:
        bed.profile("default", "running")
        bed.profile("coder", "running")
        bed.enable_api_server()
        bed.boot()
        bed.serving()
        wait_for(lambda: served(bed) == ["default", "coder"], 30, "coder among the profiles that are served")
        done = bed.init("stop", "--wait=33", "coder", uid=HERMES, code=1, timeout=90)
        assert b"the gateway of default still serves it after 33 seconds" in done.stderr
        assert state_of(bed, "coder")[0] == "served"
        bed.init("start", "--wait=5", "coder", uid=HERMES)
        assert state_of(bed, "coder") == ("served", None)

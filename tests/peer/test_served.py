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
        if version == NEW:
            pid = bed.state("default")["pid"]
            assert b"restart default" in bed.init("health", uid=HERMES, code=1).stdout
            assert b"restart default" in bed.init("start", "coder", uid=HERMES, code=1).stderr
            bed.init("restart", "default", "--wait", uid=HERMES)
            bed.serving(other_than=pid)
            serves(bed, "coder")
            assert states(bed)["coder"] == "served" and bed.init("health", uid=HERMES)


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


def states(bed):
    return {row["profile"]: row["state"] for row in map(json.loads, bed.init("status", "--json", uid=HERMES).stdout.splitlines())}


def serves(bed, *names, seconds=10):
    wait_for(lambda: served(bed) == ["default", *names], seconds, f"served: {names}")


@pytest.fixture
def host():
    """The gateway of default, which serves coder and ops, and its number."""
    with PeerBed(NEW, real=True, HERMES_INIT_TOPOLOGY="multiplex") as bed:
        for name in ("default", "coder", "ops"):
            bed.profile(name, "running")
        bed.enable_api_server()
        bed.boot()
        pid = bed.serving()
        serves(bed, "coder", "ops")
        yield bed, pid


def test_stop_start_and_status_are_enough_for_a_profile_that_default_serves(host):
    """The gateway of default hears of parking at once from the client, and looks for the file every 30 seconds."""
    bed, pid = host
    assert states(bed) == {"default": "up", "coder": "served", "ops": "served"} and bed.init("health", uid=HERMES)
    before, marker = bed.state("coder"), bed.home("coder") / "gateway.parked"
    # Theirs: its own state says nothing of it.
    assert "already serves profile 'coder'" in bed.client("-p", "coder", "gateway", "start", code=78)
    assert "parked" in bed.client("-p", "coder", "gateway", "stop")
    assert (marker.stat().st_size, marker.stat().st_uid) == (0, HERMES) and bed.state("coder") == before
    serves(bed, "ops")
    assert states(bed)["coder"] == "parked" and bed.init("health", uid=HERMES)
    # Ours after theirs: the file is gone, and default is not asked.
    bed.init("start", "coder", uid=HERMES)
    assert not marker.exists()
    # Theirs after ours.
    bed.init("stop", "coder", uid=HERMES)
    assert (marker.stat().st_size, marker.stat().st_uid) == (0, HERMES)
    assert "parked" in bed.client("-p", "coder", "gateway", "status")
    assert "served" in bed.client("-p", "coder", "gateway", "start") and not marker.exists()
    serves(bed, "coder", "ops")
    assert states(bed)["coder"] == "served"
    # By default's next look.
    bed.init("stop", "coder", "--wait", uid=HERMES)
    assert served(bed) == ["default", "ops"] and states(bed)["coder"] == "parked"
    bed.client("-p", "ops", "gateway", "stop")
    serves(bed)
    # What default says now is what a gateway that serves nobody else says.
    switch(bed, "auto")
    outcomes = bed.next_boot()
    assert outcomes["coder"]["action"] == "registered" and outcomes["coder"]["reason"].startswith("parked: ")
    assert "topology: multiplex" in bed.init("reconcile", "--explain").stdout.decode()
    assert bed.state("default")["pid"] == pid


def test_nothing_of_ours_takes_the_place_of_the_gateway_of_default(host):
    bed, pid = host
    bed.profile("new")
    assert b"the gateway of default serves it" in bed.init("register", "new", uid=HERMES).stderr
    bed.init("restart", "coder", uid=HERMES, code=1)
    for name in ("new", "coder"):
        assert bed.svstat(bed.slot(name)) == "down"
        # Whatever starts it: gateway-run ends at once, for good.
        bed.run(["s6-svc", "-u", bed.slot(name)])
        wait_for(lambda name=name: bed.ends_of(name), 10, "the end of gateway-run")
        bed.down(name)
    time.sleep(2)
    assert bed.pid_of(bed.slot("default")) == pid and served(bed)[:2] == ["default", "coder"]
    # Down, default serves nobody, and says so.
    said = bed.init("stop", "default", "--wait", uid=HERMES).stderr
    assert b"the next boot starts default again" in said and b"coder" in said and b"ops" in said
    assert [states(bed)[name] for name in ("coder", "ops")] == ["not served"] * 2
    assert b"start default" in bed.init("health", uid=HERMES, code=1).stdout
    assert b"start default" in bed.init("start", "coder", uid=HERMES, code=1).stderr
    bed.init("start", "default", "--wait", uid=HERMES)
    bed.serving(other_than=pid)
    serves(bed, "coder", "new", "ops")
    assert set(states(bed).values()) == {"up", "served"} and bed.init("health", uid=HERMES)


def test_of_two_gateways_of_one_profile_start_leaves_that_of_default(host):
    """What an older `hermes-init` or the image's own slot leaves, with a port of its own."""
    bed, pid = host
    bed.enable_api_server("coder")
    switch(bed, "per-profile")
    bed.run(["s6-svc", "-u", bed.slot("coder")])
    bed.serving(other_than=pid)
    bed.serving("coder")
    switch(bed, "multiplex")
    assert "coder" in served(bed)
    assert b"two gateways serve it" in bed.init("health", uid=HERMES, code=1).stdout
    bed.init("start", "coder", "--wait", uid=HERMES)
    assert bed.svstat(bed.slot("coder")) == "down" and states(bed)["coder"] == "served" and bed.init("health", uid=HERMES)


def test_a_release_that_does_not_know_the_marker_goes_on_serving_and_that_is_said():
    with PeerBed(MID, real=True, HERMES_INIT_TOPOLOGY="multiplex", **{VARIABLE: "true"}) as bed:
        bed.profile("default", "running")
        bed.profile("coder", "running")
        bed.enable_api_server()
        bed.boot()
        bed.serving()
        serves(bed, "coder", seconds=30)
        done = bed.init("stop", "--wait=33", "coder", uid=HERMES, code=1, timeout=90)
        assert b"the gateway of default still serves it after 33 seconds" in done.stderr
        assert states(bed)["coder"] == "served"
        bed.init("start", "--wait=5", "coder", uid=HERMES)
        assert states(bed)["coder"] == "served" and bed.init("health", uid=HERMES)

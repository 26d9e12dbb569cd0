"""The story of somebody who puts hermes-init into an image as README.md says and runs it: booted with podman, asked and commanded
with `podman exec`."""

import hashlib
import json
import re
import time

import pytest

from bed import HERMES, ROOT, executable, wait_for
from test_image import DASHBOARD
from yard import BASE, IMAGE, STATIC, Volume, dockerfile

MAPPED = 100000
SHORT = ("-e", "S6_KILL_GRACETIME=300")


def test_the_dockerfile_of_the_readme_puts_all_of_it_in_place(yard):
    look = ("ls -ln /usr/bin/hermes-init /usr/share/man/man8/hermes-init.8 /etc/cont-init.d /etc/s6-overlay/s6-rc.d/dashboard; "
            "cat /usr/bin/hermes-init | sha256sum; cat /etc/s6-overlay/s6-rc.d/dashboard/run")
    said = yard.podman("run", "--rm", "--entrypoint", "/bin/sh", IMAGE, "-c", look).stdout.decode()
    for line in (r"-rwxr-xr-x .* 0 +0 .* /usr/bin/hermes-init", r"-rw-r--r-- .* 0 +0 .* /usr/share/man/man8/hermes-init.8",
                 r"lrwxrwxrwx .* 015-supervise-perms -> /usr/bin/hermes-init", r"-rwxr-xr-x .* 01-hermes-setup",
                 r"lrwxrwxrwx .* 02-reconcile-profiles -> /usr/bin/hermes-init", r"-rwxr-xr-x .* 0 +0 .* run",
                 r"-rwxr-xr-x .* 0 +0 .* finish", "#!/usr/bin/hermes-init dashboard-run"):
        assert re.search(f"^{line}$", said, re.M), (line, said)
    assert hashlib.sha256(executable().read_bytes()).hexdigest() in said
    # What is there is what s6-overlay compiles.
    files = yard.podman("run", "--rm", "--entrypoint", "/bin/find", IMAGE, f"/{DASHBOARD}", "-type", "f").stdout
    assert {path.rsplit("/", 1)[1] for path in files.decode().split()} == {"type", "run", "finish", "base"}


def test_the_build_context_has_the_sources_and_not_what_was_built(yard):
    """The first stage's COPY, which needs no network."""
    line = re.search(r"^COPY \. /src$", dockerfile(), re.M)[0]
    (yard.folder / "sources").write_text(f"FROM {BASE}\n{line}\n")
    yard.podman("build", "--isolation", "chroot", "--pull=never", "-f", yard.folder / "sources", "-t", "localhost/sources", ROOT)
    said = yard.podman("run", "--rm", "--entrypoint", "/bin/ls", "localhost/sources", "-A", "/src").stdout.decode().split()
    assert {"Cargo.lock", "Cargo.toml", ".cargo", "Makefile", "src", "tests"} <= set(said)
    assert not {".git", "target"} & set(said)


def test_the_base_boots_as_s6_overlay_does(yard, volume):
    """Holds the stand-in for s6-overlay to what field notes say of the real one; hermes-init is not in it."""
    with yard.boot(volume, options=("-e", "HERMES_TEST=a b"), image=BASE) as box:
        said = box.log()
        steps = ["01-hermes-setup", "015-supervise-perms", "02-reconcile-profiles"]
        assert re.findall(r"running /etc/cont-init.d/(\S+)", said) == steps and "the image's own 015-supervise-perms ran" in said
        assert box.run("cat", "/proc/1/cmdline", user="root").stdout == b"s6-svscan\0-d4\0--\0/run/service\0"
        assert box.run("cat", "/run/s6/container_environment/HERMES_TEST").stdout == b"a b"
        assert box.sh("cd /run/service; stat -c '%n %a %u' . .s6-svscan .s6-svscan/control", user="root") == (
            ". 755 0\n.s6-svscan 755 0\n.s6-svscan/control 600 0\n")
        assert box.sh("readlink /run/service/main-hermes") == "/run/s6-rc/servicedirs/main-hermes\n"
        assert box.sh("cd /run/service/main-hermes/; stat -c '%n %a %u' down event supervise supervise/control", user="root") == (
            "down 644 0\nevent 3730 0\nsupervise 700 0\nsupervise/control 600 0\n")
        assert "Permission denied" in box.service("main-hermes") and box.service("main-hermes", user="root") == "up"
        took, code = box.stop()
        # The grace time, and nothing was killed by podman.
        assert 3 <= took < 8 and code == 0
    with yard.start(volume, "sh", "-c", "exit 7", options=SHORT, image=BASE) as box:
        wait_for(lambda: not box.running(), 15, "the end of the container")
        assert box.inspect("State.ExitCode") == "7"


def test_a_boot_makes_of_each_profile_what_it_is_to_be(yard, volume):
    volume.profile("default", "stopped")
    volume.profile("coder", "running")
    volume.profile("writer", "stopped")
    volume.profile("failing", "startup_failed")
    volume.profile("drained", "draining")
    volume.profile("wanted", '{"desired_state": "running", "gateway_state": "stopped"}')
    volume.profile("unwanted", '{"desired_state": "stopped", "gateway_state": "running"}')
    volume.profile("fresh")
    volume.profile("broken", "not json")
    volume.profile("list", "[1]")
    volume.profile("no-soul", "running", soul=False)
    volume.profile("Bad Name", "running")
    with yard.boot(volume) as box:
        box.until({"default": "down", "coder": "up", "writer": "down", "failing": "down", "drained": "up", "wanted": "up",
                   "unwanted": "down", "fresh": "down", "broken": "down", "list": "down", "Bad Name": "no slot",
                   "no-soul": "no slot"})
        boots = {line["profile"]: line for line in volume.boots() if not line["profile"].startswith('"')}
        assert {name for name, line in boots.items() if line["action"] == "started"} == {"coder", "drained", "wanted"}
        assert "no-soul" not in boots
        said = box.log()
        assert 'reconcile: profile="Bad\\u0020Name"' in said and "reconcile: profile=coder prior_state=running action=started\n" in said
        assert re.findall(r"/etc/cont-init.d/(\S+) exited (\d+)", said) == [
            ("01-hermes-setup", "0"), ("015-supervise-perms", "0"), ("02-reconcile-profiles", "0")]
        # Nobody has a slot who should have none.
        slots = box.sh("cd /run/service; ls -d gateway-*").split()
        assert sorted(slots) == sorted(f"gateway-{name}" for name in boots if boots[name]["action"] != "skipped")


def test_with_the_topology_of_the_dockerfile_default_starts_for_the_others(yard, volume):
    volume.profile("coder", "running")
    (volume.profile("own", "running") / "config.yaml").write_text("gateway:\n  standalone: true\n")
    with yard.boot(volume, topology=None) as box:
        box.until({"default": "up", "coder": "down", "own": "up"})
        assert {line["profile"]: line["folded_into_root"] for line in volume.boots()} == {"default": "True", "coder": "True", "own": "False"}
        assert "topology: multiplex (environment)\n" in box.init("reconcile", "--explain").stdout.decode()
        box.init("start", "coder", code=1)


def test_a_gateway_is_what_hermes_would_have_started(yard, volume):
    volume.profile("coder", "running")
    long = "x" * 20000
    with yard.boot(volume, options=("-e", f"LONG={long}", "-e", "LINES=a\nb", "-e", "TOKEN=t")) as box:
        line = "started coder: -p coder gateway run --replace as 10000:10000 in /opt/data\n"
        box.said(line)
        wait_for(lambda: line in volume.current("coder"), 10, "the line in the gateway's own log")
        pid = box.status()["coder"]["pid"]
        environment = box.run("cat", f"/proc/{pid}/environ").stdout.rstrip(b"\0").split(b"\0")
        got = dict(variable.decode().split("=", 1) for variable in environment)
        wanted = {"LONG": long, "LINES": "a\nb", "TOKEN": "t", "HOME": "/opt/data", "HERMES_HOME": "/opt/data",
                  "HERMES_S6_SUPERVISED_CHILD": "1", "HERMES_SUPERVISED_CHILD": "1"}
        assert {key: got.get(key) for key in wanted} == wanted
        # The groups of /etc/group, docker's among them.
        assert box.sh(f"grep Groups /proc/{pid}/status").split()[1:] == ["998", "10000"]


def test_the_hermes_user_commands_gateways_and_a_restart_remembers(yard, volume):
    volume.profile("coder", "running")
    volume.profile("writer", "stopped")
    with yard.boot(volume, options=SHORT) as box:
        box.until({"default": "down", "coder": "up", "writer": "down"})
        box.init("stop", "--wait", "coder")
        box.init("start", "--wait", "writer")
        assert box.states() == {"default": "down", "coder": "down", "writer": "up"}
        assert volume.state("coder")["desired_state"] == "stopped" and volume.state("writer")["desired_state"] == "running"
        before = box.status()["writer"]["pid"]
        box.init("restart", "--wait", "writer")
        assert box.status()["writer"]["pid"] != before
        # s6's own tools work for the hermes user as well.
        box.run("/command/s6-svc", "-wD", "-T", "5000", "-d", "/run/service/gateway-writer")
        assert box.service("gateway-writer") == "down"
        box.restart()
        box.until({"default": "down", "coder": "down", "writer": "up"})
        box.restart()
        box.until({"default": "down", "coder": "down", "writer": "up"})


def test_gateways_come_and_go_while_the_container_runs(yard, volume):
    with yard.boot(volume) as box:
        box.until({"default": "down"})
        volume.profile("coder")
        assert "hermes-init start coder" in box.status()["coder"]["note"]
        box.init("start", "--wait", "coder")
        box.init("register", "helper", "--env", "COLOUR=red")
        box.until({"default": "down", "coder": "up", "helper": "up"})
        pid = box.status()["helper"]["pid"]
        assert b"COLOUR=red" in box.run("cat", f"/proc/{pid}/environ").stdout.split(b"\0")
        box.init("unregister", "helper")
        box.until({"default": "down", "coder": "up"})
        # Neither supervisors nor slots are left, and a pass on the live container changes nothing.
        assert "helper" not in box.run("ps", user="root").stdout.decode() + box.sh("ls -a /run/service")
        pid = box.status()["coder"]["pid"]
        box.run("/etc/cont-init.d/02-reconcile-profiles", user="root")
        box.init("reconcile")
        assert box.status()["coder"]["pid"] == pid


def test_explain_says_what_the_next_boot_does(yard, volume):
    volume.profile("coder", "running")
    volume.profile("failing", "startup_failed")
    with yard.boot(volume, options=SHORT) as box:
        box.until({"default": "down", "coder": "up", "failing": "down"})
        box.init("stop", "--wait", "coder")
        volume.profile("later", "running")
        said = box.init("reconcile", "--explain").stdout.decode()
        assert "owner: 10000:10000 (/etc/passwd)\n" in said and "mode: delegated (default)\n" in said
        told = dict(re.findall(r"^profile (\S+)\n  at the next boot: (.*)$", said, re.M))
        assert {name: what.split(" ")[0] for name, what in told.items()} == {
            "default": "stays", "coder": "stays", "failing": "stays", "later": "started"}
        assert box.states()["later"] == "no slot"
        box.restart()
        box.until({name: "up" if what == "started" else "down" for name, what in told.items()})


def test_a_killed_container_brings_its_gateways_back(yard, volume):
    volume.profile("coder", "running")
    with yard.boot(volume) as box:
        box.until({"default": "down", "coder": "up"})
        (volume.home("coder") / "state").mkdir()
        (volume.home("coder") / "state/gateway.lifecycle.json").write_text('{"phase": "running"}')
        volume.own()
        yard.podman("kill", "-s", "KILL", box.name)
        wait_for(lambda: not box.running(), 10, "the end of the container")
        assert (volume.home("coder") / "gateway.pid").exists() and volume.state("coder")["gateway_state"] == "running"
        yard.podman("start", box.name)
        box.booted().until({"default": "down", "coder": "up"})
        assert [line["prior_exit"] for line in volume.boots() if line["profile"] == "coder"] == ["unknown", "unclean"]


def test_a_gateway_that_ends_for_good_stays_down(yard, volume):
    volume.profile("misconfigured", "running", does="exit 78")
    volume.profile("done", "running", does="exit 0")
    volume.profile("crashing", "running", does="exit 1")
    with yard.boot(volume) as box:
        wait_for(lambda: box.log().count("started crashing") >= 3, 20, "three starts of one that crashes")
        assert box.log().count("started misconfigured") == box.log().count("started done") == 1
        assert box.service("gateway-misconfigured") == box.service("gateway-done") == "down"
        # And a person learns all of it.
        for user in ("hermes", "root"):
            wait_for(lambda user=user: box.status(user=user)["crashing"]["state"] == "restarting", what="two deaths")
            said = box.status(user=user)
            assert said["misconfigured"]["note"] == "failed permanently (78: configuration); see: /usr/bin/hermes-init logs misconfigured"
            assert (said["misconfigured"]["exit_code"], said["done"]["exit_code"]) == (78, 0)
            faults = box.init("health", user=user, code=1).stdout.decode().splitlines()
            assert [line.split(":")[0] for line in faults] == ["crashing", "done", "misconfigured"]
            assert "  started misconfigured: " in box.init("logs", "misconfigured", user=user).stdout.decode()
        said = box.init("start", "--wait", "misconfigured", code=1).stderr.decode()
        assert "(exit code 78); the end of its log:\n" in said and said.endswith("started misconfigured: -p misconfigured gateway run --replace as 10000:10000 in /opt/data\n")


def test_podman_stop_takes_the_grace_time_and_ends_gateways_in_order(yard, volume):
    for name in ("coder", "writer", "helper"):
        volume.profile(name, "running")
    with yard.boot(volume) as box:
        box.until({"default": "down", "coder": "up", "writer": "up", "helper": "up"})
        took, code = box.stop()
        # S6_KILL_GRACETIME is 3 s, and the tenth second is podman's SIGKILL.
        assert 3 <= took < 8 and code == 0
        for name in ("coder", "writer", "helper"):
            assert not (volume.home(name) / "gateway.pid").exists() and volume.state(name)["gateway_state"] == "stopped"


def test_the_dashboard_is_off_unless_it_is_asked_for(yard, volume):
    with yard.boot(volume) as box:
        box.until({"default": "down"})
        wait_for(lambda: box.service("dashboard") == "down", 10, "the dashboard down")
        # It ended once, and is not tried again.
        tally = box.sh("wc -c < /run/service/dashboard/supervise/death_tally", user="root")
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            assert box.service("dashboard") == "down"
            time.sleep(0.2)
        assert box.sh("wc -c < /run/service/dashboard/supervise/death_tally", user="root") == tally != "0\n"
        assert "started dashboard" not in box.log()
        assert box.init("health", user="hermes").stdout == box.init("health", user="root").stdout == b""


def test_the_dashboard_runs_where_it_is_asked_for(yard, volume):
    options = ("-e", "HERMES_DASHBOARD=1", "-e", "HERMES_DASHBOARD_HOST=0.0.0.0", "-e", "HERMES_DASHBOARD_PORT=9000")
    with yard.boot(volume, options=options) as box:
        box.said("started dashboard: dashboard --host 0.0.0.0 --port 9000 --no-open as 10000:10000 in /opt/data\n")
        # 015-supervise-perms opened it, and not the one beside that is s6-overlay's own.
        assert box.service("dashboard") == box.service("main-hermes") == "up"
        assert "Permission denied" in box.service("s6rc-fdholder")
        box.run("/command/s6-svc", "-wD", "-T", "5000", "-d", "/run/service/dashboard")
        assert box.service("dashboard") == "down"
        box.run("/command/s6-svc", "-wu", "-T", "5000", "-u", "/run/service/dashboard")
        # Started again when it dies, as it is on.
        box.sh("kill -KILL $(/command/s6-svstat -o pid /run/service/dashboard)")
        wait_for(lambda: box.log().count("started dashboard") == 3, 10, "its third start")


def test_sealed_the_hermes_user_commands_but_makes_nothing(yard, volume):
    volume.profile("coder", "running")
    with yard.boot(volume, options=("-e", "HERMES_INIT_SEALED=1")) as box:
        box.until({"default": "down", "coder": "up"})
        assert box.sh("stat -c %u /run/service /run/service/gateway-coder /run/service/gateway-coder/supervise") == "0\n0\n0\n"
        box.init("stop", "--wait", "coder")
        box.init("start", "--wait", "coder")
        box.run("touch", "/run/service/mine", code=1)
        volume.profile("later")
        assert box.init("start", "later", code=None).returncode != 0 and box.states()["later"] == "no slot"
        box.init("start", "--wait", "later", user="root")
        assert box.states() == {"default": "down", "coder": "up", "later": "up"}
        assert box.sh("stat -c %u /run/service /run/service/gateway-later") == "0\n0\n"


def test_a_container_of_an_unprivileged_user(yard, volume):
    volume.profile("coder", "running")
    volume.profile("writer", "stopped")
    with yard.boot(volume, options=("--user", "10000:10000", *SHORT)) as box:
        box.until({"default": "down", "coder": "up", "writer": "down"})
        box.said("started coder: -p coder gateway run --replace as 10000:10000 in /opt/data\n")
        assert box.sh("stat -c %u /proc/1") == "10000\n"
        assert "/etc/cont-init.d/015-supervise-perms exited 0\n" in box.log()
        assert "/etc/cont-init.d/02-reconcile-profiles exited 0\n" in box.log()
        box.init("stop", "--wait", "coder")
        box.restart().until({"default": "down", "coder": "down", "writer": "down"})


def test_a_read_only_root(yard, volume):
    volume.profile("coder", "running")
    with yard.boot(volume, options=("--read-only", "-e", "S6_READ_ONLY_ROOT=1", "-e", "HERMES_DASHBOARD=1", *SHORT)) as box:
        box.until({"default": "down", "coder": "up"})
        box.said("started dashboard")
        box.run("touch", "/etc/x", user="root", code=1)
        box.init("stop", "--wait", "coder")
        box.restart().until({"default": "down", "coder": "down"})


def test_a_user_namespace_with_other_uids_outside(yard, place):
    volume = Volume(place / "volume", owner=MAPPED + HERMES)
    volume.profile("coder", "running")
    mapping = ("--uidmap", f"0:{MAPPED}:65536", "--gidmap", f"0:{MAPPED}:65536")
    with yard.boot(volume, options=mapping) as box:
        box.until({"default": "down", "coder": "up"})
        box.said("started coder: -p coder gateway run --replace as 10000:10000 in /opt/data\n")
        assert (volume.folder / "logs/container-boot.log").stat().st_uid == MAPPED + HERMES
        box.init("stop", "--wait", "coder")
        assert volume.state("coder")["desired_state"] == "stopped"
        assert (volume.home("coder") / "gateway_state.json").stat().st_uid == MAPPED + HERMES


def test_a_hermes_user_with_another_uid(yard, place):
    volume = Volume(place / "volume", owner=1234)
    volume.profile("coder", "running")
    with yard.boot(volume, options=("-e", "HERMES_UID=1234")) as box:
        box.until({"default": "down", "coder": "up"})
        box.said("started coder: -p coder gateway run --replace as 1234:10000 in /opt/data\n")
        assert box.sh("stat -c %u /run/service/gateway-coder") == "1234\n"
        box.init("stop", "--wait", "coder")
        assert (volume.home("coder") / "gateway_state.json").stat().st_uid == 1234


def test_a_container_that_keeps_its_environment(yard, volume):
    volume.profile("coder", "running")
    with yard.boot(volume, options=("-e", "S6_KEEP_ENV=1", "-e", "TOKEN=t", "-e", "HERMES_DASHBOARD=1")) as box:
        box.until({"default": "down", "coder": "up"})
        pid = box.status()["coder"]["pid"]
        assert b"\0TOKEN=t\0" in box.run("cat", f"/proc/{pid}/environ").stdout
        box.run("ls", "/run/s6/container_environment", code=1)
        box.said("started dashboard")


def test_two_containers_on_one_volume_the_second_a_dashboard(yard, volume):
    volume.profile("coder", "running")
    with yard.boot(volume) as first:
        first.until({"default": "down", "coder": "up"})
        pid = first.status()["coder"]["pid"]
        with yard.boot(volume, "dashboard", options=SHORT) as second:
            second.said("started dashboard: dashboard as 10000:10000")
            assert second.sh("ls -a /run/service | grep gateway", code=None) == ""
            assert "started coder" not in second.log()
            said = second.init("reconcile", "--explain").stdout.decode()
            assert said.startswith("role: frontend")
            # The person in it is told so, and gets no second gateway.
            why = "this container's command is dashboard, a front end"
            assert why in second.status()["coder"]["note"]
            assert why in second.init("start", "coder", code=1).stderr.decode()
            assert second.init("health").stdout == b""
            assert second.sh("ls -a /run/service | grep gateway", code=None) == ""
            assert second.stop()[1] == 0
        # The first has not noticed.
        assert first.status()["coder"]["pid"] == pid and first.states() == {"default": "down", "coder": "up"}
        assert volume.state("coder")["gateway_state"] == "running" and (volume.home("coder") / "gateway.pid").exists()


def test_gateway_run_as_the_containers_command_starts_the_default_gateway(yard, volume):
    with yard.boot(volume, "gateway", "run") as box:
        box.until({"default": "up"})
        box.said("started default: gateway run --replace as 10000:10000 in /opt/data\n")
        assert json.loads((volume.folder / "gateway_state.json").read_text())["gateway_state"] == "running"


@pytest.mark.parametrize("behaviour", ["0", "2"])
def test_a_pass_that_fails_stops_the_container_where_the_image_says_so(behaviour, yard, volume):
    options = ("-e", f"S6_BEHAVIOUR_IF_STAGE2_FAILS={behaviour}", "-e", "HERMES_HOME=/proc/nowhere", *SHORT)
    with yard.start(volume, options=options) as box:
        if behaviour == "2":
            wait_for(lambda: not box.running(), 15, "the end of the container")
            assert box.inspect("State.ExitCode") == "1" and "main-hermes is up" not in box.log()
        else:
            box.booted()
            assert box.running()
        assert re.search(r"02-reconcile-profiles exited (1|111)\n", box.log())


def test_a_step_finds_the_static_services_and_nothing_else(yard, volume):
    with yard.boot(volume) as box:
        done = re.findall(r"^fix-perms: service=(\S+) action=done$", box.log(), re.M)
        assert sorted(done) == sorted(STATIC)


def test_unregister_ends_a_logger_whose_pipe_an_orphan_holds(yard, volume):
    volume.profile("coder", "running", does="orphan 100")
    with yard.boot(volume) as box:
        box.until({"default": "down", "coder": "up"})
        box.said("started coder")
        before = time.monotonic()
        box.init("unregister", "coder")
        assert time.monotonic() - before < 10
        assert "gateways/coder" not in box.run("ps", user="root").stdout.decode()
        assert box.sh("ls -a /run/service | grep coder", code=None) == ""

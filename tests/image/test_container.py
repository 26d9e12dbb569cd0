"""The story of somebody who puts hermes-init into an image as README.md says and runs it: booted with podman, asked and commanded
with `podman exec`."""

import hashlib
import json
import os
import re
import tarfile
import time

import pytest

from support.installation import DASHBOARD, HOST, has_target, laid_down, make, project
from support.podman import BASE, IMAGE, PLATFORM, STATIC, TO_COPY, Volume, from_source, with_dashboard
from support.program import HERMES, ROOT, executable, run, wait_for

MAPPED = 100000
SHORT = ("-e", "S6_KILL_GRACETIME=300")


def test_the_dockerfile_of_the_readme_puts_all_of_it_in_place(podman):
    look = (
        "ls -ln /usr/bin/hermes-init /usr/share/man/man8/hermes-init.8 /usr/share/doc/hermes-init/* /etc/cont-init.d /etc/s6-overlay/s6-rc.d/dashboard; "
        "cat /usr/bin/hermes-init | sha256sum; cat /etc/s6-overlay/s6-rc.d/dashboard/run"
    )
    said = podman.call("run", "--rm", "--entrypoint", "/bin/sh", IMAGE, "-c", look).stdout.decode()
    for line in (
        r"-rwxr-xr-x .* 0 +0 .* /usr/bin/hermes-init",
        r"-rw-r--r-- .* 0 +0 .* /usr/share/man/man8/hermes-init.8",
        r"-rw-r--r-- .* 0 +0 .* /usr/share/doc/hermes-init/LICENSE",
        r"-rw-r--r-- .* 0 +0 .* /usr/share/doc/hermes-init/NOTICES",
        r"lrwxrwxrwx .* 015-supervise-perms -> /usr/bin/hermes-init",
        r"-rwxr-xr-x .* 01-hermes-setup",
        r"lrwxrwxrwx .* 02-reconcile-profiles -> /usr/bin/hermes-init",
        r"-rwxr-xr-x .* 0 +0 .* run",
        r"-rwxr-xr-x .* 0 +0 .* finish",
        "#!/usr/bin/hermes-init dashboard-run",
    ):
        assert re.search(f"^{line}$", said, re.M), (line, said)
    assert hashlib.sha256(executable().read_bytes()).hexdigest() in said
    # What is there is what s6-overlay compiles.
    files = podman.call("run", "--rm", "--entrypoint", "/bin/find", IMAGE, f"/{DASHBOARD}", "-type", "f").stdout
    assert {path.rsplit("/", 1)[1] for path in files.decode().split()} == {"type", "run", "finish", "base"}


def test_the_build_context_has_the_sources_and_not_what_was_built(podman):
    """The first stage's COPY, which needs no network."""
    line = re.search(r"^COPY \. /src$", from_source(), re.M)[0]
    (podman.folder / "sources").write_text(f"FROM {BASE}\n{line}\n")
    podman.call("build", "--isolation", "chroot", "--pull=never", "-f", podman.folder / "sources", "-t", "localhost/sources", ROOT)
    said = podman.call("run", "--rm", "--entrypoint", "/bin/ls", "localhost/sources", "-A", "/src").stdout.decode().split()
    assert {"Cargo.lock", "Cargo.toml", "Makefile", "src", "tests"} <= set(said)
    assert not {".git", "target"} & set(said)


# Kind, mode, owner and size; a link with where it leads.
CONTENTS = "cd /; find etc usr ! -path etc/hosts -exec stat -c '%A %u %g %s %N' {} +"


def tree(podman, image):
    """Returns the files of an image where hermes-init may be, with modes and owners."""
    return podman.call("run", "--rm", "--entrypoint", "/bin/sh", image, "-c", CONTENTS).stdout.decode().splitlines()


def test_the_image_to_copy_from_has_one_layer_and_nothing_else_in_it(podman, place):
    image = json.loads(podman.call("inspect", TO_COPY).stdout)[0]
    assert len(image["RootFS"]["Layers"]) == 1 and f"{image['Os']}/{image['Architecture']}" == PLATFORM
    assert image["Config"]["Entrypoint"] == ["/usr/bin/hermes-init"]
    said = podman.call("run", "--rm", TO_COPY, "--version").stdout
    assert said == run([executable(), "--version"]).stdout
    make(project(place), "install", f"DESTDIR={place}/out")
    files = {path[1:] for path, what in laid_down(place / "out").items() if what[0] != "directory"}
    (podman.folder / "unpacked").mkdir()
    podman.call("create", "--name", "unpacked", TO_COPY)
    podman.call("export", "-o", podman.folder / "unpacked.tar", "unpacked")
    podman.call("rm", "unpacked")
    with tarfile.open(podman.folder / "unpacked.tar") as tar:
        members = {member.name: member for member in tar.getmembers()}
    # podman export has the mount points of a container, too.
    assert {name for name, member in members.items() if not member.isdir()} - {"etc/hosts", "etc/resolv.conf", "run/.containerenv"} == files
    assert {member.mode & 0o7777 for name, member in members.items() if member.isdir() and name.startswith(("usr", "etc"))} == {0o755}


def test_the_image_of_the_other_platform_is_built_without_its_machine(podman):
    other, platform = {
        "x86_64-unknown-linux-musl": ("aarch64-unknown-linux-musl", "linux/arm64"),
        "aarch64-unknown-linux-musl": ("x86_64-unknown-linux-musl", "linux/amd64"),
    }[HOST]
    if not has_target(other):
        (pytest.fail if os.environ.get("HERMES_INIT_CI") else pytest.skip)(f"needs the target {other}")
    podman.call("tag", TO_COPY, "localhost/kept")
    try:
        podman.image(other, platform)
        image = json.loads(podman.call("inspect", TO_COPY).stdout)[0]
        assert f"{image['Os']}/{image['Architecture']}" == platform and len(image["RootFS"]["Layers"]) == 1
    finally:
        podman.call("tag", "localhost/kept", TO_COPY)


def test_one_line_puts_in_place_what_a_build_from_source_does(podman):
    podman.build_from_source("localhost/from-source")
    assert tree(podman, "localhost/from-source") == tree(podman, IMAGE)
    layers = [json.loads(podman.call("inspect", image).stdout)[0]["RootFS"]["Layers"] for image in (BASE, IMAGE)]
    assert len(layers[1]) == len(layers[0]) + 1
    # What the base had, it still has.
    names = [{line.split()[-1] for line in tree(podman, image) if "->" not in line} for image in (BASE, IMAGE)]
    assert names[0] - names[1] == {"etc/cont-init.d/015-supervise-perms", "etc/cont-init.d/02-reconcile-profiles"}


def test_an_image_without_a_dashboard_gets_it_by_one_line_more_also_of_the_hermes_user(podman, volume):
    """Hermes Agent's own has one, enabled, as the base of the other tests; the same place is another in a newer s6-overlay."""
    base, image = "localhost/without-dashboard", "localhost/with-dashboard"
    bare = "cd /etc/s6-overlay/s6-rc.d && rm -r dashboard user/contents.d/dashboard"
    (podman.folder / "bare").write_text(f"FROM {BASE}\nRUN {bare}\nUSER hermes\n")
    podman.call("build", "--isolation", "chroot", "--pull=never", "-f", podman.folder / "bare", "-t", base, ROOT)
    podman.build(image, base=base)
    look = ("run", "--rm", "--entrypoint", "/bin/sh", image, "-c", "id -un; ls /etc/s6-overlay/s6-rc.d/user/contents.d")
    assert podman.call(*look).stdout.split() == [b"hermes", b"main-hermes"]
    with pytest.raises(AssertionError, match="Permission denied"):
        podman.build(image, base=base, text=with_dashboard())
    assert "put `USER root` before it, and that after it." in (ROOT / "README.md").read_text()
    helped = re.sub(r"^(RUN for d in .*)$", r"USER root\n\1\nUSER hermes", with_dashboard(), flags=re.M)
    podman.build(image, base=base, text=helped)
    assert podman.call(*look).stdout.split() == [b"hermes", b"dashboard", b"main-hermes"]


def test_the_base_boots_as_s6_overlay_does(podman, volume):
    """Holds the stand-in for s6-overlay to what field notes say of the real one; hermes-init is not in it."""
    with podman.boot(volume, options=("-e", "HERMES_TEST=a b"), image=BASE) as container:
        said = container.log()
        steps = ["01-hermes-setup", "015-supervise-perms", "02-reconcile-profiles"]
        assert re.findall(r"running /etc/cont-init.d/(\S+)", said) == steps and "the image's own 015-supervise-perms ran" in said
        assert container.run("cat", "/proc/1/cmdline", user="root").stdout == b"s6-svscan\0-d4\0--\0/run/service\0"
        assert container.run("cat", "/run/s6/container_environment/HERMES_TEST").stdout == b"a b"
        assert container.sh("cd /run/service; stat -c '%n %a %u' . .s6-svscan .s6-svscan/control", user="root") == (
            ". 755 0\n.s6-svscan 755 0\n.s6-svscan/control 600 0\n"
        )
        assert container.sh("readlink /run/service/main-hermes") == "/run/s6-rc/servicedirs/main-hermes\n"
        assert container.sh("cd /run/service/main-hermes/; stat -c '%n %a %u' down event supervise supervise/control", user="root") == (
            "down 644 0\nevent 3730 0\nsupervise 700 0\nsupervise/control 600 0\n"
        )
        assert "Permission denied" in container.service("main-hermes") and container.service("main-hermes", user="root") == "up"
        took, code = container.stop()
        # The grace time, and nothing was killed by podman.
        assert 3 <= took < 8 and code == 0
    with podman.start(volume, "sh", "-c", "exit 7", options=SHORT, image=BASE) as container:
        wait_for(lambda: not container.running(), 15, "the end of the container")
        assert container.inspect("State.ExitCode") == "7"


def test_a_boot_makes_of_each_profile_what_it_is_to_be(podman, volume):
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
    with podman.boot(volume) as container:
        container.until(
            {
                "default": "down",
                "coder": "up",
                "writer": "down",
                "failing": "down",
                "drained": "up",
                "wanted": "up",
                "unwanted": "down",
                "fresh": "down",
                "broken": "down",
                "list": "down",
                "Bad Name": "no slot",
                "no-soul": "no slot",
            }
        )
        boots = {line["profile"]: line for line in volume.boots() if not line["profile"].startswith('"')}
        assert {name for name, line in boots.items() if line["action"] == "started"} == {"coder", "drained", "wanted"}
        assert "no-soul" not in boots
        said = container.log()
        assert 'reconcile: profile="Bad\\u0020Name"' in said and "reconcile: profile=coder prior_state=running action=started\n" in said
        assert re.findall(r"/etc/cont-init.d/(\S+) exited (\d+)", said) == [
            ("01-hermes-setup", "0"),
            ("015-supervise-perms", "0"),
            ("02-reconcile-profiles", "0"),
        ]
        # Nobody has a slot who should have none.
        slots = container.sh("cd /run/service; ls -d gateway-*").split()
        assert sorted(slots) == sorted(f"gateway-{name}" for name in boots if boots[name]["action"] != "skipped")


def test_with_the_topology_of_the_dockerfile_default_starts_for_the_others(podman, volume):
    volume.profile("coder", "running")
    (volume.profile("own", "running") / "config.yaml").write_text("gateway:\n  standalone: true\n")
    with podman.boot(volume, topology=None) as container:
        # The stand-in does not report whom it serves.
        container.until({"default": "up", "coder": "not served", "own": "up"})
        assert {line["profile"]: line["folded_into_root"] for line in volume.boots()} == {
            "default": "True",
            "coder": "True",
            "own": "False",
        }
        assert "topology: multiplex (environment)\n" in container.init("reconcile", "--explain").stdout.decode()
        assert b"the gateway of default takes it up within 30 seconds" in container.init("start", "coder").stderr
        assert container.states() == {"default": "up", "coder": "not served", "own": "up"}


def test_a_gateway_is_what_hermes_would_have_started(podman, volume):
    volume.profile("coder", "running")
    long = "x" * 20000
    with podman.boot(volume, options=("-e", f"LONG={long}", "-e", "LINES=a\nb", "-e", "TOKEN=t")) as container:
        line = "started coder: -p coder gateway run --replace as 10000:10000 in /opt/data\n"
        container.said(line)
        wait_for(lambda: line in volume.current("coder"), 10, "the line in the gateway's own log")
        pid = container.status()["coder"]["pid"]
        environment = container.run("cat", f"/proc/{pid}/environ").stdout.rstrip(b"\0").split(b"\0")
        got = dict(variable.decode().split("=", 1) for variable in environment)
        wanted = {
            "LONG": long,
            "LINES": "a\nb",
            "TOKEN": "t",
            "HOME": "/opt/data",
            "HERMES_HOME": "/opt/data",
            "HERMES_S6_SUPERVISED_CHILD": "1",
            "HERMES_SUPERVISED_CHILD": "1",
        }
        assert {key: got.get(key) for key in wanted} == wanted
        # The groups of /etc/group, docker's among them.
        assert container.sh(f"grep Groups /proc/{pid}/status").split()[1:] == ["998", "10000"]


def test_the_hermes_user_commands_gateways_and_a_restart_remembers(podman, volume):
    volume.profile("coder", "running")
    volume.profile("writer", "stopped")
    with podman.boot(volume, options=SHORT) as container:
        container.until({"default": "down", "coder": "up", "writer": "down"})
        container.init("stop", "--wait", "coder")
        container.init("start", "--wait", "writer")
        assert container.states() == {"default": "down", "coder": "down", "writer": "up"}
        assert volume.state("coder")["desired_state"] == "stopped" and volume.state("writer")["desired_state"] == "running"
        before = container.status()["writer"]["pid"]
        container.init("restart", "--wait", "writer")
        assert container.status()["writer"]["pid"] != before
        # s6's own tools work for the hermes user as well.
        container.run("/command/s6-svc", "-wD", "-T", "5000", "-d", "/run/service/gateway-writer")
        assert container.service("gateway-writer") == "down"
        container.restart()
        container.until({"default": "down", "coder": "down", "writer": "up"})
        container.restart()
        container.until({"default": "down", "coder": "down", "writer": "up"})


def test_gateways_come_and_go_while_the_container_runs(podman, volume):
    with podman.boot(volume) as container:
        container.until({"default": "down"})
        volume.profile("coder")
        assert "hermes-init start coder" in container.status()["coder"]["note"]
        container.init("start", "--wait", "coder")
        volume.profile("helper")
        container.init("register", "helper", "--env", "COLOUR=red")
        container.until({"default": "down", "coder": "up", "helper": "up"})
        pid = container.status()["helper"]["pid"]
        assert b"COLOUR=red" in container.run("cat", f"/proc/{pid}/environ").stdout.split(b"\0")
        container.init("unregister", "helper")
        container.until({"default": "down", "coder": "up", "helper": "no slot"})
        # Neither supervisors nor slots are left, and a pass on the live container changes nothing.
        assert "helper" not in container.run("ps", user="root").stdout.decode() + container.sh("ls -a /run/service")
        pid = container.status()["coder"]["pid"]
        container.run("/etc/cont-init.d/02-reconcile-profiles", user="root")
        container.init("reconcile")
        assert container.status()["coder"]["pid"] == pid


def test_explain_says_what_the_next_boot_does(podman, volume):
    volume.profile("coder", "running")
    volume.profile("failing", "startup_failed")
    with podman.boot(volume, options=SHORT) as container:
        container.until({"default": "down", "coder": "up", "failing": "down"})
        container.init("stop", "--wait", "coder")
        volume.profile("later", "running")
        said = container.init("reconcile", "--explain").stdout.decode()
        assert "owner: 10000:10000 (/etc/passwd)\n" in said and "mode: delegated (default)\n" in said
        told = dict(re.findall(r"^profile (\S+)\n  at the next boot: (.*)$", said, re.M))
        assert {name: what.split(" ")[0] for name, what in told.items()} == {
            "default": "stays",
            "coder": "stays",
            "failing": "stays",
            "later": "started",
        }
        assert container.states()["later"] == "no slot"
        container.restart()
        container.until({name: "up" if what == "started" else "down" for name, what in told.items()})


def test_a_killed_container_brings_its_gateways_back(podman, volume):
    volume.profile("coder", "running")
    with podman.boot(volume) as container:
        container.until({"default": "down", "coder": "up"})
        (volume.home("coder") / "state").mkdir()
        (volume.home("coder") / "state/gateway.lifecycle.json").write_text('{"phase": "running"}')
        volume.own()
        podman.call("kill", "-s", "KILL", container.name)
        wait_for(lambda: not container.running(), 10, "the end of the container")
        assert (volume.home("coder") / "gateway.pid").exists() and volume.state("coder")["gateway_state"] == "running"
        podman.call("start", container.name)
        container.booted().until({"default": "down", "coder": "up"})
        assert [line["prior_exit"] for line in volume.boots() if line["profile"] == "coder"] == ["unknown", "unclean"]


def test_a_gateway_that_ends_for_good_stays_down(podman, volume):
    volume.profile("misconfigured", "running", does="exit 78")
    volume.profile("done", "running", does="exit 0")
    volume.profile("crashing", "running", does="exit 1")
    with podman.boot(volume) as container:
        wait_for(lambda: container.log().count("started crashing") >= 3, 20, "three starts of one that crashes")
        assert container.log().count("started misconfigured") == container.log().count("started done") == 1
        assert container.service("gateway-misconfigured") == container.service("gateway-done") == "down"
        # And a person learns all of it.
        for user in ("hermes", "root"):
            wait_for(lambda user=user: container.status(user=user)["crashing"]["state"] == "restarting", what="two deaths")
            said = container.status(user=user)
            assert said["misconfigured"]["note"] == "failed permanently (78: configuration); see: /usr/bin/hermes-init logs misconfigured"
            assert (said["misconfigured"]["exit_code"], said["done"]["exit_code"]) == (78, 0)
            faults = container.init("health", user=user, code=1).stdout.decode().splitlines()
            assert [line.split(":")[0] for line in faults] == ["crashing", "done", "misconfigured"]
            assert "  started misconfigured: " in container.init("logs", "misconfigured", user=user).stdout.decode()
        said = container.init("start", "--wait", "misconfigured", code=1).stderr.decode()
        assert "(exit code 78); the end of its log:\n" in said and said.endswith(
            "started misconfigured: -p misconfigured gateway run --replace as 10000:10000 in /opt/data\n"
        )


def test_podman_stop_takes_the_grace_time_and_ends_gateways_in_order(podman, volume):
    for name in ("coder", "writer", "helper"):
        volume.profile(name, "running")
    with podman.boot(volume) as container:
        container.until({"default": "down", "coder": "up", "writer": "up", "helper": "up"})
        took, code = container.stop()
        # S6_KILL_GRACETIME is 3 s, and the tenth second is podman's SIGKILL.
        assert 3 <= took < 8 and code == 0
        for name in ("coder", "writer", "helper"):
            assert not (volume.home(name) / "gateway.pid").exists() and volume.state(name)["gateway_state"] == "stopped"


def test_the_dashboard_is_off_unless_it_is_asked_for(podman, volume):
    with podman.boot(volume) as container:
        container.until({"default": "down"})
        wait_for(lambda: container.service("dashboard") == "down", 10, "the dashboard down")
        # It ended once, and is not tried again.
        tally = container.sh("wc -c < /run/service/dashboard/supervise/death_tally", user="root")
        end = time.monotonic() + 2.5
        while time.monotonic() < end:
            assert container.service("dashboard") == "down"
            time.sleep(0.2)
        assert container.sh("wc -c < /run/service/dashboard/supervise/death_tally", user="root") == tally != "0\n"
        assert "started dashboard" not in container.log()
        assert container.init("health", user="hermes").stdout == container.init("health", user="root").stdout == b""


def test_the_dashboard_runs_where_it_is_asked_for(podman, volume):
    options = ("-e", "HERMES_DASHBOARD=1", "-e", "HERMES_DASHBOARD_HOST=0.0.0.0", "-e", "HERMES_DASHBOARD_PORT=9000")
    with podman.boot(volume, options=options) as container:
        container.said("started dashboard: dashboard --host 0.0.0.0 --port 9000 --no-open as 10000:10000 in /opt/data\n")
        # 015-supervise-perms opened it, and not the one beside that is s6-overlay's own.
        assert container.service("dashboard") == container.service("main-hermes") == "up"
        assert "Permission denied" in container.service("s6rc-fdholder")
        container.run("/command/s6-svc", "-wD", "-T", "5000", "-d", "/run/service/dashboard")
        assert container.service("dashboard") == "down"
        container.run("/command/s6-svc", "-wu", "-T", "5000", "-u", "/run/service/dashboard")
        # Started again when it dies, as it is on.
        container.sh("kill -KILL $(/command/s6-svstat -o pid /run/service/dashboard)")
        wait_for(lambda: container.log().count("started dashboard") == 3, 10, "its third start")


def test_sealed_the_hermes_user_commands_but_makes_nothing(podman, volume):
    volume.profile("coder", "running")
    with podman.boot(volume, options=("-e", "HERMES_INIT_SEALED=1")) as container:
        container.until({"default": "down", "coder": "up"})
        assert container.sh("stat -c %u /run/service /run/service/gateway-coder /run/service/gateway-coder/supervise") == "0\n0\n0\n"
        container.init("stop", "--wait", "coder")
        container.init("start", "--wait", "coder")
        container.run("touch", "/run/service/mine", code=1)
        volume.profile("later")
        assert container.init("start", "later", code=None).returncode != 0 and container.states()["later"] == "no slot"
        container.init("start", "--wait", "later", user="root")
        assert container.states() == {"default": "down", "coder": "up", "later": "up"}
        assert container.sh("stat -c %u /run/service /run/service/gateway-later") == "0\n0\n"


def test_a_tmpfs_for_run_as_the_readme_has_it(podman, volume):
    assert "docker run -d --tmpfs /run:exec try" in (ROOT / "README.md").read_text()
    for number in range(60):
        volume.profile(f"p{number:02}", "stopped")
    volume.profile("coder", "running")
    with podman.boot(volume, options=("--tmpfs", "/run:exec")) as container:
        wait_for(lambda: container.service("gateway-coder") == "up", 15, "the gateway")
        assert container.sh("stat -f -c %T /run/service") == "tmpfs\n"
        assert "is on overlayfs" not in container.log()
        container.init("restart", "--wait", "coder")


FOUR = ("--cap-drop=all", *(f"--cap-add={name}" for name in ("CHOWN", "SETUID", "SETGID", "KILL")))


@pytest.mark.parametrize("mode", ["delegated", "sealed"])
def test_with_four_capabilities_the_images_own_services_and_the_gateways_start(mode, podman, volume):
    volume.profile("coder", "running")
    options = (*FOUR, "-e", f"HERMES_INIT_SEALED={int(mode == 'sealed')}", "-e", "HERMES_DASHBOARD=1")
    with podman.boot(volume, options=options) as container:
        container.until({"default": "down", "coder": "up"})
        wait_for(lambda: {container.service(name, user="root") for name in ("main-hermes", "dashboard")} == {"up"}, what="the image's own")
        said = container.log()
        assert "Permission denied" not in said
        for step in ("015-supervise-perms", "02-reconcile-profiles"):
            assert f"{step} exited {int(mode == 'delegated')}\n" in said
        assert said.count("root lacks the capability DAC_OVERRIDE") == (2 if mode == "delegated" else 0)
        container.init("restart", "--wait", "coder")


def test_a_container_of_an_unprivileged_user(podman, volume):
    volume.profile("coder", "running")
    volume.profile("writer", "stopped")
    with podman.boot(volume, options=("--user", "10000:10000", *SHORT)) as container:
        container.until({"default": "down", "coder": "up", "writer": "down"})
        container.said("started coder: -p coder gateway run --replace as 10000:10000 in /opt/data\n")
        assert container.sh("stat -c %u /proc/1") == "10000\n"
        assert "/etc/cont-init.d/015-supervise-perms exited 0\n" in container.log()
        assert "/etc/cont-init.d/02-reconcile-profiles exited 0\n" in container.log()
        container.init("stop", "--wait", "coder")
        container.restart().until({"default": "down", "coder": "down", "writer": "down"})


def test_a_read_only_root(podman, volume):
    volume.profile("coder", "running")
    with podman.boot(volume, options=("--read-only", "-e", "S6_READ_ONLY_ROOT=1", "-e", "HERMES_DASHBOARD=1", *SHORT)) as container:
        container.until({"default": "down", "coder": "up"})
        container.said("started dashboard")
        container.run("touch", "/etc/x", user="root", code=1)
        container.init("stop", "--wait", "coder")
        container.restart().until({"default": "down", "coder": "down"})


def test_a_user_namespace_with_other_uids_outside(podman, place):
    volume = Volume(place / "volume", owner=MAPPED + HERMES)
    volume.profile("coder", "running")
    mapping = ("--uidmap", f"0:{MAPPED}:65536", "--gidmap", f"0:{MAPPED}:65536")
    with podman.boot(volume, options=mapping) as container:
        container.until({"default": "down", "coder": "up"})
        container.said("started coder: -p coder gateway run --replace as 10000:10000 in /opt/data\n")
        assert (volume.folder / "logs/container-boot.log").stat().st_uid == MAPPED + HERMES
        container.init("stop", "--wait", "coder")
        assert volume.state("coder")["desired_state"] == "stopped"
        assert (volume.home("coder") / "gateway_state.json").stat().st_uid == MAPPED + HERMES


def test_a_container_of_a_user_whom_the_volume_is_not_given_to(podman, volume):
    """The volume is the hermes user's of /etc/passwd, and s6 and the gateways run as another one."""
    volume.profile("coder", "running")
    with podman.boot(volume, options=("--user", "1000:1000", *SHORT)) as container:
        assert "/etc/cont-init.d/02-reconcile-profiles exited 1\n" in container.log()
        assert "as root: chown -hR 1000 /opt/data)" in container.log()
        said = container.init("status", user="root").stderr.decode()
        command = re.search(r"as root: (.*?)\)", said)[1]
        assert command == "chown -hR 1000 /opt/data", said
        container.run(*command.split(), user="root")
        # The stand-in could record then that it was stopped.
        container.restart().until({"default": "down", "coder": "down"}, user="1000")
        assert container.log().count("02-reconcile-profiles exited 0\n") == 1
        container.init("start", "--wait", "coder", user="root")
        wait_for(lambda: volume.current("coder"), what="the log")
        for user in ("root", "1000"):
            done = container.init("health", user=user)
            assert done.stdout == done.stderr == b"", done
        before = container.sh("stat -c '%u %i' /run/service/gateway-*", user="root")
        done = container.init("reconcile", user="root")
        assert done.stderr == b"" and container.sh("stat -c '%u %i' /run/service/gateway-*", user="root") == before, done
        container.init("restart", "--wait", "coder", user="root")
        assert (volume.home("coder") / "gateway_state.json").stat().st_uid == 1000


@pytest.mark.parametrize(
    ("options", "text"), [(("--user", "1000:1000"), "s6 runs as uid 1000"), (("-e", "HERMES_UID=0"), "gateways run as root")]
)
def test_a_boot_that_seals_nothing_says_so(options, text, podman, place):
    volume = Volume(place / "volume", owner=1000 if "--user" in options else 0)
    volume.profile("coder", "running")
    with podman.boot(volume, options=(*options, "-e", "HERMES_INIT_SEALED=1")) as container:
        assert f"warning: sealed mode protects nothing: {text}" in container.log()
        assert "02-reconcile-profiles exited 1\n" in container.log()
    with podman.boot(volume, options=options) as container:
        assert "sealed mode" not in container.log() and (text in container.log()) == (text == "gateways run as root")
        assert "02-reconcile-profiles exited 0\n" in container.log()


def test_a_volume_whose_owner_the_user_namespace_does_not_map(podman, volume):
    """On the host it is uid 10000's, which is nobody's in the container."""
    volume.profile("coder", "running")
    mapping = ("--uidmap", f"0:{MAPPED}:65536", "--gidmap", f"0:{MAPPED}:65536")
    with podman.boot(volume, options=mapping) as container:
        assert "may be outside the container's user namespace" in container.log() and "as root:" not in container.log()
        pid = container.inspect("State.Pid")
        assert "on the host, give it to the user who is uid 10000 here, see /proc/PID/uid_map there" in container.log()
        # In the namespace of podman's host.
        inside, outside, count = podman.host("cat", f"/proc/{pid}/uid_map").split()
        assert (int(inside), int(count)) == (0, 65536)
        volume.owner = int(outside) + HERMES
        volume.own()
        container.restart()
        assert container.log().count("02-reconcile-profiles exited 0\n") == 1
        container.init("start", "--wait", "coder")
        wait_for(lambda: volume.current("coder"), what="the log")


def test_a_hermes_user_with_another_uid(podman, place):
    volume = Volume(place / "volume", owner=1234)
    volume.profile("coder", "running")
    with podman.boot(volume, options=("-e", "HERMES_UID=1234")) as container:
        container.until({"default": "down", "coder": "up"})
        container.said("started coder: -p coder gateway run --replace as 1234:10000 in /opt/data\n")
        assert container.sh("stat -c %u /run/service/gateway-coder") == "1234\n"
        container.init("stop", "--wait", "coder")
        assert (volume.home("coder") / "gateway_state.json").stat().st_uid == 1234


def test_a_container_that_keeps_its_environment(podman, volume):
    volume.profile("coder", "running")
    with podman.boot(volume, options=("-e", "S6_KEEP_ENV=1", "-e", "TOKEN=t", "-e", "HERMES_DASHBOARD=1")) as container:
        container.until({"default": "down", "coder": "up"})
        pid = container.status()["coder"]["pid"]
        assert b"\0TOKEN=t\0" in container.run("cat", f"/proc/{pid}/environ").stdout
        container.run("ls", "/run/s6/container_environment", code=1)
        container.said("started dashboard")


def test_two_containers_on_one_volume_the_second_a_dashboard(podman, volume):
    volume.profile("coder", "running")
    with podman.boot(volume) as first:
        first.until({"default": "down", "coder": "up"})
        pid = first.status()["coder"]["pid"]
        with podman.boot(volume, "dashboard", options=SHORT) as second:
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


def test_two_gateway_containers_on_one_volume_are_said(podman, volume):
    volume.profile("coder", "running")
    with podman.boot(volume) as first:
        first.until({"default": "down", "coder": "up"})
        pid = first.status()["coder"]["pid"]
        first.sh(f"echo {pid + 1000} > /opt/data/profiles/coder/gateway.pid; touch /opt/data/profiles/coder/gateway_state.json")
        with podman.boot(volume) as second:
            assert "killed, or another container uses this volume" in second.log()
            assert "02-reconcile-profiles exited 0\n" in second.log()


def test_gateway_run_as_the_containers_command_starts_the_default_gateway(podman, volume):
    with podman.boot(volume, "gateway", "run") as container:
        container.until({"default": "up"})
        container.said("started default: gateway run --replace as 10000:10000 in /opt/data\n")
        assert json.loads((volume.folder / "gateway_state.json").read_text())["gateway_state"] == "running"


@pytest.mark.parametrize("behaviour", ["0", "2"])
def test_a_pass_that_fails_stops_the_container_where_the_image_says_so(behaviour, podman, volume):
    options = ("-e", f"S6_BEHAVIOUR_IF_STAGE2_FAILS={behaviour}", "-e", "HERMES_HOME=/proc/nowhere", *SHORT)
    with podman.start(volume, options=options) as container:
        if behaviour == "2":
            wait_for(lambda: not container.running(), 15, "the end of the container")
            assert container.inspect("State.ExitCode") == "1" and "main-hermes is up" not in container.log()
        else:
            container.booted()
            assert container.running()
        assert re.search(r"02-reconcile-profiles exited (1|111)\n", container.log())


def test_a_step_finds_the_static_services_and_nothing_else(podman, volume):
    with podman.boot(volume) as container:
        done = re.findall(r"^fix-perms: service=(\S+) action=done$", container.log(), re.M)
        assert sorted(done) == sorted(STATIC)


def test_unregister_ends_a_logger_whose_pipe_an_orphan_holds(podman, volume):
    volume.profile("coder", "running", does="orphan 100")
    with podman.boot(volume) as container:
        container.until({"default": "down", "coder": "up"})
        container.said("started coder")
        before = time.monotonic()
        container.init("unregister", "coder")
        assert time.monotonic() - before < 10
        assert "gateways/coder" not in container.run("ps", user="root").stdout.decode()
        assert container.sh("ls -a /run/service | grep coder", code=None) == ""

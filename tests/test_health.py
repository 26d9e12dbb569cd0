"""What `health` sees besides the states of the services: a volume that cannot be written, and loggers that keep no log. The pass and
`status` look at the volume with the same eyes."""

import json

import pytest

from support.program import HERMES, wait_for

pytestmark = pytest.mark.s6
VERIFY = "unable to verify the hermes user's access to "
IMMUTABLE = "Operation not permitted: it is immutable (see lsattr(1)), or a security module refuses it"
# The loggers have files open for writing on the mount below this one.
READ_ONLY = "mount --bind /opt/data /opt/data; mount -o remount,ro,bind /opt/data"

# What is done to the volume, which gateways it concerns, and what is said.
UNWRITABLE = {
    "volume-read-only": (READ_ONLY, {"default", "coder"}, VERIFY + "/opt/data: Read-only file system"),
    "profile-read-only": (
        "mount --bind profiles/coder profiles/coder; mount -o remount,ro,bind /opt/data/profiles/coder",
        {"coder"},
        VERIFY + "profiles/coder: Read-only file system",
    ),
    "logs-read-only": (
        "mount --bind logs/gateways logs/gateways; mount -o remount,ro,bind /opt/data/logs/gateways",
        {"default", "coder"},
        None,
    ),
    "volume-immutable": ("chattr +i .", {"default"}, VERIFY + "/opt/data: " + IMMUTABLE),
    "profile-immutable": ("chattr +i profiles/coder", {"coder"}, VERIFY + "profiles/coder: " + IMMUTABLE),
    "log-immutable": ("chattr +i logs/gateways/coder", {"coder"}, VERIFY + "logs/gateways/coder: " + IMMUTABLE),
    "full": (
        "mount -o remount,size=64k /opt/data; dd if=/dev/zero of=fill bs=4k 2>/dev/null || true",
        {"default", "coder"},
        "unable to write to /opt/data: No space left on device",
    ),
    "full-of-inodes": (
        "mount -o remount,nr_inodes=200 /opt/data; i=0; while touch fill.$i 2>/dev/null; do i=$((i+1)); done",
        {"default", "coder"},
        "unable to write to /opt/data: No space left on device",
    ),
    "logs-full": (
        (
            "mount -t tmpfs -o size=64k tmpfs logs; mkdir logs/gateways; dd if=/dev/zero of=logs/fill bs=4k 2>/dev/null || true; "
            "chown -R 10000:10000 logs"
        ),
        {"default", "coder"},
        "unable to write to logs/gateways: No space left on device",
    ),
}
HEALED = "umount logs profiles/coder logs/gateways 2>/dev/null; mount -o remount,rw,size=64m,nr_inodes=100000 /opt/data; chattr -R -i .; rm -f fill*"


def notes(bed, uid):
    done = bed.init("status", "--json", uid=uid, code=None)
    return {row["profile"]: row["note"] for row in map(json.loads, done.stdout.splitlines())}


def lines(bed, *options, uid=0, code=1):
    done = bed.init("health", *options, uid=uid, code=code)
    return done.stdout.decode().replace("/run/bed/bin/", "/usr/bin/").splitlines()


def change(bed, script):
    done = bed.run(["sh", "-ec", "cd /opt/data; " + script])
    assert done.returncode == 0, done


@pytest.mark.parametrize("what", UNWRITABLE)
def test_a_volume_that_cannot_be_written_is_a_fault(live, what):
    script, names, said = UNWRITABLE[what]
    assert lines(live, code=0) == lines(live, code=0, uid=HERMES) == []
    change(live, script)
    for uid in (0, HERMES):
        told = {name: said or f"{VERIFY}logs/gateways/{name}: Read-only file system" for name in names}
        # What concerns several is said once; what concerns one is said beside it.
        named = [name for name in ("default", "coder") if name in names]
        same = [
            f"{', '.join(name for name in named if told[name] == text)}: {text}" for text in dict.fromkeys(told[name] for name in named)
        ]
        own = [LOST] if what == "logs-full" else []
        assert lines(live, uid=uid) == same + own, uid
        seen = {name: note.replace("/run/bed/bin/", "/usr/bin/") for name, note in notes(live, uid).items() if note or name in names}
        expected = {
            name: "; ".join([told[name], *(line.removeprefix(f"{name}: ") for line in own if line.startswith(f"{name}: "))])
            for name in named
        }
        assert seen == expected, uid
    # The pass says it too. The volume as a whole is named once.
    done = live.init("reconcile", "--dry-run", code=None)
    warned = [line for line in done.stderr.decode().splitlines() if "unable to" in line]
    assert warned == [
        f"hermes-init reconcile: warning: {text}" for text in dict.fromkeys(told[name] for name in ("default", "coder") if name in told)
    ]
    if script == READ_ONLY:
        live.run(["umount", "/opt/data"])
    live.run(["sh", "-c", "cd /opt/data; " + HEALED])
    assert lines(live, code=0) == []


def test_a_front_end_may_have_the_volume_read_only(live):
    live.profile("lost", "running")
    change(live, READ_ONLY)
    for uid in (0, HERMES):
        assert lines(live, "--role", "frontend", "lost", uid=uid, code=0) == []
        done = live.init("status", "--role", "frontend", uid=uid, code=None)
        assert b"lost" in done.stdout and b"Read-only" not in done.stderr, done
        assert [line.split(":")[0] for line in lines(live, "lost", uid=uid)] == ["lost"]


HERMES_INIT = "/usr/bin/hermes-init"
LOG = "/opt/data/logs/gateways/coder"
RENEW = "/usr/bin/s6-svc -uh /run/service/gateway-coder/log"
ONLY = f"coder: its output goes to the container's log only, since its logger could not use its directory: {RENEW}"
LOST = f"coder: its logger writes to a directory that has been removed or replaced: {RENEW}"
# What is done to the log of a gateway that runs, and what is said.
LOGGERS = {
    "fallback": (f"chown 0:0 {LOG}; {RENEW}; sleep 2; chown 10000:10000 {LOG}", ONLY),
    "fallback-after-a-file": (f"mv {LOG} {LOG}.old; touch {LOG}; {RENEW}; sleep 2; rm {LOG}; mv {LOG}.old {LOG}", ONLY),
    "removed": (f"rm -rf {LOG}", LOST),
    "all-removed": ("rm -rf logs/gateways", LOST),
    "replaced": (f"mv {LOG} {LOG}.old; install -d -o 10000 -g 10000 {LOG}", LOST),
    "restored": (f"mv {LOG} {LOG}.old; cp -a {LOG}.old {LOG}", LOST),
    "down": ("s6-svc -dh /run/service/gateway-coder/log", f"coder: its logger is down: {RENEW}"),
}


@pytest.mark.parametrize("what", LOGGERS)
def test_a_logger_that_keeps_no_log_is_a_fault_and_the_command_that_is_named_helps(live, what):
    script, said = LOGGERS[what]
    wait_for(lambda: lines(live, code=None) == [], what="the logger")
    change(live, script)
    # A logger that has just been started may take a few seconds.
    for uid in (0, HERMES):
        wait_for(lambda uid=uid: lines(live, uid=uid, code=None) == [said], what=f"the fault, as {uid}")
        assert said == f"coder: {notes(live, uid)['coder']}"
    # Root may lack the capability to see what another user's process has open.
    done = live.run(["setpriv", "--bounding-set", "-sys_ptrace", "/run/bed/bin/hermes-init", "health"])
    assert done.stdout.decode().splitlines() == [said], done
    assert live.run(said.split(": ")[-1].split()).returncode == 0
    for uid in (0, HERMES):
        wait_for(lambda uid=uid: lines(live, uid=uid, code=None) == [], what=f"the end of the fault, as {uid}")
    live.run(["sh", "-c", "echo the logger is back > /proc/$(s6-svstat -o pid /run/service/gateway-coder)/fd/1"])
    current = live.path(f"{LOG}/current")
    wait_for(lambda: current.exists() and "the logger is back" in current.read_text(), what="the line")


def test_a_rotation_is_no_fault(live):
    for _ in range(20):
        live.run(["s6-svc", "-a", "/run/service/gateway-coder/log"])
        assert lines(live, code=0) == []


def test_a_logger_without_s6_log_is_a_fault(live):
    change(live, "mkdir /run/elsewhere; cp -p /run/bed/bin/hermes /run/elsewhere")
    (live.path("/run/s6/container_environment") / "PATH").write_text("/run/elsewhere")
    live.run(["s6-svc", "-h", "/run/service/gateway-coder/log"])
    said = ["coder: its logger has not started s6-log; the container's log says why"]
    for uid in (0, HERMES):
        wait_for(lambda uid=uid: lines(live, "coder", uid=uid, code=None) == said, 15, f"the fault, as {uid}")


def test_what_cannot_be_seen_of_a_logger_is_a_fault(live):
    """No /proc, one that shows nothing of the process, and another user, to whom the kernel does not show what it has open."""
    done = live.run(["unshare", "-m", "sh", "-ec", "mount -t tmpfs tmpfs /proc; exec /run/bed/bin/hermes-init health coder"])
    assert done.returncode == 111 and b"coder: unable to inspect the logger, /proc/" in done.stdout, done
    for options, uid in (("hidepid=2", 4321), ("hidepid=0", 4321)):
        hide = f"mount -t proc -o {options} proc /proc; exec setpriv --reuid {uid} --clear-groups /run/bed/bin/hermes-init "
        done = live.run(["unshare", "-m", "sh", "-ec", hide + "health coder"])
        assert done.returncode == 111 and b"coder: unable to inspect the logger, /proc/" in done.stdout, done
        # Whoever only asks how it is may be a stranger.
        done = live.run(["unshare", "-m", "sh", "-ec", hide + "status --json coder"])
        assert done.returncode == 0 and json.loads(done.stdout)["note"] is None, done


# What a power cut leaves of a state file.
TORN = {"empty": b"", "torn": b'{"desired_state": "run', "zeros": bytes(4096), "not-an-object": b"[]"}


@pytest.mark.parametrize("what", TORN)
@pytest.mark.parametrize("name", ["coder", "default"])
def test_a_state_file_that_cannot_be_used_is_a_fault_and_start_replaces_it(live, name, what):
    place = live.path("/opt/data" if name == "default" else f"/opt/data/profiles/{name}")
    live.init("start", name, uid=HERMES)
    wait_for(lambda: lines(live, code=None) == [], what="the gateways")
    for stops in (False, True):
        if stops:
            live.run(["s6-svc", "-wD", "-d", live.slot(name)])
        (place / "gateway_state.json").write_bytes(TORN[what])
        for uid in (0, HERMES):
            [line] = lines(live, uid=uid)
            assert line.startswith(f"{name}: gateway_state.json: ") and line.endswith(
                f"; the next boot keeps it down: {HERMES_INIT} start {name}"
            )
            assert line == f"{name}: {notes(live, uid)[name]}".replace("/run/bed/bin/", "/usr/bin/")
        live.init("start", "--wait", name, uid=HERMES)
        assert lines(live, code=0) == [] and (place / ("gateway_state.json.broken" + ".2" * stops)).read_bytes() == TORN[what]


@pytest.mark.parametrize("script", ["mkfifo {}", "mkdir {}", "ln -s SOUL.md {}", "head -c 70000 /dev/zero > {}"])
def test_what_is_no_state_file_is_a_fault_and_goes_first(live, script):
    """`start` replaces no such file."""
    change(live, "cd profiles/coder; rm gateway_state.json; " + script.format("gateway_state.json"))
    for uid in (0, HERMES):
        [line] = lines(live, uid=uid)
        assert line.startswith("coder: gateway_state.json: ") and line.endswith("; remove the file") and " start " not in line
    live.init("start", "coder", uid=HERMES, code=1)
    change(live, "rm -r profiles/coder/gateway_state.json")
    assert lines(live, code=0) == []
    live.init("start", "coder", uid=HERMES)
    assert lines(live, code=0) == [] and notes(live, 0)["coder"] is None


def test_what_no_profile_can_be_and_nobody_may_look_into_is_no_fault(live):
    """`lost+found` is root's alone."""
    change(live, "mkdir -m 700 profiles/lost+found 'profiles/My Backup'; ln -s lost+found/x profiles/Link")
    for uid in (0, HERMES):
        assert lines(live, uid=uid, code=0) == []
        for command in (["status"], ["reconcile", "--dry-run"], ["reconcile", "--explain"], ["status", "--json"]):
            done = live.init(*command, uid=uid)
            assert done.stderr == b"" or uid == 0, done
            assert uid == 0 or not any(word in done.stdout for word in (b"lost+found", b"Backup", b"Link")), done
    # One whose SOUL.md can be seen is skipped.
    change(live, "chmod 755 profiles/lost+found; touch profiles/lost+found/SOUL.md")
    assert b"profile=lost+found prior_state=None action=skipped" in live.init("reconcile", uid=HERMES).stdout
    # A name that a profile can have is a fault as before.
    change(live, "mkdir -m 700 profiles/lost")
    assert lines(live, uid=HERMES)[0].startswith("lost: Permission denied (/opt/data/profiles/lost belongs to 0:0, mode 0700; as root: ")

"""What `fix-perms` says: of each service that is not as wanted its reasons, in order; refused beside failed; what root without a
capability leaves open; what is too deep; and what a dry run says."""

import json
import os
import shutil
import socket
import subprocess

import pytest

from support.file_tree import identity, snapshot
from support.program import HERMES, executable, run

pytestmark = pytest.mark.root
OWNER = f"{HERMES}:{HERMES}"

# What is printed.
OVERLAYS = "it belongs to s6-overlay"
UNSUPERVISED = "it is not supervised"
NOTHING = "fix-perms: nothing to do: {} is missing\n"
SUMMARY = "fix-perms: {done} done, {skipped} skipped, {refused} refused, {failed} failed"
LINKED = "{} has more than one hard link"
DEEP = "{} is more than 32 directories deep"
STAYS = "{} it still belongs to uid 10000: this process may not change owners"
NOT_ALLOWED = "fix-perms: info: not permitted to change owners (Operation not permitted): created files belong to uid 0\n"
NOT_PERMITTED = "fix-perms: info: some owners or modes cannot be changed (Operation not permitted): they are left as they are\n"
IO = "{}: I/O error"
PERM = "{}: Operation not permitted"
ACCESS = "{}: Permission denied"


def fix(*arguments, before=(), environment=None):
    return run([*before, executable(), "fix-perms", "--owner", OWNER, *arguments], env={"PATH": "/usr/bin:/bin"} | (environment or {}))


def service(folder, name="a", logger=False, owner=0):
    """Creates a service as s6-supervise leaves it, or as fix-perms has handed it over."""
    for base in [folder / name] + ([folder / name / "log"] if logger else []):
        (base / "event").mkdir(parents=True)
        (base / "event").chmod(0o3730)
        (base / "supervise").mkdir(mode=0o700)
        os.mkfifo(base / "supervise/control", 0o600)
        for file in ("death_tally", "lock", "status"):
            (base / "supervise" / file).write_text(file)
        for path in (base / "event", base / "supervise", *(base / "supervise").iterdir()):
            os.chown(path, owner, owner)
        (base / "event").chmod(0o3730)
    return folder / name


def sentence(reasons):
    """Returns the reasons as a line has them: an ASCII JSON string without equals signs."""
    return json.dumps("; ".join(reasons)).replace("=", "\\u003d")


def report(done):
    """Returns the actions and reasons by service, from the lines and from JSON, and the summary."""
    *lines, summary = done.stdout.decode().splitlines()
    return lines, summary


def check(place, action, reasons, *options, name="a", code=None, before=(), stderr="", changed=None):
    """Checks both forms of the report on the only service of `place`. A dry run comes first: JSON reports on the same tree."""
    code = {"done": 0, "skipped": 0, "refused": 1, "failed": 1}[action] if code is None else code
    counts = {word: int(word == action) for word in ("done", "skipped", "refused", "failed")}
    copy = place.parent / f"{place.name}.copy"
    subprocess.run(["cp", "-a", place, copy], check=True)
    try:
        done = fix(*options, place, before=before)
        line = f"fix-perms: service={name} action={action}" + (f" reason={sentence(reasons)}" if reasons else "")
        assert (done.returncode, *report(done)) == (code, [line], SUMMARY.format(**counts)), done
        assert done.stderr.decode().split("hermes-init ")[-1] == stderr, done
        shutil.rmtree(place)
        copy.rename(place)
        first, last = map(json.loads, fix("--json", *options, place, before=before).stdout.splitlines())
        assert last == counts and list(last) == ["done", "skipped", "refused", "failed"]
        assert list(first) == ["service", "action", "reason", "changed"]
        assert (first["service"], first["action"], first["reason"]) == (name, action, "; ".join(reasons) or None)
        assert changed is None or first["changed"] is changed
    finally:
        shutil.rmtree(copy, ignore_errors=True)


@pytest.fixture
def services(place):
    (place / "services").mkdir()
    return place / "services"


def replace(path, kind, outside="/nowhere"):
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
    if kind == "symlink":
        path.symlink_to(outside)
    elif kind == "file":
        path.write_text("")
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    elif kind == "socket":
        bound = socket.socket(socket.AF_UNIX)
        # Its path has a limit.
        here = os.open(path.parent, os.O_RDONLY)
        bound.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)
        bound.close()


# What is in the place of what, and the reason of the refusal.
REFUSED = {
    ("event", "symlink"): "event is a symlink, not a directory",
    ("event", "file"): "event is a regular file, not a directory",
    ("event", "fifo"): "event is a FIFO, not a directory",
    ("supervise", "symlink"): "supervise is a symlink, not a directory",
    ("supervise", "socket"): "supervise is a socket or a device, not a directory",
    ("supervise/control", "symlink"): "supervise/control is a symlink, not a FIFO",
    ("supervise/control", "file"): "supervise/control is a regular file, not a FIFO",
    ("supervise/control", "socket"): "supervise/control is a socket or a device, not a FIFO",
    ("supervise/lock", "symlink"): "supervise/lock is a symlink",
    ("supervise/lock", "socket"): "supervise/lock is a socket or a device",
    ("supervise/event", "symlink"): "supervise/event is a symlink",
    ("log", "symlink"): "log is a symlink",
    ("log/supervise/control", "file"): "log/supervise/control is a regular file, not a FIFO",
}


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("path, kind", REFUSED)
def test_what_is_not_what_it_should_be_is_refused_and_said(services, path, kind, sealed):
    # Sealed, what is root's already was checked when it was sealed.
    replace(service(services, logger=path.startswith("log/"), owner=HERMES if sealed else 0) / path, kind)
    check(services, "refused", [REFUSED[path, kind]], *(["--sealed"] if sealed else []))


def test_a_service_that_is_a_symlink_is_refused_and_a_file_is_no_service(services):
    (services / "a").symlink_to("/nowhere")
    (services / "file").write_text("")
    check(services, "refused", ["a is a symlink"])


def test_what_nobody_supervises_and_the_overlays_own_are_skipped(services):
    (services / "a").mkdir()
    check(services, "skipped", [UNSUPERVISED], changed=False)
    (services / "a").rmdir()
    service(services, "s6rc-fdholder")
    check(services, "skipped", [OVERLAYS], name="s6rc-fdholder", changed=False)
    assert fix(services / "nothing").stdout.decode() == NOTHING.format(services / "nothing")
    # What it has instead of `supervise` is the better reason.
    (services / "none").mkdir()
    (services / "none/supervise").symlink_to("/nowhere")
    assert f"service=none action=refused reason={sentence([REFUSED['supervise', 'symlink']])}\n" in fix(services).stdout.decode()
    # Only a logger of its own is supervised: that of the service is not.
    (services / "only").mkdir()
    service(services / "only", "log")
    assert f"service=only action=skipped reason={sentence([UNSUPERVISED])}" in fix(services).stdout.decode()
    assert snapshot(services / "only")[b"log/supervise"].endswith(OWNER)


@pytest.mark.parametrize("sealed", [False, True])
@pytest.mark.parametrize("file", ["lock", "control"])
@pytest.mark.parametrize("owner", [0, HERMES])
def test_a_file_with_two_names_is_refused_also_if_it_needs_no_change(place, services, file, owner, sealed):
    supervise = service(services, owner=owner) / "supervise"
    supervise.chmod(0o710)
    (supervise / "control").chmod(0o620 if sealed else 0o660)
    if sealed:
        # As a sealed run leaves it.
        fix("--sealed", services)
    os.link(supervise / file, place / "other")
    before = os.stat(place / "other")
    # Sealed, and root's already, nothing but the FIFO is looked at.
    is_seen = not sealed or file == "control"
    reasons = [LINKED.format(f"supervise/{file}")] if is_seen else []
    done = fix(*(["--sealed"] if sealed else []), services)
    assert done.stdout.decode().startswith(
        f"fix-perms: service=a action={'refused' if reasons else 'done'}" + (f" reason={sentence(reasons)}\n" if reasons else "\n")
    ), done
    after = os.stat(place / "other")
    assert (after.st_uid, after.st_gid, after.st_mode) == (before.st_uid, before.st_gid, before.st_mode)
    assert done.returncode == int(is_seen)


@pytest.mark.parametrize("dry", [[], ["--dry-run"]])
def test_thirty_two_directories_are_entered_and_not_one_more(services, dry):
    supervise = service(services) / "supervise"
    deepest = supervise.joinpath(*["d"] * 32)
    deepest.mkdir(parents=True)
    (deepest / "file").write_text("")
    check(services, "done", [], *dry, changed=True)
    (deepest / "d").mkdir()
    (deepest / "d/file").write_text("")
    below = json.dumps("supervise" + "/d" * 33)
    check(services, "refused", [DEEP.format(below)], *dry, changed=bool(dry))
    done = fix(services)
    tree = snapshot(supervise)
    owners = {path.count(b"d/") + 1: line.split()[2] for path, line in tree.items() if path.replace(b"/", b"").strip(b"d") == b""}
    assert owners == {depth: "0:0" if depth == 33 else OWNER for depth in range(1, 34)}, done
    assert tree[b"/".join([b"d"] * 32 + [b"file"])].split()[2] == OWNER and tree[b"/".join([b"d"] * 33 + [b"file"])].split()[2] == "0:0"


INJECT = ["strace", "-f", "-o", "/dev/null"]


@pytest.mark.strace
def test_a_service_that_is_refused_and_failed_is_failed_in_either_order(services):
    """`event` is handled before `supervise`."""

    def failing(path, call="fchown", errno="EIO"):
        return [*INJECT, "-P", path, "-e", f"inject={call}:error={errno}"]

    a = service(services)
    replace(a / "supervise/lock", "symlink")
    check(services, "failed", [IO.format("event"), "supervise/lock is a symlink"], before=failing(a / "event"))
    replace(a / "event", "file")
    shutil.rmtree(a / "supervise")
    shutil.rmtree(service(services, "b") / "event")
    (services / "b/supervise").rename(a / "supervise")
    shutil.rmtree(services / "b")
    check(
        services, "failed", ["event is a regular file, not a directory", IO.format("supervise")], before=failing(a / "supervise", "fchmod")
    )
    # What the logger lacks is the service's, too.
    shutil.rmtree(a)
    replace(service(services, logger=True) / "log/supervise/lock", "symlink")
    check(services, "failed", [IO.format("event"), "log/supervise/lock is a symlink"], before=failing(a / "event"))


@pytest.mark.strace
@pytest.mark.parametrize("call", ["fchown", "fchmod"])
def test_what_has_vanished_meanwhile_is_no_failure(services, call):
    a = service(services)
    check(services, "done", [], before=[*INJECT, "-P", a / "event", "-e", f"inject={call}:error=ENOENT"])


def without(*capabilities):
    bounds = ",".join(f"-{name}" for name in capabilities)
    return ["setpriv", f"--bounding-set={bounds}", f"--inh-caps={bounds}"]


def test_sealed_root_that_may_not_change_owners_says_what_stays_open(services):
    a = service(services, owner=HERMES, logger=True)
    before = {path: line.split()[2] for path, line in snapshot(a).items()}
    done = fix("--sealed", services, before=without("chown"))
    *lines, summary = done.stdout.decode().splitlines()
    assert done.returncode == 1 and summary == SUMMARY.format(done=0, skipped=0, refused=0, failed=1)
    reasons = json.loads(lines[0].partition(" reason=")[2]).split("; ")
    assert (
        lines[0].startswith("fix-perms: service=a action=failed reason=")
        and {path: line.split()[2] for path, line in snapshot(a).items()} == before
    )
    stays = {reason.removesuffix(STAYS.format("")).removesuffix(":").removeprefix("unable to restrict access to ") for reason in reasons}
    assert stays >= {"event", "supervise", "supervise/control", "supervise/lock", "log/event", "log/supervise", "log/supervise/control"}, (
        reasons
    )
    assert done.stderr.decode().split("hermes-init ")[-1] == NOT_ALLOWED, done
    # What is root's already stays shut: only the group's way in is missing.
    shutil.rmtree(a)
    service(services, owner=0)
    check(services, "done", [], "--sealed", before=without("chown"), stderr=NOT_ALLOWED)


def test_delegated_root_that_may_not_change_owners_says_so_once_and_is_done(services):
    service(services)
    check(services, "done", [], before=without("chown"), stderr=NOT_ALLOWED, changed=True)


@pytest.mark.strace
@pytest.mark.parametrize("errno, text", [("EPERM", PERM), ("EACCES", ACCESS)])
def test_a_missing_permission_is_skipped_delegated_and_failed_sealed_and_a_filters_refusal_is_failed(services, errno, text):
    """The kernel says EACCES to whoever may not open a file; a seccomp filter or a security module says EPERM."""
    a = service(services)
    refused = [*INJECT, "-P", "lock", "-e", f"inject=openat:error={errno}"]
    if errno == "EPERM":
        check(services, "failed", [text.format("supervise/lock")], before=refused)
    else:
        stderr = NOT_PERMITTED.replace("Operation not permitted", "Permission denied")
        check(services, "skipped", [text.format("supervise/lock")], before=refused, stderr=stderr)
    for path in (a / "supervise", a / "supervise/lock"):
        os.chown(path, HERMES, HERMES)
    check(services, "failed", [text.format("supervise/lock")], "--sealed", before=refused)


@pytest.mark.parametrize("sealed", [[], ["--sealed"]])
def test_a_dry_run_says_everything_also_where_the_boot_is_quiet(services, sealed):
    quiet = {"S6_VERBOSITY": "0"}
    service(services, "good", owner=HERMES if sealed else 0)
    replace(service(services, "bad", owner=HERMES if sealed else 0) / "supervise/lock", "symlink")
    service(services, "s6rc-x")
    (services / "none").mkdir()
    before = identity(services)
    expected = [
        f"fix-perms: service=bad action=refused reason={sentence(['supervise/lock is a symlink'])}",
        "fix-perms: service=good action=done",
        f"fix-perms: service=none action=skipped reason={sentence([UNSUPERVISED])}",
        f"fix-perms: service=s6rc-x action=skipped reason={sentence([OVERLAYS])}",
        SUMMARY.format(done=1, skipped=2, refused=1, failed=0),
    ]
    for environment in (quiet, {"S6_VERBOSITY": "1"}, {}):
        done = fix("--dry-run", *sealed, services, environment=environment)
        assert done.stdout.decode().splitlines() == expected and done.returncode == 1 and done.stderr == b"", done
        objects = [json.loads(line) for line in fix("--dry-run", "--json", *sealed, services, environment=environment).stdout.splitlines()]
        assert [row.get("changed") for row in objects] == [True, True, False, False, None]
    assert identity(services) == before
    # The boot itself says only what is wrong, and nothing at all where nothing is.
    done = fix(*sealed, services, environment=quiet)
    assert done.stdout.decode().splitlines() == expected[:1] and done.returncode == 1
    # A program that reads objects gets all of them.
    objects = [json.loads(line) for line in fix("--json", *sealed, services, environment=quiet).stdout.splitlines()]
    assert [row.get("service") for row in objects] == ["bad", "good", "none", "s6rc-x", None]
    shutil.rmtree(services / "bad")
    done = fix(*sealed, services, environment=quiet)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
    assert fix(*sealed, services, environment={"S6_VERBOSITY": "00"}).stdout.count(b"\n") == 4

"""`hand-over`: gives what a root shell has left on the volume to the hermes user, and nothing else, whatever that user does meanwhile."""

import os
import stat

import pytest

from support.path_exchange import beside, exchanging, rounds
from support.program import APART, HERMES, executable, run
from support.volume import Volume

pytestmark = pytest.mark.root

PRIVATE = "private: the hermes user cannot read it"


@pytest.fixture
def volume(place):
    volume = Volume(place)
    volume.profile("coder", "running")
    return volume


def hand_over(volume, *words, code=0, before=(), **how):
    argv = [*before, executable(), "hand-over", "--hermes-home", volume.home, "--owner", f"{HERMES}:{HERMES}", *words]
    done = run(argv, env=APART, **how)
    assert code is None or done.returncode == code, done
    lines = done.stdout.decode().splitlines()
    return lines[:-1], lines[-1], done.stderr.decode()


def roots(path, mode=None, content=None):
    """Makes a file of root's, or makes one root's."""
    if content is not None:
        path.write_bytes(content)
    os.chown(path, 0, 0, follow_symlinks=False)
    if mode is not None:
        path.chmod(mode)
    return path


def owner(path):
    return os.lstat(path).st_uid


def test_what_root_has_left_becomes_the_hermes_users(volume):
    profile = volume.home / "profiles/coder"
    for folder in ("a/b", "empty"):
        (profile / folder).mkdir(parents=True)
    (profile / "link").symlink_to("/etc")
    for path in [profile / name for name in ("a", "a/b", "link", ".")]:
        roots(path)
    roots(profile / "empty", 0o700)
    roots(profile / "a/b/file", 0o4755, b"content")
    roots(profile / "gateway_state.json", 0o600)
    before = owner("/etc")
    lines, last, err = hand_over(volume, "--dry-run", "profiles/coder")
    assert last == "hand-over: 7 changed, 0 left, 0 failed" and owner(profile / "a") == 0
    assert hand_over(volume, "profiles/coder") == (lines, last, err)
    assert sorted(lines) == [
        f"hand-over: path=profiles/coder{path} action=changed"
        for path in ("", "/a", "/a/b", "/a/b/file", "/empty", "/gateway_state.json", "/link")
    ]
    assert err == "" and {owner(path) for path in [profile, *profile.rglob("*")]} == {HERMES}
    # Neither the group nor the mode changes, and no program of root's becomes one that runs as another user.
    found = os.stat(profile / "a/b/file")
    assert found.st_gid == 0 and stat.S_IMODE(found.st_mode) == 0o755 and owner("/etc") == before
    assert hand_over(volume, ".")[:2] == ([], "hand-over: 0 changed, 0 left, 0 failed")


@pytest.mark.parametrize("word", [".", "absolute", "absolute/"])
def test_the_whole_volume(volume, word):
    roots(volume.home)
    roots(volume.home / "profiles")
    word = word.replace("absolute", str(volume.home))
    lines, _, _ = hand_over(volume, word)
    assert sorted(lines) == ["hand-over: path=. action=changed", "hand-over: path=profiles action=changed"]
    assert owner(volume.home) == HERMES


def test_what_is_left_is_named_with_the_reason(volume):
    profile = volume.home / "profiles/coder"
    outside = roots(volume.place / "outside", 0o644, b"root's")
    os.link(outside, profile / "linked")
    os.mkfifo(profile / "fifo")
    os.mknod(profile / "device", 0o666 | stat.S_IFBLK, os.makedev(1, 0))
    roots(profile / "secret", 0o600, b"root's")
    (profile / "closed").mkdir(mode=0o700)
    roots(profile / "closed/open", 0o644, b"root's")
    os.chmod(profile / "fifo", 0o666)
    paths = ("linked", "fifo", "device", "secret", "closed", "closed/open")
    lines, last, err = hand_over(volume, "profiles", code=1)
    special = "it is neither a file nor a directory nor a symlink"
    assert sorted(lines) == sorted(
        f'hand-over: path=profiles/coder/{name} action=left reason="{why}"'
        for name, why in (
            ("linked", "it has more than one hard link"),
            ("fifo", special),
            ("device", special),
            ("secret", PRIVATE),
            ("closed", PRIVATE),
        )
    )
    assert last == "hand-over: 0 changed, 5 left, 0 failed"
    assert err == (
        "hermes-init hand-over: info: what the hermes user cannot read was left: look at it, and give it to him with --private "
        "if it is his\n"
    )
    assert {owner(profile / path) for path in paths} == {0} and owner(outside) == 0
    # What is said helps.
    lines, last, _ = hand_over(volume, "--private", "profiles", code=1)
    assert last == "hand-over: 3 changed, 3 left, 0 failed"
    assert [owner(profile / path) for path in paths] == [0, 0, 0, HERMES, HERMES, HERMES]


@pytest.mark.parametrize("sign", [["SOUL.md"], ["container-boot.log"], ["gateways"], ["current", "lock"], ["current"], ["x"]])
def test_a_private_directory_that_shows_what_it_is_is_handed_over(volume, sign):
    folder = volume.home / "folder"
    folder.mkdir(mode=0o700)
    for name in sign:
        (folder / name).touch()
    is_known = sign not in (["current"], ["x"])
    hand_over(volume, "folder", code=int(not is_known))
    assert (owner(folder) == HERMES) == is_known
    # What is private in it stays so.
    roots(folder, 0o700)
    roots(folder / "secret", 0o600, b"x")
    lines, _, _ = hand_over(volume, "folder", code=1)
    assert (f'hand-over: path=folder/secret action=left reason="{PRIVATE}"' in lines) == is_known


@pytest.mark.parametrize("content", [b'{"token": 1}', b"no JSON", b"[]"])
def test_a_private_file_is_no_state_because_of_its_name(volume, content):
    state = roots(volume.home / "profiles/coder/gateway_state.json", 0o600, content)
    lines, _, _ = hand_over(volume, ".", code=1)
    assert lines == [f'hand-over: path=profiles/coder/gateway_state.json action=left reason="{PRIVATE}"'] and owner(state) == 0


def test_no_other_mount_is_entered_but_a_mount_can_be_named(volume):
    """Also not a directory of the same file system that is mounted there."""
    for name in ("bind", "tmpfs"):
        (volume.home / "profiles/coder" / name).mkdir()
    outside = volume.place / "outside"
    outside.mkdir()
    roots(outside / "file", 0o644, b"root's")
    script = f"mount --bind {outside} profiles/coder/bind; mount -t tmpfs tmpfs profiles/coder/tmpfs; touch profiles/coder/tmpfs/x; "
    before = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", script + 'exec "$@"', "sh"]
    lines, _, _ = hand_over(volume, "profiles", code=1, before=before, cwd=volume.home)
    why = 'action=left reason="another file system is mounted there"'
    assert (
        sorted(lines)
        == [
            "hand-over: path=profiles/coder/bind " + why,
            "hand-over: path=profiles/coder/tmpfs " + why,
        ]
        and owner(outside / "file") == 0
    )
    hand_over(volume, "profiles/coder/bind", before=before, cwd=volume.home)
    assert owner(outside / "file") == HERMES


def test_links_on_the_way_lead_to_other_disks_of_the_hermes_users_and_nowhere_else(volume):
    disk, foreign = volume.place / "disk", volume.place / "foreign"
    for folder in (disk, foreign):
        folder.mkdir()
        roots(folder / "file", 0o644, b"x")
    os.chown(disk, HERMES, HERMES)
    for name, target in (("good", disk), ("bad", foreign), ("passwd", "/etc/passwd"), ("none", "/nonexistent")):
        (volume.home / "profiles" / name).symlink_to(target)
    hand_over(volume, "profiles/good")
    assert owner(disk / "file") == HERMES
    for name in ("bad", "bad/file"):
        _, last, err = hand_over(volume, f"profiles/{name}", code=1)
        assert "is a symlink to a directory of uid 0, who is not the hermes user" in err and last.endswith("1 failed")
    for name in ("passwd", "none", "missing"):
        hand_over(volume, f"profiles/{name}", code=1)
    # A walk over what is above follows none of them.
    os.chown(disk, 0, 0)
    roots(disk / "file")
    hand_over(volume, ".")
    assert owner(foreign / "file") == owner(disk / "file") == owner("/etc/passwd") == 0


@pytest.mark.parametrize("path", ["/etc", "..", "profiles/../../x", "/"])
def test_a_path_that_is_not_on_the_volume_is_wrong_usage_and_nothing_is_done(volume, path):
    roots(volume.home / "profiles/coder")
    done = run([executable(), "hand-over", "--hermes-home", volume.home, "profiles/coder", path], env=APART)
    assert (done.returncode, done.stdout) == (100, b"") and f"it is not a path below {volume.home}".encode() in done.stderr, done
    assert owner(volume.home / "profiles/coder") == 0


def test_only_root_can(volume):
    done = run(
        [
            "setpriv",
            f"--reuid={HERMES}",
            f"--regid={HERMES}",
            "--clear-groups",
            executable(),
            "hand-over",
            "--hermes-home",
            volume.home,
            ".",
        ],
        env=APART,
    )
    assert done.returncode == 1 and b"only root can: run the command as root\n" in done.stderr, done


def test_a_hermes_user_who_exchanges_paths_meanwhile_gains_nothing(volume):
    """A directory and a symlink to one of root's, a file and a link to one of root's."""
    outside = volume.place / "outside"
    outside.mkdir()
    for name in ("file", "deep"):
        roots(outside / name, 0o644, b"root's")
    profile = volume.home / "profiles/coder"
    folder = profile / "folder"
    folder.mkdir()
    for number in range(20):
        roots(folder / f"f{number}", 0o644, b"x")
    beside(folder).symlink_to(outside)
    (profile / "file").write_text("x")
    (profile / ".file").symlink_to(outside / "file")
    for path in [folder, beside(folder), profile / "file", profile / ".file"]:
        os.chown(path, HERMES, HERMES, follow_symlinks=False)
    real = os.open(folder, os.O_RDONLY)
    try:
        with exchanging((folder, beside(folder)), (profile / "file", profile / ".file")) as count:
            for _ in rounds(100, lambda: count() > 5000):
                for number in range(20):
                    os.chown(f"f{number}", 0, 0, dir_fd=real)
                hand_over(volume, "profiles/coder", "profiles/coder/folder", code=None)
                assert {owner(path) for path in outside.iterdir()} == {0} and owner(outside) == 0
    finally:
        os.close(real)
    hand_over(volume, "profiles/coder", code=0)

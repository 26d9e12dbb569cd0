"""What `make dist` makes of executables that are there: archives, bills of materials and SHA256SUMS. That two builds make the same bytes
takes long: `make dist-test`."""

import gzip
import hashlib
import json
import os
import platform
import re
import shutil
import signal
import struct
import tarfile
import time
import zlib

import pytest

from support.installation import HOST, SECONDS, has_target, kind, laid_down, make, shippable, shipped, shipping, start
from support.program import ROOT, executable, run, wait_for

TARGETS = ["x86_64-unknown-linux-musl", "aarch64-unknown-linux-musl"]
VERSION = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]


@pytest.fixture(scope="module")
def targets():
    found = [target for target in TARGETS if has_target(target)]
    if found != TARGETS:
        (pytest.fail if os.environ.get("HERMES_INIT_CI") else pytest.skip)(f"needs the targets {' and '.join(TARGETS)}")
    return found


@pytest.fixture
def copy(place, targets):
    return shippable(place, targets)


def variables(**more):
    return shipping() | more


def dist(copy, *words, **more):
    """Runs `make dist`. Returns what it has said, and the files of target/dist."""
    said = make(copy, "dist", *words, environment=variables(**more)).decode()
    return said, copy / "target/dist"


def replace(path, text):
    """Replaces a script on which the executable depends, which is up to date all the same."""
    path.write_text(text)
    os.utime(path, (1, 1))


def names(folder):
    return sorted(path.name for path in folder.iterdir() if path.is_file() and path.name.startswith(("hermes-init-", "SHA", ".new")))


def made(targets=TARGETS):
    return sorted(["SHA256SUMS", *(f"hermes-init-{VERSION}-{target}.{end}" for target in targets for end in ("tar.gz", "cdx.json"))])


def archive(target):
    return f"hermes-init-{VERSION}-{target}.tar.gz"


def test_an_archive_unpacks_to_what_make_install_lays_down(copy, place):
    _, out = dist(copy)
    assert names(out) == made()
    for target in TARGETS:
        make(copy, "install", f"TARGET={target}", f"DESTDIR={place}/installed", environment=variables())
        root = place / target
        root.mkdir()
        assert run(["tar", "-C", root, "-xzf", out / archive(target)], umask=0o022).returncode == 0
        assert laid_down(root) == laid_down(place / "installed")
        with tarfile.open(out / archive(target)) as tar:
            members = tar.getmembers()
        assert [member.name for member in members] == sorted(member.name for member in members)
        assert {(member.uid, member.gid, member.uname, member.gname, member.mtime) for member in members} == {(0, 0, "", "", SECONDS)}
        assert {(member.isfile(), member.mode) for member in members} == {(True, 0o644), (True, 0o755), (False, 0o777)}
        # Neither a name nor a time.
        assert (out / archive(target)).read_bytes()[:10] == gzip.compress(b"", mtime=0)[:9] + b"\x03"


def test_an_archive_leaves_the_directories_of_the_machine_as_they_are(copy, place):
    _, out = dist(copy, f"TARGETS={HOST}")
    root = place / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "elsewhere").mkdir()
    (root / "usr/share").symlink_to("../elsewhere")
    (root / "usr/bin").chmod(0o711)
    os.utime(root / "usr", (1, 1))
    assert run(["tar", "-C", root, "-xzf", out / archive(HOST)]).returncode == 0
    assert (root / "usr/share").is_symlink() and (root / "elsewhere/man/man8/hermes-init.8").is_file()
    assert (root / "usr/bin").stat().st_mode & 0o777 == 0o711 and (root / "usr").stat().st_mtime == 1


def test_the_checksums_are_those_of_all_files(copy):
    _, out = dist(copy)
    done = run(["sha256sum", "-c", "SHA256SUMS"], cwd=out)
    assert done.returncode == 0 and sorted(re.findall(r"^(\S+): OK$", done.stdout.decode(), re.M)) == made()[1:], done


def test_a_bill_of_materials_is_valid_and_names_what_is_linked(copy):
    schema = pytest.importorskip("cyclonedx.schema", reason="needs cyclonedx-python-lib")
    validation = pytest.importorskip("cyclonedx.validation.json")
    _, out = dist(copy)
    notices = (ROOT / "src/NOTICES").read_text()
    crates = {f"pkg:cargo/{name}@{version}" for name, version in re.findall(r"^(\S+) (\d\S*): ", notices, re.M)}
    for target in TARGETS:
        text = (out / f"hermes-init-{VERSION}-{target}.cdx.json").read_text()
        assert validation.JsonStrictValidator(schema.SchemaVersion.V1_6).validate_str(text) is None
        said = json.loads(text)
        assert said["metadata"]["timestamp"] == "2009-02-13T23:31:30Z"
        whole = said["metadata"]["component"]
        assert whole["version"] == VERSION and whole["properties"] == [{"name": "rust:target", "value": target}]
        assert whole["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(shipped(target)).hexdigest()}]
        found = {component["purl"] for component in said["components"]}
        assert {purl for purl in found if "cargo" in purl} == crates
        assert {purl.split("@")[0] for purl in found - crates} == {"pkg:generic/rust-std", "pkg:generic/musl"}
        uses = {entry["ref"]: set(entry["dependsOn"]) for entry in said["dependencies"]}
        assert set(uses) == found | {whole["bom-ref"]} and set().union(*uses.values()) == found
        # Nothing of this machine.
        assert str(copy) not in text and "/root" not in text


def section(name):
    """Returns the contents of a section of the executable."""
    elf = executable().read_bytes()
    (headers,), (size, count, names) = struct.unpack_from("<Q", elf, 40), struct.unpack_from("<HHH", elf, 58)
    # Of each section: name, type, flags, address, offset and size.
    sections = [struct.unpack_from("<IIQQQQ", elf, headers + size * number) for number in range(count)]
    found = {
        elf[sections[names][4] + at :].split(b"\0", 1)[0].decode(): (flags, elf[offset : offset + length])
        for at, _, flags, _, offset, length in sections
    }
    return found[name]


def test_a_scanner_finds_the_crates_in_the_executable():
    flags, content = section(".dep-v0")
    assert flags == 0 and len(content) < 1024
    packages = json.loads(zlib.decompress(content))["packages"]
    named = {f"{package['name']} {package['version']}" for package in packages if package["source"] == "crates.io"}
    assert named == set(re.findall(r"^(\S+ \d\S*): ", (ROOT / "src/NOTICES").read_text(), re.M))
    roots = [package for package in packages if package.get("root")]
    assert [(root["name"], root["version"], root["source"]) for root in roots] == [("hermes-init", VERSION, "local")]
    assert {packages[number]["name"] for number in roots[0]["dependencies"]} == {"lexopt", "rustix", "serde_json"}


def test_the_same_executables_make_the_same_files_at_any_time_and_with_any_umask(copy):
    _, out = dist(copy, f"TARGETS={HOST}")
    first = {name: (out / name).read_bytes() for name in names(out)}
    make(copy, "dist", f"TARGETS={HOST}", environment=variables(TZ="Asia/Tokyo", LC_ALL="C.UTF-8"), umask=0o077)
    assert {name: (out / name).read_bytes() for name in names(out)} == first
    assert {(out / name).stat().st_mode & 0o777 for name in first} == {0o644}


def test_the_times_are_those_of_the_commit_and_without_one_those_of_1980(copy):
    def times(said):
        with tarfile.open(copy / "target/dist" / archive(HOST)) as tar:
            return {member.mtime for member in tar.getmembers()}, "warning" in said

    assert times(dist(copy, f"TARGETS={HOST}", SOURCE_DATE_EPOCH="")[0]) == ({315532800}, False)
    dates = {"GIT_AUTHOR_DATE": "@1700000000 +0000", "GIT_COMMITTER_DATE": "@1700000001 +0000", "PATH": os.environ["PATH"]}
    (copy / ".gitignore").write_text("/target\n")
    for words in (["init", "-q"], ["add", "."], ["-c", "user.name=x", "-c", "user.email=x@example.org", "commit", "-q", "-m", "x"]):
        assert run(["git", *words], cwd=copy, env=dates).returncode == 0
    assert times(dist(copy, f"TARGETS={HOST}", SOURCE_DATE_EPOCH="")[0]) == ({1700000001}, False)
    # What is not that of the commit is named.
    (copy / "README.md").write_text("another one")
    said = dist(copy, f"TARGETS={HOST}", SOURCE_DATE_EPOCH="")[0]
    assert times(said) == ({1700000001}, True) and " M README.md\n" in said
    with start(copy, "dist", environment=variables(SOURCE_DATE_EPOCH="today")) as process:
        assert b"SOURCE_DATE_EPOCH is not a number of seconds: today" in process.communicate(timeout=60)[0]
    assert process.returncode != 0


def test_an_executable_of_another_commit_is_built_again(copy):
    replace(copy / "tests/build", '#!/bin/sh\necho builds "$1" of "$BUILD_COMMIT"\nexit 1\n')
    other = "feedfacecafe" + (", modified" if kind() == "modified" else "")
    with start(copy, "dist", environment=variables(BUILD_COMMIT=other)) as process:
        said = process.communicate(timeout=60)[0].decode()
    assert process.returncode != 0 and f"builds {TARGETS[0]} of {other}\n" in said


def test_a_failure_half_way_leaves_what_was_there(copy):
    out = copy / "target/dist"
    script = (copy / "tests/sbom.py").read_text()
    failing = script.replace('if __name__ == "__main__":\n', f'if __name__ == "__main__":\n    assert sys.argv[1] != "{TARGETS[1]}"\n')
    replace(copy / "tests/sbom.py", failing)
    for there in ([], made()):
        for name in there:
            (out / name).write_text("as it was")
        with start(copy, "dist", environment=variables()) as process:
            said = process.communicate(timeout=60)[0]
        assert process.returncode != 0 and b"AssertionError" in said and list(out.glob(".new*")) == []
        assert names(out) == there and all((out / name).read_text() == "as it was" for name in there)


def test_one_that_is_ended_leaves_no_half_archive(copy):
    replace(copy / "tests/sbom.py", "import time\nopen('begun', 'w')\ntime.sleep(60)\n")
    out = copy / "target/dist"
    with start(copy, "dist", environment=variables(), start_new_session=True) as process:
        wait_for((copy / "begun").exists, 60, "the first archive")
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=60)
    assert process.returncode != 0 and (copy / "begun").exists()
    wait_for(lambda: list(out.glob(".new*")) == [], 20, "the end of tests/dist")
    assert names(out) == []


def test_old_archives_go_when_new_ones_come(copy):
    old = copy / "target/dist/hermes-init-0.0.1-x86_64-unknown-linux-musl.tar.gz"
    old.touch()
    _, out = dist(copy, f"TARGETS={HOST}")
    assert names(out) == made([HOST])


@pytest.mark.parametrize("rustup", [None, "exit 1"])
@pytest.mark.parametrize(
    "lacks, said",
    [
        ("the target", f"the target {TARGETS[1]} is not installed, and rustup is missing or cannot download it"),
        ("python3", "python3 is missing"),
        ("sha256sum", "sha256sum is missing"),
        ("GNU tar", "tar is not GNU tar"),
    ],
)
def test_what_is_missing_is_said_before_anything_is_built(lacks, said, rustup, place):
    checkout, folder, sysroot = place / "checkout", place / "programs", place / "sysroot"
    (checkout / "tests").mkdir(parents=True)
    for name in ("Cargo.toml", "tests/dist", "tests/toolchain"):
        shutil.copy2(ROOT / name, checkout / name)
    (sysroot / f"lib/rustlib/{TARGETS[0]}/lib").mkdir(parents=True)
    folder.mkdir()
    for name in ("sh", "sed", "head", "tail", "uname", "grep", "tar", "gzip", "sha256sum", "python3", "mkdir", "mktemp", "rm", "touch"):
        if name != lacks:
            (folder / name).symlink_to(shutil.which(name))
    host = f"{platform.machine()}-unknown-linux-gnu"
    scripts = {"rustc": f"case $1 in -vV) printf 'rustc 1.95.0 (0)\\nhost: {host}\\n' ;; --print) echo {sysroot} ;; esac", "rust-lld": ""}
    scripts |= {"make": f"touch {place}/built", "cargo": f"touch {place}/built"}
    scripts |= {"rustup": rustup} if rustup else {}
    scripts |= {"tar": "echo bsdtar"} if lacks == "GNU tar" else {}
    for name, script in scripts.items():
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    before = time.monotonic()
    done = run(["tests/dist", *TARGETS], cwd=checkout, env={"PATH": str(folder)})
    assert done.returncode == 1 and f"dist: error: {said}" in done.stderr.decode() and time.monotonic() - before < 5, done
    assert not (place / "built").exists() and not (checkout / "target").exists()
    if lacks == "the target":
        assert b"make dist TARGETS=" in done.stderr


def test_a_linker_that_somebody_names_is_refused(copy):
    with start(copy, "dist", environment=variables(RUSTFLAGS="-Clinker=musl-gcc")) as process:
        assert b"RUSTFLAGS names a linker" in process.communicate(timeout=60)[0]
    assert process.returncode != 0


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
def test_an_engine_that_does_not_know_the_architecture_is_told(platform, copy):
    """Docker without BuildKit."""
    said = make(copy, "image", "ENGINE=echo", f"PLATFORM={platform}", f"TARGETS={HOST}", environment=variables()).decode()
    architecture = platform.partition("/")[2]
    assert f"build --platform {platform} --build-arg TARGETARCH={architecture} -t hermes-init -f " in said.splitlines()[-2], said
    assert "FROM ${TARGETARCH}" in (ROOT / "src/Dockerfile").read_text()


def test_without_docker_and_podman_no_image_is_begun(copy, place):
    (place / "bin").mkdir()
    for name in ("make", "sh", "uname", "find", "sed", "dirname"):
        (place / "bin" / name).symlink_to(shutil.which(name))
    with start(copy, "image", environment=variables(PATH=str(place / "bin"))) as process:
        assert b"image: error: neither docker nor podman is on PATH\n" in process.communicate(timeout=60)[0]
    assert process.returncode != 0 and names(copy / "target/dist") == []


def test_nothing_that_is_shipped_names_this_machine():
    content = executable().read_bytes()
    assert [path for path in (str(ROOT), "/.cargo/", "/.rustup/") if path.encode() in content] == []

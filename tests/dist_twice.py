"""`make dist-test`: makes the archives twice, as two people would, and compares them byte for byte.

Two copies of the project, each a repository with the same commit, are in directories of different lengths. They have a CARGO_HOME, a HOME, a
umask, a time zone and a locale of their own, and are built one after the other, from nothing.
"""

import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
DATES = {"GIT_AUTHOR_DATE": "@1700000000 +0000", "GIT_COMMITTER_DATE": "@1700000000 +0000"}
AUTHOR = ("-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "core.autocrlf=false")
CARGO_HOME = Path(os.environ.get("CARGO_HOME", Path.home() / ".cargo"))
KEPT = ("PATH", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "TARGETS")


def files():
    """Returns what belongs to the project: what git knows, or everything outside target."""
    if (ROOT / ".git").exists():
        known = subprocess.run(["git", "ls-files", "-z", "-co", "--exclude-standard"], cwd=ROOT, check=True, stdout=subprocess.PIPE)
        return [name for name in known.stdout.decode().split("\0") if name and (ROOT / name).is_file()]
    every = (path.relative_to(ROOT) for path in ROOT.rglob("*") if path.is_file())
    return [str(path) for path in every if path.parts[0] != "target" and "__pycache__" not in path.parts]


def prepare(*checkouts):
    """Makes each a repository with the project in it, before anything is built: files may be edited meanwhile."""
    for checkout in checkouts:
        for name in files():
            (checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, checkout / name)
        environment = {"PATH": os.environ["PATH"], "HOME": str(checkout)} | DATES
        for words in (["init", "-q"], ["add", "-A"], [*AUTHOR, "commit", "-q", "-m", "x"]):
            subprocess.run(["git", *words], cwd=checkout, env=environment, check=True)


def build(checkout, home, **more):
    """Makes the archives. Returns the files: name to path."""
    environment = {name: os.environ[name] for name in KEPT if name in os.environ}
    # The crates are downloaded once, and from where this machine gets them.
    (home / "cargo").mkdir(parents=True)
    for name in ("config.toml", "config"):
        if (CARGO_HOME / name).exists():
            shutil.copy(CARGO_HOME / name, home / "cargo")
    if (CARGO_HOME / "registry").exists():
        shutil.copytree(CARGO_HOME / "registry", home / "cargo/registry", symlinks=True)
    environment |= {"RUSTUP_HOME": os.environ.get("RUSTUP_HOME", str(Path.home() / ".rustup"))}
    environment |= {"HOME": str(home), "CARGO_HOME": str(home / "cargo")} | more
    umask = int(environment.pop("UMASK"), 8)
    subprocess.run(["make", "dist"], cwd=checkout, env=environment, check=True, umask=umask)
    out = checkout / "target/dist"
    subprocess.run(["sha256sum", "--quiet", "-c", "SHA256SUMS"], cwd=out, check=True)
    return {path.name: path for path in out.iterdir() if path.is_file() and not path.name.startswith(".") and path.name != "hermes-init"}


def members(path):
    with tarfile.open(path) as tar:
        found = tar.getmembers()
        return {member.name: (member.get_info(), tar.extractfile(member).read() if member.isfile() else b"") for member in found}


def main():
    with tempfile.TemporaryDirectory(prefix="hermes-init-dist-") as place:
        one, other = Path(place, "one"), Path(place, "a directory with a longer name/other")
        prepare(one / "checkout", other / "checkout")
        first = build(one / "checkout", one / "home", UMASK="022", TZ="UTC", LC_ALL="C")
        second = build(other / "checkout", other / "home", UMASK="077", TZ="Asia/Tokyo", LC_ALL="C.UTF-8", LANG="tr_TR.UTF-8")
        wrong = sorted(first.keys() ^ second.keys())
        for name in sorted(first.keys() & second.keys()):
            if first[name].read_bytes() == second[name].read_bytes():
                continue
            wrong.append(name)
            if name.endswith(".tar.gz"):
                ours, theirs = members(first[name]), members(second[name])
                wrong += [f"  {path}" for path in sorted(ours.keys() | theirs.keys()) if ours.get(path) != theirs.get(path)]
        if wrong:
            sys.exit("\n".join(["dist-test: these differ:", *wrong]))
        print(f"dist-test: two builds made the same {len(first)} files:", *sorted(first), sep="\n  ")


if __name__ == "__main__":
    main()

"""Prints the software bill of materials of an executable, in CycloneDX's JSON: tests/sbom.py TARGET EXECUTABLE SECONDS, the last being the
time of the commit.

It covers what is linked: this project and the crates of Cargo.lock, as `cargo tree` has them for the target, the Rust standard library, and
musl. The standard library is one component, by its version and commit. The crates in it are those of its own Cargo.lock,
whether it is the compiler's own or the one that the small build makes of the compiler's sources; the document says that it does not list
them. What only builds or tests is not in it.

tests/sbom.py --linked TARGET prints the crates alone, as cargo-auditable puts them into an executable, for scanners that find it in an
image: tests/build puts them there.
"""

import datetime
import hashlib
import json
import re
import struct
import subprocess
import sys
import uuid
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def output(*argv):
    return subprocess.run(argv, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True).stdout


def checksums():
    """Returns the SHA-256 of each crate's archive: name and version to checksum."""
    packages = (ROOT / "Cargo.lock").read_text().split("[[package]]")
    fields = [dict(re.findall(r'^(\w+) = "(.*)"$', package, re.M)) for package in packages]
    return {(package["name"], package["version"]): package["checksum"] for package in fields if "checksum" in package}


def crates(target):
    """Returns the crates that are linked, the project first, with their licences; and which has which others. Each is a name and a version.
    `cargo metadata` would also have those that features leave out."""
    licences, depends, path = {}, {}, []
    # Offline, since the build has fetched them.
    options = ["--locked", "--offline", "--edges=normal", "--prefix=depth", "--no-dedupe", "--format= {p}|{l}", f"--target={target}"]
    for line in output("cargo", "tree", *options).splitlines():
        what, licence = line.split("|")
        depth, name, version = what.split()[:3]
        crate = (name, version.removeprefix("v"))
        path[int(depth) :] = [crate]
        licences[crate] = licence.replace("/", " OR ")
        depends.setdefault(crate, set())
        if len(path) > 1:
            depends[path[-2]].add(crate)
    return licences, depends


def component(name, version, licence, kind="generic", type="library", **more):
    reference = f"pkg:{kind}/{name}@{version}"
    licences = [{"expression": licence}]
    return {"type": type, "bom-ref": reference, "name": name, "version": version, "purl": reference, "licenses": licences, **more}


def sha256(digest):
    return {"hashes": [{"alg": "SHA-256", "content": digest}]}


def bill(target, executable, seconds):
    licences, depends = crates(target)
    project, *others = licences
    archives = checksums()
    description = re.search(r'^description = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
    digest = hashlib.sha256(Path(executable).read_bytes()).hexdigest()
    properties = [{"name": "rust:target", "value": target}]
    whole = component(*project, licences[project], type="application", description=description, **sha256(digest), properties=properties)
    linked = {crate: component(*crate, licences[crate], "cargo", **sha256(archives[crate])) for crate in others}
    compiler = dict(re.findall(r"^([\w-]+): (.*)$", output("rustc", "-vV"), re.M))
    standard = component(
        "rust-std",
        compiler["release"],
        "MIT OR Apache-2.0",
        description="The Rust standard library, with the crates of its own Cargo.lock",
        properties=[{"name": "rust:commit-hash", "value": compiler["commit-hash"]}],
    )
    archive = Path(output("rustc", "--print", "target-libdir", "--target", target).strip()) / "self-contained/libc.a"
    version = re.search(rb"\0(1\.\d+\.\d+)\0", archive.read_bytes()) if archive.exists() else None
    musl = component("musl", version[1].decode() if version else "unknown", "MIT")
    reference = {project: whole["bom-ref"]} | {crate: described["bom-ref"] for crate, described in linked.items()}
    uses = {reference[crate]: [reference[other] for other in depends[crate]] + [standard["bom-ref"]] for crate in depends}
    uses |= {standard["bom-ref"]: [musl["bom-ref"]], musl["bom-ref"]: []}
    document = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": datetime.datetime.fromtimestamp(seconds, datetime.UTC).isoformat().replace("+00:00", "Z"),
            "lifecycles": [{"phase": "build"}],
            "component": whole,
        },
        "components": sorted([*linked.values(), standard, musl], key=lambda described: described["bom-ref"]),
        "dependencies": [{"ref": user, "dependsOn": sorted(used)} for user, used in sorted(uses.items())],
        "compositions": [
            {"aggregate": "complete", "dependencies": [whole["bom-ref"]]},
            {"aggregate": "incomplete", "assemblies": [standard["bom-ref"]]},
        ],
    }
    # The same document always has the same number.
    number = uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(document, sort_keys=True))
    return {"$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json", "serialNumber": f"urn:uuid:{number}"} | document


def listed(target):
    """Returns the crates in the format of cargo-auditable, JSON in a zlib stream. It is stored, not compressed: each zlib compresses in its own
    way, and the bytes have to be the same everywhere."""
    licences, depends = crates(target)
    project, order = next(iter(licences)), sorted(licences)
    packages = []
    for crate in order:
        package = {"name": crate[0], "version": crate[1], "source": "local" if crate == project else "crates.io"}
        if depends[crate]:
            package["dependencies"] = sorted(order.index(other) for other in depends[crate])
        packages.append(package | ({"root": True} if crate == project else {}))
    text = json.dumps({"packages": packages}, separators=(",", ":")).encode()
    return b"\x78\x01\x01" + struct.pack("<HH", len(text), len(text) ^ 0xFFFF) + text + struct.pack(">I", zlib.adler32(text))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--linked"] and len(sys.argv) == 3:
        sys.stdout.buffer.write(listed(sys.argv[2]))
        sys.exit()
    if len(sys.argv) != 4 or not sys.argv[3].isdigit():
        sys.exit("usage: tests/sbom.py TARGET EXECUTABLE SECONDS")
    json.dump(bill(sys.argv[1], sys.argv[2], int(sys.argv[3])), sys.stdout, indent=2)
    print()

"""The tests against the real Hermes Agent: `make peer-test`. They need the root and the network of tests/peer/root."""

import fcntl
import os
import socket
import struct

import pytest

from support.hermes_agent import NEW, OLD, PeerBed

SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1


def pytest_configure():
    if not os.path.isdir("/opt/hermes"):
        raise pytest.UsageError("run tests/peer/run, which makes what these tests need")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        _, flags = struct.unpack("16sH", fcntl.ioctl(control, SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0))[:18])
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))


@pytest.fixture(params=[OLD, NEW])
def version(request):
    """The two ends. What 0.21.4 can tell besides has all of VERSIONS as its parameters."""
    return request.param


@pytest.fixture
def ours(version):
    """A container booted with our pass: default and idle down, coder up, on the per-profile contract, with a stand-in for the gateway."""
    with PeerBed(version, HERMES_INIT_TOPOLOGY="per-profile") as bed:
        bed.profile("coder", "running")
        bed.profile("idle", "stopped")
        bed.boot()
        yield bed

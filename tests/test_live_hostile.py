"""A hostile hermes user on a live container, under a real s6-svscan: what it leaves for root to seal, what it leaves running, what
it makes of slots; and commands that are killed, starved or refused at every step."""

import json
import os
import subprocess
import time

import pytest

from bed import HERMES, Bed, wait_for
from test_lifecycle import desired, entries, supervised
from tree import snapshot

pytestmark = pytest.mark.s6

HOSTILE = {
    "env-link": "ln -s /run/rootfile env/EVIL", "env-fifo": "mkfifo env/EVIL", "env-folder": "mkdir env/EVIL", "env-hardlink": "ln env/KEY env/TWO",
    "env-is-a-link": "rm -r env; ln -s /run/s6/container_environment env", "env-is-a-fifo": "rm -r env; mkfifo env",
    "log-is-a-link": "mkdir /run/bed/mine; mv log /run/bed/mine/log; ln -s /run/bed/mine/log log", "log-is-a-file": "mv log .gone; echo > log",
    "lock": "ln -sf /run/rootfile supervise/lock", "tally": "ln -sf /run/rootfile supervise/death_tally; ln -sf /run/rootfile log/supervise/death_tally",
    "down-is-a-folder": "mkdir -p down/deep/er", "run-is-a-fifo": "rm run; mkfifo run", "extra": "mkdir -p data/x; echo 1 > timeout-kill; echo 3 > notification-fd",
    "event-in-supervise": "rmdir supervise/event; ln -s /run/bed supervise/event", "modes": "chmod 777 . log event supervise supervise/event env",
    "finish-is-a-hardlink": "ln finish supervise/finish",
}


@pytest.mark.parametrize("what", HOSTILE)
def test_sealing_leaves_nothing_of_a_hostile_slot_to_the_hermes_user(bed, what):
    bed.profile("coder", "running")
    bed.init("reconcile")
    bed.rescan()
    bed.settle()
    bed.path("/run/rootfile").write_text("root's")
    bed.path("/run/rootfile").chmod(0o600)
    slot = bed.slot("coder")
    done = bed.run(["sh", "-ec", f"cd {slot}; mkdir env; echo value > env/KEY; {HOSTILE[what]}"], uid=HERMES)
    assert done.returncode == 0, done
    supervisors, pid = bed.supervisors(), bed.pid_of(slot)
    done = bed.init("reconcile", "--sealed", code=None)
    assert done.returncode == 0 and b"action=failed" not in done.stdout, done
    tree = snapshot(bed.path(slot))
    for path, line in tree.items():
        kind, mode, owner = line.split()[:3]
        if path.startswith(b"env/") or path == b"env" and kind != "dir":
            # Nobody but gateway-run looks at it, as the hermes user, and follows nothing there.
            continue
        assert kind != "link" and owner.startswith("0:"), (path, line)
        assert not int(mode, 8) & 0o022 or os.path.basename(path) in (b"event", b"control"), (path, line)
    assert set(tree) >= {b"supervise/control", b"log/supervise/control", b"run", b"log/run"} and b"data" not in tree
    assert tree[b"supervise"] == tree[b"log/supervise"] == f"dir 710 0:{HERMES}"
    assert bed.path("/run/rootfile").read_text() == "root's"
    assert bed.pid_of(slot) == pid and bed.supervisors() == supervisors


@pytest.mark.parametrize("name", ["gateway-Evil", "gateway-a.b", "gateway-link", "mine", "gateway-old"])
def test_sealing_names_every_service_that_stays_the_hermes_users(bed, name):
    bed.profile("coder", "running")
    bed.init("reconcile")
    script = f"cd /run/service; mkdir -p /run/bed/x; echo '#!/bin/sh' > /run/bed/x/run; chmod 755 /run/bed/x/run; cp -r /run/bed/x {name}"
    if name == "gateway-link":
        script = script.replace(f"cp -r /run/bed/x {name}", f"ln -s /run/bed/x {name}")
    assert bed.run(["sh", "-ec", script], uid=HERMES).returncode == 0
    done = bed.init("reconcile", "--sealed")
    path = bed.path(f"/run/service/{name}")
    if name == "gateway-old":
        # A slot without a profile is made what it is to be.
        assert path.stat().st_uid == 0 and (path / "run").read_text().endswith("gateway-run\n") and done.stderr == b""
    else:
        assert f"seal the service {name}".encode() in done.stderr and os.lstat(path).st_uid == HERMES
    assert bed.init("reconcile", "--sealed").stderr == done.stderr


def test_sealing_that_was_killed_half_way_is_completed_also_where_the_profile_is_gone(bed):
    bed.init("reconcile")
    bed.rescan()
    bed.init("register", "orphan", uid=HERMES)
    bed.settle()
    slot = bed.path(bed.slot("orphan"))
    # What a pass does first.
    os.chown(slot, 0, 0)
    bed.init("reconcile", "--sealed")
    assert snapshot(slot)[b"supervise"] == f"dir 710 0:{HERMES}" and (slot / "run").stat().st_uid == 0

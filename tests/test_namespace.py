"""The namespaces of the tests: nothing of them outlives the process of the tests."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from support.namespace import isolated
from support.program import wait_for

MAKER = "import subprocess, sys, time; print(subprocess.Popen(sys.argv[1:]).pid, flush=True); time.sleep(1000)"


@pytest.mark.root
@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_namespace_ends_with_the_process_that_made_it(how):
    with subprocess.Popen([sys.executable, "-c", MAKER, *isolated("sleep", "1000")], stdout=subprocess.PIPE) as maker:
        unshare = Path(f"/proc/{int(maker.stdout.readline())}")
        children = unshare / "task" / unshare.name / "children"
        try:
            wait_for(children.read_text, what="process 1 of the namespace")
            first = Path(f"/proc/{children.read_text().strip()}")
        finally:
            os.kill(maker.pid, how)
    # An orphan stays a zombie for as long as its new parent takes to wait for it.
    for process in (unshare, first):
        wait_for(lambda process=process: not process.exists() or ") Z " in (process / "stat").read_text(), what=f"the end of {process}")

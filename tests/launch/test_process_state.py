"""What the kernel says of a process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from launching import eventually

from neox_core.launch.process_state import ProcessId


def test_a_process_runs_is_stopped_goes_on_and_is_gone():
    child = subprocess.Popen(
        [
            sys.executable,
            "-S",
            "-c",
            "from neox_core.launch.process_state import ProcessId; print(*ProcessId.own()); input()",
        ],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    *machine, pid, started = child.stdout.readline().split()
    process = ProcessId(" ".join(machine), int(pid), int(started))
    assert (process.pid, process.machine) == (child.pid, ProcessId.own().machine)
    assert process.state() == "runs"
    child.send_signal(signal.SIGSTOP)
    eventually(lambda: process.state() == "stopped")
    child.send_signal(signal.SIGCONT)
    eventually(lambda: process.state() == "runs")
    child.kill()
    eventually(lambda: process.state() == "gone")  # a zombie, until somebody asks how it ended
    child.communicate()
    assert process.state() == "gone"


def test_a_later_process_with_the_same_number_is_another():
    own = ProcessId.own()
    assert own.state() == "runs"
    assert own._replace(started=own.started - 1).state() == "gone"

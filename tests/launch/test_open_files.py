"""A process may have as many connections open as there are ranks."""

from __future__ import annotations

import subprocess
import sys

PROGRAM = """
import resource
from neox_core.launch import allow_open_files

resource.setrlimit(resource.RLIMIT_NOFILE, (100, 500))
for number in (50, 200, 10_000):
    allow_open_files(number)
    print(*resource.getrlimit(resource.RLIMIT_NOFILE))
"""


def test_it_is_raised_as_far_as_is_allowed_and_never_lowered():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["100 500", "200 500", "500 500"]

"""How ranks end: with all that `sys.exit` does, but for what gloo cannot bear."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

# The collectives are not waited for: those that end while an interpreter is taken apart abort it.
PENDING = """
import sys
import torch
import torch.distributed as dist
from neox_core.launch.ending import end_with

def main():
    dist.init_process_group("gloo", store=dist.FileStore(sys.argv[2], 2), rank=int(sys.argv[1]), world_size=2)
    for _ in range(1000):
        dist.all_reduce(torch.ones(1 << 14), async_op=True)
    return 3

end_with(main)
"""


@pytest.fixture
def ended(tmp_path):
    """Runs `main`, given as source, and tells its exit code, what it wrote, and its errors."""

    def run(source: str) -> tuple[int, str, str]:
        program = f"import atexit, sys, threading, time\nfrom neox_core.launch.ending import end_with\n{textwrap.dedent(source)}"
        done = subprocess.run(
            [sys.executable, "-c", f"{program}\nend_with(main)"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return done.returncode, done.stdout, done.stderr

    return run


def test_collectives_that_end_late_abort_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GLOO_SOCKET_IFNAME", "lo")
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", PENDING, str(rank), str(tmp_path / "store")], stderr=subprocess.PIPE, text=True
        )
        for rank in range(2)
    ]
    ends = [(rank.communicate(timeout=60)[1], rank.returncode) for rank in ranks]
    assert ends == [("", 3)] * 2


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        ("return 0", 0, ""),
        ("return 75", 75, ""),
        ("sys.exit()", 0, ""),
        ("sys.exit(9)", 9, ""),
        ("sys.exit('no more')", 1, "no more\n"),
        ("raise KeyError('x')", 1, "KeyError: 'x'\n"),
        ("raise KeyboardInterrupt", 130, "KeyboardInterrupt\n"),
    ],
)
def test_the_code_is_that_of_any_program(ended, end, code, said):
    found, _, errors = ended(f"def main():\n    {end}")
    assert found == code
    assert errors.endswith(said) and bool(errors) == bool(said)


def test_threads_and_functions_at_exit_have_their_turn_and_nothing_that_was_written_is_lost(ended):
    code, out, errors = ended("""
        def late():
            time.sleep(0.2)
            print("thread")

        def main():
            atexit.register(print, "at exit")
            threading.Thread(target=late).start()
            print("main")
            return 4
    """)
    assert (code, out.splitlines(), errors) == (4, ["main", "thread", "at exit"], "")

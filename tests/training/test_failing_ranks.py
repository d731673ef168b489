"""`neox train` on two ranks, one of which is killed, stopped, fails or hangs: it is named soon, and all end."""

from __future__ import annotations

import json
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pytest
from launching import eventually
from plugin_distributions import environment, neox
from plugin_runs import write_config, write_data
from training_commands import are_gone
from whole_matrix import in_whole

from neox_core.launch import ELSEWHERE, free_port

pytestmark = pytest.mark.slow

HELPERS = Path(__file__).parent.parent / "helpers"
WITHIN = 20.0
"""Seconds from the fault to the end of all ranks."""


@dataclass
class Failed:
    """A run that has ended."""

    code: int
    said: str
    seconds: float  # from the fault to its end
    directory: Path

    def log(self, rank: int) -> str:
        """What a rank wrote."""
        (path,) = self.directory.glob(f"runs/tiny/*/logs/rank-{rank}.log")
        return path.read_text()

    def fact(self, name: str) -> dict[str, object]:
        """A JSON file of the run."""
        (path,) = self.directory.glob(f"runs/tiny/*/{name}")
        return dict(json.loads(path.read_text()))


def run(directory: Path, fault: str, rank: int, **changes: object) -> Failed:
    """Train on two ranks, one of which has a fault."""
    write_data(directory)
    write_config(directory, num_gpus=2, train_iters=10**6, loggers=[], master_port=0, **changes)
    shutil.copy(HELPERS / "faulty_rank.py", directory / "faulty_rank.py")
    variables = {"FAULT": fault, "FAULTY_RANK": str(rank)}
    done = neox("-p", "faulty_rank.py", "train", "tiny.yml", cwd=directory, timeout=240, **variables)
    seconds = time.time() - float((directory / "fault-at").read_text())
    are_gone([int((directory / f"pid-{number}").read_text()) for number in range(2)])
    print(f"{fault} in rank {rank}: {seconds:.1f} s")
    return Failed(done.returncode, done.stderr, seconds, directory)


@pytest.mark.parametrize("rank", [in_whole(0), 1])
def test_a_killed_rank(tmp_path, rank):
    failed = run(tmp_path, "killed", rank)
    assert failed.code == 128 + signal.SIGKILL
    assert f"rank {rank} on localhost was killed by signal 9 (SIGKILL)" in failed.said
    assert f"error: rank {rank} on " in failed.log(1 - rank)
    assert "is gone without a word" in failed.log(1 - rank)
    assert "is gone without a word" in failed.said
    assert failed.fact("status.json") == {"state": "failed", "exit_code": failed.code}
    assert failed.seconds < WITHIN


@pytest.mark.parametrize("rank", [0, in_whole(1)])
def test_a_stopped_rank(tmp_path, rank):
    failed = run(tmp_path, "stopped", rank)
    assert failed.code == 128 + signal.SIGSTOP
    assert f"rank {rank} on localhost was stopped by signal 19 (SIGSTOP), and is killed" in failed.said
    assert f"error: rank {rank} on " in failed.said
    assert "was stopped by a signal (SIGSTOP or SIGTSTP) and not continued for 5 s; it was last seen in " in failed.said
    assert failed.seconds < WITHIN
    if rank == 1:
        assert "rank 1 on " in str(failed.fact("failure.json")["failure"])


@pytest.mark.parametrize("rank", [in_whole(0), 1])
def test_a_rank_whose_data_fail(tmp_path, rank):
    failed = run(tmp_path, "bad sample", rank)
    assert failed.code in {1, ELSEWHERE}  # the latter where its interpreter takes longer to end than the launcher waits
    assert "OSError: sample 17 cannot be read" in failed.said
    assert f"error: rank {rank} on " in failed.log(1 - rank)
    assert "failed in data of step 6: OSError: sample 17 cannot be read" in failed.log(1 - rank)
    assert failed.seconds < WITHIN


def test_a_rank_that_hangs(tmp_path):
    failed = run(tmp_path, "slow disk", 1, hang_timeout=5)
    assert failed.code == 1
    assert "s (hang_timeout): rank 1 on " in failed.said
    assert "still in data of step 6, while rank 0 in " in failed.said
    (stack,) = tmp_path.glob("runs/tiny/*/stacks/rank-1.txt")
    assert " in wait\n" in stack.read_text()
    assert failed.seconds < WITHIN


def test_a_stage_that_hangs_is_named_and_not_the_one_that_waits_for_it(tmp_path):
    """The second stage has not begun the step, since it waits for the first."""
    failed = run(tmp_path, "slow disk", 0, hang_timeout=5, pipe_parallel_size=2)
    assert "s (hang_timeout): rank 0 on " in failed.said
    assert "still in data of step 6, while rank 1 in hooks of step 5, waiting for stage 0; " in failed.said
    assert failed.seconds < WITHIN


def worker(
    directory: Path, rank: int, world_size: int, port: int, handover: Path, path: Iterable[Path] = ()
) -> subprocess.Popen[str]:
    """A rank as some launcher starts it."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": world_size, "LOCAL_WORLD_SIZE": world_size}
    variables = {name: str(value) for name, value in {**place, "MASTER_PORT": port}.items()}
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "neox_core.training.worker", str(handover)],
        cwd=directory,
        env=environment(path, MASTER_ADDR="127.0.0.1", **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def ends(*workers: subprocess.Popen[str]) -> list[tuple[int, str]]:
    """Exit code and words of each rank; none is left."""
    try:
        said = [process.communicate(timeout=120)[0] for process in workers]
    finally:
        for process in workers:
            process.kill()
    return [(process.returncode, text) for process, text in zip(workers, said, strict=True)]


@pytest.fixture(scope="module")
def planned(tmp_path_factory):
    """The handover of a run on two ranks that was planned and has ended."""
    directory = tmp_path_factory.mktemp("planned")
    write_data(directory)
    write_config(directory, num_gpus=2, train_iters=2, loggers=[], master_port=0)
    done = neox("train", "tiny.yml", cwd=directory, timeout=240)
    assert done.returncode == 0, done.stderr
    (handover,) = directory.glob("runs/tiny/*/handover.json")
    return handover


def test_ranks_that_were_told_different_world_sizes(planned, tmp_path):
    port = free_port()
    found = ends(worker(tmp_path, 0, 2, port, planned), worker(tmp_path, 1, 3, port, planned))
    for code, said in found:
        assert code == 2
        assert "error: WORLD_SIZE: rank 1 on " in said
        assert "was started as one of 3 ranks, and rank 0 on " in said


def test_more_ranks_than_were_planned(planned, tmp_path):
    port = free_port()
    for code, said in ends(*(worker(tmp_path, rank, 3, port, planned) for rank in range(3))):
        assert code in {2, 75}
        assert "WORLD_SIZE: 3 ranks were started for a run of 2; let the launcher start 2, or" in said


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_rank_that_waits_for_the_others_ends_when_it_is_told_to(planned, tmp_path, number):
    port = free_port()
    rank = worker(tmp_path, 0, 2, port, planned)
    eventually(lambda: _listens(port), 60)
    rank.send_signal(number)
    begun = time.monotonic()
    ((code, said),) = ends(rank)
    assert code == -number
    assert "Traceback" not in said
    assert time.monotonic() - begun < WITHIN


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_port_that_another_program_has(planned, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ranks = worker(tmp_path, 0, 2, port, planned), worker(tmp_path, 1, 2, port, planned)
        found = ends(*ranks)
    assert [code for code, _ in found] == [2, 2]
    assert f"error: master_port: rank 0 cannot listen at {port} on " in found[0][1]
    assert (
        f"error: master_port: what answers rank 1 at 127.0.0.1:{port} is no rank 0 (it says nothing for " in found[1][1]
    )


def install_other_torch(directory: Path) -> None:
    """Another version of torch, as far as it says itself."""
    (directory / "sitecustomize.py").write_text("import torch\ntorch.__version__ = '2.0.0'\n")


def install_another_plugin(directory: Path) -> None:
    """A distribution with a plugin."""
    (directory / "odd_plugin.py").write_text("")
    metadata = directory / "odd_plugin-1.5.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-plugin\nVersion: 1.5\n")
    (metadata / "entry_points.txt").write_text("[neox.v1]\nodd = odd_plugin\n")


@pytest.mark.parametrize(
    ("install", "item"), [in_whole(install_other_torch, "torch"), (install_another_plugin, "plugins")]
)
def test_a_rank_with_another_installation(planned, tmp_path, install, item):
    install(tmp_path)
    port = free_port()
    found = ends(worker(tmp_path, 0, 2, port, planned), worker(tmp_path, 1, 2, port, planned, [tmp_path]))
    for code, said in found:
        assert code == 2
        assert re.search(
            rf"error: rank 1 on .* differs from rank 0 on .* in its {item}: .*; install the same on every", said
        )

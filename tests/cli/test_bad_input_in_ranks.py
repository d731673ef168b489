"""What shows only after the ranks have started: a shard whose bits have changed, and a rank that dies."""

from __future__ import annotations

import shutil
import time

import pytest
from plugin_distributions import neox
from plugin_runs import listing, write_config, write_data

pytestmark = pytest.mark.slow

DYING = """
import os, signal

def neox_step_end(run, step):
    if run.rank == 1 and step.iteration == 2:
        print("last words", flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_damaged_shard_is_named_and_left_alone(tmp_path):
    write_data(tmp_path)
    write_config(tmp_path, save="saved", load="saved", train_iters=1, lr_decay_iters=2)
    assert neox("train", "tiny.yml", cwd=tmp_path, timeout=120).returncode == 0
    shard = tmp_path / "saved/global_step1/shards/rank-00000.safetensors"
    content = bytearray(shard.read_bytes())
    content[-1] ^= 1
    shard.write_bytes(content)
    shutil.rmtree(tmp_path / "runs")
    before = listing(tmp_path / "saved")
    done = neox("train", "tiny.yml", "train_iters=2", cwd=tmp_path, timeout=120)
    assert done.returncode == 2
    assert (
        "rank-00000.safetensors is damaged: its sha256 is not what was written. Restore it from a copy" in done.stderr
    )
    assert "Traceback" not in done.stderr
    assert listing(tmp_path / "saved") == before


def test_a_rank_that_dies_ends_the_job_with_its_name_and_code(tmp_path):
    write_data(tmp_path)
    write_config(tmp_path, num_gpus=2, train_iters=10**6)
    (tmp_path / "dying_rank.py").write_text(DYING)
    start = time.monotonic()
    done = neox("-p", "dying_rank.py", "train", "tiny.yml", cwd=tmp_path, timeout=120)
    assert done.returncode == 128 + 9
    assert "rank 1 on localhost was killed by signal 9 (SIGKILL)" in done.stderr
    assert "[rank 1] last words" in done.stderr
    assert time.monotonic() - start < 90

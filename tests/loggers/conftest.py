"""A run, its steps and its settings, as the trainer hands them to a logger."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from neox_loggers.settings.tensorboard import TensorBoardSettings

from neox_core.config import NeoXArgs, World
from neox_core.training.run import Checkpoint, Evaluation, Run, Step

KEYS = {
    "num_layers": 1,
    "hidden_size": 8,
    "num_attention_heads": 1,
    "seq_length": 64,
    "max_position_embeddings": 64,
    "train_iters": 200,
    "train_micro_batch_size_per_gpu": 4,
    "data_path": "corpus",
    "optimizer": {"type": "Adam", "params": {"lr": 3e-4}},
}


@pytest.fixture
def make_resolved():
    def make(world, **loggers_keys):
        resolved = NeoXArgs.from_dict(KEYS).resolve(world)
        return replace(resolved, groups={**resolved.groups, TensorBoardSettings: TensorBoardSettings(**loggers_keys)})

    return make


@pytest.fixture
def make_stated():
    """Settings for two ranks that state the peak of a device, in 10^12 FLOP/s."""
    return lambda tflops, **keys: NeoXArgs.from_dict({**KEYS, "peak_theoretical_tflops": tflops, **keys}).resolve(
        World.local(2)
    )


@pytest.fixture
def make_run(tmp_path, make_resolved):
    def make(**changes):
        facts = {
            "name": "tiny",
            "directory": tmp_path,
            "resolved": make_resolved(World.local(2)),
            "rank": 0,
            "world_size": 2,
            "start_iteration": 0,
            "train_iters": 200,
            "parameters": 12_600_000,
            "flops_per_token": 1e6,
        }
        return Run(**(facts | changes))

    return make


@pytest.fixture
def make_step():
    def make(iteration, **changes):
        facts = {
            "loss": 4.5,
            "learning_rate": 3e-4,
            "grad_norm": 1.25,
            "tokens": 512,
            "samples": 8 * iteration,
            "seconds": 0.5,
        }
        return Step(iteration=iteration, **(facts | changes))

    return make


@pytest.fixture
def validation():
    return Evaluation(split="validation", loss=2.0, batches=10, seconds=2.13)


@pytest.fixture
def checkpoint():
    return Checkpoint(path=Path("save/global_step100"), iteration=100, seconds=0.42, bytes=12_000_000, paused=0.42)

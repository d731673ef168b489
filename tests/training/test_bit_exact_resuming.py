"""A run that is stopped and resumed is, to the last bit, the run that was not."""

from __future__ import annotations

import random
import shutil
from pathlib import Path

import pytest
import training_runs as runs

from neox_core.checkpoint import Manifest

RECIPES = {
    "fp32": (1, {}),
    "bf16": (1, {"precision": "bfloat16"}),
    "fp32 on two ranks": (2, {}),
    "tensor parallel": (2, {"model_parallel_size": 2}),
    "pipeline": (2, {"pipe_parallel_size": 2}),
    "zero 1": (2, {"zero_optimization": {"stage": 1}}),
    "zero 1 in bf16": (2, {"zero_optimization": {"stage": 1}, "precision": "bfloat16"}),
    "zero 3": (2, {"zero_optimization": {"stage": 3}}),
}
ACCUMULATION = {"train_batch_size": 8, "gradient_accumulation_steps": 2}
EVERYTHING = {
    "hidden_dropout": 0.1,
    "attention_dropout": 0.1,
    "eval_interval": 3,
    "eval_iters": 1,
    "sample_ledger": "all",
}


def digests(checkpoint: Path) -> dict[str, str]:
    """sha256 of each file of a checkpoint but those of settings, which name its directory."""
    files = Manifest.read(checkpoint).files
    return {name: record.sha256 for name, record in files.items() if name not in ("settings.yml", "origins.json")}


def ledgers(directory: Path) -> list[str]:
    """What was recorded of each rank's batches since the last call."""
    files = sorted((directory / "run" / "ledger").glob("*.jsonl"))
    lines = [line for file in files for line in file.read_text().splitlines()]
    shutil.rmtree(directory / "run" / "ledger")
    return sorted(lines)


@pytest.mark.drawn(4)
@pytest.mark.parametrize("name", RECIPES)
def test_a_part_and_the_rest_are_the_whole(train, data, name):
    ranks, changes = RECIPES[name]
    part, beside = random.SystemRandom().randint(1, 6), random.SystemRandom().random() < 0.5
    print(f"stopped after step {part}; checkpoints written beside training: {beside}")
    if "model_parallel_size" not in changes and "pipe_parallel_size" not in changes:
        changes = ACCUMULATION | changes
    changes = EVERYTHING | changes
    whole = train(ranks, save=str(data / "whole"), **changes)
    all_batches = ledgers(data)
    parts = {**changes, "save": str(data / "parts"), "load": str(data / "parts"), "checkpoint_async": beside}
    first = train(ranks, exit_interval=part, **parts)
    batches = ledgers(data)
    second = train(ranks, **parts)
    assert [step.iteration for step in first.steps] == list(range(1, part + 1))
    assert (second.start, second.resumed_from) == (part, data / "parts" / f"global_step{part}")
    assert runs.numbers(first.steps + second.steps) == runs.numbers(whole.steps)
    assert sorted(batches + ledgers(data)) == all_batches
    assert len(all_batches) == 7 * Manifest.read(data / "whole" / "global_step7").topology.data
    assert digests(data / "parts" / "global_step7") == digests(data / "whole" / "global_step7")

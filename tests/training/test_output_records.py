"""Outputs that are stored with a checkpoint, and compared when it is loaded."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from neox_core.checkpoint import Reader
from neox_core.training.environment import git_state

CHECKED = {"checkpoint_validation_with_forward_pass": True, "train_iters": 4, "eval_iters": 0}
CUTS = {
    "one process": (1, {}),
    "tensor parallel": (2, {"model_parallel_size": 2}),
    "pipeline": (2, {"pipe_parallel_size": 2}),
    "context parallel": (2, {"context_parallel_size": 2, "attention_config": [[["ring"], "all"]]}),
    "zero 3": (2, {"zero_optimization": {"stage": 3}}),
    "bf16": (1, {"precision": "bfloat16"}),
}


@pytest.fixture
def saved(train, data):
    """The directory of a run of two steps that stored outputs."""
    train(1, **CHECKED, save=str(data / "saved"), exit_interval=2)
    return data / "saved"


def test_outputs_are_those_of_the_weights_that_were_saved(train, data, saved):
    for name, (ranks, changes) in CUTS.items():
        found = train(ranks, **CHECKED, load=str(saved), save=str(data / name), **changes)
        assert (found.failure, found.start, len(found.steps)) == ("", 2, 2), name
    record = json.loads(Reader(saved / "global_step2").file("outputs.json"))
    assert (len(record["logsumexp"]), len(record["logits"])) == (16, 1)
    others = [json.loads(Reader(data / name / "global_step4").file("outputs.json")) for name in CUTS if name != "bf16"]
    for other in others:
        assert other["logsumexp"] == pytest.approx(record["logsumexp"], rel=0.5)
        assert other["logsumexp"] == pytest.approx(others[0]["logsumexp"], rel=1e-5)


def test_an_optimizer_that_moves_other_weights_stores_those_that_are_used(train, data):
    optimizer = {"type": "schedule_free_adamw", "params": {"lr": 0.01}}
    changes = {**CHECKED, "optimizer": optimizer, "lr_decay_style": "constant"}
    train(1, **changes, save=str(data / "saved"), exit_interval=2)
    found = train(1, **changes, load=str(data / "saved"))
    assert (found.failure, found.start) == ("", 2)


def test_a_model_that_computes_something_else_is_not_trained_on(train, saved):
    found = train(1, **CHECKED, load=str(saved), layernorm_epsilon=1.0)
    assert found.steps == []
    assert f"{saved / 'global_step2'}: the model gives other outputs than when it was saved" in found.failure
    assert train(1, train_iters=4, load=str(saved), layernorm_epsilon=1.0).start == 2


def test_a_checkpoint_without_outputs_is_loaded_and_that_is_told(train, data):
    train(1, train_iters=4, save=str(data / "saved"), exit_interval=2)
    found = train(1, **CHECKED, load=str(data / "saved"))
    assert found.start == 2
    assert any("was saved without outputs" in line for line in found.log)


def test_a_checkpoint_says_with_what_it_was_made(saved):
    reader = Reader(saved / "global_step2")
    made = json.loads(reader.file("environment.json"))
    assert made["packages"]["torch"].startswith("2.")
    assert (made["ranks"], "git" in made) == (1, True)
    origins = json.loads(reader.file("origins.json"))
    assert origins["train_iters"] == "dictionary"


def test_the_state_of_a_repository(tmp_path: Path):
    assert git_state(tmp_path) is None
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
    (tmp_path / "file").write_text("1")
    for arguments in (["init", "-q"], ["add", "file"], ["commit", "-qm", "first"]):
        subprocess.run([*git, *arguments], cwd=tmp_path, check=True)
    state = git_state(tmp_path)
    assert state is not None
    assert (len(state["commit"]), state["changed"]) == (40, False)
    (tmp_path / "file").write_text("2")
    assert git_state(tmp_path) == {**state, "changed": True}

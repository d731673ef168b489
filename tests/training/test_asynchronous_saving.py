"""Checkpoints that are written beside training are those that would have been written while it stands still."""

from __future__ import annotations

import threading

import pytest
import torch
import training_runs as runs

from neox_core.checkpoint import Manifest, Snapshots, find
from neox_core.errors import UserError
from neox_core.parallel import Fragment, ShardSpec
from neox_core.training.background import Background

BESIDE = {"checkpoint_async": True, "checkpoint_factor": 2, "eval_iters": 0}


def fragment(name: str, tensor: torch.Tensor) -> Fragment:
    return Fragment(ShardSpec.complete(name, (len(tensor),)), "weight", (0, len(tensor)), tensor)


def digests(directory, iteration):
    files = Manifest.read(directory / f"global_step{iteration}").files
    return {name: record.sha256 for name, record in files.items() if name not in ("settings.yml", "origins.json")}


@pytest.mark.parametrize(("ranks", "stage"), [(1, 0), (2, 1), (2, 3)])
def test_they_are_the_same_to_the_last_byte(train, data, ranks, stage):
    changes = {**BESIDE, "zero_optimization": {"stage": stage}, "hidden_dropout": 0.1}
    still = train(ranks, **{**changes, "checkpoint_async": False}, save=str(data / "still"))
    beside = train(ranks, **changes, save=str(data / "beside"))
    assert beside.saved == still.saved == [2, 4, 6, 7]
    assert runs.numbers(beside.steps) == runs.numbers(still.steps)
    for iteration in beside.saved:
        assert digests(data / "beside", iteration) == digests(data / "still", iteration)
    assert (data / "beside/latest").read_text() == "global_step7\n"


@pytest.mark.parametrize("ranks", [1, 2])
def test_one_that_cannot_be_written_ends_the_run_and_the_one_before_stays(train, data, ranks):
    save = data / "saved"
    save.mkdir()
    (save / "global_step4").write_text("in the way")
    found = train(ranks, **BESIDE, save=str(save))
    assert found.saved == [2]
    assert "global_step4" in found.failure
    assert (save / "latest").read_text() == "global_step2\n"
    assert find(save) == save / "global_step2"
    assert {path.name for path in save.iterdir()} - {".lock"} == {"global_step2", "global_step4", "latest"}
    assert 4 <= len(found.steps) <= 6, "it is told before the next one is begun"


@pytest.mark.parametrize("ranks", [1, 2])
def test_what_is_being_written_when_training_fails_is_completed(train, data, ranks):
    changes = {"checkpoint_async": True, "extra_save_iters": [2], "train_impl": "poisoned", "max_skipped_steps": 0}
    found = train(ranks, **changes, save=str(data / "saved"), poison=(0, (2,)))
    assert "max_skipped_steps" in found.failure
    assert find(data / "saved") == data / "saved/global_step2"


def test_a_signal_ends_the_run_when_its_checkpoint_is_complete(train, data):
    found = train(2, **BESIDE, save=str(data / "saved"), stop_after=3)
    assert (found.code, found.saved) == (128 + 15, [2, 4])
    assert find(data / "saved") == data / "saved/global_step4"


def test_only_the_last_ones_are_kept(train, data):
    found = train(2, checkpoint_async=True, checkpoint_factor=1, keep_last_n_checkpoints=2, save=str(data / "saved"))
    assert found.saved == [1, 2, 3, 4, 5, 6, 7]
    assert {path.name for path in (data / "saved").glob("global_step*")} == {"global_step6", "global_step7"}


def test_a_copy_is_what_was_there_and_its_memory_is_used_again():
    snapshots, values = Snapshots(), torch.arange(4.0)
    (first,) = snapshots.take([fragment("a", values)])
    values += 1
    assert first.tensor.tolist() == [0, 1, 2, 3]
    (second,) = snapshots.take([fragment("a", values)])
    assert second.tensor.data_ptr() == first.tensor.data_ptr()
    assert second.tensor.tolist() == [1, 2, 3, 4]
    assert snapshots.size == 16
    (other,) = snapshots.take([fragment("b", torch.zeros(2, dtype=torch.bfloat16))])
    assert (other.tensor.dtype, snapshots.size) == (torch.bfloat16, 4)


def test_memory_can_be_had_beforehand():
    snapshots, values = Snapshots(), torch.arange(3.0)
    snapshots.reserve([fragment("a", values)])
    assert snapshots.size == 12
    (copy,) = snapshots.take([fragment("a", values)])
    assert (copy.tensor.tolist(), snapshots.size) == ([0, 1, 2], 12)


def test_memory_that_cannot_be_had_is_told_with_the_setting_and_the_bytes():
    endless = torch.zeros(1).expand(2**50)
    with pytest.raises(UserError, match=r"checkpoint_async: 4,503,599,627,370,496 bytes of host memory cannot be had"):
        Snapshots().reserve([fragment("a", endless)])


def test_work_beside_goes_on_and_gives_its_result_or_its_error():
    gate = threading.Event()
    work = Background(lambda: gate.wait(30), "work")
    assert not work.ended
    gate.set()
    assert work.result()
    assert work.ended
    failing = Background(lambda: 1 // 0, "failing")
    with pytest.raises(ZeroDivisionError):
        failing.result()

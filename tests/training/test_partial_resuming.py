"""Runs that take a part of a checkpoint, or the one before where the newest is damaged."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from training_runs import numbers, shards

from neox_core.checkpoint import Reader


@pytest.fixture
def saved(train, data):
    """Trains for four of seven steps on some ranks, with checkpoints at 2 and 4; their directory."""

    def make(ranks=1, **changes):
        places = {"save": str(data / "saved"), "checkpoint_factor": 2, "exit_interval": 4}
        train(ranks, **places, **DECAYING, **changes)
        return data / "saved"

    return make


DECAYING = {"lr_decay_style": "linear", "min_lr": 0.0, "lr_decay_iters": 7, "eval_iters": 0}


def read(path: Path, role: str) -> dict[str, torch.Tensor]:
    """Everything that a checkpoint has in a role."""
    reader = Reader(path)
    names = [name for name in reader.names if role in reader.roles(name)]
    return {name: reader.whole(name, role) for name in names}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(one[name].equal(other[name]) for name in one)


@pytest.mark.parametrize(("ranks", "stage"), [(1, 0), (2, 1), (2, 3)])
def test_without_the_optimizer_it_begins_anew_and_the_schedule_with_it(train, data, saved, ranks, stage):
    directory = saved(ranks, zero_optimization={"stage": stage})
    changes = {**DECAYING, "zero_optimization": {"stage": stage}, "load": str(directory)}
    whole = train(ranks, **changes)
    part = train(ranks, no_load_optim=True, save=str(data / "part"), extra_save_iters=[5], **changes)
    assert (part.start, part.steps[0].samples) == (4, whole.steps[0].samples), "steps and data go on"
    assert part.steps[0].loss == whole.steps[0].loss, "weights are the same"
    assert part.steps[1].loss != whole.steps[1].loss
    rates = [step.learning_rate for step in part.steps]
    assert rates == pytest.approx([0.01, 0.01 * 6 / 7, 0.01 * 5 / 7])
    assert [step.skipped for step in part.steps] == [0, 0, 0]
    counts = read(data / "part/global_step5", "step")
    assert {float(count) for count in counts.values()} == {1.0}, "of the optimizer's own steps"
    again = train(ranks, iteration=5, **{**changes, "load": str(data / "part")})
    assert numbers(again.steps) == numbers(part.steps)[1:], "the schedule's place is saved too"


def test_a_run_may_leave_random_states_out(train, data, saved):
    directory = saved(no_save_rng=True)
    assert not (directory / "global_step4/random").exists()
    found = train(1, load=str(directory), **DECAYING)
    assert (found.start, len(found.steps)) == (4, 3)


def test_random_states_of_a_checkpoint_need_not_be_taken(workers, train, data, saved):
    """What training draws follows from seeds; the states of the generators matter to plugins."""
    directory, states = saved(), {}
    for left in (False, True):
        workers(1).run("random:random")  # so that the process is in another state than the checkpoint
        places = {"load": str(directory), "save": str(data / f"again{left}"), "exit_interval": 5}
        train(1, no_load_rng=left, **places, **DECAYING)
        states[left] = Reader(data / f"again{left}/global_step5").random_state(0)["python"]
    kept = Reader(directory / "global_step4").random_state(0)["python"]
    assert states[False] == kept != states[True]


@pytest.mark.parametrize("ranks", [1, 2])
def test_finetuning_begins_at_step_0_with_the_weights(train, data, saved, ranks):
    directory = saved()
    changes = {**DECAYING, "load": str(directory), "finetune": True, "save": str(data / "tuned"), "train_iters": 2}
    found = train(ranks, extra_save_iters=[0], **changes)
    assert found.notices == [
        f"finetune: the first weights are those of {directory}/global_step4; training begins at step 0"
    ]
    assert (found.start, found.resumed_from, len(found.steps)) == (0, None, 2)
    assert same(read(data / "tuned/global_step0", "weight"), read(directory / "global_step4", "weight"))
    assert found.steps[0].samples == 4
    shutil.rmtree(data / "tuned/global_step2")
    again = train(ranks, **changes)
    assert "finetune: begins at step 0, and" in again.failure, "even where there is only that of step 0"
    assert f"initial_ckpt_path: {directory} in place of finetune" in again.failure


@pytest.mark.parametrize(("ranks", "stage", "bit"), [(1, 0, "first"), (2, 0, "last"), (2, 1, "first"), (2, 3, "last")])
def test_a_damaged_shard_is_passed_over_by_all_ranks_and_kept(train, data, saved, ranks, stage, bit):
    """With ZeRO a rank that reads other shards does not see it."""
    changes = {**DECAYING, "zero_optimization": {"stage": stage}}
    directory = saved(ranks, zero_optimization={"stage": stage})
    whole = train(ranks, load=str(directory), iteration=2, **changes)
    shard = directory / f"global_step4/shards/rank-{ranks - 1:05d}.safetensors"
    content = bytearray(shard.read_bytes())
    content[100 if bit == "first" else -1] ^= 1
    shard.write_bytes(content)
    places = {"load": str(directory), "save": str(directory)}
    if ranks == 1:
        assert "`load_fallback: true` does so by itself" in train(1, **places, **changes).failure
    found = train(ranks, load_fallback=True, **places, **changes)
    assert (found.code, found.start, found.resumed_from) == (0, 2, directory / "global_step2")
    assert numbers(found.steps) == numbers(whole.steps)
    said = [line for line in found.log if "damaged" in line]
    assert said[0].startswith(f"load_fallback: {shard} is damaged: its sha256 is not what was written: passed over")
    assert said[1] == f"{directory}/global_step4 is damaged, and is now global_step4.damaged"
    assert shards(directory / "global_step4.damaged").keys() == shards(directory / "global_step7").keys()
    assert shard.name in {path.name for path in (directory / "global_step4.damaged/shards").iterdir()}


def test_a_checkpoint_elsewhere_is_left_as_it_is(train, data, saved):
    directory = saved()
    (directory / "global_step4/state.json").write_text("{}")
    found = train(1, load=str(directory), save=str(data / "other"), load_fallback=True, **DECAYING)
    assert (found.code, found.start) == (0, 2)
    assert (directory / "global_step4/state.json").read_text() == "{}"


def test_what_another_run_saved_since_this_one_chose_is_found_before_the_first_step(train, data, saved):
    directory = saved()
    found = train(1, load=str(directory), iteration=2, save=str(directory), **DECAYING)
    assert "holds checkpoints later than iteration 2" in found.failure
    assert found.steps == []

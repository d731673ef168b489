"""Whole runs: what they tell, when they save and stop, and that stopping and going on changes nothing."""

from __future__ import annotations

import pytest
import training_runs as runs

CUTS = [(1, 0), (1, 1), (2, 0), (2, 1)]
DROPOUT = {"hidden_dropout": 0.1, "attention_dropout": 0.1}


def zero(stage):
    return {"zero_optimization": {"stage": stage}}


@pytest.mark.parametrize(
    ("changes", "saved"),
    [
        ({}, [7]),
        ({"checkpoint_factor": 3}, [3, 6, 7]),
        ({"extra_save_iters": [1, 4]}, [1, 4, 7]),
        ({"extra_save_iters": [0, 1]}, [0, 1, 7]),
        ({"checkpoint_factor": 2, "extra_save_iters": [5, 6]}, [2, 4, 5, 6, 7]),
        ({"exit_interval": 4}, [4]),
        ({"checkpoint_factor": 2, "exit_interval": 5}, [2, 4, 5]),
    ],
)
def test_a_run_saves_when_it_is_asked_to_and_at_its_end(train, data, changes, saved):
    found = train(save=str(data / "saved"), **changes)
    assert (found.code, found.saved) == (0, saved)
    assert {path.name for path in (data / "saved").glob("global_step*")} == {f"global_step{step}" for step in saved}


@pytest.mark.parametrize(("ranks", "stage"), [(1, 0), (2, 1)])
def test_the_checkpoint_before_the_first_step_is_the_beginning(train, data, ranks, stage):
    whole = train(ranks, save=str(data / "whole"), extra_save_iters=[0], **zero(stage))
    again = train(
        ranks, init_method_std=0.5, load=str(data / "whole"), iteration=0, **zero(stage)
    )  # other initial weights
    assert (again.start, again.resumed_from) == (0, data / "whole" / "global_step0")
    assert runs.numbers(again.steps) == runs.numbers(whole.steps)


def test_only_the_last_checkpoints_are_kept(train, data):
    found = train(save=str(data / "saved"), checkpoint_factor=1, keep_last_n_checkpoints=2)
    assert found.saved == [1, 2, 3, 4, 5, 6, 7]
    assert {path.name for path in (data / "saved").glob("global_step*")} == {"global_step6", "global_step7"}


@pytest.mark.parametrize(("ranks", "stop_rank"), [(1, 0), (2, 0), (2, 1)])
def test_a_signal_to_any_rank_saves_and_ends_all(workers, data, ranks, stop_rank):
    changes = {"save": str(data / "saved"), "load": str(data / "saved"), "eval_iters": 1, "eval_interval": 1}
    for found in workers(ranks).run(runs.run, data, stop_after=2, stop_rank=stop_rank, **changes):
        assert found.code == 128 + 15
        assert found.error == "SystemExit(143)"
        assert found.saved == [3], "the step under way is finished"
        assert [bool(step.evaluations) for step in found.steps] == [True, True, False]
    rest = workers(ranks).run(runs.run, data, **changes)[0]
    assert (rest.code, rest.start, rest.saved) == (0, 3, [7])


def test_a_signal_ends_a_run_that_does_not_save(train):
    found = train(stop_after=1)
    assert (found.code, found.saved, len(found.steps)) == (143, [], 2)


@pytest.mark.parametrize("stage", [0, 1])
def test_skipped_steps_are_told_and_do_not_move_the_schedule(train, stage):
    changes = {"train_impl": "poisoned", "warmup": 0.0, "lr_decay_style": "linear", "lr_decay_iters": 10, **zero(stage)}
    found = train(2, poison=(1, (2, 3, 4, 5)), **changes)  # each such step is computed twice
    assert [step.applied for step in found.steps] == [True, True, False, False, True, True, True]
    assert [step.skipped for step in found.steps] == [0, 0, 1, 2, 2, 2, 2]
    reason = "the gradient is not finite: it begins with the objective's loss, on rank 1 in micro-batch 1"
    assert [step.skip_reason for step in found.steps[1:4]] == [None, reason, reason]
    rates = [0.01 * (1 - applied / 10) for applied in (0, 1, 2, 2, 2, 3, 4)]
    assert [step.learning_rate for step in found.steps] == pytest.approx(rates)
    assert found.steps[-1].samples == 28, "the data goes on"


@pytest.mark.parametrize("stage", [0, 1])
@pytest.mark.parametrize("ranks", [1, 2])
def test_too_many_skipped_steps_end_the_run_with_a_sentence(workers, data, ranks, stage):
    changes = {"train_impl": "poisoned", "max_skipped_steps": 2, "save": str(data / "saved"), "checkpoint_factor": 1}
    for found in workers(ranks).run(runs.run, data, poison=(0, (1, 2, *range(4, 10))), **changes, **zero(stage)):
        assert found.code is None
        assert found.failure.startswith(
            "max_skipped_steps: the gradient was not finite in 3 steps in a row (allowed: 2), the last at step 6; "
        )
        assert found.error.startswith("UserError(")
        assert found.saved == [1, 2, 3, 4, 5], "the state that learned nothing more is not saved over it"


def test_evaluations_come_now_and_then_and_at_the_end(train):
    found = train(eval_interval=3, eval_iters=2, train_batch_size=4, gradient_accumulation_steps=2)
    splits = {step.iteration: [evaluation.split for evaluation in step.evaluations] for step in found.steps}
    assert splits == {1: [], 2: [], 3: ["validation"], 4: [], 5: [], 6: ["validation"], 7: ["validation", "test"]}
    passes = [evaluation for step in found.steps for evaluation in step.evaluations]
    assert {evaluation.batches for evaluation in passes} == {4}
    assert len({evaluation.loss for evaluation in passes}) == 4, "each pass goes on where the one before ended"


def test_no_evaluation_is_made_where_none_is_wanted(train):
    assert not any(step.evaluations for step in train(eval_iters=0, eval_interval=1).steps)


def test_steps_and_runs_say_what_they_are(workers, data):
    found = workers(2).run(runs.run, data, train_batch_size=8, gradient_accumulation_steps=2, train_iters=3)
    for step, index in zip(found[0].steps, (1, 2, 3), strict=True):
        assert (step.iteration, step.samples, step.tokens) == (index, 8 * index, 8 * 16)
        assert step.grad_norm > 0
        assert step.seconds > 0
        assert (step.applied, step.skip_reason, step.skipped) == (True, None, 0)
    assert runs.numbers(found[0].steps) == runs.numbers(found[1].steps)
    assert [answer.is_main for answer in found] == [True, False]
    assert (found[0].start, found[0].resumed_from, found[0].error) == (0, None, "None")


def test_metrics_of_the_objective_are_averaged_over_passes_and_ranks(workers, data):
    changes = {"train_impl": "metered", "gradient_accumulation_steps": 2, "train_batch_size": 4, "train_iters": 2}
    found = workers(2).run(runs.run, data, **changes, eval_interval=2, eval_iters=1)
    step = found[0].steps[-1]
    assert step.metrics["rank"] == 0.5
    assert step.evaluations[0].metrics["rank"] == 0.5
    assert step.metrics.keys() == {"rank", "first"}
    assert (step.metrics["first"] * 4).is_integer()
    assert step.metrics == found[1].steps[-1].metrics


def test_a_plugin_whose_hook_fails_is_detached_and_training_goes_on(train):
    found = train()
    assert found.faulty == 2, "it fails at its second step, and is not asked again"
    assert (found.code, len(found.steps)) == (0, 7)


def test_a_run_that_is_complete_has_nothing_to_do(train, data):
    changes = {"save": str(data / "saved"), "load": str(data / "saved")}
    train(**changes)
    again = train(**changes)
    assert (again.code, again.steps, again.saved) == (0, [], [])

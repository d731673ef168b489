"""Norms of single parameters and shares of zeros: right however the run is cut, and told only when they are asked for."""

from __future__ import annotations

import math

import pytest
import torch
import training_measures as measures
import training_runs as runs
from training_models import resolve

from neox_core.training.measures import Measures

CUTS = [(1, 0), (1, 1), (2, 0), (2, 1)]
KEYS = {
    "log_grad_norm": "gradient_norms",
    "log_grad_pct_zeros": "pct_grad_zeros",
    "log_param_norm": "parameter_norms",
    "log_optimizer_states": "optimizer_state_norms",
}

NOISE = {"log_gradient_noise_scale": True, "gradient_noise_scale_n_batches": 2, "train_batch_size": 64}
"""Of batches so large that two of them tell the noise."""


def zero(stage):
    return {"zero_optimization": {"stage": stage}}


@pytest.fixture(scope="module")
def expected(workers):
    return workers(1).run(measures.by_hand)[0]


@pytest.mark.parametrize("clipping", [0.0, 0.1])
@pytest.mark.parametrize(("ranks", "stage"), CUTS)
def test_norms_and_zeros_are_those_of_whole_parameters(workers, expected, ranks, stage, clipping):
    found = workers(ranks).run(measures.measured, 1, **measures.ALL, **zero(stage), gradient_clipping=clipping)
    assert all(answer == found[0] for answer in found), "ranks must get the same"
    [step] = found[0]
    assert step["norm"] > 0.1, "clipping must have something to clip"
    assert step["numbers"].keys() == expected.keys()
    of_gradients = {name for name in expected if name.startswith(("gradient_norms", "pct_grad_zeros"))}
    for name in expected if clipping == 0 else of_gradients:
        assert step["numbers"][name] == pytest.approx(expected[name], rel=1e-4, abs=1e-12), name


@pytest.mark.parametrize(("ranks", "stage"), CUTS)
def test_the_norms_of_gradients_make_up_the_norm_of_the_step(workers, ranks, stage):
    for step in workers(ranks).run(measures.measured, 3, log_grad_norm=True, **zero(stage))[0]:
        assert math.hypot(*step["numbers"].values()) == pytest.approx(step["norm"], rel=1e-5)


@pytest.mark.parametrize("stage", [0, 1])
def test_gradients_are_averages_over_passes(workers, expected, stage):
    one = {"train_micro_batch_size_per_gpu": 1}
    [step] = workers(2).run(measures.measured, 1, log_grad_norm=True, **one, **zero(stage))[0]
    for name, value in step["numbers"].items():
        assert value == pytest.approx(expected[name], rel=1e-4)


@pytest.mark.parametrize("key", KEYS)
def test_each_key_is_for_its_own_measure(workers, key):
    [step] = workers(1).run(measures.measured, 1, **{key: True})[0]
    assert {name.partition("/")[0] for name in step["numbers"]} == {KEYS[key]}


@pytest.mark.parametrize(("ranks", "stage"), [(1, 0), (2, 1)])
def test_looking_changes_nothing(workers, ranks, stage):
    assert all(workers(ranks).run(measures.watched_and_not, **zero(stage), gradient_clipping=0.5))


@pytest.mark.parametrize(("ranks", "stage"), CUTS)
def test_of_a_skipped_step_the_gradient_is_not_measured(workers, ranks, stage):
    bad, good = workers(ranks).run(measures.of_a_bad_step, **measures.ALL, **zero(stage))[0]
    assert not [name for name in bad if name.startswith(("gradient_norms", "pct_grad_zeros"))]
    assert all(math.isfinite(value) for value in [*bad.values(), *good.values()])
    assert {name.partition("/")[0] for name in good} == set(KEYS.values())


def test_frozen_weights_have_a_norm_and_no_gradient(workers):
    tuning = {"soft_prompt_tuning": {"enabled": True, "num_tokens": 3}}
    [step] = workers(1).run(measures.measured, 1, **measures.ALL, **tuning)[0]
    assert [name for name in step["numbers"] if name.startswith("gradient_norms")] == [
        "gradient_norms/embedding.soft_prompt.weight"
    ]
    assert "parameter_norms/embedding.weight" in step["numbers"]


@pytest.mark.parametrize("key", [None, *KEYS])
def test_gradients_are_looked_at_only_where_they_are_measured(key):
    resolved, _ = resolve(train_iters=100, log_interval=10, **({key: True} if key else {}))
    made = Measures(resolved, ["weight"], torch.device("cpu"))
    looked_at = [step for step in range(1, 101) if made.observer(step) is not None]
    of_gradients = key in ("log_grad_norm", "log_grad_pct_zeros")
    assert looked_at == ([1, *range(10, 101, 10)] if of_gradients else [])


def test_nothing_is_exchanged_where_nothing_is_measured():
    resolved, _ = resolve(train_iters=100)
    made = Measures(resolved, ["weight"], torch.device("cpu"))
    # There is no process group here: any exchange would fail.
    assert [made.after(step, True, lambda: iter(())) for step in (1, 100)] == [{}, {}]
    assert (made.noise_scale, made.state()) == (None, {})


def test_a_run_tells_loggers_in_the_steps_that_are_logged(train):
    found = train(2, log_param_norm=True, log_grad_norm=True, log_interval=3, **zero(1))
    told = [step.iteration for step in found.steps if step.measures]
    assert told == [1, 3, 6, 7]
    assert {name.partition("/")[0] for name in found.steps[-1].measures} == {"parameter_norms", "gradient_norms"}


def test_a_run_that_goes_on_measures_the_same(train, data):
    keys = {**measures.ALL, "log_interval": 1, **NOISE}
    whole = train(**keys)
    parts = {**keys, "save": str(data / "saved"), "load": str(data / "saved")}
    first = train(exit_interval=4, **parts)
    second = train(**parts)
    steps = first.steps + second.steps
    assert [step.measures for step in steps] == [step.measures for step in whole.steps]
    assert [step.noise_scale for step in steps] == [step.noise_scale for step in whole.steps]
    assert whole.steps[3].noise_scale != whole.steps[5].noise_scale
    assert runs.numbers(steps) == runs.numbers(whole.steps)


def test_a_group_of_batches_that_a_checkpoint_cuts_is_begun_anew(train, data):
    parts = {**NOISE, "save": str(data / "saved"), "load": str(data / "saved")}
    train(exit_interval=3, **parts)
    second = train(**parts)
    scales = [step.noise_scale for step in second.steps]  # of steps 4 to 7: groups of steps 4, 5 and 6, 7
    assert scales[0] != scales[1] == scales[2] != scales[3]


def test_a_run_that_begins_to_measure_goes_on_from_any_checkpoint(train, data):
    train(save=str(data / "saved"), exit_interval=3, train_batch_size=64)
    found = train(load=str(data / "saved"), **NOISE)
    assert found.steps[0].noise_scale is None
    assert found.failure == ""

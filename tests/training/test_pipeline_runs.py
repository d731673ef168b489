"""Whole runs of pipelines: measures, checkpoints, steps that are skipped."""

from __future__ import annotations

import pytest
import training_runs as runs

TIED = {"no_weight_tying": False, "train_micro_batch_size_per_gpu": 2}
CUT = {**TIED, "pipe_parallel_size": 2}
MEASURED = {
    "log_grad_norm": True,
    "log_param_norm": True,
    "log_optimizer_states": True,
    "log_interval": 2,
    "log_gradient_noise_scale": True,
    "gradient_noise_scale_n_batches": 2,
}


def test_a_run_is_told_of_as_if_it_were_not_cut(workers, data):
    alone = workers(1).run(runs.run, data, **TIED, **MEASURED)[0]
    for cut in workers(2).run(runs.run, data, **CUT, **MEASURED):
        assert cut.model == pytest.approx(alone.model)
        for found, expected in zip(cut.steps, alone.steps, strict=True):
            assert found.loss == pytest.approx(expected.loss, rel=1e-5)
            assert found.measures == pytest.approx(expected.measures, rel=1e-4)
            assert (found.noise_scale or 0) == pytest.approx(expected.noise_scale or 0, rel=1e-3)
            assert [e.loss for e in found.evaluations] == pytest.approx(
                [e.loss for e in expected.evaluations], rel=1e-5
            )
    assert any(step.measures for step in alone.steps)


@pytest.mark.parametrize("stage", [0, 1])
def test_a_run_goes_on_with_the_same_bits_and_without_a_pipeline_too(workers, data, stage):
    zero = {"zero_optimization": {"stage": stage}}
    straight = workers(2).run(runs.run, data, **CUT, **zero)
    workers(2).run(runs.run, data, **CUT, **zero, save=str(data / "save"), stop_after=4)
    again = {"load": str(data / "save")}
    resumed = workers(2).run(runs.run, data, **CUT, **zero, **again)
    for found, expected in zip(resumed, straight, strict=True):
        assert runs.numbers(found.steps) == runs.numbers(expected.steps[5:])
    alone = workers(1).run(runs.run, data, **TIED, **again)[0]
    assert [step.loss for step in alone.steps] == pytest.approx([step.loss for step in straight[0].steps[5:]], rel=1e-5)


def test_a_run_begins_with_the_weights_of_a_checkpoint(workers, data):
    workers(1).run(runs.run, data, **TIED, save=str(data / "save"), train_iters=2)
    begun = {"initial_ckpt_path": str(data / "save"), "train_iters": 2}
    alone = workers(1).run(runs.run, data, **TIED, **begun)[0]
    cut = workers(2).run(runs.run, data, **CUT, **begun)
    assert [step.loss for step in cut[0].steps] == pytest.approx([step.loss for step in alone.steps], rel=1e-5)
    assert [line for line in cut[0].log if "tensors" in line] == [line for line in alone.log if "tensors" in line]
    assert not any("not used" in line for line in cut[0].log)


@pytest.mark.parametrize("precision", [{}, {"precision": "bfloat16"}])
def test_all_stages_skip_a_step_whose_gradient_is_not_finite_on_one(workers, data, precision):
    poisoned = {"train_impl": "poisoned", "poison": (1, (3,)), **precision}
    for found in workers(2).run(runs.run, data, **CUT, **poisoned):
        assert [step.applied for step in found.steps] == [True, False, *[True] * 5]
        assert all(step.loss < 10 for step in found.steps if step.applied)

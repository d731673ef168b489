"""Event files hold GPT-NeoX's scalars over iterations, and one curve after a resume."""

from __future__ import annotations

import math

import pytest

event_accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

from neox_loggers import tensorboard  # noqa: E402

from neox_core.config import World  # noqa: E402


@pytest.fixture
def directory(tmp_path):
    return tmp_path / "tb"


@pytest.fixture
def make_logger(make_resolved, directory, tmp_path):
    resolved = make_resolved(World.local(2), tensorboard_dir=str(directory))
    return lambda: tensorboard.build(resolved, tmp_path / "run")


def events(directory):
    accumulator = event_accumulator.EventAccumulator(str(directory))
    accumulator.Reload()
    return accumulator


def scalars(directory, tag):
    return [(event.step, event.value) for event in events(directory).Scalars(tag)]


def life(logger, run, steps):
    logger.neox_train_start(run)
    for step in steps:
        logger.neox_step_end(run, step)
    logger.neox_train_end(run, None)


def test_scalars_have_the_names_of_gpt_neox(make_logger, directory, make_run, make_step, validation):
    life(make_logger(), make_run(), [make_step(1, metrics={"z_loss": 0.25}, evaluations=(validation,))])
    values = {tag: scalars(directory / "tiny", tag) for tag in events(directory / "tiny").Tags()["scalars"]}
    assert values == {
        "train/lm_loss": [(1, 4.5)],
        "train/learning_rate": [(1, pytest.approx(3e-4))],
        "train/grad_norm": [(1, 1.25)],
        "train/skipped_steps": [(1, 0)],
        "train/z_loss": [(1, 0.25)],
        "runtime/iteration_time": [(1, 0.5)],
        "runtime/steps_per_sec": [(1, 2)],
        "runtime/samples_per_sec": [(1, 16)],
        "runtime/tokens_per_sec": [(1, 1024)],
        "runtime/flops_per_sec_per_gpu": [(1, 1024e6 / 2)],
        "validation/lm_loss": [(1, 2)],
        "validation/lm_loss_ppl": [(1, pytest.approx(math.e**2))],
    }


def test_what_is_measured_has_the_names_of_gpt_neox(make_logger, directory, make_run, make_step):
    measures = {
        "gradient_norms/head.weight": 0.5,
        "pct_grad_zeros/head.weight": 25.0,
        "parameter_norms/head.weight": 7.0,
        "optimizer_state_norms/exp_avg/head.weight": 0.125,
    }
    life(make_logger(), make_run(), [make_step(3, measures=measures, noise_scale=1500.0, loss_scale=65536.0)])
    expected = {**measures, "train/noise_scale": 1500.0, "train/loss_scale": 65536.0}
    assert {tag: scalars(directory / "tiny", tag) for tag in expected} == {
        tag: [(3, value)] for tag, value in expected.items()
    }


def test_the_utilisation_is_a_share_of_the_stated_peak(make_logger, directory, make_run, make_step, make_stated):
    run = make_run(resolved=make_stated(0.001))  # of each of two ranks, in 10^12 FLOP/s
    life(make_logger(), run, [make_step(1)])
    assert scalars(directory / "tiny", "runtime/model_flops_utilization") == [(1, pytest.approx(1024e6 / 2e9))]


def test_a_resumed_run_continues_the_curve_without_overlap(make_logger, directory, make_run, make_step):
    life(make_logger(), make_run(), [make_step(i, loss=float(i)) for i in (1, 2, 3, 4)])
    life(make_logger(), make_run(start_iteration=2), [make_step(i, loss=10.0 * i) for i in (3, 4, 5)])
    assert scalars(directory / "tiny", "train/lm_loss") == [(1, 1), (2, 2), (3, 30), (4, 40), (5, 50)]


def test_what_was_measured_before_a_checkpoint_is_on_disk_with_it(
    make_logger, directory, make_run, make_step, checkpoint
):
    logger = make_logger()
    logger.neox_train_start(make_run())
    logger.neox_step_end(make_run(), make_step(1))
    logger.neox_checkpoint_saved(make_run(), checkpoint)
    assert scalars(directory / "tiny", "train/lm_loss") == [(1, 4.5)]
    logger.neox_train_end(make_run(), None)


def test_an_evaluation_is_on_disk_when_its_step_ends(make_logger, directory, make_run, make_step, validation):
    logger = make_logger()
    logger.neox_train_start(make_run())
    logger.neox_step_end(make_run(), make_step(1, evaluations=(validation,)))
    assert scalars(directory / "tiny", "validation/lm_loss") == [(1, 2)]
    logger.neox_train_end(make_run(), None)


def test_a_diverged_loss_does_not_stop_the_logger(make_logger, directory, make_run, make_step):
    life(make_logger(), make_run(), [make_step(1, loss=math.nan, grad_norm=math.inf)])
    [(_, value)] = scalars(directory / "tiny", "train/lm_loss")
    assert math.isnan(value)


def test_only_the_main_rank_writes(make_logger, directory, make_run, make_step):
    life(make_logger(), make_run(rank=1), [make_step(1)])
    assert not directory.exists()


def test_without_the_key_the_files_are_with_the_run(tmp_path, make_run, make_step):
    run = make_run()
    life(tensorboard.build(run.resolved, tmp_path), run, [make_step(1)])
    assert scalars(tmp_path / "tensorboard" / "tiny", "train/lm_loss") == [(1, 4.5)]

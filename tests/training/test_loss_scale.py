"""fp16: the factor of the loss rises and falls by DeepSpeed's rules, changes no update, and survives a checkpoint."""

from __future__ import annotations

import math

import pytest
import training_fp16 as fp16
import training_runs as runs
from training_steps import curve

QUICK = {"initial_scale_power": 10, "loss_scale_window": 2, "hysteresis": 1}


def scales(results):
    return [result.loss_scale for result in results]


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_scale_is_halved_by_overflows_and_doubled_by_windows(workers, ranks):
    for found in workers(ranks).run(fp16.train, 9, (1, 2), **QUICK):
        assert scales(found) == [1024, 1024, 512, 256, 256, 256, 512, 512, 1024]
        assert [result.applied for result in found] == [True, False, False, *[True] * 6]
        assert all(math.isfinite(result.loss) for result in found)


def test_hysteresis_waits_for_the_second_overflow(workers):
    [found] = workers(1).run(fp16.train, 5, (1, 3), **QUICK | {"hysteresis": 2, "loss_scale_window": 100})
    assert scales(found) == [1024, 1024, 1024, 1024, 512]


def test_hysteresis_can_ask_for_overflows_in_a_row(workers):
    changes = {"hysteresis": 2, "loss_scale_window": 100, "consecutive_hysteresis": True}
    [found] = workers(1).run(fp16.train, 7, (1, 3, 4), **QUICK | changes)
    assert scales(found) == [1024, 1024, 1024, 1024, 1024, 512, 512]


def test_a_skipped_step_says_what_becomes_of_the_scale(workers):
    [found] = workers(1).run(fp16.train, 3, (0, 1), **QUICK | {"hysteresis": 2})
    assert found[0].skip_reason == (
        "the gradient is not finite at the loss scale 1,024, which is lowered if that happens once more"
    )
    assert found[1].skip_reason == "the gradient is not finite at the loss scale 1,024, which is lowered to 512"
    assert found[2].skip_reason is None


def test_a_fixed_scale_stays(workers):
    [found] = workers(1).run(fp16.train, 4, (1, 2), loss_scale=256)
    assert scales(found) == [256] * 4
    assert found[1].skip_reason == "the gradient is not finite at the fixed loss scale 256"


@pytest.mark.parametrize("ranks", [1, 2])
def test_a_run_at_the_smallest_scale_ends_with_a_sentence(workers, ranks):
    for found in workers(ranks).run(fp16.train, 9, (2, 3, 4), **QUICK | {"min_loss_scale": 256}):
        assert scales(found[:-1]) == [1024, 1024, 1024, 512]
        assert found[-1].startswith(
            "fp16: the gradient is not finite at the smallest loss scale (min_loss_scale: 256); lower the learning rate"
        )


@pytest.mark.parametrize("ranks", [1, 2])
def test_the_scale_is_no_part_of_the_update(workers, ranks):
    # Doubling at every step: a scale that were raised before the gradients are divided by it would halve them.
    sgd_like = {"optimizer": {"type": "adamw", "params": {"lr": 0.01, "eps": 1.0}}, "gradient_clipping": 0.0}
    small = {"enabled": True, "initial_scale_power": 3, "loss_scale_window": 1}
    rising = workers(ranks).run(fp16.weights, 8, fp16=small, **sgd_like)[0]
    fixed = workers(ranks).run(fp16.weights, 8, fp16={"enabled": True, "loss_scale": 64}, **sgd_like)[0]
    start = workers(ranks).run(fp16.weights, 0, fp16=small, **sgd_like)[0]
    moved = math.sqrt(sum(float((fixed[name] - start[name]).square().sum()) for name in fixed))
    apart = math.sqrt(sum(float((fixed[name] - rising[name]).square().sum()) for name in fixed))
    assert apart < 0.02 * moved


@pytest.mark.drawn(5)
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("part", range(1, 8))
def test_the_scale_goes_on_from_a_checkpoint(workers, tmp_path, ranks, part):
    bad = (1, 2, 6)
    changes = QUICK | {"hysteresis": 2, "loss_scale_window": 3}
    whole = workers(ranks).run(fp16.train, 10, bad, **changes)[0]
    for rest in workers(ranks).run(fp16.gone_on, tmp_path, part, 10 - part, bad, **changes):
        assert rest == whole[part:], "losses and norms too, bit for bit"


@pytest.mark.parametrize("power", [18, 23])  # at 2^23 no step is applied before the checkpoint
def test_a_run_tells_the_scale_and_goes_on_with_it(train, data, power):
    keys = {"fp16": {"enabled": True, **QUICK, "initial_scale_power": power}}
    whole = train(**keys)
    parts = {**keys, "save": str(data / "saved"), "load": str(data / "saved")}
    first, second = train(exit_interval=4, **parts), train(**parts)
    assert (first.failure, second.failure) == ("", "")
    steps = first.steps + second.steps
    assert runs.numbers(steps) == runs.numbers(whole.steps)
    assert scales(steps) == scales(whole.steps)
    assert scales(steps)[0] == 2**power
    assert len(set(scales(steps))) > 1


def test_a_run_that_ends_at_the_smallest_scale_says_so(train):
    keys = {"fp16": {"enabled": True, **QUICK, "min_loss_scale": 512}}
    found = train(train_impl="poisoned", poison=(0, (2, 3)), **keys)
    assert [step.applied for step in found.steps] == [True, True, False]
    assert "min_loss_scale: 512" in found.failure


def test_fp16_follows_fp32(workers):
    expected = workers(1).run(curve, 8)[0]
    found = workers(2).run(curve, 8, fp16={"enabled": True, "initial_scale_power": 10})[0]
    assert [loss for loss, _ in found] == pytest.approx([loss for loss, _ in expected], rel=0.005)
    assert [norm for _, norm in found] == pytest.approx([norm for _, norm in expected], rel=0.02)
    assert found != expected


@pytest.mark.parametrize("half", [False, True])
def test_losses_may_be_computed_in_fp16(workers, half):
    changes = {"fp16": {"enabled": True, "initial_scale_power": 10}, "fp16_lm_cross_entropy": half}
    assert all(math.isfinite(loss) for loss, _ in workers(1).run(curve, 4, **changes)[0])

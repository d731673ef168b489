"""What is told of a run beside its loss is the same however the run is cut."""

from __future__ import annotations

import parallel_ranks as ranks
import pytest
import training_measures as measures
from parallel_rows import PP, RING, SP, TP, zero

GIVEN = {
    **measures.ALL,
    "log_gradient_noise_scale": True,
    "gradient_noise_scale_n_batches": 2,
    "train_batch_size": 64,  # so large that two of them tell the noise
    "train_micro_batch_size_per_gpu": 16,
    "gradient_clipping": 0.1,
    "optimizer": {"type": "adamw", "params": {"lr": 0.01, "eps": 1e-3}},
}
CUTS = {
    "tp 2": (2, TP),
    "pp 2": (2, PP),
    "cp 2": (2, {"context_parallel_size": 2, **RING}),
    "dp 2, ZeRO 2": (2, zero(2)),
    "dp 2, ZeRO 3": (2, zero(3)),
    "tp 2 x pp 2": (4, {**SP, **PP, **zero(1)}),
    "dp 2 x tp 2, ZeRO 3": (4, {**SP, **zero(3)}),
}


@pytest.fixture(scope="module")
def alone(workers):
    return workers(1).run(measures.measured, 4, **GIVEN)[0]


@pytest.mark.drawn(3)
@pytest.mark.parametrize("name", CUTS)
def test_norms_zeros_and_the_noise_scale_do_not_depend_on_the_cutting(workers, alone, name):
    size, cut = CUTS[name]
    found = workers(size).run(measures.measured, 4, **GIVEN, **cut)
    assert all(answer == found[0] for answer in found), "ranks must get the same"
    for step, wanted in zip(found[0], alone, strict=True):
        assert step["norm"] == pytest.approx(wanted["norm"], rel=1e-5)
        assert step["numbers"] == pytest.approx(wanted["numbers"], rel=1e-4, abs=1e-7)
    assert alone[-1]["noise"] > 0
    assert found[0][-1]["noise"] == pytest.approx(alone[-1]["noise"], rel=1e-3)


FP16_CUTS = {"tp 2": TP, "pp 2": PP, "dp 2, ZeRO 1": zero(1), "dp 2, ZeRO 2": zero(2), "dp 2, ZeRO 3": zero(3)}


@pytest.mark.drawn(2)
@pytest.mark.parametrize("cut", FP16_CUTS.values(), ids=FP16_CUTS)
def test_fp16_finds_the_same_factor_and_skips_the_same_steps(workers, cut):
    given = {"fp16": {"enabled": True, "initial_scale_power": 8, "hysteresis": 1}, "optimizer": GIVEN["optimizer"]}
    (wanted,) = workers(1).run(ranks.with_an_overflow, **given)
    for found in workers(2).run(ranks.with_an_overflow, **given, **cut):
        assert [step.applied for step in found] == [step.applied for step in wanted] == [True, False, True, True]
        assert [step.loss_scale for step in found] == [step.loss_scale for step in wanted] == [256, 256, 128, 128]
        assert [step.loss for step in found] == pytest.approx([step.loss for step in wanted], rel=2e-3)

"""Every stage of ZeRO is the same training, with all that a run may ask for; what it cuts, ranks hold less of."""

from __future__ import annotations

from functools import cache

import parallel_ranks as ranks
import pytest
import torch
import zero_ranks as zero
from parallel_reference import PlainLoop
from whole_matrix import in_whole

STEPS = 4
GATHERED = {"stage3_param_persistence_threshold": 0}
"""In models as small as these ZeRO 3 would keep all parameters gathered."""


def plain(precision: str) -> dict:
    return {
        "seq_length": 16,
        "train_batch_size": 6,
        "train_micro_batch_size_per_gpu": 1,
        "optimizer": {"type": "adamw", "params": {"lr": 0.01, "betas": [0.9, 0.95], "eps": 1e-3}},
        "weight_decay": 0.1,
        "gradient_clipping": 0.5,
        "precision": precision,
    }


@cache
def reference(precision: str):
    return PlainLoop(**plain(precision)).run(STEPS)


@pytest.mark.drawn(4)
@pytest.mark.parametrize("precision", ["fp32", "bfloat16"])
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
@pytest.mark.parametrize("number", [in_whole(1), in_whole(2), 3])
def test_it_trains_as_a_plain_loop_does(workers, number, stage, precision):
    zero_optimization = {"stage": stage, **GATHERED}
    answers = workers(number).run(ranks.train, STEPS, zero_optimization=zero_optimization, **plain(precision))
    found, expected = ranks.curve(answers), reference(precision)
    bf16 = precision != "fp32"
    assert found.losses == pytest.approx(expected.losses, rel=2e-3 if bf16 else 1e-6)
    assert found.norms == pytest.approx(expected.norms, rel=1e-2 if bf16 else 1e-6)
    for name, weight in expected.weights.items():
        way = (weight - expected.beginning[name]).norm()
        assert (found.weights[name] - weight).norm() < (0.05 if bf16 else 2e-5) * way, name


MAMBA = {"attention_config": ["mamba", "global"], "pos_emb": "none"}
FREE = {
    "optimizer": {"type": "schedule_free_adamw", "params": {"lr": 0.01, "betas": [0.8, 0.95]}},
    "lr_decay_style": "constant",
}
CASES = {
    "tied": (2, {"no_weight_tying": False}, GATHERED),
    "recomputed": (3, {"checkpoint_activations": True, "no_weight_tying": False}, GATHERED),
    "recomputed in twos": (3, {"checkpoint_activations": True, "checkpoint_num_layers": 2}, GATHERED),
    "shared bias table": (3, {"pos_emb": "rpe", "activation": "swiglu", "norm": "rmsnorm"}, GATHERED),
    "dropout": (3, {"pos_emb": "learned", "hidden_dropout": 0.1}, GATHERED),
    "kept gathered": (3, {"no_weight_tying": False}, {}),
    "frozen": (2, {"soft_prompt_tuning": {"enabled": True, "num_tokens": 3}}, {}),
    "frozen and cut": (3, {"soft_prompt_tuning": {"enabled": True, "num_tokens": 3}}, GATHERED),
    "some in float32": (2, {**MAMBA, "precision": "bfloat16"}, {}),
    "some in float32 and cut": (3, {**MAMBA, "precision": "bfloat16"}, GATHERED),
    "some in float32 and in the host": (3, {**MAMBA, "precision": "bfloat16"}, {"offload_param": {"device": "cpu"}}),
    "whole matrices": (2, {"optimizer": {"type": "lamb", "params": {"lr": 0.01}}}, {}),
    "whole matrices of cut ones": (3, {"optimizer": {"type": "lamb", "params": {"lr": 0.01}}}, GATHERED),
    "whole matrices of groups": (3, {"optimizer": {"type": "muon", "params": {"lr": 0.01}}}, {"sub_group_size": 500}),
    "an average of weights": (2, FREE, {}),
    "an average of cut weights": (3, FREE, GATHERED),
    "optimizer in the host": (1, {}, {"offload_optimizer": {"device": "cpu"}}),
    "gradients in the host": (2, {}, {"offload_optimizer": {"device": "cpu"}}),
    "both in the host": (3, {}, {"offload_optimizer": {"device": "cpu"}, "offload_param": {"device": "cpu"}}),
    "in another order": (1, {}, {"round_robin_gradients": True}),
    "in another order in stage 2": (2, {}, {"round_robin_gradients": True, "contiguous_gradients": True}),
    "fp16": (2, {"fp16": {"enabled": True, "loss_scale": 128}}, {}),
    "fp16 and cut": (3, {"fp16": {"enabled": True, "loss_scale": 128}}, GATHERED),
}


LESS = (
    "optimizer in the host",
    "recomputed",
    "frozen",
    "some in float32",
    "whole matrices",
    "an average of weights",
    "in another order",
    "fp16",
)
"""What another case has too, with more cut."""


@pytest.mark.drawn(6)
@pytest.mark.parametrize("name", [in_whole(name) if name in LESS else name for name in CASES])
def test_what_a_run_asks_for_is_the_same_and_goes_on_from_a_checkpoint(workers, tmp_path, name):
    stage, changes, options = CASES[name]
    reduced = {"fp16", "precision"} & changes.keys()
    changes = {"gradient_clipping": 1.0, **changes}
    expected = workers(2).run(zero.gone_on, tmp_path / "a", zero_optimization={"stage": int(bool(reduced))}, **changes)
    found = workers(2).run(zero.gone_on, tmp_path / "b", zero_optimization={"stage": stage, **options}, **changes)
    assert found[0] == found[1]
    for (loss, norm), (expected_loss, expected_norm) in zip(found[0].curve, expected[0].curve, strict=True):
        assert loss == pytest.approx(expected_loss, rel=1e-6)
        assert norm == pytest.approx(expected_norm, rel=1e-5)
    assert found[0].again == [loss for loss, _ in found[0].curve[2:]], "another engine must go on to the bit"


@pytest.mark.parametrize(
    ("stage", "options"),
    [
        (1, {}),
        (2, {}),
        (3, GATHERED),
        (1, {"offload_optimizer": {"device": "cpu"}}),
        (2, {"offload_optimizer": {"device": "cpu"}}),
        (3, {"offload_optimizer": {"device": "cpu"}, **GATHERED}),
    ],
)
def test_what_a_step_does_not_use_has_no_gradient_of_an_earlier_one(workers, stage, options):
    expected = workers(2).run(zero.partly_used, zero_optimization={"stage": 0})[0]
    for found in workers(2).run(zero.partly_used, zero_optimization={"stage": stage, **options}):
        for step, wanted in zip(found, expected, strict=True):
            assert step == pytest.approx(wanted, rel=1e-5)


def test_gradients_can_be_added_up_in_float32(workers):
    bf16 = {**plain("bfloat16"), "zero_optimization": {"stage": 1}}
    wide = bf16 | {"data_types": {"grad_accum_dtype": "fp32"}, "fp32_allreduce": True}
    expected = PlainLoop(**plain("bfloat16")).run(1).norms[0]
    norms = [ranks.curve(workers(2).run(ranks.train, 1, **changes)).norms[0] for changes in (bf16, wide)]
    assert norms[0] != norms[1] == pytest.approx(expected, rel=1e-2)


@pytest.mark.parametrize("stage", [1, in_whole(2), 3])
def test_fp32_allreduce_has_gradients_travel_in_float32(workers, stage):
    changes = {"precision": "bfloat16", "zero_optimization": {"stage": stage, **GATHERED}}
    narrow, wide = (workers(2).run(zero.sent, **changes, fp32_allreduce=wide)[0] for wide in (False, True))
    half = 4000  # of the model's parameters, about
    assert narrow[torch.float32] < half / 10 < half < wide[torch.float32]
    assert wide[torch.bfloat16] < narrow[torch.bfloat16], "weights travel in bfloat16 as before"


@pytest.mark.parametrize("stage", [1, 3])
def test_a_prompt_begins_with_the_embeddings_of_its_tokens(workers, stage):
    expected = workers(1).run(zero.prompted)[0]
    parts = workers(2).run(zero.prompted, zero_optimization={"stage": stage, **GATHERED})
    assert torch.equal(torch.cat(parts), expected)


@pytest.mark.parametrize("number", [in_whole(2), 4])
@pytest.mark.parametrize("stage", [0, 1, 2, 3])
def test_ranks_hold_less_as_the_formulas_say(workers, number, stage):
    """Rajbhandari et al., "ZeRO", 2020, section 5, in bytes for each parameter, of float32; 1 and 2 have originals of weights too.

    Stage 2 keeps the gradient of a parameter that lies on several ranks whole on each, until the step; stage 3 has a place for
    gradients all the time.
    """
    changes = {"hidden_size": 64, "train_batch_size": 2 * number, "train_micro_batch_size_per_gpu": 1}
    options = {"stage": stage, "reduce_bucket_size": 1000, "contiguous_gradients": False, **GATHERED}
    share = 1 / number
    weights = 4 * (share if stage == 3 else 1)
    others = {0: 8, 1: 12 * share, 2: 12 * share, 3: 12 * share}[stage]
    gradients = {0: 4, 1: 4, 2: 4 * share, 3: 0}[stage]
    for found in workers(number).run(zero.held, zero_optimization=options, **changes):
        assert found.weights == pytest.approx(weights, rel=0.02)
        assert found.others == pytest.approx(others, rel=0.05)
        assert found.gradients == pytest.approx(gradients, abs=found.largest if stage == 2 else 0.1)

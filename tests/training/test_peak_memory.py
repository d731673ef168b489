"""The most that ranks need falls with their number as the formulas of ZeRO say, from the making of the model on."""

from __future__ import annotations

import peak_bytes
import pytest
import zero_ranks as zero
from mup_models import base_shapes
from whole_matrix import in_whole

STREAMED = {
    "reduce_bucket_size": 20000,
    "allgather_bucket_size": 20000,
    "contiguous_gradients": False,
    "stage3_param_persistence_threshold": 0,
    "stage3_prefetch_bucket_size": 0,
    "stage3_max_live_parameters": 0,
    "stage3_max_reuse_distance": 0,
}
"""Small buffers, and nothing that stays gathered: in models as small as these DeepSpeed's defaults are more than all of it."""


def formulas(stage: int, ranks: int, width: int) -> tuple[float, float, float]:
    """Bytes for each parameter while an engine is made, in the passes, and in the update.

    Weights that compute and gradients have `width` bytes; 12 are float32 originals and two moments of Adam, of which the originals
    are the weights themselves without ZeRO and at stage 3 in float32 (Rajbhandari et al., "ZeRO", 2020, section 5).

    Beside them, weights are flattened by a copy, the optimizer is given zeros for gradients when it is made, gradients are summed in
    a copy of all without ZeRO, and the update has the rank's gradient in float32 and one more number for each that it moves.
    """
    share = 1 / ranks
    if stage == 0:
        return 4, 20, 16
    own = 8 * share if (stage, width) == (3, 4) else 12 * share
    held = own + (width * share if stage == 3 else width)
    gradients = width if stage == 1 else width * share
    copied = 2 * 4 * share if stage == 3 else max(2 * width, 4)
    start = max(held - 8 * share + 4 * share, copied)
    return start, held + gradients, held + 8 * share


ALLOWED = {0: 0.5, 1: 1.0, 2: 3.0, 3: 4.5}
"""Layers that passes may need beyond the formulas.

Stage 3 has gathered weights, gradients and activations of layers; stage 2 keeps a gradient that lies on several ranks whole on each
until the update; all have buffers in which gradients are summed.
"""


@pytest.mark.drawn(3)
@pytest.mark.parametrize(
    ("precision", "width", "stage", "number"),
    [
        *(("fp32", 4, stage, 4) for stage in range(4)),
        ("fp32", 4, 2, 2),
        *(in_whole("fp32", 4, stage, 2) for stage in (0, 1, 3)),
        ("bfloat16", 2, 2, 4),
        *(in_whole("bfloat16", 2, stage, 4) for stage in (1, 3)),
        *(in_whole("bfloat16", 2, stage, 2) for stage in range(1, 4)),
    ],
)
def test_the_most_that_ranks_need_at_once(workers, precision, width, stage, number):
    """While a model is made, up to two matrices are whole in float32 beyond the formulas."""
    changes = {"hidden_size": 96, "num_layers": 8, "precision": precision, "train_batch_size": number}
    options = {"stage": stage, **STREAMED}
    start, passes, update = formulas(stage, number, width)
    for found in workers(number).run(peak_bytes.peaks, zero_optimization=options, **changes):
        assert 0.98 * start < found.start < start + 0.75 * found.layer
        assert 0.98 * passes < found.passes < passes + ALLOWED[stage] * found.layer
        assert found.update == pytest.approx(update, rel=0.02)


def test_no_rank_has_a_whole_model_while_one_of_zero_3_is_made(workers):
    """Beside its pieces it has a layer, a matrix that is filled, and what is sent of it; not eight layers."""
    changes = {"hidden_size": 64, "num_layers": 8, "train_batch_size": 4}
    for found in workers(4).run(peak_bytes.making, zero_optimization={"stage": 3, **STREAMED}, **changes):
        assert found.layer < found.most - found.pieces < 3 * found.layer


MUP = {"use_mup": True, "base_shapes": base_shapes(), "hidden_size": 32}
CASES = {
    "tied": (2, {"no_weight_tying": False}),
    "a table that layers share": (2, {"pos_emb": "rpe", "activation": "swiglu", "norm": "rmsnorm"}),
    "some in float32": (2, {"attention_config": ["mamba", "global"], "pos_emb": "none", "precision": "bfloat16"}),
    "frozen": (2, {"soft_prompt_tuning": {"enabled": True, "num_tokens": 3}, "pos_emb": "learned"}),
    "muP": (2, MUP),
    "cut over tensor-parallel ranks": (4, {"model_parallel_size": 2, "num_kv_heads": 1}),
}


@pytest.mark.drawn(3)
@pytest.mark.parametrize("name", CASES)
def test_a_model_that_is_cut_while_it_is_made_begins_as_any_other(workers, name):
    number, changes = CASES[name]
    expected, found = (
        workers(number).run(zero.beginning, zero_optimization={"stage": stage}, **changes) for stage in (1, 3)
    )
    assert found == expected

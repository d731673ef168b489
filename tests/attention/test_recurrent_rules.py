"""RWKV and Mamba over more tensor-parallel ranks than they have heads or channels are refused before a run."""

from __future__ import annotations

import pytest
from neox_attention import mamba_rules, rwkv_rules
from training_models import SETTINGS, plugins

from neox_core.config import NeoXArgs


def found(name, **changes):
    values = {**SETTINGS, "attention_config": [[[name], "all"]], **changes}
    rules = {"rwkv": rwkv_rules, "mamba": mamba_rules}[name]
    return [str(problem) for problem in rules.problems(NeoXArgs.from_dict(values, plugins=plugins()))]


WIDE = {"hidden_size": 32, "num_attention_heads": 4, "model_parallel_size": 4}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"head_size": 8},
        {"head_size": 16, "dim_att": 64},
        {"head_size": 32, "model_parallel_size": 1},
        {"ffn_dim": 4},
    ],
)
def test_a_head_for_each_rank_is_no_problem(changes):
    assert found("rwkv", **WIDE | changes) == []


@pytest.mark.parametrize(("changes", "heads"), [({"head_size": 16}, 2), ({"head_size": 16, "dim_att": 48}, 3)])
def test_rwkv_has_a_head_for_each_rank(changes, heads):
    (problem,) = found("rwkv", **WIDE | changes)
    assert problem.startswith(f"head_size, model_parallel_size: {heads} heads of rwkv's time mixing")
    assert f"set model_parallel_size: {heads} or less" in problem


def test_rwkv_has_a_part_of_channel_mixing_for_each_rank():
    (problem,) = found("rwkv", **WIDE, ffn_dim=3)
    assert "ffn_dim, model_parallel_size: 3 channels of rwkv's channel mixing are fewer" in problem


@pytest.mark.parametrize(("width", "count"), [(3, 1), (4, 0)])
def test_mamba_has_a_channel_for_each_rank(width, count):
    problems = found("mamba", **WIDE, intermediate_size=width)
    assert len(problems) == count
    assert all("3 channels are fewer than model_parallel_size 4" in problem for problem in problems)

"""What ring and Ulysses attention cannot do over several ranks is refused before a run."""

from __future__ import annotations

import pytest
from neox_attention.context_rules import problems
from training_models import SETTINGS, plugins

from neox_core.config import NeoXArgs


def found(**changes):
    values = {**SETTINGS, "attention_config": [[["ring", "ulysses"], 1]], **changes}
    return [str(problem) for problem in problems(NeoXArgs.from_dict(values, plugins=plugins()))]


@pytest.mark.parametrize(
    "changes",
    [
        {"attention_dropout": 0.1, "num_attention_heads": 3},
        {"context_parallel_size": 2},
        {"context_parallel_size": 2, "model_parallel_size": 2},
        {"context_parallel_size": 2, "attention_dropout": 0.1, "attention_config": [[["ulysses"], 2]]},
        {"context_parallel_size": 8, "attention_config": [[["ring"], 2]]},
    ],
)
def test_what_they_can_do_is_no_problem(changes):
    assert found(**changes) == []


def test_a_ring_of_several_ranks_drops_no_weights():
    (problem,) = found(context_parallel_size=2, attention_dropout=0.1)
    assert "context_parallel_size, attention_dropout: ring cannot drop attention weights over 2 ranks" in problem
    assert "use ulysses in attention_config, or attention_dropout: 0" in problem


@pytest.mark.parametrize(("heads", "tensor"), [(4, 4), (6, 1), (12, 2)])
def test_ulysses_deals_whole_heads(heads, tensor):
    (problem,) = found(context_parallel_size=4, num_attention_heads=heads, model_parallel_size=tensor)
    assert f"ulysses cannot deal the {heads // tensor} heads of a tensor-parallel rank to 4 ranks" in problem
    assert "use ring in attention_config" in problem

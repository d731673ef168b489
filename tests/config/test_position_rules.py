"""Rules of positions: which sizes each kind can do, and what is proposed instead."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, strategies as st
from small_settings import MODEL

from neox_core.config import NeoXArgs, World
from neox_core.config.rules import rotary_turns_pairs
from neox_core.errors import SettingsError

RUN = {**MODEL, "data_path": "data/tokens"}


def resolve(**changes):
    return NeoXArgs.from_dict({**RUN, **changes}).resolve(World.local(1))


def problems(**changes) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        resolve(**changes)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"hidden_size": 10},
            "rotary_pct 1.0 turns 5 of the 5 dimensions of a head (hidden_size 10 / num_attention_heads 2)",
        ),
        ({"rotary_pct": 0.1}, "rotary_pct 0.1 turns 0 of the 8 dimensions"),
        ({"rotary_pct": 0.4}, "rotary_pct 0.4 turns 3 of the 8 dimensions"),
        ({"pos_emb": "Rotary", "rotary_pct": 0.4}, "(rotary_pct: 0.25 turns 2)"),
        ({"hidden_size": 200, "rotary_pct": 0.59}, "(rotary_pct: 0.5801 turns 58)"),
        ({"num_attention_heads": 16}, "(use fewer heads)"),
    ],
)
def test_rotary_positions_turn_an_even_number_of_dimensions(changes, message):
    (problem,) = problems(**{"pos_emb": "rotary", **changes})
    assert "rotary_pct, hidden_size, num_attention_heads: " in problem
    assert message in problem


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pos_emb": "learned", "opt_pos_emb_offset": 2}, "opt_pos_emb_offset 2 and seq_length 8 come to 10 learned"),
        (
            {"pos_emb": "Learned", "opt_pos_emb_offset": 1, "soft_prompt_tuning": {"enabled": True, "num_tokens": 3}},
            "opt_pos_emb_offset 1, a prompt of 3 and seq_length 8 come to 12 learned positions, "
            "max_position_embeddings is 8 (lower seq_length, or set max_position_embeddings: 12)",
        ),
        ({"pos_emb": "sinusoidal", "hidden_size": 15, "num_attention_heads": 1}, "an even hidden_size, 15 is odd"),
        (
            {"pos_emb": "rpe", "rpe_num_buckets": 32, "rpe_max_distance": 16},
            "rpe_max_distance 16 is not more than the 16 distances that have a class of their own",
        ),
        ({"pos_emb": "rpe", "rpe_num_buckets": 3, "rpe_max_distance": 1}, "not more than the 1 distances"),
    ],
)
def test_positions_that_cannot_be_computed_are_refused(changes, message):
    (problem,) = problems(**changes)
    assert message in problem


@pytest.mark.parametrize(
    "changes",
    [
        {"pos_emb": "learned", "opt_pos_emb_offset": 2, "max_position_embeddings": 10},
        {"pos_emb": "rotary", "opt_pos_emb_offset": 2},
        {"pos_emb": "rpe", "rpe_num_buckets": 32, "rpe_max_distance": 17},
        {"pos_emb": "none", "rpe_num_buckets": 32, "rpe_max_distance": 1, "hidden_size": 15, "num_attention_heads": 1},
    ],
)
def test_positions_that_can_be_computed_are_not(changes):
    assert resolve(**changes)


@pytest.mark.parametrize("head_dim", [100, 180, 200, 20_050])
def test_a_rotary_share_that_is_proposed_turns_as_many_as_it_says(head_dim):
    args = NeoXArgs.from_dict({**RUN, "pos_emb": "rotary", "num_attention_heads": 1, "hidden_size": head_dim})
    found = []
    for percent in range(1, 100):
        args.rotary_pct = percent / 100
        for problem in rotary_turns_pairs(args, World.local()):
            found.append(re.fullmatch(r"rotary_pct: (\S+) turns (\d+)", problem.remedy))
    assert found
    assert all(int(head_dim * float(proposal[1])) == int(proposal[2]) for proposal in found)


@given(st.integers(2, 512), st.floats(0, 1, exclude_min=True))
def test_the_rotary_share_that_is_proposed_is_accepted(head_dim, share):
    given = {"pos_emb": "rotary", "num_attention_heads": 1, "hidden_size": head_dim}
    try:
        resolve(**given, rotary_pct=share)
    except SettingsError as error:
        (problem,) = error.problems
        assert resolve(**given, rotary_pct=float(re.search(r"rotary_pct: (\S+) turns", problem.remedy)[1]))


def test_other_positions_do_not_turn():
    assert resolve(pos_emb="learned", rotary_pct=0.4)

"""muP's factors beside the weights: folded into the weights of other families, or refused."""

from __future__ import annotations

import pytest
import torch
from mup_models import wide_model, wider
from training_models import model, tokens

from neox_core.errors import UserError

FACTORS = {"mup_embedding_mult": 3.0, "mup_output_temp": 0.7}


def converter(name, **changes):
    resolved, plugins = wider(2, **changes)
    return plugins.make("converter", name, resolved)


@torch.no_grad()
def test_embedding_and_head_take_up_the_factors():
    ours = wide_model(2, **FACTORS)
    theirs = converter("hf-gpt-neox", **FACTORS).write(ours.state_dict())
    standard = model(hidden_size=32, num_attention_heads=8)
    plain = standard.state_dict() | {
        "embedding.weight": theirs["gpt_neox.embed_in.weight"],
        "head.weight": theirs["lm_head.weight"],
    }
    plain |= {name: weight for name, weight in ours.state_dict().items() if name.startswith(("layers", "norm"))}
    standard.load_state_dict(plain)
    torch.testing.assert_close(standard(tokens()).logits(), ours(tokens()).logits())


def test_what_was_written_is_read_back():
    made, weights = converter("hf-gpt-neox", **FACTORS), wide_model(2, **FACTORS).state_dict()
    torch.testing.assert_close(made.read(made.write(weights)), weights)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"mup_attn_temp": 2.0}, "use_mup, mup_attn_temp: attention scores are divided by other than the root"),
        ({"num_attention_heads": 4}, "use_mup, mup_attn_temp: attention scores"),
        ({"no_weight_tying": False}, "use_mup, no_weight_tying: embedding and head are one weight with two factors"),
    ],
)
def test_what_cannot_be_folded_is_refused(changes, sentence):
    with pytest.raises(UserError, match=sentence):
        converter("hf-gpt-neox", **changes)


def test_gpt_neox_has_no_place_for_factors():
    with pytest.raises(UserError, match="use_mup: GPT-NeoX does not multiply by the factors"):
        converter("gpt-neox")

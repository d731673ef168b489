"""muP's rules against table 8 of the paper, and its factors in the forward pass."""

from __future__ import annotations

import math

import pytest
import torch
from mup_models import base_shapes, wide_model, wider
from training_models import model, resolve, tokens

from neox_core.errors import UserError
from neox_core.model import LanguageModel, MuP
from neox_core.model.init import METHODS

LLAMA = {"norm": "rmsnorm", "activation": "swiglu", "intermediate_size": 48, "num_kv_heads": 2}
ARCHITECTURES = {
    "rotary": {},
    "tied, learned": {"no_weight_tying": False, "pos_emb": "learned"},
    "gated, grouped queries": LLAMA,
    "parallel, alibi, norms of queries": {"gpt_j_residual": True, "pos_emb": "alibi", "use_qk_layernorm": True},
    "relative positions": {"pos_emb": "rpe"},
    "mamba": {"attention_config": ["mamba", "mamba"], "pos_emb": "none"},
    "rwkv": {"attention_config": ["rwkv", "rwkv"], "pos_emb": "none"},
    "amlp": {"attention_config": ["amlp", "gmlp"]},
    "experts": {"moe_num_experts": 3},
}


@pytest.mark.parametrize("changes", ARCHITECTURES.values(), ids=ARCHITECTURES.keys())
def test_the_base_model_is_the_standard_one_to_the_bit(changes):
    plain = model(**changes)
    mup = LanguageModel(*resolve(**changes, use_mup=True, base_shapes=base_shapes(**changes))).eval()
    assert mup.mup.is_plain
    for (name, one), (_, other) in zip(plain.named_parameters(), mup.named_parameters(), strict=True):
        assert torch.equal(one, other), name
    assert set(mup.mup.rate_factors(mup, "adam").values()) == set(mup.mup.rate_factors(mup, "sgd").values()) == {1.0}
    with torch.no_grad():
        assert torch.equal(plain(tokens()).logits(), mup(tokens()).logits())


def test_without_mup_its_keys_change_nothing():
    plain, other = model(), model(mup_init_scale=2.0, mup_embedding_mult=3.0, mup_attn_temp=4.0, mup_output_temp=5.0)
    with torch.no_grad():
        assert torch.equal(plain(tokens()).logits(), other(tokens()).logits())


# Table 8, for a model that is m times as wide

M = 4
INPUT = ("embedding.weight", "embedding.positions.weight", "norm.weight", "layers.0.attention.output.bias")
HIDDEN = ("layers.1.attention.query_key_value.weight", "layers.0.attention.output.weight", "layers.1.mlp.down.weight")
TABLE = {
    # initial standard deviation, rate of Adam, rate of SGD
    **dict.fromkeys(INPUT, (1, 1, M)),
    **dict.fromkeys(HIDDEN, (1 / math.sqrt(M), 1 / M, 1)),
    "head.weight": (1, 1, M),
}


@pytest.mark.parametrize("name", TABLE)
def test_each_parameter_follows_the_table_of_the_paper(name):
    wide = wide_model(M, pos_emb="learned")
    initial, adam, sgd = TABLE[name]
    assert wide.mup.growths(wide)[name].initial == pytest.approx(initial)
    assert wide.mup.rate_factors(wide, "adam")[name] == adam
    assert wide.mup.rate_factors(wide, "sgd")[name] == sgd


@pytest.mark.parametrize("method", METHODS)
def test_initial_weights_are_those_of_the_base_model_times_the_factor(method):
    changes = {"init_method": method, "output_layer_init_method": method, "vocab_size": 512, **LLAMA}
    sizes = {"hidden_size": 64, "num_attention_heads": 16, "intermediate_size": 192, "num_kv_heads": 8}
    base = dict(model(**{**changes, **sizes}).named_parameters())
    grown = {key: 4 * size for key, size in sizes.items()}
    shapes = base_shapes(**{**changes, **sizes})
    wide = model(**{**changes, **grown}, use_mup=True, base_shapes=shapes, mup_init_scale=3.0)
    for name, weight in wide.named_parameters():
        if weight.dim() == 2:
            inner = name.startswith("layers.")
            expected = 3 * float(base[name].detach().std()) / (2 if inner else 1)
            assert float(weight.detach().std()) == pytest.approx(expected, rel=0.05), name


def test_what_reads_a_wide_layer_and_gives_a_narrow_one_begins_smaller_still():
    wide = wide_model(4, moe_num_experts=3)
    growth = wide.mup.growths(wide)["layers.0.mlp.router.weight"]
    assert (growth.initial, growth.rate("adam"), growth.rate("sgd")) == (1 / 4, 1 / 4, 1 / 4)


def test_a_method_that_knows_the_width_is_left_alone():
    wide = wide_model(4, attention_config=["mamba"] * 2, pos_emb="none")
    factors = wide.mup.initial_factors(wide)
    assert factors["layers.0.mixer.dt_proj.weight"] == 1.0
    assert factors["layers.0.mixer.in_proj.weight"] == 0.5


# Factors in the forward pass


def test_logits_are_divided_by_the_width_and_the_temperature():
    plain, mup = (wide_model(4, mup_output_temp=temperature) for temperature in (1.0, 2.0))
    with torch.no_grad():
        hidden = torch.nn.functional.linear(plain(tokens()).hidden * 4, plain.head.weight)
        torch.testing.assert_close(plain(tokens()).logits(), hidden / 4)
        torch.testing.assert_close(mup(tokens()).logits(), hidden / 8)


def test_tied_weights_have_the_same_factor():
    wide = wide_model(2, no_weight_tying=False)
    wide.head.factor, factor = 1.0, wide.head.factor
    with torch.no_grad():
        without = wide(tokens()).logits()
        wide.head.factor = factor
        torch.testing.assert_close(wide(tokens()).logits(), without / 2)


def test_the_embedding_is_multiplied_and_positions_apart():
    plain, mup = (
        wide_model(2, pos_emb="learned", **changes).embedding
        for changes in ({}, {"mup_embedding_mult": 3.0, "mup_rp_embedding_mult": 5.0})
    )
    positions = torch.arange(12)[None]
    with torch.no_grad():
        words = torch.nn.functional.embedding(tokens(), plain.weight)
        expected = 3 * (words + 5 * plain.positions.embed(positions))
        torch.testing.assert_close(mup(tokens(), positions), expected)


def test_positions_have_their_factor_without_mup_too_as_in_gpt_neox():
    plain, other = model(pos_emb="learned").embedding, model(pos_emb="learned", mup_rp_embedding_mult=5.0).embedding
    positions = torch.arange(12)[None]
    with torch.no_grad():
        added = plain.positions.embed(positions)
        torch.testing.assert_close(other(tokens(), positions), plain(tokens(), positions) + 4 * added)


def test_gradients_have_the_factor_of_the_embedding_too():
    found = []
    for factor in (1.0, 3.0):
        embedding = wide_model(2, mup_embedding_mult=factor).embedding
        embedding(tokens(), torch.arange(12)[None]).sum().backward()
        found.append(embedding.weight.grad)
    torch.testing.assert_close(found[1], 3 * found[0])


@pytest.mark.parametrize("implementation", ["eager", "sdpa", "auto"])
def test_scores_fall_with_the_size_of_heads_and_not_with_its_root(implementation):
    changes = {"hidden_size": 64, "num_attention_heads": 4, "attention_implementation": implementation}  # heads of 16
    wide, standard = wide_model(4, **changes, mup_attn_temp=2.0), model(**changes)
    attention, usual = wide.layers[0].attention, standard.layers[0].attention
    assert attention.softmax.scale == pytest.approx(math.sqrt(4) / 16 / 2)
    usual.load_state_dict(attention.state_dict())
    with torch.no_grad():
        rows = usual.query_key_value.weight.view(4, 3, 16, 64)
        rows[:, 0] *= attention.softmax.scale * math.sqrt(16)  # in the queries, the factor comes to the same
        x, positions = torch.randn(2, 9, 64), torch.arange(9)[None]
        given = {"positions": positions, "documents": None, "cache": None}
        torch.testing.assert_close(attention(x, **given), usual(x, **given))


def test_more_heads_of_the_same_size_attend_as_before():
    assert wide_model(4).layers[0].attention.softmax.scale is None


def test_a_base_that_says_no_size_of_heads_has_as_many_heads():
    shapes = base_shapes()["shapes"]
    resolved, _ = resolve(hidden_size=32, use_mup=True, base_shapes=shapes)  # 4 heads of 8, of 4 in the base model
    assert MuP.of(resolved).attention(8) == pytest.approx(math.sqrt(4) / 8)


# What is refused


def test_another_vocabulary_is_refused():
    with pytest.raises(UserError, match=r"'embedding.weight' has 64 rows there and 128 in this model"):
        LanguageModel(*resolve(vocab_size=128, use_mup=True, base_shapes=base_shapes()))


def test_another_architecture_is_refused_when_the_model_is_made():
    with pytest.raises(UserError, match=r"base_shapes: has no shape of 'layers.0.mlp.gate.weight'"):
        LanguageModel(*resolve(**LLAMA, use_mup=True, base_shapes=base_shapes(norm="rmsnorm", num_kv_heads=2)))
    with pytest.raises(UserError, match=r"base_shapes: has 'layers.\*.mlp.gate.weight', and this model has not"):
        LanguageModel(*resolve(norm="rmsnorm", num_kv_heads=2, use_mup=True, base_shapes=base_shapes(**LLAMA)))


def test_deeper_models_take_the_shapes_of_their_kind():
    deep = LanguageModel(*wider(2, num_layers=2))
    deeper = LanguageModel(*resolve(**{**wider(2)[0].values, "num_layers": 5}))
    kinds = {growth for name, growth in deeper.mup.growths(deeper).items() if "up.weight" in name}
    assert kinds == {deep.mup.growths(deep)["layers.0.mlp.up.weight"]}

"""GPT-NeoX's names to ours and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from training_models import model, resolve

from neox_core.errors import UserError
from neox_core.testing.recorded import rule_weights

GOLDEN = Path(__file__).parents[1] / "golden"
ARCHITECTURES = [
    {},
    {"norm": "rmsnorm"},
    {"pos_emb": "learned", "no_weight_tying": False},
    {"gpt_j_residual": True, "gpt_j_tied": True},
    {"activation": "SwiGLU", "intermediate_size": 48},
    {"use_bias_in_mlp": False, "use_bias_in_attn_linear": False, "num_layers": 3},
    {"num_kv_heads": 2, "pos_emb": "rpe"},
    {"num_kv_heads": 1, "norm": "scalenorm", "use_qk_layernorm": True},
    {"norm": "non_parametric_layernorm", "pos_emb": "alibi", "use_qk_layernorm": True},
]


def converter(**changes):
    resolved, plugins = resolve(**changes)
    return plugins.make("converter", "gpt-neox", resolved)


@pytest.mark.parametrize("changes", ARCHITECTURES)
def test_every_weight_of_a_model_goes_out_and_comes_back(changes):
    ours = model(**changes).state_dict()
    theirs = converter(**changes).write(ours)
    back = converter(**changes).read(theirs)
    assert back.keys() == ours.keys()
    assert all(torch.equal(back[name], ours[name]) for name in ours)


RECORDED = sorted(
    path.stem for path in GOLDEN.glob("*.json") if not path.stem.startswith("gpt-neox-") and path.stem != "rm"
)
ARCHITECTURE = {
    *(
        "num_layers",
        "hidden_size",
        "num_attention_heads",
        "norm",
        "pos_emb",
        "no_weight_tying",
        "gpt_j_residual",
        "gpt_j_tied",
        "activation",
    ),
    *("intermediate_size", "expansion_factor", "mlp_multiple_of"),
    *("num_kv_heads", "use_qk_layernorm", "use_bias_in_mlp", "use_bias_in_attn_linear"),
}


@pytest.mark.parametrize("name", RECORDED)
def test_the_names_are_those_that_gpt_neox_recorded(name):
    fixture = json.loads((GOLDEN / f"{name}.json").read_text())
    changes = {key: value for key, value in fixture["config"].items() if key in ARCHITECTURE}
    theirs = {name: torch.from_numpy(rule_weights(name, shape)) for name, shape in fixture["params"].items()}
    made = converter(**changes)
    ours = made.read(theirs)
    assert torch.equal(ours["layers.1.mlp.down.weight"], theirs["sequential.3.mlp.linear2.weight"])
    written = {name for name in made.write(ours) if not name.endswith((".slopes", ".inv_freq"))}
    assert {name for name in written if "rpe" not in name or name.startswith("sequential.2.")} == theirs.keys()


def test_a_weight_that_the_architecture_lacks_is_refused():
    theirs = converter().write(model().state_dict())
    for name in ("sequential.0.position_embeddings.weight", "sequential.4.mlp.linear1.weight", "nonsense"):
        with pytest.raises(UserError, match=f"'{name}' is not a weight of this architecture"):
            converter().read({**theirs, name: torch.zeros(1)})


def test_a_weight_that_is_missing_is_named():
    theirs = converter().write(model().state_dict())
    del theirs["sequential.3.attention.dense.bias"]
    with pytest.raises(UserError, match=r"'sequential\.3\.attention\.dense\.bias' is a weight .* and is not there"):
        converter().read(theirs)


def test_the_second_norm_of_a_tied_block_is_written_and_need_not_be_read():
    changes = {"gpt_j_residual": True, "gpt_j_tied": True}
    ours = model(**changes).state_dict()
    theirs = converter(**changes).write(ours)
    second = {name for name in theirs if "post_attention_layernorm" in name}
    assert len(second) == 4
    back = converter(**changes).read({name: tensor for name, tensor in theirs.items() if name not in second})
    assert back.keys() == ours.keys()


def test_every_layer_has_the_relative_positions_and_the_first_one_is_enough():
    ours = model(pos_emb="rpe").state_dict()
    theirs = converter(pos_emb="rpe").write(ours)
    for layer in (2, 3):
        assert torch.equal(theirs[f"sequential.{layer}.attention.rpe.weight"], ours["embedding.positions.weight"])
    del theirs["sequential.3.attention.rpe.weight"]
    assert converter(pos_emb="rpe").read(theirs).keys() == ours.keys()


@pytest.mark.parametrize(
    ("changes", "tables"),
    [
        ({}, {}),
        (
            {"pos_emb": "alibi"},
            {f"sequential.{layer}.attention.alibi_embed.slopes": [2**-2, 2**-4, 2**-6, 2**-8] for layer in (2, 3)},
        ),
        (
            {"pos_emb": "alibi", "num_attention_heads": 6, "hidden_size": 24, "num_layers": 1},
            {"sequential.2.attention.alibi_embed.slopes": [2**-2, 2**-4, 2**-6, 2**-8, 2**-1, 2**-3]},
        ),
        (
            {"pos_emb": "sinusoidal"},
            {"sequential.0.position_embeddings.inv_freq": [10000 ** (-place / 8) for place in range(8)]},
        ),
        (
            {"rotary_save_freqs_buffer": True, "rotary_emb_base": 100, "num_layers": 1},
            {"sequential.2.attention.rotary_emb.inv_freq": [1, 0.1]},
        ),
        (
            {"pos_emb": "alibi", "attention_config": ["mamba", "global"]},
            {"sequential.3.attention.alibi_embed.slopes": [2**-2, 2**-4, 2**-6, 2**-8]},
        ),
    ],
)
def test_tables_that_gpt_neox_stores_are_written_and_read_over(changes, tables):
    ours = model(**changes).state_dict()
    theirs = converter(**changes).write(ours)
    written = {name: tensor for name, tensor in theirs.items() if name.endswith((".slopes", ".inv_freq"))}
    assert written.keys() == tables.keys()
    for name, values in tables.items():
        torch.testing.assert_close(written[name], torch.tensor(values, dtype=torch.float32))
    without = {name: tensor for name, tensor in theirs.items() if name not in written}
    assert converter(**changes).read(theirs).keys() == converter(**changes).read(without).keys() == ours.keys()


def test_stored_frequencies_are_read_over_whether_the_settings_store_them_or_not():
    theirs = converter().write(model().state_dict())
    assert converter().read({**theirs, "sequential.2.attention.rotary_emb.inv_freq": torch.ones(2)})


@pytest.mark.parametrize(
    ("plain", "changes"), [("rmsnorm", {"use_qk_layernorm": True}), ("layernorm", {"gpt_j_residual": True})]
)
def test_norms_of_transformer_engine_are_within_a_module(plain, changes):
    ours = model(norm=plain, **changes).state_dict()
    theirs = converter(norm=f"te_{plain}", **changes).write(ours)
    parts = {"rmsnorm": ["weight"], "layernorm": ["bias", "weight"]}[plain]
    for norm in ("sequential.2.input_layernorm", "sequential.3.post_attention_layernorm", "sequential.5.norm"):
        assert sorted(name for name in theirs if name.startswith(norm)) == [f"{norm}.norm.{part}" for part in parts]
    back = converter(norm=f"te_{plain}", **changes).read(theirs)
    assert all(torch.equal(back[name], ours[name]) for name in ours)


def test_a_soft_prompt_has_no_place_there_and_is_not_dropped_in_silence():
    changes = {"soft_prompt_tuning": {"enabled": True, "num_tokens": 3}}
    ours = model(**changes).state_dict()
    with pytest.raises(UserError, match=r"'embedding\.soft_prompt\.weight' has no place in GPT-NeoX"):
        converter(**changes).write(ours)
    prompt = ours.pop("embedding.soft_prompt.weight")
    assert prompt.shape == (3, 16)
    assert converter(**changes).read(converter(**changes).write(ours)).keys() == ours.keys()


@pytest.mark.parametrize("kv_heads", [1, 2])
def test_grouped_queries_are_all_queries_then_all_keys_then_all_values(kv_heads):
    changes = {"num_kv_heads": kv_heads}
    ours = model(**changes).state_dict()
    theirs = converter(**changes).write(ours)
    group, width = 4 // kv_heads, 4  # queries that share a key, dimensions of a head
    for part in ("weight", "bias"):
        mine = ours[f"layers.1.attention.query_key_value.{part}"]
        found = theirs[f"sequential.3.attention.query_key_value.{part}"]
        for kv in range(kv_heads):
            start = kv * (group + 2) * width
            queries, key, value = mine[start:].split(
                [group * width, width, width, len(mine) - start - (group + 2) * width]
            )[:3]
            assert torch.equal(found[kv * group * width :][: group * width], queries)
            assert torch.equal(found[(4 + kv) * width :][:width], key)
            assert torch.equal(found[(4 + kv_heads + kv) * width :][:width], value)


def test_a_weight_of_another_shape_is_named():
    theirs = converter(num_kv_heads=2).write(model(num_kv_heads=2).state_dict())
    name = "sequential.2.attention.query_key_value.bias"
    with pytest.raises(UserError, match=rf"'{name}' \(48,\): not the shape of this architecture"):
        converter(num_kv_heads=2).read({**theirs, name: torch.zeros(48)})

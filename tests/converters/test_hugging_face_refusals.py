"""What converters of Hugging Face's families leave out, take under older names, and refuse."""

from __future__ import annotations

import pytest
import torch
from training_models import model, resolve

from neox_core.errors import UserError

LLAMA = {"norm": "rmsnorm", "activation": "swiglu", "intermediate_size": 72}
MISTRAL = {**LLAMA, "use_bias_in_mlp": False, "use_bias_in_attn_linear": False}
MAMBA = {"attention_config": ["mamba", "mamba"], "norm": "rmsnorm", "pos_emb": "none"}


def converter(name, **changes):
    resolved, plugins = resolve(**changes)
    return plugins.make("converter", name, resolved)


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("hf-llama", {"norm": "layernorm"}, "norm: layernorm cannot .* Llama, which needs rmsnorm"),
        ("hf-llama", {"activation": "gelu"}, "activation: gelu cannot .* which needs bilinear or .* or swiglu"),
        ("hf-llama", {"gpt_j_residual": True}, "gpt_j_residual: true cannot .* which needs false"),
        ("hf-llama", {"pos_emb": "learned"}, "pos_emb: learned cannot .* which needs rotary"),
        ("hf-llama", {"rotary_pct": 0.5}, "rotary_pct: 0.5 cannot .* which needs 1"),
        ("hf-llama", {"use_qk_layernorm": True}, "use_qk_layernorm: true cannot .* which needs false"),
        ("hf-llama", {"sliding_window_width": 4}, "sliding_window_width: 4 cannot .* which needs none"),
        ("hf-llama", {"attention_config": ["global", "mamba"]}, "attention_config: mamba cannot .* needs global or"),
        (
            "hf-mistral",
            {"sliding_window_width": 4, "compat": "gpt-neox"},
            "compat: gpt-neox cannot .* Mistral, which needs none",
        ),
        ("hf-mistral", {"use_bias_in_mlp": True}, "use_bias_in_mlp: true cannot .* Mistral, which needs false"),
        ("hf-mistral", {"use_bias_in_attn_linear": True}, "use_bias_in_attn_linear: true cannot .* which needs false"),
        ("hf-gpt-neox", {"norm": "rmsnorm"}, "norm: rmsnorm cannot .* GPTNeoX, which needs layernorm"),
        ("hf-gpt-neox", {"num_kv_heads": 2}, "num_kv_heads: 2 cannot .* which needs 4"),
        ("hf-gpt-neox", {"activation": "swiglu"}, "activation: swiglu cannot .* which needs gelu"),
        ("hf-gpt-neox", {"gpt_j_residual": True, "gpt_j_tied": True}, "gpt_j_tied: true cannot .* which needs false"),
        ("hf-gpt-neox", {"use_bias_in_mlp": False}, "use_bias_in_mlp: false cannot .* which needs true"),
        ("hf-gpt-neox", {"sliding_window_width": 4}, "sliding_window_width: 4 cannot .* which needs none"),
        ("hf-mamba", {"norm": "layernorm"}, "norm: layernorm cannot .* Mamba, which needs rmsnorm"),
        ("hf-mamba", {"pos_emb": "learned"}, "pos_emb: learned cannot .* which needs none"),
        ("hf-mamba", {"attention_config": ["mamba", "global"]}, "attention_config: global cannot .* which needs mamba"),
        ("hf-mamba", {"mamba_use_bias_in_linears": True}, "mamba_use_bias_in_linears: true cannot .* needs false"),
        ("hf-mamba", {"intermediate_size": 40}, "intermediate_size: 40 cannot .* which needs 32 or 48"),
        ("hf-mamba", {"expansion_factor": 0.5}, "expansion_factor: 0.5 cannot .* which needs 1 or 2"),
    ],
)
def test_an_architecture_that_the_family_lacks_is_refused(name, changes, sentence):
    of_the_family = {"hf-llama": LLAMA, "hf-mistral": MISTRAL, "hf-gpt-neox": {}, "hf-mamba": MAMBA}[name]
    converter(name, **of_the_family)
    with pytest.raises(UserError, match=sentence):
        converter(name, **{**of_the_family, **changes})


def test_all_that_the_family_lacks_is_told_at_once():
    with pytest.raises(UserError, match=r"(?s)norm: layernorm .*activation: gelu .*gpt_j_residual: true"):
        converter("hf-llama", gpt_j_residual=True)


def test_half_of_gpt_j_is_the_ordinary_block():
    assert converter("hf-gpt-neox", gpt_j_tied=True)


@pytest.mark.parametrize(
    ("name", "changes", "buffers"),
    [
        (
            "hf-gpt-neox",
            {},
            [
                "gpt_neox.layers.1.attention.bias",
                "gpt_neox.layers.1.attention.masked_bias",
                "gpt_neox.layers.0.attention.rotary_emb.inv_freq",
            ],
        ),
        ("hf-llama", LLAMA, ["model.layers.1.self_attn.rotary_emb.inv_freq"]),
    ],
)
def test_what_earlier_versions_stored_and_compute_is_left_out(name, changes, buffers):
    made, ours = converter(name, **changes), model(**changes).state_dict()
    theirs = {**made.write(ours), **{buffer: torch.ones(3) for buffer in buffers}}
    assert made.read(theirs).keys() == ours.keys()
    with pytest.raises(UserError, match=r"'model\.nonsense' is not a weight of this architecture in Hugging Face's"):
        made.read({**theirs, "model.nonsense": torch.ones(3)})


@pytest.mark.parametrize(
    ("name", "changes", "now", "then"),
    [
        ("hf-gpt-neox", {}, "lm_head.weight", "embed_out.weight"),
        ("hf-mamba", MAMBA, "backbone.embeddings.weight", "backbone.embedding.weight"),
    ],
)
def test_names_of_earlier_versions_are_read(name, changes, now, then):
    made, ours = converter(name, **changes), model(**changes).state_dict()
    theirs = made.write(ours)
    theirs[then] = theirs.pop(now)
    back = made.read(theirs)
    assert all(torch.equal(back[name], ours[name]) for name in ours)


def test_tied_weights_may_be_there_once_or_twice_and_must_be_the_same():
    changes = {**LLAMA, "no_weight_tying": False}
    made, ours = converter("hf-llama", **changes), model(**changes).state_dict()
    theirs = made.write(ours)
    assert made.read(theirs).keys() == ours.keys()
    head = theirs.pop("lm_head.weight")
    assert made.read(theirs).keys() == ours.keys()
    with pytest.raises(UserError, match=r"no_weight_tying: false needs 'lm_head\.weight' to be the same"):
        made.read({**theirs, "lm_head.weight": head + 1})


def test_a_head_of_its_own_must_be_there():
    made = converter("hf-llama", **LLAMA)
    theirs = made.write(model(**LLAMA).state_dict())
    del theirs["lm_head.weight"]
    with pytest.raises(UserError, match=r"'lm_head\.weight' is a weight of this architecture .* and is not there"):
        made.read(theirs)


def test_a_vocabulary_of_another_size_is_refused():
    made = converter("hf-llama", **LLAMA)
    theirs = made.write(model(**LLAMA).state_dict())
    assert len(theirs["model.embed_tokens.weight"]) == 64
    theirs["model.embed_tokens.weight"] = theirs["model.embed_tokens.weight"][:61]
    with pytest.raises(UserError, match=r"has 61 rows.*describe 64.*vocab_size to 61 and make_vocab_size_divisible_by"):
        made.read(theirs)


def test_a_weight_that_the_family_has_no_place_for_is_refused():
    ours = model(**LLAMA).state_dict()
    with pytest.raises(UserError, match=r"'embedding\.soft_prompt\.weight' has no place in Hugging Face's Llama"):
        converter("hf-llama", **LLAMA).write({**ours, "embedding.soft_prompt.weight": torch.ones(3, 16)})

"""Every architecture that GPT-NeoX has goes out to its directories, cut over ranks, and comes back as it was."""

from __future__ import annotations

import pytest
import torch
from gpt_neox_directories import family, open_with
from training_models import model, resolve

from neox_core.checkpoint import Exported, ExportOptions, HeldTensors

GATED = {"activation": "SwiGLU", "intermediate_size": 48}
WITHOUT_BIASES = {"use_bias_in_mlp": False, "use_bias_in_attn_linear": False}
KINDS = {
    "plain": {},
    "tied, with learned positions": {"pos_emb": "learned", "no_weight_tying": False},
    "sinusoidal": {"pos_emb": "sinusoidal"},
    "one norm for both sides": {"gpt_j_residual": True, "gpt_j_tied": True},
    "parallel": {"gpt_j_residual": True},
    "llama": {"norm": "rmsnorm", **GATED, **WITHOUT_BIASES},
    "grouped, with relative positions": {"num_kv_heads": 2, "pos_emb": "rpe"},
    "scalenorm, of queries and keys too": {"norm": "scalenorm", "use_qk_layernorm": True},
    "no parameters in norms, alibi": {"norm": "non_parametric_layernorm", "pos_emb": "alibi"},
    "frequencies stored": {"rotary_save_freqs_buffer": True, "rotary_pct": 0.5},
    "another width": {"intermediate_size": 56},
    "mamba": {"attention_config": ["mamba", "global"]},
    "mamba alone, with biases": {
        "attention_config": ["mamba", "mamba"],
        "mamba_use_bias_in_linears": True,
        "pos_emb": "none",
    },
}
ONLY_WHOLE = {
    "rwkv": {"attention_config": ["rwkv", "global"], "hidden_size": 64},
    "gmlp": {"attention_config": ["gmlp", "global"]},
    "amlp": {"attention_config": ["amlp", "amlp"], "gmlp_attn_dim": 8, "pos_emb": "none"},
}
"""Those that GPT-NeoX does not cut over tensor-parallel ranks."""


def assert_same(tmp_path, tensor, pipe, changes):
    resolved, plugins = resolve(**changes)
    weights = model(**changes).state_dict()
    exported = Exported(
        path=tmp_path,
        resolved=resolved,
        plugins=plugins,
        weights=HeldTensors(weights),
        states={},
        progress=None,
        tokenizer=None,
    )
    family().write(exported, tmp_path / "out", ExportOptions(tensor=tensor, pipe=pipe))
    found, again = open_with(tmp_path / "out", {})
    read = found.weights(again)
    names = {name for name, _ in model(**changes).named_parameters()}
    assert read.keys() == names
    assert [name for name in names if not torch.equal(read[name], weights[name])] == []
    assert again.padded_vocab_size == resolved.padded_vocab_size
    assert again.mlp_width == resolved.mlp_width


@pytest.mark.parametrize(("tensor", "pipe"), [(1, 1), (2, 0)])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_comes_back_as_it_was(tmp_path, kind, tensor, pipe):
    assert_same(tmp_path, tensor, pipe, KINDS[kind])


@pytest.mark.parametrize("kind", ONLY_WHOLE)
def test_kinds_that_are_not_cut_come_back_too(tmp_path, kind):
    assert_same(tmp_path, 1, 1, ONLY_WHOLE[kind])

"""Releases of LLaMA and Mistral: written here as their programs lay them out, read by neox, held against transformers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from foreign_models import Case, convert, filled, their_model
from plugin_runs import listing
from safetensors.torch import save_file
from training_models import resolve, tokens

from neox_core.errors import UserError
from neox_core.plugins import Switches
from neox_core.training import load_trained

HIDDEN, HEADS, WIDTH, ROWS = 16, 4, 24, 64
SIZES = {"num_attention_heads": HEADS, "intermediate_size": WIDTH, "max_position_embeddings": 64, "rms_norm_eps": 1e-5}
NAMES = {
    "self_attn.q_proj": "attention.wq",
    "self_attn.k_proj": "attention.wk",
    "self_attn.v_proj": "attention.wv",
    "self_attn.o_proj": "attention.wo",
    "mlp.gate_proj": "feed_forward.w1",
    "mlp.down_proj": "feed_forward.w2",
    "mlp.up_proj": "feed_forward.w3",
    "input_layernorm": "attention_norm",
    "post_attention_layernorm": "ffn_norm",
}


def neighbours(weight: torch.Tensor) -> torch.Tensor:
    """Rows of which i and i + half of a head turn together, so placed that neighbours do: one row after the other."""
    head = HIDDEN // HEADS
    rows = []
    for start in range(0, len(weight), head):
        for pair in range(head // 2):
            rows += [weight[start + pair], weight[start + head // 2 + pair]]
    return torch.stack(rows)


def released(theirs: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The weights of a model of transformers as Meta names and lays them out."""
    found = {}
    for name, weight in theirs.state_dict().items():
        raw = name.removeprefix("model.").replace("embed_tokens", "tok_embeddings").replace("lm_head", "output")
        for one, other in NAMES.items():
            raw = raw.replace(one, other)
        found[raw] = neighbours(weight) if raw.endswith(("wq.weight", "wk.weight")) else weight.clone()
    return found


def part(name: str, weight: torch.Tensor, rank: int, ranks: int, embedding: int) -> torch.Tensor:
    """What one tensor-parallel rank has of a weight."""
    if weight.dim() == 1:
        return weight
    columns = name.endswith(("wo.weight", "w2.weight"))
    dimension = embedding if name.startswith("tok_embeddings") else int(columns)
    return weight.chunk(ranks, dimension)[rank].clone()


def write_release(directory: Path, weights, params, ranks: int = 1, embedding: int = 1) -> Path:
    directory.mkdir(parents=True)
    (directory / "params.json").write_text(json.dumps(params))
    for rank in range(ranks):
        own = {name: part(name, weight, rank, ranks, embedding) for name, weight in weights.items()}
        torch.save({**own, "rope.freqs": torch.ones(2)}, directory / f"consolidated.{rank:02d}.pth")
    return directory


def params(**changes):
    """Those of LLaMA."""
    given = {"dim": HIDDEN, "n_layers": 2, "n_heads": HEADS, "multiple_of": 8, "norm_eps": 1e-5, "vocab_size": -1}
    return {key: value for key, value in {**given, **changes}.items() if value is not None}


MISTRAL = params(
    multiple_of=None, head_dim=4, hidden_dim=WIDTH, n_kv_heads=2, vocab_size=ROWS, rope_theta=10000.0, sliding_window=5
)


def assert_the_same(directory: Path, theirs: torch.nn.Module) -> None:
    samples = tokens(2, 20)
    ours = load_trained(directory, Switches()).model(samples).logits()
    expected = theirs(samples).logits
    assert expected.abs().max() > 0.5
    torch.testing.assert_close(ours, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("kv_heads", "base", "ranks", "embedding", "said"),
    [
        (4, 10000.0, 1, 1, {}),
        (4, 10000.0, 2, 1, {"vocab_size": ROWS}),
        (2, 500000.0, 2, 0, {"n_kv_heads": 2, "rope_theta": 500000.0, "vocab_size": ROWS, "use_scaled_rope": False}),
    ],
    ids=["LLaMA of one rank", "LLaMA 2 of two ranks", "LLaMA 3 of two ranks"],
)
def test_a_release_of_llama_computes_what_transformers_does(tmp_path, kv_heads, base, ranks, embedding, said):
    rotation = {"rope_parameters": {"rope_type": "default", "rope_theta": base}}
    theirs = filled(their_model(Case("hf-llama", {}, {**SIZES, **rotation, "num_key_value_heads": kv_heads})))
    release = write_release(tmp_path / "release", released(theirs), params(**said), ranks, embedding)
    assert_the_same(release, theirs)
    assert (
        convert(release, tmp_path / "ours", "--verify", "--config", "max_position_embeddings=48", "seq_length=32") == 0
    )
    assert_the_same(tmp_path / "ours", theirs)
    settings = (tmp_path / "ours/global_step0/settings.yml").read_text()
    assert "max_position_embeddings: 48" in settings
    assert "seq_length: 32" in settings
    assert convert(release, tmp_path / "theirs", "--to", "hf-llama", "--verify") == 0


@pytest.mark.parametrize("safe", [False, True])
def test_a_release_of_mistral_computes_what_transformers_does(tmp_path, safe):
    theirs = filled(their_model(Case("hf-mistral", {}, {**SIZES, "num_key_value_heads": 2, "sliding_window": 5})))
    release = write_release(tmp_path / "release", released(theirs), MISTRAL)
    if safe:
        (release / "consolidated.00.pth").unlink()
        save_file(released(theirs), release / "consolidated.safetensors")
    assert_the_same(release, theirs)
    assert convert(release, tmp_path / "theirs", "--to", "hf-mistral", "--verify") == 0


def test_a_head_that_is_not_there_is_the_embedding(tmp_path):
    theirs = filled(their_model(Case("hf-llama", {}, {**SIZES, "num_key_value_heads": 4, "tie_word_embeddings": True})))
    weights = released(theirs)
    del weights["output.weight"]
    assert_the_same(write_release(tmp_path / "release", weights, params()), theirs)


def test_frequencies_that_the_first_release_has_in_each_layer_are_left_out(tmp_path):
    theirs = filled(their_model(Case("hf-llama", {}, {**SIZES, "num_key_value_heads": 4})))
    frequencies = {f"layers.{layer}.attention.inner_attention.rope.freqs": torch.ones(2) for layer in range(2)}
    assert_the_same(write_release(tmp_path / "release", released(theirs) | frequencies, params(), ranks=2), theirs)


def test_weights_in_memory_go_both_ways():
    like = {"norm": "rmsnorm", "activation": "swiglu", "intermediate_size": 72, "num_kv_heads": 2}
    resolved, plugins = resolve(**like, use_bias_in_mlp=False, use_bias_in_attn_linear=False)
    theirs = filled(their_model(Case("hf-llama", {}, {**SIZES, "num_key_value_heads": 2})))
    made, weights = plugins.make("converter", "llama", resolved), released(theirs)
    again = made.write(made.read(weights))
    assert again.keys() == weights.keys()
    assert all(torch.equal(again[name], weights[name]) for name in weights)
    with pytest.raises(
        UserError, match=r"use_bias_in_mlp: true cannot be expressed by Meta's LLaMA, which needs false"
    ):
        plugins.make("converter", "llama", resolve(**like, use_bias_in_attn_linear=False)[0])


@pytest.mark.parametrize(
    ("said", "sentence"),
    [
        ({"use_scaled_rope": True}, "use_scaled_rope: true is a scaling of the positions, which neox does not have"),
        ({"moe": {"num_experts": 8}}, r"moe: \{'num_experts': 8\} is nothing that neox knows of llama"),
        ({"n_layers": 3, "vocab_size": 99}, "n_layers: 3 is 2 by the tensors; vocab_size: 99 is 64 by the tensors"),
        ({"n_heads": 3}, r"3 heads have 16 rows of queries and 16 of keys, and in neox each is dim / n_heads, 5.33333"),
        ({"n_heads": "many"}, 'n_heads: "many" is not a whole number > 0'),
    ],
)
def test_what_neox_does_not_have_is_refused(tmp_path, said, sentence):
    theirs = filled(their_model(Case("hf-llama", {}, {**SIZES, "num_key_value_heads": 4})))
    release = write_release(tmp_path / "release", released(theirs), params(**said))
    before = listing(tmp_path)
    with pytest.raises(UserError, match=sentence):
        convert(release, tmp_path / "ours")
    assert listing(tmp_path) == before


def test_ranks_that_are_missing_or_of_another_checkpoint_are_named(tmp_path):
    theirs = filled(their_model(Case("hf-llama", {}, {**SIZES, "num_key_value_heads": 4})))
    weights = released(theirs)
    release = write_release(tmp_path / "release", weights, params(), ranks=2)
    held = torch.load(release / "consolidated.01.pth", weights_only=True)
    torch.save({**held, "norm.weight": held["norm.weight"] + 1}, release / "consolidated.01.pth")
    with pytest.raises(
        UserError, match=r"consolidated.01.pth: 'norm.weight' is not the same as in consolidated.00.pth"
    ):
        convert(release, tmp_path / "ours")
    torch.save({name: held[name] for name in held if name != "norm.weight"}, release / "consolidated.01.pth")
    with pytest.raises(UserError, match=r"consolidated.01.pth: 'norm.weight' is not in all of consolidated.00.pth, "):
        convert(release, tmp_path / "ours")
    (release / "consolidated.00.pth").unlink()
    with pytest.raises(
        UserError, match=r"consolidated.00.pth is missing, and consolidated.01.pth is there; get it too"
    ):
        convert(release, tmp_path / "ours")
    assert not (tmp_path / "ours").exists()


def test_a_release_is_not_written(tmp_path):
    theirs = filled(their_model(Case("hf-llama", {}, {**SIZES, "num_key_value_heads": 4})))
    release = write_release(tmp_path / "release", released(theirs), params())
    with pytest.raises(
        UserError, match=r"--to mistral: such releases are only read; Hugging Face's form is hf-mistral"
    ):
        convert(release, tmp_path / "other", "--to", "mistral")
    assert not (tmp_path / "other").exists()

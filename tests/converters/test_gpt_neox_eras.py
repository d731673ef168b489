"""What other versions of GPT-NeoX called weights, and how they laid them out, comes out as the same model."""

from __future__ import annotations

import io

import pytest
import torch
from gpt_neox_directories import config_of, family, open_with, opened
from gpt_neox_eras import changed, copied, each, renamed, without_optimizer
from neox_converters.gpt_neox_files.cuts import ALIKE, joined

from neox_core.checkpoint.foreign import opened as open_family
from neox_core.errors import UserError
from neox_core.plugins import PluginManager

OF_2021 = {"mlp.linear1.weight": "mlp.dense_h_to_4h.weight", "mlp.linear1.bias": "mlp.dense_h_to_4h.bias"}
OF_2021 |= {"mlp.linear2.weight": "mlp.dense_4h_to_h.weight", "mlp.linear2.bias": "mlp.dense_4h_to_h.bias"}
HEADS, KV_HEADS, HEAD_DIM = 4, 2, 8
"""Of the recorded llama."""


def same_weights(checkpoint, name, **changes):
    """Whether a changed copy comes out as the original does."""
    found, resolved = open_with(checkpoint, {**config_of(name), **changes})
    original, settings = opened(name)
    weights, wanted = found.weights(resolved), original.weights(settings)
    assert weights.keys() == wanted.keys()
    assert [key for key in wanted if not torch.equal(weights[key], wanted[key])] == []
    return found, resolved, original, settings


@pytest.mark.parametrize("name", ["pythia_pp0", "base_tp2", "pythia_pp1"])
def test_names_of_2021_are_read_and_so_is_the_state_of_their_optimizers(name, tmp_path):
    checkpoint = changed(copied(name, tmp_path), renamed(OF_2021))
    found, resolved, original, settings = same_weights(checkpoint, name)
    moments, wanted = found.states(resolved)["exp_avg"], original.states(settings)["exp_avg"]
    assert all(torch.equal(moments[key], wanted[key]) for key in wanted)


def test_frequencies_and_masks_that_old_files_have_are_left_out(tmp_path):
    def add(layer, value):
        return {
            f"{layer}attention.dense.weight": value,
            f"{layer}attention.rotary_emb.inv_freq": torch.ones(1),
            f"{layer}attention.masked_bias": torch.tensor(-1e4),
        }

    same_weights(changed(copied("pythia_pp1", tmp_path), each("attention.dense.weight", add)), "pythia_pp1")


def test_the_share_that_is_rotated_need_not_be_that_of_whole_pairs(tmp_path):
    """0.3 of the 8 dimensions of a head are 2, as are 0.25."""

    def add(layer, value):
        frequencies = {f"{layer}attention.rotary_emb.inv_freq": torch.ones(1)}
        return {f"{layer}attention.dense.weight": value} | frequencies

    checkpoint = changed(copied("pythia_pp1", tmp_path), each("attention.dense.weight", add))
    found, *_ = same_weights(checkpoint, "pythia_pp1", rotary_pct=0.3)
    assert found.settings["rotary_pct"] == 0.3
    with pytest.raises(UserError, match=r"rotary_pct is 0.5 in the settings, and 0.25 by its tensors"):
        same_weights(checkpoint, "pythia_pp1", rotary_pct=0.5)


@pytest.mark.parametrize("name", ["global_step0", "0"])
def test_what_a_tool_of_gpt_neox_has_converted_is_weights_alone(name, tmp_path):
    """Such files say iteration 1, whatever their directory is called."""

    def by_a_tool(file, content):
        weights = content["module"]
        content.clear()
        content.update(dp_world_size=1, mp_world_size=2, module=weights, optimizer={}, iteration=1)
        content.update(global_steps=1, skipped_steps=1)

    checkpoint = changed(copied("llama_tp2", tmp_path), by_a_tool)
    checkpoint = checkpoint.rename(checkpoint.parent / name)
    (checkpoint.parent / "latest").write_text(name)
    found, resolved, *_ = same_weights(checkpoint.parent, "llama_tp2", train_micro_batch_size_per_gpu=None)
    assert found.progress is None
    assert found.states(resolved) == {}


def test_partitions_had_another_name_until_2021(tmp_path):
    checkpoint = copied("pythia_pp2_tp2_zero1", tmp_path)
    for file in checkpoint.glob("zero_pp_rank_*"):
        file.rename(file.with_name(file.name.replace("_optim_states", "optim_states")))
    found, resolved, original, settings = same_weights(checkpoint, "pythia_pp2_tp2_zero1")
    moments, wanted = found.states(resolved)["exp_avg"], original.states(settings)["exp_avg"]
    assert all(torch.equal(moments[key], wanted[key]) for key in wanted)


def apart(layer, value):
    up, gate = value.chunk(2)
    return {f"{layer}mlp.w1.weight": gate, f"{layer}mlp.w3.weight": up}


def by_heads(layer, value):
    """Of the ranks of 2024: [query | share of a key | share of a value] of each head."""
    heads = value.shape[0] * HEADS // ((HEADS + 2 * KV_HEADS) * HEAD_DIM)
    share = HEAD_DIM * KV_HEADS // HEADS
    rows = torch.split(value, [heads * HEAD_DIM, heads * share, heads * share])
    parts = [part.view(heads, -1, value.shape[1]) for part in rows]
    return {f"{layer}attention.query_key_value.weight": torch.cat(parts, 1).flatten(0, 1)}


def test_llama_of_early_2024_has_its_gate_apart_and_its_keys_among_the_queries(tmp_path):
    checkpoint = changed(copied("llama_tp2", tmp_path), each("mlp.linear1.weight", apart))
    changed(checkpoint, renamed({"mlp.linear2.weight": "mlp.w2.weight"}))
    changed(checkpoint, each("attention.query_key_value.weight", by_heads))
    changed(checkpoint, without_optimizer)
    # intermediate_size was the true width then.
    found, _, original, settings = same_weights(checkpoint, "llama_tp2", intermediate_size=64)
    assert found.settings["intermediate_size"] == 192
    given = {**config_of("llama_tp2"), "intermediate_size": 64, "save_interval": 5, "gas": 2}
    foreign = open_family("gpt-neox", family(), checkpoint, PluginManager(), given)
    assert foreign.weights().keys() == original.weights(settings).keys()
    assert foreign.resolved.mlp_width == 64


OF_TRANSFORMER_ENGINE = {
    "attention.query_key_value.bias": "attention.qkv.bias",
    "attention.query_key_value.weight": "attention.qkv.weight",
    "attention.dense.weight": "attention.proj.weight",
    "attention.dense.bias": "attention.proj.bias",
    "mlp.linear1.weight": "mlp.fc1_weight",
    "mlp.linear1.bias": "mlp.fc1_bias",
    "mlp.linear2.weight": "mlp.fc2_weight",
    "mlp.linear2.bias": "mlp.fc2_bias",
    "post_attention_layernorm.weight": "mlp.layer_norm_weight",
    "post_attention_layernorm.bias": "mlp.layer_norm_bias",
    "post_attention_layernorm.scale": "mlp.layer_norm_weight",
}


def with_extra_state(layer, value):
    return {f"{layer}mlp.fc2_weight": value, f"{layer}mlp._extra_state": io.BytesIO(b"anything")}


def test_names_of_transformer_engine_are_read(tmp_path):
    checkpoint = changed(copied("base_tp2", tmp_path), renamed(OF_TRANSFORMER_ENGINE))
    changed(checkpoint, each("mlp.fc2_weight", with_extra_state))
    same_weights(changed(checkpoint, without_optimizer), "base_tp2")


def by_groups(layer, value):
    """Transformer Engine's rows: [the queries that share a key | the key | the value]."""
    groups = value.shape[0] // ((HEADS // KV_HEADS + 2) * HEAD_DIM)
    sizes = [groups * HEADS // KV_HEADS * HEAD_DIM, groups * HEAD_DIM, groups * HEAD_DIM]
    parts = [part.view(groups, -1, value.shape[1]) for part in torch.split(value, sizes)]
    return {f"{layer}attention.query_key_value.weight": torch.cat(parts, 1).flatten(0, 1)}


def test_grouped_queries_and_gates_of_transformer_engine_are_laid_out_anew(tmp_path):
    checkpoint = changed(copied("llama_tp2", tmp_path), each("attention.query_key_value.weight", by_groups))
    changed(
        checkpoint,
        each(
            "mlp.linear1.weight", lambda layer, value: {f"{layer}mlp.linear1.weight": torch.cat(value.chunk(2)[::-1])}
        ),
    )
    changed(checkpoint, renamed(OF_TRANSFORMER_ENGINE))
    same_weights(changed(checkpoint, without_optimizer), "llama_tp2")


def test_norms_that_drifted_apart_are_averaged_and_copies_of_biases_added(tmp_path):
    checkpoint = copied("pythia_tp2", tmp_path)

    def drift(file, content):
        if file.startswith("mp_rank_01"):
            content["module"]["sequential.5.norm.weight"] += 0.5
            content["module"]["sequential.2.mlp.linear2.bias"] += 2.0

    original, settings = opened("pythia_tp2")
    found, resolved = open_with(changed(checkpoint, drift), config_of("pythia_tp2"))
    weights, before = found.weights(resolved), original.weights(settings)
    assert torch.allclose(weights["norm.weight"], before["norm.weight"] + 0.25)
    assert torch.allclose(weights["layers.0.mlp.down.bias"], before["layers.0.mlp.down.bias"] + 2.0)
    file = checkpoint / "mp_rank_00_model_states.pt"
    copy = torch.load(file, weights_only=False)["module"]["sequential.2.attention.dense.bias"]
    assert torch.equal(weights["layers.0.attention.output.bias"], 2 * copy)


def test_without_parallel_residuals_a_bias_is_what_every_rank_has():
    found, resolved = opened("base_tp2")
    path = found.path / "mp_rank_00_model_states.pt"
    copy = torch.load(path, weights_only=False)["module"]["sequential.2.attention.dense.bias"]
    assert torch.equal(found.weights(resolved)["layers.0.attention.output.bias"], copy)
    assert "row_parallel_bias_copies" not in found.settings


def test_weights_alone_are_a_checkpoint_too(tmp_path):
    """As the slim weights of a release: files of layers, and a directory of settings beside."""
    checkpoint = copied("pythia_pp1", tmp_path)
    (checkpoint / "mp_rank_00_model_states.pt").unlink()
    (checkpoint.parent / "configs").mkdir()
    keys = [f"{key.replace('_', '-')}: {value}" for key, value in FLAT.items()]
    (checkpoint.parent / "configs" / "model.yml").write_text("\n".join(keys) + "\n")
    found, resolved = open_with(checkpoint.parent, {})
    original, settings = opened("pythia_pp1")
    weights, wanted = found.weights(resolved), original.weights(settings)
    assert all(torch.equal(weights[key], wanted[key]) for key in wanted)
    assert found.progress is None
    assert found.states(resolved) == {}


FLAT = {key: value for key, value in config_of("pythia_pp1").items() if isinstance(value, int | float | str)}
FLAT = {key: str(value).lower() if isinstance(value, bool) else value for key, value in FLAT.items()} | {
    "split": '"9,1"'
}


def test_a_merged_checkpoint_may_have_the_state_files_of_more_ranks(tmp_path):
    """As tools of GPT-NeoX leave it: one part of each layer, and the emptied files of all ranks."""
    checkpoint = copied("pythia_pp1", tmp_path)
    changed(checkpoint, without_optimizer, "mp_rank*.pt")
    for number in range(1, 4):
        copy = checkpoint / f"mp_rank_{number:02d}_model_states.pt"
        copy.write_bytes((checkpoint / "mp_rank_00_model_states.pt").read_bytes())
    found, *_ = same_weights(checkpoint, "pythia_pp1")
    assert found.progress["iteration"] == 3


def test_spatial_weights_that_ranks_train_apart_are_no_one_model():
    with pytest.raises(UserError, match="is trained by each of 2 tensor-parallel ranks apart"):
        joined("sequential.2.sgu.proj.weight", [torch.ones(2, 2), torch.zeros(2, 2)], ALIKE)

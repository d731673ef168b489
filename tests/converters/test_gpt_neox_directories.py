"""Directories of GPT-NeoX are opened whole, or refused with the file that is wrong."""

from __future__ import annotations

import shutil
import zipfile
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
import torch
import yaml
from gpt_neox_directories import CHECKPOINTS, NAMES, config_of, family, open_with, opened
from gpt_neox_eras import changed, copied
from neox_converters.file_tensors import open_pickled
from neox_converters.gpt_neox_files.pickles import open_file

from neox_core.checkpoint import find_family, open_foreign
from neox_core.errors import UserError
from neox_core.plugins import PluginManager

FIRST, SECOND = "mp_rank_00_model_states.pt", "mp_rank_01_model_states.pt"


def spoil(path: Path) -> None:
    """Change an element of a tensor."""
    with zipfile.ZipFile(path) as archive:
        record = max(
            (info for info in archive.infolist() if "/data/" in info.filename), key=lambda info: info.file_size
        )
    data = bytearray(path.read_bytes())
    header = record.header_offset
    name, extra = (int.from_bytes(data[header + at : header + at + 2], "little") for at in (26, 28))
    data[header + 30 + name + extra + record.file_size // 2] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize("name", NAMES)
def test_a_bit_that_changed_in_any_file_is_found(tmp_path, name):
    directory = copied(name, tmp_path)
    files = sorted(directory.glob("*.pt"))
    family().open(directory, config_of(name)).verify()
    for file in files:
        sound = file.read_bytes()
        spoil(file)
        with pytest.raises(UserError, match=rf"{file.name} is damaged: its bytes are not those that were written"):
            family().open(directory, config_of(name)).verify()
        file.write_bytes(sound)
    assert files


def test_whoever_reads_weights_alone_looks_at_no_other_file(tmp_path):
    directory = copied("pythia_pp2_tp2_zero1", tmp_path)
    spoil(next(directory.glob("*optim_states.pt")))
    family().open(directory, {**config_of("pythia_pp2_tp2_zero1"), "no_load_optim": True}).verify()


@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_directory_is_recognised_and_says_what_it_is(name):
    found = find_family(CHECKPOINTS / name, PluginManager())
    assert found is not None
    assert found[0] == "gpt-neox"
    checkpoint, resolved = opened(name)
    assert checkpoint.path == CHECKPOINTS / name / "global_step3"
    samples = 24 if name == "gas2_pp2" else 12
    counts = {"iteration": 3, "applied": 3, "consumed_samples": samples, "skipped_in_a_row": 0, "scheduled": 3}
    assert checkpoint.progress == counts
    assert resolved.padded_vocab_size == 512
    weights = checkpoint.weights(resolved)
    for role, tensors in checkpoint.states(resolved).items():
        assert tensors.keys() == weights.keys()
        for key, weight in weights.items():
            assert tensors.meta(key).shape == (() if role == "step" else weight.shape)


def test_one_checkpoint_or_the_one_that_latest_names_or_the_newest(tmp_path):
    save = copied("llama_tp2", tmp_path).parent

    def opened_path(path):
        return family().open(path, config_of("llama_tp2")).path.name

    for step in (20, 100):
        shutil.copytree(save / "global_step3", save / f"global_step{step}")
        changed(save / f"global_step{step}", lambda file, content, step=step: content.update(iteration=step))
    assert opened_path(save) == "global_step3"
    (save / "latest").write_text("global_step20\n")
    assert opened_path(save) == "global_step20"
    (save / "latest").unlink()
    assert opened_path(save) == "global_step100"
    assert opened_path(save / "global_step3") == "global_step3"
    (save / "latest").write_text("global_step7")
    with pytest.raises(UserError, match=r"names 'global_step7', which is no checkpoint of GPT-NeoX; .* global_step3, "):
        opened_path(save)


def test_ours_and_other_directories_are_not_taken_for_theirs(tmp_path):
    checkpoint = copied("llama_tp2", tmp_path)
    (checkpoint / "manifest.json").touch()
    assert not family().recognises(checkpoint.parent)
    assert not family().recognises(tmp_path)
    assert not family().recognises(tmp_path / "nowhere")
    with pytest.raises(UserError, match="there is no checkpoint of GPT-NeoX"):
        family().open(tmp_path, {})


@pytest.mark.parametrize(
    ("name", "removed", "sentence"),
    [
        ("pythia_pp2_tp2_zero1", "layer_03-model_01-model_states.pt", "layer_03-model_01-model_states.pt is missing"),
        ("pythia_pp2_tp2_zero1", "layer_0[03]-model_0*", "layer_00-model_00-model_states.pt is missing"),
        ("pythia_pp2_tp2_zero1", "layer_02-model_0*", "layer_02-model_.* is missing"),
        ("pythia_pp2_tp2_zero1", "layer_0[356]-model_0*", "num_layers is 2 in the settings, and 1 by its tensors"),
        ("pythia_pp2_tp2_zero1", "mp_rank_02*", "mp_rank_02_model_states.pt is missing"),
        ("pythia_pp2_tp2_zero1", "mp_rank_0[0123]*", "mp_rank_00_model_states.pt is missing"),
        ("pythia_pp2_tp2_zero1", "zero*mp_rank_01*", "zero_pp_rank_0_mp_rank_01_optim_states.pt is missing"),
        ("pythia_tp2", "mp_rank_00*", "mp_rank_00_model_states.pt is missing"),
        ("pythia_tp2", "mp_rank_01*", "says model_parallel_size 2, and there are files .* of 1 tensor-parallel"),
    ],
)
def test_a_missing_file_is_named(tmp_path, name, removed, sentence):
    checkpoint = copied(name, tmp_path)
    for file in checkpoint.glob(removed):
        file.unlink()
    with pytest.raises(UserError, match=sentence):
        open_with(checkpoint, config_of(name))


@pytest.mark.parametrize("left", [0, 3, 1000, -100])
def test_a_file_that_was_cut_off_is_named(tmp_path, left):
    checkpoint = copied("pythia_tp2", tmp_path)
    content = (checkpoint / SECOND).read_bytes()
    (checkpoint / SECOND).write_bytes(content[:left])
    with pytest.raises(UserError, match=f"{SECOND} is damaged"):
        open_with(checkpoint, config_of("pythia_tp2"))


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("opened_by", [open_file, open_pickled])
def test_whatever_bytes_have_changed_is_a_sentence_or_is_read(tmp_path, opened_by, zipped):
    file = tmp_path / "weights.pt"
    torch.save({f"w.{n}": torch.ones(2) for n in range(3)}, file, _use_new_zipfile_serialization=zipped)
    content, random = file.read_bytes(), Random(1)
    for _ in range(60):
        changed_bytes = bytearray(content)
        changed_bytes[random.randrange(len(content))] = random.randrange(256)
        file.write_bytes(changed_bytes)
        with suppress(UserError):
            opened_by(file)


def of_another_step(file, content):
    if file == SECOND:
        content["iteration"] = 4


def of_another_model(file, content):
    if file == SECOND:
        del content["module"]["sequential.3.mlp.linear1.bias"]


def narrower(file, content):
    content["optimizer"] = None
    if file == SECOND:
        content["module"]["sequential.3.mlp.linear1.weight"] = torch.ones(64, 31)


def without_its_state(file, content):
    if file == SECOND:
        content["optimizer"] = None


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (of_another_step, f"{SECOND} was saved at iteration 4, and {FIRST} at 3"),
        (of_another_model, "do not have the same weights \\('sequential.3.mlp.linear1.bias' is in one of them"),
        (narrower, "'sequential.3.mlp.linear1.weight': the parts .* do not fit together"),
        (without_its_state, f"{SECOND} has no optimizer state"),
        (
            lambda file, content: content.update(iteration=9),
            "was saved at iteration 9, and its directory is called global_step3",
        ),
    ],
    ids=["step", "model", "width", "state", "name"],
)
def test_files_of_different_runs_do_not_become_one_model(tmp_path, change, sentence):
    checkpoint = changed(copied("pythia_tp2", tmp_path), change)
    with pytest.raises(UserError, match=sentence):
        found, resolved = open_with(checkpoint, config_of("pythia_tp2"))
        found.weights(resolved)


def test_partitions_of_another_step_are_found_out(tmp_path):
    checkpoint = copied("pythia_pp2_tp2_zero1", tmp_path)

    def later(file, content):
        content["optimizer_state_dict"]["single_partition_of_fp32_groups"][0].data *= 1.5

    changed(checkpoint, later, "zero_pp_rank_0_mp_rank_03*")
    with pytest.raises(UserError, match=r"the optimizer's weights of .* are not those of the model"):
        open_with(checkpoint, config_of("pythia_pp2_tp2_zero1"))
    found, resolved = open_with(checkpoint, config_of("pythia_pp2_tp2_zero1") | {"no_load_optim": True})
    assert found.states(resolved) == {}
    assert len(found.weights(resolved)) == 28


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("zero_pp_rank_0_mp_rank_00_model_states.pt", "weights that ZeRO 3 has cut"),
        ("layer_2_expert_0_mp_rank_00_model_states.pt", "experts of DeepSpeed's mixtures"),
    ],
)
def test_what_is_not_read_is_said(tmp_path, name, sentence):
    checkpoint = copied("pythia_pp0", tmp_path)
    (checkpoint / name).touch()
    with pytest.raises(UserError, match=sentence):
        open_with(checkpoint, config_of("pythia_pp0"))


class Harmful:
    """Touches a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_nothing_in_a_file_is_executed(tmp_path):
    touched = tmp_path / "touched"
    checkpoint = changed(copied("pythia_pp0", tmp_path), lambda file, content: content.update(args=Harmful(touched)))
    with pytest.raises(UserError, match=r"names (_io|io|builtins)\.open, which is neither a tensor nor plain data"):
        open_with(checkpoint, config_of("pythia_pp0"))
    assert not touched.exists()


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"num_layers": 3}, "num_layers is 3 in the settings, and 2 by its tensors"),
        ({"hidden_size": 64}, "hidden_size is 64 in the settings, and 32 by its tensors"),
        ({"num_kv_heads": 1}, "num_kv_heads is 1 in the settings, and 2 by its tensors"),
        ({"norm": "layernorm"}, "norm is 'layernorm' in the settings, and 'rmsnorm' by its tensors"),
        ({"no_weight_tying": False}, "no_weight_tying is false in the settings, and true by its tensors"),
        ({"intermediate_size": 96}, "intermediate_size 96 comes to a width of 32 inside the MLP, and it is 64 by its"),
        ({"activation": "gelu"}, "activation gelu is not gated, and the first linear layer of its MLPs has two halves"),
        ({"vocab_size": 600}, "vocab_size 600 makes 640 rows of the embedding, and there are 512"),
    ],
)
def test_settings_that_are_not_those_of_the_tensors_are_refused_with_both_values(given, sentence):
    with pytest.raises(UserError, match=sentence):
        opened("llama_tp2", **given)


def test_what_settings_lack_is_seen_in_the_tensors():
    lacking = ("num_layers", "hidden_size", "num_kv_heads", "intermediate_size", "norm", "no_weight_tying")
    lacking += ("use_bias_in_mlp", "use_bias_in_attn_linear", "num_attention_heads", "max_position_embeddings")
    lacking += (
        "optimizer",
        "lr_decay_iters",
        "lr_decay_style",
        "min_lr",
        "warmup",
        "weight_decay",
        "padded_vocab_size",
    )
    config = {key: value for key, value in config_of("llama_tp2").items() if key not in lacking}
    found, resolved = open_with(CHECKPOINTS / "llama_tp2", config)
    original, settings = opened("llama_tp2")
    differing = {
        key
        for key in lacking
        if key != "padded_vocab_size" and resolved.all_values()[key] != settings.all_values()[key]
    }
    assert differing == set()
    weights, wanted = found.weights(resolved), original.weights(settings)
    assert all(torch.equal(weights[key], wanted[key]) for key in wanted)


def test_without_any_settings_nothing_is_guessed():
    with pytest.raises(UserError, match="has no directory configs, and its tensors do not say all of the architecture"):
        family().open(CHECKPOINTS / "pythia_pp0", {})


def test_settings_that_lie_with_a_checkpoint_are_its_own_unless_others_are_given(tmp_path):
    checkpoint = copied("pythia_pp0", tmp_path)
    (checkpoint / "configs").mkdir()
    given = config_of("pythia_pp0")
    lines = [f"{key}: {value!r}" for key, value in given.items() if isinstance(value, int | float | str)]
    text = "\n".join(lines).replace("True", "true").replace("False", "false")
    (checkpoint / "configs" / "run.yml").write_text(text.replace("num_layers", "num-layers") + "\n")
    found, _ = open_with(checkpoint, {"seed": 7})
    assert (found.settings["gpt_j_residual"], found.settings["seed"]) == (True, 7)
    found, _ = open_with(checkpoint, given | {"rotary_pct": 1.0})
    assert found.settings["rotary_pct"] == 1.0


def test_whoever_wants_weights_alone_needs_no_optimizer_state(tmp_path):
    name = "pythia_pp2_tp2_zero1"
    checkpoint = copied(name, tmp_path)
    (checkpoint / "configs").mkdir()
    (checkpoint / "configs/run.yml").write_text(yaml.safe_dump(config_of(name)))
    partition = checkpoint / "zero_pp_rank_0_mp_rank_03_optim_states.pt"
    partition.write_bytes(partition.read_bytes()[:1000])
    with pytest.raises(UserError, match=r"mp_rank_03_optim_states.pt is damaged"):
        family().open(checkpoint, {})
    foreign = open_foreign(checkpoint, PluginManager())
    original, settings = opened(name)
    weights, wanted = foreign.weights(), original.weights(settings)
    assert all(torch.equal(weights[key], wanted[key]) for key in wanted)


def test_the_place_in_the_data_is_that_of_the_samples_that_a_step_had(tmp_path):
    def accumulated(file, content):
        content["ds_config"]["train_batch_size"] = 32
        content["skipped_steps"] = 1

    checkpoint = changed(copied("pythia_pp0", tmp_path), accumulated)
    found, _ = open_with(checkpoint, config_of("pythia_pp0"))
    assert found.progress["consumed_samples"] == 96
    assert found.progress["applied"] == 2

    def silent(file, content):
        del content["ds_config"]

    changed(checkpoint, silent)
    found, _ = open_with(checkpoint, config_of("pythia_pp0") | {"gradient_accumulation_steps": 2})
    assert found.progress["consumed_samples"] == 24
    given = {key: value for key, value in config_of("pythia_pp0").items() if key != "train_micro_batch_size_per_gpu"}
    with pytest.raises(UserError, match="nothing says how many samples a step had"):
        _ = family().open(checkpoint, given).progress


def test_copies_of_biases_are_carried_along():
    found, resolved = opened("pythia_tp2")
    assert found.settings["row_parallel_bias_copies"] == 2
    assert resolved.bias_copies == 2
    assert "row_parallel_bias_copies" not in opened("pythia_pp1")[0].settings


@pytest.mark.parametrize(
    ("name", "blocks"), [("gas2_pp2", 1), ("tied_pp2_tp2", 1), ("pythia_pp2_tp2_zero1", None), ("pythia_pp1", None)]
)
def test_a_pipeline_without_zero_clips_as_it_did(name, blocks):
    checkpoint, _ = opened(name)
    assert checkpoint.settings.get("clip_norm_blocks") == blocks


def test_tables_of_positions_that_stages_trained_apart_are_refused(tmp_path):

    checkpoint = copied("gas2_pp2", tmp_path)
    for layer in (2, 3):
        (file,) = checkpoint.glob(f"**/layer_{layer:02d}-*")
        content = torch.load(file, weights_only=True)
        content["attention.rpe.weight"] = torch.full((32, 4), float(layer))
        torch.save(content, file)
    given = {**config_of("gas2_pp2"), "pos_emb": "rpe", "no_load_optim": True}
    with pytest.raises(UserError, match=r"each stage of the pipeline has trained a table"):
        found, resolved = open_with(checkpoint, given)
        found.weights(resolved)

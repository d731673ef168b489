"""Checkpoints are written as GPT-NeoX writes them: the same tensors in the same files."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch
import yaml
from deepspeed_directories import LAYERS, SETTINGS, load, save
from gpt_neox_directories import CHECKPOINTS, NAMES, config_of, export, family, open_with, opened, tensors_in
from tokenizers import Tokenizer
from tokenizers.models import BPE

from neox_core.checkpoint import Exported, ExportOptions
from neox_core.config import NeoXArgs, World
from neox_core.data.tokenizers.hugging_face import HFTokenizer
from neox_core.errors import UserError
from neox_core.plugins import PluginManager

CUTS = {name: config_of(name) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_what_was_read_is_written_as_it_was(name, tmp_path):
    found, resolved = opened(name)
    config = CUTS[name]
    export(found, resolved, tmp_path / "out", tensor=config["model_parallel_size"], pipe=config["pipe_parallel_size"])
    written, recorded = tensors_in(tmp_path / "out" / "global_step3"), tensors_in(CHECKPOINTS / name / "global_step3")
    assert written.keys() == recorded.keys()
    for file, tensors in recorded.items():
        assert written[file].keys() == tensors.keys(), file
        for key, tensor in tensors.items():
            assert torch.equal(written[file][key], tensor), (file, key)


def test_what_gpt_neox_looks_for_beside_weights_is_what_it_writes(tmp_path):
    found, resolved = opened("pythia_pp0")
    export(found, resolved, tmp_path / "out", pipe=0)
    name = "global_step3/mp_rank_00_model_states.pt"
    written = torch.load(tmp_path / "out" / name, weights_only=True)
    recorded = torch.load(CHECKPOINTS / "pythia_pp0" / name, weights_only=False)
    written["args"]["tokenizer_type"] = recorded["args"]["tokenizer_type"]  # the settings do not say it
    different = {key for key in written if key != "module" and written[key] != recorded[key]}
    assert different == {"optimizer", "ds_config", "ds_version"}
    assert written["ds_config"]["train_batch_size"] == recorded["ds_config"]["train_batch_size"]
    assert recorded.keys() - written.keys() == {
        "random_rng_state",
        "np_rng_state",
        "torch_rng_state",
        "cuda_rng_state",
        "rng_tracker_states",
    }
    assert (tmp_path / "out" / "latest").read_text() == "global_step3"


def test_the_settings_are_those_that_gpt_neox_knows_and_come_to_as_many_rows(tmp_path):
    """It counts the tokens of the tokenizer, and refuses a key that it does not know."""
    found, _ = opened("pythia_pp0")
    backend = Tokenizer(BPE({chr(33 + number): number for number in range(500)}, []))
    source = HFTokenizer.from_backend(backend).source
    resolved = NeoXArgs.from_dict({**found.settings, "mock_data": True, "data_path": None}).resolve(World.local(), 512)
    exported = Exported(
        path=found.path,
        resolved=resolved,
        plugins=PluginManager(),
        weights=found.weights(resolved),
        states={},
        progress=None,
        tokenizer=source,
    )
    family().write(exported, tmp_path / "out", ExportOptions(tensor=2, pipe=0))
    written = yaml.safe_load((tmp_path / "out/global_step0/configs/neox.yml").read_text())
    assert "mock_data" not in written
    unit = written["make_vocab_size_divisible_by"] * written["model_parallel_size"]
    assert -(-500 // unit) * unit == resolved.padded_vocab_size == 512


@pytest.mark.parametrize(("tensor", "pipe"), [(1, 0), (2, 0), (4, 0), (1, 1), (2, 2)])
def test_any_cutting_is_read_back_bit_for_bit(tensor, pipe, tmp_path):
    found, resolved = opened("pythia_tp2")
    weights = dict(found.weights(resolved))
    export(found, resolved, tmp_path / "out", tensor=tensor, pipe=pipe)
    back, again = open_with(tmp_path / "out", {})
    assert back.settings["num_layers"] == 2
    assert again.padded_vocab_size == resolved.padded_vocab_size
    assert back.progress == found.progress
    read = back.weights(again)
    assert read.keys() == weights.keys()
    assert all(torch.equal(read[name], weights[name]) for name in weights)


def test_grouped_queries_and_gates_are_cut_within_each_rank(tmp_path):
    found, resolved = opened("mistral_window_pp1")
    weights = dict(found.weights(resolved))
    export(found, resolved, tmp_path / "out", tensor=2, pipe=0)
    back, again = open_with(tmp_path / "out", {})
    read = back.weights(again)
    assert all(torch.equal(read[name], weights[name]) for name in weights)


@pytest.mark.parametrize(("dtype", "wanted"), [("auto", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_type_is_the_one_asked_for(dtype, wanted, tmp_path):
    found, resolved = opened("llama_tp2")
    export(found, resolved, tmp_path / "out", dtype=dtype)
    types = {t.dtype for tensors in tensors_in(tmp_path / "out" / "global_step3").values() for t in tensors.values()}
    assert types == {wanted}


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tensor": 3}, "num_attention_heads: 4 cannot be divided over 3 tensor-parallel ranks"),
        ({"tensor": 4}, "num_kv_heads: 2 cannot be divided over 4 tensor-parallel ranks"),
        ({"pipe": 3}, "num_layers: 2 cannot be divided into 3 stages"),
    ],
)
def test_what_cannot_be_cut_is_refused_before_anything_is_written(options, sentence, tmp_path):
    found, resolved = opened("llama_tp2")
    with pytest.raises(UserError, match=sentence):
        export(found, resolved, tmp_path / "out", **options)
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_there_is_left_alone(tmp_path):
    found, resolved = opened("llama_tp2")
    (tmp_path / "out").mkdir()
    leftover = tmp_path / f".out.{os.getpid()}.tmp"  # of a process that was killed, and had the same number
    (leftover / "global_step3").mkdir(parents=True)
    export(found, resolved, tmp_path / "out")
    assert not leftover.exists()
    with pytest.raises(UserError, match="is there already"):
        export(found, resolved, tmp_path / "out")


def test_nothing_is_left_of_a_directory_that_could_not_be_finished(tmp_path, monkeypatch):
    from neox_converters.gpt_neox_files import writing

    def full(path, content):
        raise OSError(28, "No space left on device")

    found, resolved = opened("llama_tp2")
    monkeypatch.setattr(writing, "write_archive", full)
    with pytest.raises(UserError, match="No space left"):
        export(found, resolved, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


def test_looking_whether_a_directory_is_one_costs_no_torch():
    code = (
        "import sys; from pathlib import Path; from neox_converters.gpt_neox_files.family import GPTNeoXDirectories as F; "
        f"assert F().recognises(Path({str(CHECKPOINTS / 'pythia_pp0')!r})); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_deepspeed_takes_up_what_is_written(workers, tmp_path):
    workers(1).run(save, tmp_path / "first", {})
    found, resolved = open_with(tmp_path / "first", SETTINGS)
    export(found, resolved, tmp_path / "out", pipe=0)
    plain, read = workers(1).run(load, tmp_path / "out")[0]
    assert (plain["iteration"], plain["steps"], plain["args"]["num_layers"]) == (2, 2, LAYERS)
    file = tmp_path / "first/global_step2/mp_rank_00_model_states.pt"
    for name, weight in torch.load(file, weights_only=False)["module"].items():
        assert torch.equal(read[name], weight), name

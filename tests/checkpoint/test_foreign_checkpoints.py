"""Checkpoints of a plugin's family: found, held against the model, converted with all that they hold, and back."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from neox_commands import convert as convert_verb
from safetensors.torch import load_file, save_file
from training_models import SETTINGS, VOCABULARY, model

from neox_core.checkpoint import Reader, find_family, open_foreign, require_family
from neox_core.config import NeoXArgs
from neox_core.errors import UserError
from neox_core.files import whole_directory
from neox_core.plugins import CommandContext, PluginManager, Switches
from neox_core.training import load_trained

SWITCHES = Switches(modules=("toy_family",))
PROGRESS = {"iteration": 7, "applied": 6, "consumed_samples": 28, "skipped_in_a_row": 0, "scheduled": 6}
OF_THE_MODEL = (
    *("num_layers", "hidden_size", "num_attention_heads", "pos_emb", "no_weight_tying", "seq_length"),
    *("max_position_embeddings", "vocab_size", "make_vocab_size_divisible_by"),
)
MODEL = {key: SETTINGS[key] for key in OF_THE_MODEL}


@pytest.fixture
def plugins():
    return PluginManager(SWITCHES)


def write_toy(directory: Path, roles=("weight", "master", "exp_avg"), progress=PROGRESS, **changes) -> Path:
    """A toy with random tensors: weights in bf16, everything else in fp32."""
    directory.mkdir()
    generator = torch.Generator().manual_seed(0)
    shapes = {name: parameter.shape for name, parameter in model().named_parameters()}
    for role in roles:
        dtype = torch.bfloat16 if role == "weight" else torch.float32
        tensors = {f"toy.{name}": torch.randn(shape, generator=generator).to(dtype) for name, shape in shapes.items()}
        save_file(tensors, directory / f"{role}.safetensors")
    described = {"settings": {**MODEL, **changes}, "vocabulary": VOCABULARY, "progress": progress, "roles": list(roles)}
    (directory / "toy.json").write_text(json.dumps(described))
    return directory


def held(directory: Path, role: str) -> dict[str, torch.Tensor]:
    return {name.removeprefix("toy."): tensor for name, tensor in load_file(directory / f"{role}.safetensors").items()}


def convert(*words: str | Path) -> int:
    return convert_verb.main([*map(str, words)], CommandContext(SWITCHES))


def same(one, other) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_a_plugins_family_is_found_and_one_that_cannot_be_had_here_is_passed_over(tmp_path, plugins):
    toy = write_toy(tmp_path / "toy")
    name, _ = require_family(toy, plugins)
    assert name == "toy"
    assert find_family(tmp_path, plugins) is None
    assert "absent" in plugins.names("converter")
    assert find_family(toy, PluginManager(Switches())) is None
    with pytest.raises(
        UserError, match=r"it is no checkpoint of neox, nor of a family that a converter reads .*, toy$"
    ):
        require_family(tmp_path, plugins)


def test_all_that_it_holds_becomes_a_checkpoint_of_ours_and_goes_back(tmp_path):
    toy = write_toy(tmp_path / "toy")
    assert convert(toy, tmp_path / "ours") == 0
    reader = Reader(tmp_path / "ours/global_step7")
    assert reader.iteration == 7
    assert reader.state == {**PROGRESS, "ranks": 1, "vocabulary": VOCABULARY, "padded_vocab_size": 64}
    assert same({name: reader.whole(name) for name in reader.names}, held(toy, "master")), "the exact form of a weight"
    assert same({name: reader.whole(name, "exp_avg") for name in reader.names}, held(toy, "exp_avg"))
    assert convert(tmp_path / "ours", tmp_path / "back", "--to", "toy", "--tp", "2", "--pp", "3") == 0
    assert same(held(tmp_path / "back", "weight"), held(toy, "master"))
    assert same(held(tmp_path / "back", "exp_avg"), held(toy, "exp_avg"))
    described = json.loads((tmp_path / "back/toy.json").read_text())
    assert described["options"] == {"dtype": "auto", "tensor": 2, "pipe": 3}
    assert described["progress"]["consumed_samples"] == 28


def test_weights_that_were_not_trained_have_no_other_form_and_are_kept(tmp_path):
    toy = write_toy(tmp_path / "toy")
    masters = load_file(toy / "master.safetensors")
    del masters["toy.embedding.weight"]
    save_file(masters, toy / "master.safetensors")
    assert convert(toy, tmp_path / "ours") == 0
    reader = Reader(tmp_path / "ours/global_step7")
    expected = {"embedding.weight": held(toy, "weight")["embedding.weight"], **held(toy, "master")}
    assert same({name: reader.whole(name) for name in reader.names}, expected)


def test_weights_alone_are_a_checkpoint_of_step_0(tmp_path):
    toy = write_toy(tmp_path / "toy", roles=("weight",), progress=None)
    assert convert(toy, tmp_path / "ours", "--dtype", "float32", "--verify") == 0
    reader = Reader(tmp_path / "ours/global_step0")
    assert {reader.state[key] for key in PROGRESS} == {0}
    assert reader.dtype("norm.weight", "weight") is torch.float32
    trained = load_trained(toy, SWITCHES)
    assert (trained.iteration, trained.tokenizer) == (0, None)
    again = load_trained(tmp_path / "ours", SWITCHES)
    samples = torch.arange(8)[None]
    assert torch.equal(trained.model(samples).logits(), again.model(samples).logits())


def test_settings_of_a_run_are_what_the_checkpoint_says_and_else_a_run_of_one_step(tmp_path, plugins):
    batch = {"train_batch_size": 32, "train_micro_batch_size_per_gpu": 4, "gradient_accumulation_steps": 2}
    toy = write_toy(tmp_path / "toy", model_parallel_size=2, train_iters=50, **batch)
    foreign = open_foreign(toy, plugins, {"rotary_pct": 0.5})
    resolved = foreign.resolved
    assert (resolved.train_iters, resolved.batch.total, resolved.world.size) == (50, 32, 8)
    assert resolved.all_values()["rotary_pct"] == 0.5
    assert resolved.all_values()["mock_data"]
    assert convert(toy, tmp_path / "ours") == 0
    assert load_trained(tmp_path / "ours", SWITCHES).iteration == 7
    taken = NeoXArgs.from_dict({}, plugins=plugins, settings_from=toy)
    assert (taken.num_layers, taken.hidden_size) == (2, 16)
    assert taken.train_iters is None, "a run's length is its own"
    assert str(taken.origin("num_layers")) == f"toy checkpoint {toy}"


def test_weights_that_are_not_those_of_the_settings_are_named(tmp_path, plugins):
    toy = write_toy(tmp_path / "toy", num_layers=3, hidden_size=32)
    with pytest.raises(UserError) as caught:
        open_foreign(toy, plugins).source()
    said = str(caught.value)
    assert said.startswith(
        f"{toy}: its weights are not those of its settings: embedding.weight is [64, 16], and [64, 32] by"
    )
    assert "; and " in said
    more = write_toy(tmp_path / "more", num_layers=1)
    with pytest.raises(UserError, match=r"there is layers\.1\.attention\.output\.bias, which the model has not"):
        open_foreign(more, plugins).source()


def test_a_directory_appears_whole_or_not_at_all(tmp_path):
    with pytest.raises(ZeroDivisionError), whole_directory(tmp_path / "new") as place:
        (place / "file").write_text("a")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []
    with whole_directory(tmp_path / "deep/new") as place:
        (place / "inner").mkdir()
        (place / "inner/file").write_text("a")
        assert not (tmp_path / "deep/new").exists()
    assert (tmp_path / "deep/new/inner/file").read_text() == "a"
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["new"]
    with (
        pytest.raises(UserError, match="new is there already, and is not an empty directory"),
        whole_directory(tmp_path / "deep/new"),
    ):
        raise AssertionError("it was begun")

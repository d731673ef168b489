"""Runs with muP: rates and decay of parameter groups, what a step moves, base shapes in runs and checkpoints, refusals."""

from __future__ import annotations

import mup_ranks
import pytest
import torch
import yaml
from mup_models import wide_model, wider
from plugin_distributions import neox
from plugin_runs import listing, write_config, write_data
from training_models import resolve

from neox_core.cli.main import main
from neox_core.config import NeoXArgs, World
from neox_core.config.base_shapes import BaseShapes
from neox_core.errors import SettingsError
from neox_core.plugins import PluginManager, Switches
from neox_core.training import load_trained
from neox_core.training.components import component_problems
from neox_core.training.mup import meta_model
from neox_core.training.parameter_groups import groups_of, parameter_groups
from neox_core.training.start import prepare, train

M = 4


def groups(optimizer):
    resolved, plugins = wider(M, optimizer={"type": optimizer, "params": {"lr": 0.01}}, weight_decay=0.1)
    model = wide_model(M)
    return {
        name: (group.get("lr_scale", 1.0), group["weight_decay"])
        for group in groups_of(model, resolved, plugins)
        for name in group["names"]
    }


def test_hidden_weights_learn_more_slowly_with_adam_and_decay_as_before():
    found = groups("adamw")
    assert found["embedding.weight"] == found["head.weight"] == (1.0, 0.1)
    assert found["layers.0.mlp.up.weight"] == (1 / M, pytest.approx(0.1 * M))
    assert found["layers.1.mlp_norm.weight"] == (1.0, 0.0)


def test_vectors_learn_faster_with_sgd():
    found = groups("sgd")
    assert found["embedding.weight"] == found["head.weight"] == (M, pytest.approx(0.1 / M))
    assert found["layers.0.mlp.up.weight"] == (1.0, 0.1)
    assert found["layers.0.mlp.up.bias"] == (M, 0.0)


def test_groups_without_rates_are_as_they_were():
    model = wide_model()
    parameters = dict(model.named_parameters())
    assert [group.keys() for group in parameter_groups(parameters, 0.1)] == [{"params", "names", "weight_decay"}] * 2


@pytest.mark.parametrize("stage", [0, 1])
def test_a_step_of_adam_moves_hidden_weights_less(workers, stage):
    before, after = workers(1).run(mup_ranks.first_step, stage)[0]
    moved = {name: float((after[name] - before[name]).abs().median()) for name in before}
    assert moved["norm.bias"] == pytest.approx(0.01, rel=0.01)
    assert moved["layers.0.mlp.up.weight"] == pytest.approx(0.01 / M, rel=0.01)


# Whole runs

WIDE = {"hidden_size": 32, "num_attention_heads": 4}


@pytest.fixture
def workplace(tmp_path, monkeypatch):
    """A directory with data, and tiny.yml for a model with base shapes in base.yml."""
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path)
    write_config(tmp_path, save_base_shapes=True, base_shapes_file="base.yml")
    assert main(["train", "tiny.yml"]) == 0
    write_config(tmp_path, use_mup=True, base_shapes_file="base.yml", save="checkpoints", checkpoint_factor=3, **WIDE)
    return tmp_path


def test_writing_base_shapes_is_no_run(workplace, capsys):
    before = listing(workplace).keys()
    assert main(["train", "tiny.yml", "save_base_shapes=true", "use_mup=false"]) == 0
    assert capsys.readouterr().err == "note: written: base.yml, as save_base_shapes asks; set it to false to train\n"
    assert listing(workplace).keys() == before
    assert BaseShapes.read("base.yml").shapes["embedding.weight"][1] == 32


@pytest.mark.slow
def test_a_run_keeps_the_base_shapes_and_goes_on_without_their_file(workplace):
    assert BaseShapes.read("base.yml").shapes["embedding.weight"][1] == 16
    done = neox("train", "tiny.yml", cwd=workplace)
    assert done.returncode == 0, done.stderr
    saved = yaml.safe_load((workplace / "checkpoints" / "global_step6" / "settings.yml").read_text())
    assert saved["base_shapes"] == BaseShapes.read("base.yml").to_dict()
    (workplace / "base.yml").unlink()
    (run,) = (workplace / "runs" / "tiny").iterdir()
    again = neox(
        "train", str(run / "resolved.yml"), "train_iters=8", "load=checkpoints", "lr_decay_iters=6", cwd=workplace
    )
    assert again.returncode == 0, again.stderr
    trained = load_trained(workplace / "checkpoints", Switches())
    assert (trained.iteration, trained.model.mup.width, trained.model.head.factor) == (8, 2.0, 0.5)


def refusal(directory, **changes):
    write_config(directory, "other.yml", **changes)
    args = NeoXArgs.from_ymls([directory / "other.yml"], plugins=PluginManager())
    with pytest.raises(SettingsError) as caught:
        prepare({entry.key: entry for entry in args.entries}, args.plugins, default_name="x")
    return str(caught.value)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"use_mup": True}, "muP scales a model by how much wider it is than a base model, whose shapes are not given"),
        ({"use_mup": True, "base_shapes_file": "no.yml"}, "no.yml: cannot be read: No such file"),
        ({"use_mup": True, "base_shapes_file": "tiny.yml"}, "is not a shape, such as [256, 64]"),
        ({"save_base_shapes": True}, "there is no file to write the shapes to"),
        ({"coord_check": True}, "`neox mup coord-check FILES` measures activations at several widths"),
        (
            {"use_mup": True, "base_shapes_file": "base.yml", "activation": "swiglu", "intermediate_size": 48},
            "base_shapes: has no shape of 'layers.0.mlp.gate.weight'",
        ),
        (
            {"use_mup": True, "base_shapes_file": "base.yml", "base_shapes": {"embedding.weight": [8, 8]}},
            "base.yml holds other shapes than base_shapes",
        ),
    ],
)
def test_what_does_not_fit_is_refused_before_launch(workplace, changes, sentence):
    before = listing(workplace)
    assert sentence in refusal(workplace, **changes)
    assert listing(workplace).keys() - before.keys() == {"other.yml"}


def test_an_optimizer_without_rules_is_refused():
    resolved, plugins = wider(2, optimizer={"type": "sm3", "params": {"lr": 0.01}})
    (problem,) = component_problems(resolved, plugins)
    assert problem.keys == ("use_mup", "optimizer")
    assert "muP has no rules for the learning rates of sm3" in str(problem)
    assert not component_problems(*resolve(optimizer={"type": "sm3", "params": {"lr": 0.01}}))


def test_in_python_base_shapes_are_written_too(workplace):
    write_config(workplace, "wide.yml", save_base_shapes=True, base_shapes_file="wide-shapes.json", **WIDE)
    assert train(NeoXArgs.from_ymls([workplace / "wide.yml"], plugins=PluginManager())) is None
    assert BaseShapes.read("wide-shapes.json").shapes["embedding.weight"][1] == 32


def test_factors_without_mup_are_told():
    args = NeoXArgs.from_dict({**resolve()[0].values, "mup_output_temp": 2.0})
    notices = [str(notice) for notice in args.resolve(World.local(1)).notices]
    assert "dictionary: mup_output_temp: has no effect without use_mup: true" in notices


def test_the_meta_model_is_empty():
    assert {parameter.device for parameter in meta_model(*wider(2)).parameters()} == {torch.device("meta")}

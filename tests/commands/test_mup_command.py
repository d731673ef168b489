"""`neox mup`: base shapes, and the check that activations do not depend on the width."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest
from config_commands import Neox
from neox_commands.mup_coordinates import Coordinates, checks, measure
from neox_commands.mup_widths import at_width
from training_models import SETTINGS, plugins
from whole_matrix import in_whole

from neox_core.config import NeoXArgs, dump_yaml
from neox_core.config.base_shapes import BaseShapes
from neox_core.errors import UserError

SMALL = {
    **SETTINGS,
    "hidden_size": 64,
    "num_attention_heads": 4,
    "init_method_std": 0.1,
    "gpt_j_residual": True,
    "mock_data": True,
    "data_path": None,
}
OPTIMIZERS = {"adamw": 0.003, "sgd": 0.5}
NARROW, WIDE = (32, 64, 128), (64, 128, 256, 512, 1024)


def settings(name="adamw", **changes):
    optimizer = {"type": name, "params": {"lr": OPTIMIZERS.get(name, 0.01)}}
    return NeoXArgs.from_dict({**SMALL, "optimizer": optimizer, **changes}, plugins=plugins())


@pytest.mark.slow
@pytest.mark.parametrize("name", OPTIMIZERS)
@pytest.mark.parametrize("widths", [NARROW, in_whole(WIDE)], ids=["narrow", "wide"])
def test_activations_are_flat_with_mup_and_not_without(name, widths):
    flat = checks(measure(settings(name), widths, 4, mup=True, seeds=2))
    assert max(check.spread for check in flat) <= 0.2, flat
    standard = checks(measure(settings(name), widths, 4, mup=False, seeds=2))
    assert max(check.spread for check in standard) > 0.2, standard
    growing = {check.name: check.exponent for check in standard}
    assert growing["change of logits"] > 0.2


@pytest.mark.parametrize(
    "changes",
    [
        {"no_weight_tying": False},
        in_whole({"attention_config": ["mamba", "mamba"]}),
        in_whole({"attention_config": ["rwkv", "rwkv"]}),
        in_whole({"attention_config": ["gmlp", "amlp"]}),
        in_whole({"moe_num_experts": 4}),
        in_whole({"activation": "swiglu", "intermediate_size": 384, "num_kv_heads": 2, "norm": "rmsnorm"}),
        in_whole({"optimizer": {"type": "lion", "params": {"lr": 0.0003}}}),
    ],
    ids=["tied", "mamba", "rwkv", "gmlp", "experts", "gated", "lion"],
)
def test_other_models_are_flat_too(changes):
    found = checks(measure(settings(**changes), (64, 128, 256), 4, mup=True, seeds=2))
    assert max(check.spread for check in found) <= 0.2, found


def test_a_quantity_that_grows_is_found_with_its_exponent():
    found = [Coordinates(w, {"mlp": [1.0]}, {"mlp": [w**0.5]}) for w in (16, 64, 256)]
    size, change = checks(found)
    assert (size.name, size.is_flat, size.exponent) == ("mlp", True, 0)
    assert (change.name, change.is_flat) == ("change of mlp", False)
    assert change.exponent == pytest.approx(0.5)
    assert change.spread == pytest.approx(1.0)  # twice and half the mean of the middle


def test_what_is_not_finite_is_not_flat():
    found = [Coordinates(w, {"mlp": [float("inf")]}, {"mlp": [1.0]}) for w in (16, 64)]
    assert not checks(found)[0].is_flat


def test_widths_keep_the_size_of_heads():
    args = settings(num_kv_heads=2, intermediate_size=96)
    values = at_width(args, 128)
    assert [values[key] for key in ("hidden_size", "num_attention_heads", "num_kv_heads", "intermediate_size")] == [
        128,
        8,
        4,
        192,
    ]
    with pytest.raises(
        UserError, match=r"num_attention_heads: is 4 at hidden_size 64, and would be 4\.5 at a width of 72"
    ):
        at_width(args, 72)


def test_an_optimizer_without_rules_is_refused():
    with pytest.raises(
        UserError, match=r"muP has no rules for the learning rates of sm3; use one of .*adamw.* --standard"
    ):
        measure(settings("sm3"), NARROW, 1, mup=True, seeds=1)


# The command line


@pytest.fixture
def neox(tmp_path, monkeypatch, capsys):
    (tmp_path / "small.yml").write_text(dump_yaml({**SMALL, "optimizer": {"type": "adam", "params": {"lr": 0.003}}}))
    monkeypatch.chdir(tmp_path)
    return Neox(tmp_path, capsys)


def test_shapes_are_written_once_and_read(neox, tmp_path):
    assert neox("mup", "shapes", "small.yml", "--width", "32", "--output", "base.yml").out == "written: base.yml\n"
    shapes = BaseShapes.read(tmp_path / "base.yml")
    assert (shapes.head_size, shapes.shapes["embedding.weight"]) == (16, (64, 32))
    again = neox("mup", "shapes", "small.yml", "--output", "base.yml")
    assert (again.code, "base.yml exists" in again.err) == (2, True)


def test_shapes_are_printed(neox):
    assert "  layers.*.mlp.up.weight: [256, 64]\n" in neox("mup", "shapes", "small.yml").out


def test_the_check_prints_draws_and_writes(neox, tmp_path):
    words = ("small.yml", "num_layers=1", "--widths", "32,64", "--steps", "2", "--svg", "a.svg", "--json", "a.json")
    done = neox("mup", "coord-check", *words)
    assert done.code == 0, done.out + done.err
    assert "muP, widths 32 to 64: flat; every quantity is within" in done.out
    assert "change of logits" in done.out
    assert ElementTree.parse(tmp_path / "a.svg").getroot().tag.endswith("svg")
    written = json.loads((tmp_path / "a.json").read_text())
    assert (written["flat"], written["widths"], len(written["by_step"][0]["sizes"]["logits"])) == (True, [32, 64], 3)


def test_what_is_not_flat_is_an_exit_code_but_in_the_standard_parametrisation(neox):
    words = ("mup", "coord-check", "small.yml", "optimizer.params.lr=3.0", "num_layers=1", "--widths", "16,128")
    found = neox(*words, "--seeds", "1")
    assert (found.code, "muP, widths 16 to 128: not flat;" in found.out) == (1, True)
    standard = neox(*words, "--standard", "--seeds", "1")
    assert (standard.code, "standard parametrisation, widths 16 to 128: not flat;" in standard.out) == (0, True)


def test_what_is_not_a_number_is_null_in_json(neox, tmp_path):
    words = ("mup", "coord-check", "small.yml", "optimizer.params.lr=1e30", "num_layers=1", "--widths", "16,32")
    assert neox(*words, "--seeds", "1", "--json", "a.json").code == 1

    def refuse(word):
        raise AssertionError(word)

    written = json.loads((tmp_path / "a.json").read_text(), parse_constant=refuse)
    assert None in [quantity["spread"] for quantity in written["quantities"]]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("shape", "small.yml"), "there is no verb 'mup shape'; did you mean 'shapes'?"),
        (("coord-check", "small.yml", "--widths", "64"), "64 is not a list of two widths or more that rise"),
        (("coord-check", "small.yml", "--widths", "128,64"), "128,64 is not a list of two widths or more"),
        (("coord-check", "small.yml", "--widths", "60,64"), "would be 3.75 at a width of 60"),
        (("coord-check", "small.yml", "--svg", "."), "argument --svg: . is a directory; give the name of a file"),
        (
            ("coord-check", "small.yml", "--json", "small.yml/a.json"),
            "--json: small.yml/a.json cannot be written: small.yml is",
        ),
    ],
)
def test_mistakes_are_told(neox, words, sentence):
    done = neox("mup", *words)
    assert (done.code, sentence in done.err) == (2, True), done.err

"""Base shapes: their files, how layers are matched, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from neox_core.config.base_shapes import BaseShapes, by_kind
from neox_core.errors import UserError

CONTENT = {
    "head_size": 8,
    "shapes": {"embedding.weight": [64, 16], "layers.*.mlp.up.weight": [64, 16], "norm.weight": [16]},
}


@pytest.mark.parametrize("name", ["base.yml", "base.json", "base.shapes"])
def test_a_file_is_read_back(tmp_path, name):
    path = tmp_path / name
    path.write_text(BaseShapes.of(CONTENT).to_text(path))
    assert BaseShapes.read(path).to_dict() == CONTENT
    assert BaseShapes.read(path).source == str(path)


def test_a_file_of_the_package_mup_is_read():
    shapes = BaseShapes.of({"embedding.weight": [None, 16], "layers.0.mlp.up.weight": [64, 16]})
    assert shapes.head_size is None
    assert shapes.shape("embedding.weight", (512, 64)) == (512, 16)


def test_layers_of_one_shape_are_one_kind_and_others_stay_apart():
    shapes = {f"layers.{layer}.{part}": (4, 2 + (part == "b") * layer) for layer in range(3) for part in "ab"}
    assert by_kind(shapes) == {
        "layers.*.a": (4, 2),
        "layers.0.b": (4, 2),
        "layers.1.b": (4, 3),
        "layers.2.b": (4, 4),
    }


def test_a_model_with_more_layers_finds_their_kind():
    assert BaseShapes.of(CONTENT).shape("layers.99.mlp.up.weight", (128, 32)) == (64, 16)


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ({}, r"has no shape of 'embedding\.weight'"),
        ({"embedding.weight": "big"}, r"embedding\.weight: 'big' is not a shape, such as"),
        ({"embedding.weight": [64, -1]}, r"embedding\.weight: \[64, -1\] is not a shape"),
        ({"embedding.weight": [64, True]}, r"is not a shape"),
        ({**CONTENT, "head_size": 0}, "head_size: 0 is not a whole number > 0"),
        ({**CONTENT, "depth": 4}, "'depth' is not known beside head_size and shapes"),
        ({"shapes": [1, 2]}, "has no shape of"),
    ],
)
def test_what_holds_something_else_is_refused(content, sentence):
    with pytest.raises(UserError, match=sentence):
        BaseShapes.of(content, "base.yml")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.yml: cannot be read: No such file"):
        BaseShapes.read(tmp_path / "nowhere.yml")


@pytest.mark.parametrize("own", [("layers.0.mlp.gate.weight", (64, 16)), ("norm.bias", (16,))])
def test_another_architecture_is_refused(own):
    with pytest.raises(UserError, match=f"has no shape of '{own[0]}': the base model is another architecture"):
        BaseShapes.of(CONTENT).shape(*own)


def test_another_number_of_dimensions_is_refused():
    with pytest.raises(UserError, match=r"'norm\.weight' has the shape \[16\] there and \[4, 4\] in this model"):
        BaseShapes.of(CONTENT).shape("norm.weight", (4, 4))


def test_json_is_json():
    assert json.loads(BaseShapes.of(CONTENT).to_text(Path("a.json"))) == CONTENT

"""Files by the end of their names, and parts of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from neox_core import NeoXArgs
from neox_core.config.nodes import Config, NodeError, Partial, dump, from_yaml, load
from neox_core.errors import UserError


@dataclass
class Model:
    hidden: int = 100
    inner: Any = None


NODE = Config(Model, inner={"a": [Partial(Model, 5), {"b": Config(Model, 6)}], "c": "text"})
EXTENSIONS = ["yml", "yaml", "json", "toml", "YML"]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_file_is_read_as_its_name_says(tmp_path, extension):
    path = tmp_path / f"run.{extension}"
    assert dump(NODE, path) == path.read_text()
    assert load(path, allow=[__name__]) == NODE
    assert load(str(path), allow=[__name__]) == NODE


@pytest.mark.parametrize("name", ["run.txt", "run", "run.yml.bak"])
def test_another_name_is_refused(tmp_path, name):
    for attempt in (lambda: load(tmp_path / name), lambda: dump(NODE, tmp_path / name)):
        with pytest.raises(
            UserError, match=r"its form is not known; the name ends with one of \.yml, \.yaml, \.json, \.toml$"
        ):
            attempt()
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_not_replaced_by_accident(tmp_path):
    dump(NODE, tmp_path / "run.yml")
    with pytest.raises(UserError, match="exists"):
        dump(Config(Model), tmp_path / "run.yml")
    dump(Config(Model), tmp_path / "run.yml", replace=True)
    assert load(tmp_path / "run.yml", allow=[__name__]) == Config(Model)


@pytest.mark.parametrize("extension", EXTENSIONS[:4])
def test_a_section_is_a_part_of_a_file(tmp_path, extension):
    path = tmp_path / f"run.{extension}"
    dump(NODE, path)
    assert load(f"{path}:inner.a[1].b", allow=[__name__]) == Config(Model, 6)
    assert load(f"{path}:inner.a[0]", allow=[__name__]) == Partial(Model, 5)
    assert load(f"{path}:inner.a", allow=[__name__]) == NODE.inner["a"]
    assert load(f"{path}:inner.c") == "text", "what is beside it need not be allowed"


def test_from_yaml_takes_sections_too(tmp_path):
    dump(NODE, tmp_path / "run.yml")
    assert from_yaml(f"{tmp_path}/run.yml:inner.a[1].b", allow=[__name__]) == Config(Model, 6)


def test_a_section_of_a_list_that_has_a_marker_is_found(tmp_path):
    (tmp_path / "run.yml").write_text("a: {_tuple_: [1, {b: 2}]}")
    assert load(f"{tmp_path}/run.yml:a[1].b") == 2


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ("iner.a", "there is no section 'iner'; did you mean 'inner'?"),
        ("inner.z", "there is no section 'inner.z'; there is: a, c"),
        ("inner.a[7]", r"there is no section 'inner.a\[7\]': what is at .*run.yml:\d+ has 2 parts"),
        ("inner.c.d", "there is no section 'inner.c.d'"),
        ("inner..a", "is no path"),
    ],
)
def test_a_section_that_is_not_there_is_named_with_the_nearest(tmp_path, section, message):
    dump(NODE, tmp_path / "run.yml")
    with pytest.raises(UserError, match=message):
        load(f"{tmp_path}/run.yml:{section}", allow=[__name__])


def test_a_part_of_a_tree_is_written(tmp_path):
    dump(NODE, f"{tmp_path}/part.yml:inner.a[1]")
    assert load(tmp_path / "part.yml", allow=[__name__]) == {"b": Config(Model, 6)}
    with pytest.raises(NodeError):
        dump(NODE, f"{tmp_path}/other.yml:iner")
    assert not (tmp_path / "other.yml").exists()


def test_a_file_without_a_target_is_settings_or_a_mapping_if_that_is_meant(tmp_path):
    (tmp_path / "run.yml").write_text("num-layers: 2\nmodel: {a: 1}\n")
    assert load(tmp_path / "run.yml") == Config(NeoXArgs, num_layers=2, model={"a": 1})
    assert load(tmp_path / "run.yml", settings=False) == {"num-layers": 2, "model": {"a": 1}}
    assert load(f"{tmp_path}/run.yml:model") == {"a": 1}

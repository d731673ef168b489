"""Where values were set, and drawings."""

from __future__ import annotations

import inspect
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass, field
from typing import Any

import pytest

from neox_core.config.nodes import Config, NodeError, Partial, draw, explain, set_value
from neox_core.errors import Origin


@dataclass
class Model:
    hidden: int = 100
    sizes: list[int] = field(default_factory=list)


@dataclass
class Trainer:
    model: Any = None
    layers: list[Any] = field(default_factory=list)


def here() -> int:
    return inspect.currentframe().f_back.f_lineno


def test_the_line_of_python_that_set_a_value_is_told():
    node = Config(Model, hidden=5)
    made = here() - 1
    assert explain(node, "hidden").origin == Origin(source=__file__, line=made)
    node.hidden = 6
    assert explain(node, "hidden").origin == Origin(source=__file__, line=here() - 1)
    set_value(node, "hidden", 7)
    assert explain(node, "hidden").origin == Origin(source=__file__, line=here() - 1)
    node.broadcast(hidden=8)
    assert explain(node, "hidden").origin == Origin(source=__file__, line=here() - 1)
    assert explain(node).origin == Origin(source=__file__, line=made)
    assert explain(node.clone(), "hidden").origin.line == here() - 3


def test_a_default_is_told_to_be_one():
    node = Config(Trainer, model=Config(Model))
    found = explain(node, "model.hidden")
    assert found.origin is None
    assert str(found) == "model.hidden = 100\n  not set: this is the default\n  Model takes hidden: int = 100"
    assert explain(node, "model.sizes").origin is None
    node.model.sizes.append(1)
    assert explain(node, "model.sizes").origin is not None


def test_what_was_written_elsewhere_is_told_until_it_is_set_again():
    node = Config(Trainer, layers=[Config(Model), 3])
    set_value(node, "layers[1]", 4, Origin(source="override"))
    set_value(node, "layers[0].hidden", 5, Origin(source="run.yml", line=7))
    assert str(explain(node, "layers[0].hidden")).splitlines()[1] == "  set at run.yml:7"
    assert explain(node, "layers[1]").origin == Origin(source="override")
    assert explain(node, "layers[0]").origin.source == __file__
    assert explain(node.clone(), "layers[1]").origin == Origin(source="override")
    node.layers = [1, 2]
    assert explain(node, "layers[1]").origin.source == __file__


def test_a_key_of_a_mapping_is_found_however_it_is_written():
    node = Config(Trainer, model={"a": 1})
    set_value(node, "model.a", 2, Origin(source="override"))
    assert explain(node, "model['a']").origin == Origin(source="override")


def test_what_is_in_no_node_is_explained_too():
    assert "<root> = " in str(explain(Config(Model)))
    assert explain([1, Config(Model)], "[0]").origin is None


# Drawings

SVG = "{http://www.w3.org/2000/svg}"


def drawn(node: Any) -> tuple[list[str], int, int]:
    """The texts, and how many boxes and arrows there are."""
    root = ElementTree.fromstring(draw(node))
    arrows = [path for path in root.findall(f"{SVG}path") if path.get("marker-end")]
    return [text.text for text in root.findall(f"{SVG}text")], len(root.findall(f"{SVG}rect")), len(arrows)


def test_a_drawing_has_a_box_for_each_node_and_an_arrow_for_each_place():
    model = Config(Model, hidden=5)
    texts, boxes, arrows = drawn(Config(Trainer, model=model, layers=[model, {"a": Partial(Model, 6)}]))
    assert (boxes, arrows) == (3, 3)
    assert texts == [
        "Trainer",
        "model",
        "layers[0]",
        "layers[1]['a']",
        "Model",
        "hidden = 5",
        "Partial Model",
        "hidden = 6",
    ]


def test_text_in_a_drawing_cannot_break_it():
    texts, *_ = drawn(Config(dict, a="<b>&\"'", long="x" * 1000))
    assert texts[1] == repr("<b>&\"'").join(["a = ", ""])
    assert len(texts[2]) < 60


def test_children_are_drawn_right_of_their_parents_even_when_shared():
    leaf = Config(Model)
    node = Config(Trainer, model=leaf, layers=[Config(Trainer, model=Config(Trainer, model=leaf))])
    rects = ElementTree.fromstring(draw(node)).findall(f"{SVG}rect")
    assert sorted(float(rect.get("x")) for rect in rects)[-1] > 3 * 60
    assert len({rect.get("x") for rect in rects}) == 4


def test_a_node_that_holds_itself_and_nothing_at_all_can_be_drawn():
    node = Config(Trainer)
    node.model = node
    assert drawn(node)[1:] == (1, 1)
    assert drawn([])[1:] == (0, 0)


def test_a_drawing_is_shown_in_notebooks_and_saved(tmp_path):
    node = Config(Model)
    node.save_svg(tmp_path / "tree.svg")
    assert (tmp_path / "tree.svg").read_text(encoding="utf-8") == node._repr_svg_() == draw(node)
    with pytest.raises(NodeError, match=r"ends with \.svg"):
        node.save_svg(tmp_path / "tree.png")

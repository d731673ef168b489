"""What holds of all trees of nodes."""

from __future__ import annotations

import copy
import pickle
from dataclasses import dataclass
from typing import Any

from held_values import held
from hypothesis import given, settings as hypothesis_settings, strategies as st

from neox_core.config.nodes import Config, Node, Partial, build, diff, get_value, nodes, set_value, walk
from neox_core.config.nodes.tree import located

quick = hypothesis_settings(max_examples=60)


@dataclass
class Leaf:
    size: Any = 1
    name: Any = "a"


@dataclass
class Branch:
    one: Any = None
    two: Any = ()
    size: Any = 2


LEAVES = st.none() | st.booleans() | st.integers(0, 3) | st.floats() | st.text(max_size=3) | st.just(Leaf)


@st.composite
def trees(draw) -> Node[Any]:
    """Nodes and containers which hold what was drawn before them, so that much is shared."""
    drawn: list[Any] = [draw(LEAVES), draw(LEAVES)]
    for _ in range(draw(st.integers(1, 8))):
        earlier = st.sampled_from(drawn)
        kind = draw(st.sampled_from([Config, Partial]))
        drawn.append(
            draw(
                st.builds(kind, st.just(Leaf), size=LEAVES)
                | st.builds(kind, st.just(Branch), one=earlier, two=earlier)
                | st.builds(kind, st.just({}), a=earlier)
                | st.lists(earlier, max_size=3)
                | st.lists(earlier, max_size=2).map(tuple)
                | st.dictionaries(st.text(max_size=2), earlier, max_size=2)
            )
        )
    return Config(Branch, *drawn[-2:])


def comparable(value: Any) -> Any:
    """What was built, in a form that shows everything of it, sharing too."""
    return pickle.dumps(value)


@quick
@given(trees())
def test_a_clone_is_equal_and_shares_nothing(tree):
    clone = tree.clone()
    assert clone == tree
    assert not held(tree).keys() & held(clone).keys()
    assert [path for path, _ in located(clone)] == [path for path, _ in located(tree)]


@quick
@given(trees())
def test_a_clone_builds_the_same_with_the_same_sharing(tree):
    assert comparable(build(tree.clone())) == comparable(build(tree))


@quick
@given(trees())
def test_building_leaves_the_tree_as_it_was(tree):
    before, drawn = tree.clone(), repr(tree)
    build(tree)
    assert tree == before
    assert repr(tree) == drawn


@quick
@given(trees())
def test_a_pickled_tree_is_equal(tree):
    assert pickle.loads(pickle.dumps(tree)) == tree
    assert copy.deepcopy(tree) == tree


@quick
@given(trees(), trees())
def test_a_difference_is_empty_just_when_trees_are_equal(one, other):
    assert (diff(one, other) == "") is (one == other) is (other == one)
    assert diff(one, one.clone()) == ""


@quick
@given(trees(), st.data())
def test_every_change_of_a_value_makes_a_difference_and_can_be_taken_back(tree, data):
    changed = tree.clone()
    path = data.draw(st.sampled_from([path for path, _ in located(changed) if path] or ["size"]))
    before = get_value(changed, path)
    set_value(changed, path, "changed")
    assert changed != tree
    assert diff(tree, changed)
    assert get_value(changed, path) == "changed"
    set_value(tree, path, "changed")
    assert changed == tree
    assert before != "changed"


@quick
@given(trees())
def test_every_node_is_walked_once(tree):
    visits: list[int] = []
    walk(tree, size=lambda node: visits.append(id(node)), two=lambda node: node.two)
    having = [node for node in nodes(tree) if node._target.object in (Leaf, Branch)]
    assert sorted(visits) == sorted(map(id, having))
    found = list(nodes(tree))
    assert len(found) == len({id(node) for node in found})
    assert {id(node) for node in found} == {key for key, value in held(tree).items() if isinstance(value, Node)}


@quick
@given(trees())
def test_every_node_is_at_its_path(tree):
    assert all(get_value(tree, path) is node for path, node in located(tree))

"""Random settings: for each key of each group values of its type and range, and texts of any kind for bad ones."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from hypothesis import strategies as st
from small_settings import MODEL

from neox_core.config import Ownership
from neox_core.plugins import PluginManager, Switches

PLUGINS = PluginManager(Switches())
OWNERSHIP = Ownership.of(PLUGINS)
WORDS = st.text("abcXYZ019-_./: #'\"é\n\x85\u2028\u2029\U0001f600", max_size=12)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**6), 10**6) | st.floats(allow_nan=False, allow_infinity=False) | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=4,
)


def values(annotation: Any, low: float | None = None, high: float | None = None) -> st.SearchStrategy[Any]:
    """Values of a type."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        inner, *facts = arguments
        return within(inner, [rule for fact in facts for rule in getattr(fact, "metadata", [fact])])
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (typing.Union, types.UnionType):
        return st.one_of(*(values(argument, low, high) for argument in arguments))
    if origin is list:
        return st.lists(values(arguments[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(WORDS, values(arguments[1]), max_size=3)
    return {
        int: st.integers(int(low) if low is not None else -1000, int(high) if high is not None else 1000),
        float: st.floats(low if low is not None else -1e6, high if high is not None else 1e6),
        bool: st.booleans(),
        str: WORDS,
        type(None): st.none(),
        Any: ANYTHING,
    }[annotation]


def within(annotation: Any, rules: Iterable[Any]) -> st.SearchStrategy[Any]:
    """Values of a type; its numbers are within the bounds."""
    bounds = {name: getattr(rule, name) for rule in rules for name in ("gt", "ge", "lt", "le") if hasattr(rule, name)}
    low, high = bounds.get("ge", bounds.get("gt")), bounds.get("le", bounds.get("lt"))
    return values(annotation, low, high).filter(
        lambda value: (
            isinstance(value, bool | str | list | dict | None)
            or (("gt" not in bounds or value > bounds["gt"]) and ("lt" not in bounds or value < bounds["lt"]))
        )
    )


MAPPINGS = {
    "sparsity_config": st.fixed_dictionaries(
        {},
        optional={
            "block": st.integers(1, 64),
            "num_local_blocks": st.integers(1, 8),
            "different_layout_per_head": st.booleans(),
        },
    )
}
"""Of keys whose names and values are checked further than their type says."""


def of_key(key: str) -> st.SearchStrategy[Any]:
    """Values that a key takes."""
    if key in MAPPINGS:
        return st.none() | MAPPINGS[key]
    field = OWNERSHIP.by_key[key][0].group.model_fields[key]
    return within(field.annotation, field.metadata)


def settings(least: int = 0, most: int = 12) -> st.SearchStrategy[dict[str, Any]]:
    """A model, and some keys with values that they take each by itself."""
    keys = sorted(set(OWNERSHIP.by_key) - {"plugin_disable", "plugin_prefer", "plugin_require", "compat"})
    chosen = st.lists(st.sampled_from(keys), min_size=least, max_size=most, unique=True)
    return chosen.flatmap(lambda names: st.fixed_dictionaries({name: of_key(name) for name in names})).map(
        lambda given: {**MODEL, **given}
    )

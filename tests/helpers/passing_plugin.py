"""A plugin with a sequence mixer that does not keep documents apart."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from neox_core.plugins import Attention, Component


def neox_components() -> Iterable[Component]:
    return [Attention(name="passing", summary="mixes documents too", factory="passing_plugin:passing")]


def passing(context: Any) -> Any:
    """Would be made in each layer."""
    raise NotImplementedError

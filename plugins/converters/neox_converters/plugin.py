"""What this plugin offers: converters between our weights and those of other families."""

from __future__ import annotations

from collections.abc import Iterable

from neox_core.plugins import Component, Converter


def neox_components() -> Iterable[Component]:
    """The families."""
    return [
        Converter(
            name="gpt-neox",
            summary="GPT-NeoX's parameter names and layouts, in memory",
            factory="neox_converters.gpt_neox:GPTNeoXConverter",
            status="provisional",
        )
    ]

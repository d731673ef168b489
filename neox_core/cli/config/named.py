"""Keys that name components, and the names that they may have: for `explain` and for editors."""

from __future__ import annotations

from collections.abc import Mapping

from neox_core.plugins import PluginManager

KINDS: Mapping[str, str] = {
    "activation": "activation",
    "attention_config": "attention",
    "launcher": "launcher",
    "loggers": "logger",
    "lr_decay_style": "schedule",
    "moe_type": "moe",
    "norm": "norm",
    "optimizer.type": "optimizer",
    "pos_emb": "position",
    "train_impl": "objective",
}
"""Kind of the components that a key, or a place within one, names."""


def names_here(place: str, plugins: PluginManager) -> list[str]:
    """The components that a key can name here; none for other keys."""
    from neox_core.training.components import component_names

    return component_names(KINDS[place], plugins) if place in KINDS else []


def names_not_yet(place: str, plugins: PluginManager) -> list[str]:
    """What GPT-NeoX lets the key name beside these."""
    from neox_core.training.gpt_neox_names import GPT_NEOX_NAMES

    return sorted(GPT_NEOX_NAMES.get(KINDS.get(place, ""), frozenset()).difference(names_here(place, plugins)))


def name_lines(place: str, plugins: PluginManager) -> list[tuple[str, str]]:
    """The names with labels; no lines for a key that names no component."""
    lines = [("names here", names_here(place, plugins)), ("not here yet", names_not_yet(place, plugins))]
    return [(label, ", ".join(names)) for label, names in lines if names]

"""What the value of a key comes to in a run, where that is not the value itself: for `explain`, and to compare two runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from neox_core.config import Resolved
from neox_core.config.architecture import meaning
from neox_core.errors import UserError
from neox_core.plugins import PluginManager

ABSENT: Any = object()
"""Stands for no value."""


def outcome(path: str, value: object, resolved: Resolved, plugins: PluginManager) -> Any:
    """What a key, or a place within a mapping, comes to.

    Args:
        path: the key, or a dotted path that begins with it.
        value: as it was given or is by default.
        resolved: the run.
        plugins: who may know defaults of options.
    """
    key, *inner = path.split(".")
    if key == "optimizer":
        return within(optimizer(resolved, plugins), inner)
    found = of_key(key, resolved)
    return value if found is ABSENT else within(found, inner)


def of_key(name: str, resolved: Resolved) -> Any:
    """What a key comes to; `ABSENT` for one that is used as it is."""
    batch = resolved.batch
    outcomes: dict[str, object] = {
        "train_batch_size": batch.total,
        "train_micro_batch_size_per_gpu": batch.micro,
        "gradient_accumulation_steps": batch.accumulation,
        "precision": {"bf16": "bfloat16"}.get(resolved.precision, resolved.precision),
        "fp16": resolved.deepspeed.get("fp16"),
        "bf16": resolved.deepspeed.get("bf16"),
        "vocab_size": resolved.vocabulary,
    }
    outcomes = {**resolved.deepspeed, **outcomes}
    values = resolved.all_values()
    return outcomes[name] if name in outcomes else meaning(name, values) if name in values else ABSENT


def optimizer(resolved: Resolved, plugins: PluginManager) -> dict[str, Any]:
    """The optimizer with all its options, in the form of the key `optimizer`."""
    chosen = resolved.optimizer
    model = option_model(chosen.name, plugins)
    defaults = {} if model is None else {name: field.default for name, field in model.model_fields.items()}
    plain = {name: list(value) if isinstance(value, tuple) else value for name, value in defaults.items()}
    return {"type": chosen.name, "params": {**plain, **chosen.params, "lr": chosen.lr}}


def option_model(optimizer: str, plugins: PluginManager) -> Any:
    """The declaration of an optimizer's options; None where there is none."""
    try:
        offer = plugins.find("optimizer", optimizer)
    except UserError:
        return None
    return plugins.load(offer, offer.component.params) if offer.component.params else None


def within(value: Any, path: Sequence[str]) -> Any:
    """What is at a path of nested mappings; `ABSENT` where nothing is."""
    for name in path:
        if not isinstance(value, Mapping) or name not in value:
            return ABSENT
        value = value[name]
    return value

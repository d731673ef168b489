"""What the value of a key comes to in a run, where that is not the value itself: for `explain`, and to compare two runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pydantic_core import to_jsonable_python

from neox_core.config import Resolved
from neox_core.config.architecture import meaning
from neox_core.config.groups import BatchSettings
from neox_core.errors import UserError
from neox_core.plugins import PluginManager

ABSENT: Any = object()
"""Stands for no value."""

NOT_OF_DEEPSPEED = frozenset({"zero_allow_untested_optimizer"})
"""Keys that neox heeds by itself, whatever it then tells DeepSpeed."""


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
    handed_on = {key: value for key, value in resolved.deepspeed.items() if key not in NOT_OF_DEEPSPEED}
    outcomes = {**handed_on, **outcomes}
    values = resolved.all_values()
    return outcomes[name] if name in outcomes else meaning(name, values) if name in values else ABSENT


def on_any_ranks(path: str, value: object, resolved: Resolved) -> object:
    """What a key of the batch comes to however many ranks there are; as it was given where that depends on their number."""
    batch = resolved[BatchSettings]
    micro_or_total_alone = batch.train_batch_size is None or batch.train_micro_batch_size_per_gpu is None
    return 1 if path == "gradient_accumulation_steps" and value is None and micro_or_total_alone else value


def optimizer(resolved: Resolved, plugins: PluginManager) -> dict[str, Any]:
    """The optimizer with all its options, in the form of the key `optimizer`."""
    chosen = resolved.optimizer
    model = option_model(chosen.name, plugins)
    defaults = {} if model is None else with_defaults(model, chosen.params)
    return {"type": chosen.name, "params": {**defaults, **chosen.params, "lr": chosen.lr}}


def with_defaults(model: Any, params: Mapping[str, Any]) -> dict[str, Any]:
    """The model's options, given or by default, as plain data; without those that must be given and are not."""
    known = {name: value for name, value in params.items() if name in model.model_fields}
    options: dict[str, Any] = to_jsonable_python(vars(model.model_construct(**known)), fallback=str)
    return options


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

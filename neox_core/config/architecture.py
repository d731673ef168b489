"""What the keys of the architecture come to: the mixer of each layer, and the width inside its MLP."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neox_core.config.groups import ModelSettings
from neox_core.errors import Problem, SettingsError

GATED = frozenset({"geglu", "reglu", "swiglu", "bilinear", "glu"})
"""Activations that multiply one half of their input by a function of the other."""

MOST_LAYERS = 100_000
"""Settings are lists of layers: a number with too many zeros would take all memory before it is found out."""

MOST_WIDTH = 2**31 - 1
"""No tensor is as wide."""


def expand_attention(config: list[Any] | None, num_layers: int) -> tuple[str, ...]:
    """`[[["global", "local"], 3], ...]` as one name a layer; a plain list of names is taken as it is.

    Raises:
        SettingsError: malformed, or the number of layers is another.
    """

    def refuse(message: str) -> SettingsError:
        remedy = 'write one name a layer, or [[["name", ...], repeats], ...]; repeats may be "all"'
        return SettingsError([Problem(keys=("attention_config",), message=message, remedy=remedy)])

    if num_layers > MOST_LAYERS:
        message = f"{num_layers} layers are more than any machine holds"
        raise SettingsError([Problem(keys=("num_layers",), message=message, remedy=f"at most {MOST_LAYERS}")])
    if config is None:
        return ("global",) * num_layers
    if all(isinstance(item, str) for item in config):
        names = list(config)
    else:
        names = []
        for item in config:
            match item:
                case [[*pattern], "all"] if pattern and num_layers % len(pattern):
                    raise refuse(f"{pattern!r} cannot be repeated to make up num_layers {num_layers}")
                case [[*pattern], "all"] if pattern:
                    names = pattern * (num_layers // len(pattern))
                    break  # GPT-NeoX's meaning: the whole model, whatever stands before and after
                case [[*pattern], int(repeats)] if len(pattern) * repeats > num_layers:
                    raise refuse(f"{item!r} describes {len(pattern) * repeats} layers, num_layers is {num_layers}")
                case [[*pattern], int(repeats)] if repeats > 0 and repeats is not True:
                    names += pattern * repeats
                case _:
                    raise refuse(f"{item!r} is not [[names], repeats]")
    if not all(isinstance(name, str) for name in names):
        raise refuse(f"{names!r} has entries that are not names")
    if len(names) != num_layers:
        raise refuse(f"{config!r} describes {len(names)} layers, num_layers is {num_layers}")
    return tuple(names)


def left_out(config: list[Any]) -> list[Any]:
    """The items of an attention_config that say nothing, because another one of it says `"all"`."""
    whole = next((i for i, item in enumerate(config) if isinstance(item, list) and item[1:] == ["all"]), None)
    return [] if whole is None else [*config[:whole], *config[whole + 1 :]]


def resolve_mlp_width(model: ModelSettings) -> int:
    """The width inside the MLP, as GPT-NeoX computes it.

    A gated MLP takes two thirds of intermediate_size for its two halves together, so that it has as many weights as an ungated
    one of that size: each half is about a third of intermediate_size wide.

    Raises:
        SettingsError: two keys say the size, it is no width, or a gated MLP cannot be cut into halves.
    """
    if model.intermediate_size is not None and model.expansion_factor is not None:
        message = (
            f"intermediate_size {model.intermediate_size} and expansion_factor {model.expansion_factor} are both given"
        )
        both_given = ("intermediate_size", "expansion_factor")
        raise SettingsError([Problem(keys=both_given, message=message, remedy="keep one of them")])
    size = model.intermediate_size or (model.expansion_factor or 4) * model.hidden_size
    width = _mlp_width(model, int(size)) if size <= MOST_WIDTH else size
    if not 1 <= width <= MOST_WIDTH:
        keys = ("intermediate_size",) if model.intermediate_size else ("expansion_factor", "hidden_size")
        message = f"the width inside the MLP comes to {width:g}, which is not a whole number from 1 to {MOST_WIDTH}"
        remedy = "four times hidden_size is usual"
        raise SettingsError([Problem(keys=(*keys, "mlp_multiple_of", "activation"), message=message, remedy=remedy)])
    return int(width)


def _mlp_width(model: ModelSettings, size: int) -> int:
    """The width that follows from `size`, which is 0 where it is too small."""
    multiple = model.mlp_multiple_of
    if model.activation.casefold() not in GATED:
        return _rounded_up(size, multiple)
    both = size * 2 // 3
    half, width = _rounded_up(both, 2 * multiple) // 2, _rounded_up(both // 2, multiple)
    if half != width:
        message = (
            f"two thirds of {size} are {both}, of which activation {model.activation} cannot have two equal halves "
            f"(mlp_multiple_of {multiple})"
        )
        keys = ("intermediate_size", "mlp_multiple_of", "activation")
        remedy = f"for a width of {size} inside the MLP write intermediate_size: {3 * size}"
        raise SettingsError([Problem(keys=keys, message=message, remedy=remedy)])
    return width


def meaning(key: str, values: Mapping[str, Any]) -> Any:
    """What the value of a key comes to beside the others, where several values come to the same."""
    match key:
        case "attention_config":
            return expand_attention(values[key], values["num_layers"])
        case "num_kv_heads":
            return values[key] or values["num_attention_heads"]
        case "intermediate_size" | "expansion_factor" | "mlp_multiple_of":
            return resolve_mlp_width(
                ModelSettings.model_construct(**{k: values[k] for k in ModelSettings.model_fields})
            )
        case "norm" | "pos_emb" | "activation" | "moe_type" | "train_impl" | "lr_decay_style" | "launcher":
            return values[key].casefold()
        case _:
            return values[key]


def _rounded_up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple

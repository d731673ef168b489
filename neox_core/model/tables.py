"""The core's own norms, positions and activations, by name; plugins may add to each table.

The tables hold references, so that names can be checked without importing torch.
"""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from neox_core.errors import UserError, did_you_mean
from neox_core.plugins import PluginManager, resolve

TABLES: dict[str, dict[str, str]] = {
    "norm": {
        "layernorm": "neox_core.model.norms:layer_norm",
        "rmsnorm": "neox_core.model.norms:rms_norm",
        "scalenorm": "neox_core.model.norms:scale_norm",
        "non_parametric_layernorm": "neox_core.model.norms:non_parametric_layer_norm",
        "te_layernorm": "neox_core.model.transformer_engine:layer_norm",
        "te_rmsnorm": "neox_core.model.transformer_engine:rms_norm",
    },
    "position": {
        "learned": "neox_core.model.positions:LearnedPositions",
        "rotary": "neox_core.model.positions:RotaryPositions",
        "sinusoidal": "neox_core.model.positions:SinusoidalPositions",
        "alibi": "neox_core.model.position_biases:ALiBi",
        "rpe": "neox_core.model.position_biases:RelativePositions",
        "none": "neox_core.model.positions:Positions",
    },
    "activation": {
        "gelu": "neox_core.model.activations:gelu",
        "relu": "neox_core.model.activations:relu",
        "silu": "neox_core.model.activations:silu",
        "swish": "neox_core.model.activations:silu",
        "mish": "neox_core.model.activations:mish",
        "softsign": "neox_core.model.activations:softsign",
        "geglu": "neox_core.model.activations:geglu",
        "reglu": "neox_core.model.activations:reglu",
        "swiglu": "neox_core.model.activations:swiglu",
        "glu": "neox_core.model.activations:glu",
        "bilinear": "neox_core.model.activations:bilinear",
    },
}
"""kind -> name -> reference to a factory, with the arguments that the component class of that kind documents."""

TRANSFORMER_ENGINE = {"te_layernorm": "layernorm", "te_rmsnorm": "rmsnorm"}
"""Norms by Transformer Engine, which is installed apart, and those that compute the same without it."""


def lack(kind: str, name: str) -> tuple[str, str] | None:
    """What is not installed here and the core's `name` needs, and how to go on; None where it has everything."""
    same = TRANSFORMER_ENGINE.get(name.casefold()) if kind == "norm" else None
    if same is None or find_spec("transformer_engine") is not None:
        return None
    remedy = f"pip install 'transformer-engine[pytorch]' where there is an NVIDIA GPU, or norm: {same}, which computes the same"
    return f"{name} needs Transformer Engine, which is not installed here", remedy


def check(kind: str, name: str, plugins: PluginManager) -> None:
    """Whether `name` can be made.

    Raises:
        UserError: neither the core nor a plugin offers it, or both do.
    """
    table, offered = TABLES[kind], plugins.names(kind)
    plain = name.rpartition("/")[2].casefold()
    if "/" in name or (plain not in table and plain in offered):
        plugins.find(kind, name)
    elif plain not in table:
        raise UserError(f"there is no {kind} '{name}'; {did_you_mean(name, [*table, *offered])}")
    elif plain in offered:
        sources = ", ".join(f"'{offer.qualified}'" for offer in plugins.offers(kind) if offer.component.name == plain)
        raise UserError(
            f"{kind} '{name}' is the core's and also offered by a plugin: write {sources}, or disable that plugin"
        )


def make(kind: str, name: str, plugins: PluginManager, *args: Any, **kwargs: Any) -> Any:
    """What `name` stands for, made with the arguments that its kind documents."""
    check(kind, name, plugins)
    reference = TABLES[kind].get(name.casefold())
    if reference is None:
        return plugins.make(kind, name, *args, **kwargs)
    return resolve(reference)(*args, **kwargs)

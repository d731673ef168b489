"""Norms of NVIDIA's Transformer Engine, which computes them in one kernel on its GPUs. It is installed apart."""

from __future__ import annotations

from importlib import import_module
from typing import Any, cast

from torch import nn

from neox_core.config import ModelSettings
from neox_core.errors import UserError
from neox_core.model.norms import Size, without_decay


def layer_norm(size: Size, model: ModelSettings) -> nn.Module:
    """`norm: te_layernorm`."""
    return _made("LayerNorm", "layernorm", size, model.layernorm_epsilon)


def rms_norm(size: Size, model: ModelSettings) -> nn.Module:
    """`norm: te_rmsnorm`."""
    return _made("RMSNorm", "rmsnorm", size, model.rms_norm_epsilon)


def _made(name: str, same: str, size: Size, eps: float) -> nn.Module:
    try:
        engine: Any = import_module("transformer_engine.pytorch")
    except ImportError as error:
        raise UserError(
            f"norm: te_{same} needs Transformer Engine, which is not there ({error}): pip install "
            f"'transformer-engine[pytorch]' on a machine with an NVIDIA GPU, or write norm: {same}, which computes the same"
        ) from error
    norm = cast("nn.Module", getattr(engine, name)(size, eps=eps))
    for parameter in norm.parameters():
        without_decay(parameter)
    return norm

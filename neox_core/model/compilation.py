"""torch.compile for layers."""

from __future__ import annotations

from typing import Any

from torch import nn

from neox_core.config import Resolved
from neox_core.config.groups import CompilationSettings
from neox_core.model.recomputation import Recomputation


def compile_layer(layer: nn.Module, resolved: Resolved, recompute: Recomputation) -> None:
    """Have a layer compiled when it is first called, if the settings ask for it. Names of parameters stay as they are.

    Sequences of a run have one length, so that shapes are taken as constants; layers whose code and shapes are the same share a graph.
    """
    settings = resolved[CompilationSettings]
    if settings.torch_compile:
        recompute.put_into(layer)
        layer.compile(dynamic=False, **_options(resolved.world.device, settings.torch_compile_mode))


def _options(device: str, mode: str) -> dict[str, Any]:
    if device != "cpu":
        return {"mode": mode}
    # In bfloat16 torch 2.13 stores a sum that two outputs share by one C++ variable declared twice, which does not build: the
    # biases on both sides of a parallel block have the same gradient. Kernels that only read the same are kept apart instead.
    return {"options": {"cpp.max_horizontal_fusion_size": 1}}

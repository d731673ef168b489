"""Adam by DeepSpeed's DeepSpeedCPUAdam: vectorised C++ for parameters and moments that are in the host's memory."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import Any

import torch

from neox_core.errors import UserError
from neox_core.training.extensions import built_by_one, came_with_deepspeed, missing_tools
from neox_optimizers.counts import keep_counts_in_tensors
from neox_optimizers.params import AdamParams


def build(groups: list[dict[str, Any]], params: AdamParams) -> torch.optim.Optimizer:
    """The optimizer over parameter groups. Builds the extension, which takes a minute the first time on a machine.

    Raises:
        UserError: it cannot be built.
    """
    from deepspeed.ops.adam import DeepSpeedCPUAdam

    options = {"lr": params.lr, "betas": params.betas, "eps": params.eps, "adamw_mode": params.adam_w_mode}
    ask_once_about_the_processor()
    try:
        with built_by_one("cpu_adam"):
            optimizer = DeepSpeedCPUAdam(groups, **options)
    except RuntimeError as error:
        raise UserError(
            f"optimizer cpu_adam: DeepSpeed's extension cannot be built here ({error.__cause__ or error}); "
            "cpu_torch_adam computes the same without it"
        ) from error
    return keep_counts_in_tensors(optimizer)


def ask_once_about_the_processor() -> None:
    """DeepSpeed asks for each optimizer, and cpuinfo starts a program each time, which takes a second."""
    cpuinfo: Any = import_module("cpuinfo")

    if not hasattr(cpuinfo.get_cpu_info, "cache_info"):
        cpuinfo.get_cpu_info = cache(cpuinfo.get_cpu_info)


def lack() -> str | None:
    """What keeps this machine from building the extension, or None. Says it without importing DeepSpeed."""
    if came_with_deepspeed("cpu_adam") or not (missing := missing_tools()):
        return None
    return f"needs {' and '.join(missing)} to build its extension; cpu_torch_adam computes the same without"

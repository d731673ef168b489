"""Adam by DeepSpeed's FusedAdam, which updates all parameters of a group in one kernel."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch

from neox_core.training.extensions import built_by_one
from neox_optimizers.counts import keep_counts_in_tensors
from neox_optimizers.params import AdamParams


@cache
def lack() -> str | None:
    """Why the kernel cannot be had, or None. Builds it, which takes a minute the first time on a machine."""
    from deepspeed.ops.op_builder import FusedAdamBuilder

    try:
        with built_by_one("fused_adam"):
            FusedAdamBuilder().load(verbose=False)
    except Exception as error:  # noqa: BLE001  (whatever compilers and linkers may say)
        return str(error).strip().partition("\n")[0] or type(error).__name__
    return None


def build(groups: list[dict[str, Any]], params: AdamParams) -> torch.optim.Optimizer:
    """The optimizer over parameter groups."""
    from deepspeed.ops.adam import FusedAdam

    options = {"lr": params.lr, "betas": params.betas, "eps": params.eps, "adam_w_mode": params.adam_w_mode}
    return keep_counts_in_tensors(FusedAdam(groups, **options), alike=True)

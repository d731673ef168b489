"""Adam with moments in 8 bits (Dettmers et al., "8-bit Optimizers via Block-wise Quantization", 2022), by bitsandbytes."""

from __future__ import annotations

from typing import Any

import torch

from neox_optimizers.counts import keep_counts_in_tensors
from neox_optimizers.params import Adam8bitParams


def build(groups: list[dict[str, Any]], params: Adam8bitParams) -> torch.optim.Optimizer:
    """The optimizer over parameter groups; weight decay is decoupled.

    A moment is a byte for each element, a largest value for each 256 elements, and a table of what the bytes mean.
    """
    from bitsandbytes.optim import Adam8bit

    return keep_counts_in_tensors(Adam8bit(groups, **params.model_dump()))

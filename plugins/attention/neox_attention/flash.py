"""Full causal attention by the kernels of flash-attn, where they are installed."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import cache
from importlib import import_module
from typing import Any, NamedTuple

import torch
from packaging.version import Version
from torch import Tensor

from neox_attention.scores import Softmax, draw_apart
from neox_attention.softmax_attention import SoftmaxAttention
from neox_attention.visibility import Visibility
from neox_core.model import LayerContext

FlashFunction = Callable[..., Tensor]
"""`flash_attn.flash_attn_func` of flash-attn 2."""

OLDEST = Version("2.5")
"""The first version with all arguments that are passed on."""

logger = logging.getLogger("neox")


class FlashAttention(SoftmaxAttention):
    """What `global` computes, by flash-attn's kernels (Dao, "FlashAttention-2", 2023) on GPUs in fp16 and bf16, else by torch's.

    Documents and learned biases, which flash-attn's function does not have, are left to torch's too. Which kernels a run uses is
    logged once.
    """

    def __init__(self, context: LayerContext) -> None:
        super().__init__(context)
        kernels = choose(context)
        announce(kernels.sentence)
        self.flash = kernels.function

    def attend(self, query: Tensor, key: Tensor, value: Tensor, sight: Visibility, softmax: Softmax) -> Tensor:
        """[batch, heads, queries, head_dim] -> the same shape. flash-attn has [batch, queries, heads, head_dim]."""
        if self.flash is None or not suits(query, sight):
            return super().attend(query, key, value, sight, softmax)
        if softmax.dropout:
            draw_apart(softmax)
        tensors = (part.transpose(1, 2) for part in (query, key, value))
        return self.flash(*tensors, **options(sight, softmax)).transpose(1, 2)


class Kernels(NamedTuple):
    """flash-attn's function, or None where it cannot serve a run, and a sentence that says which kernels do."""

    function: FlashFunction | None
    sentence: str


def choose(context: LayerContext) -> Kernels:
    """The kernels of a run with these settings."""
    resolved, positions = context.resolved, context.model.pos_emb.casefold()
    if resolved.world.device != "cuda":
        return Kernels(None, "attention flash: torch's kernels, since flash-attn's need a GPU")
    if resolved.precision == "fp32":
        return Kernels(None, "attention flash: torch's kernels, since flash-attn's compute in fp16 or bf16")
    if context.positions.has_bias and positions != "alibi":
        return Kernels(None, f"attention flash: torch's kernels, since flash-attn's have no pos_emb: {positions}")
    return installed()


@cache
def installed() -> Kernels:
    """What is installed."""
    try:
        package = import_module("flash_attn")
        version, function = Version(package.__version__), package.flash_attn_func
    except (ImportError, AttributeError) as error:
        return Kernels(None, f"attention flash: torch's kernels, since flash-attn 2 is not there ({error})")
    if version < OLDEST:
        return Kernels(None, f"attention flash: torch's kernels, since flash-attn {version} is older than {OLDEST}")
    return Kernels(function, f"attention flash: kernels of flash-attn {version}")


@cache
def announce(sentence: str) -> None:
    """Log it the first time."""
    logger.info(sentence)


def suits(query: Tensor, sight: Visibility) -> bool:
    """Whether the kernels can do a call: it may have other dtypes and places than training, and several documents."""
    head_dim = query.shape[-1]
    narrow = query.dtype in (torch.float16, torch.bfloat16)
    return on_gpu(query) and narrow and head_dim % 8 == 0 and head_dim <= 256 and sight.documents is None


def on_gpu(tensor: Tensor) -> bool:
    """Whether it is in the memory of a GPU."""
    return tensor.is_cuda


def options(sight: Visibility, softmax: Softmax) -> dict[str, Any]:
    """What flash-attn's function is told. Causality and window are aligned to the last key."""
    return {
        "dropout_p": softmax.dropout,
        "softmax_scale": softmax.scale,
        "causal": True,
        "window_size": (-1, -1) if sight.window is None else (sight.window, 0),
        "alibi_slopes": slopes(sight, softmax),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
    }


def slopes(sight: Visibility, softmax: Softmax) -> Tensor | None:
    """What ALiBi takes off scores for each token of distance, [heads] float32; None without it."""
    if softmax.bias is None:
        return None
    heads = torch.arange(sight.heads, device=sight.positions.device)
    return -softmax.bias(heads, torch.ones_like(heads)) * softmax.bias_factor

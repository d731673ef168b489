"""Running a model on tensors that have shapes and nothing in them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn import functional


@contextmanager
def without_numbers(device: str) -> Iterator[None]:
    """New tensors are of a kind of device, and hold nothing.

    CPUs are imitated operator by operator. A GPU's operators cannot be asked on a machine that has none: the meta device stands for
    it, where torch knows no fused attention, so that what a fused kernel keeps is put in its place.
    """
    if device == "cpu":
        with FakeTensorMode(allow_non_fake_inputs=True):
            yield
    else:
        with torch.device("meta"), fused_attention():
            yield


@contextmanager
def fused_attention() -> Iterator[None]:
    """In the place of torch's attention, what its fused kernels need of memory; they do not have scores in it.

    It is put there by name: torch takes its modes for functions away while it runs a backward pass, in which layers are run again.
    """
    given: Any = functional.scaled_dot_product_attention
    place: Any = functional
    place.scaled_dot_product_attention = lambda query, key, value, *_, **__: _Fused.apply(query, key, value)  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        place.scaled_dot_product_attention = given


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        out = torch.empty_like(query)
        log_sums = query.new_empty(query.shape[:-1], dtype=torch.float32)
        ctx.save_for_backward(query, key, value, out, log_sums)
        return out

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, ...]:
        return tuple(torch.empty_like(part) for part in ctx.saved_tensors[:3])

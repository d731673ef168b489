"""Activation checkpointing: layers that keep their inputs and are computed again in the backward pass."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import nn
from torch.autograd.graph import save_on_cpu, saved_tensors_hooks
from torch.utils.checkpoint import (
    CheckpointPolicy,
    checkpoint,
    create_selective_checkpoint_contexts,
    noop_context_fn,
)

from neox_core.config import ActivationCheckpointingSettings
from neox_core.model.block import Carry
from neox_core.model.mixer import LayerCache
from neox_core.parallel import TensorParallel
from neox_core.parallel.regions import SEQUENCE

_aten = torch.ops.aten
PRODUCTS = {_aten.mm.default, _aten.addmm.default, _aten.bmm.default, _aten.baddbmm.default}
"""Matrix multiplications, by the operators that layers come to."""
ATTENTION = {
    _aten._scaled_dot_product_flash_attention.default,
    _aten._scaled_dot_product_flash_attention_for_cpu.default,
    _aten._scaled_dot_product_efficient_attention.default,
    _aten._scaled_dot_product_cudnn_attention.default,
}


class Recomputation:
    """How a model's layers are run in training, in groups of which the inputs are kept.

    Args:
        settings: what is kept, and where.
        attention_drops: whether attention draws random numbers. A kernel that is not run again would not move the generator on, so
            that what is dropped after it would be other units than in the forward pass; it is run again then.
        compiled: whether layers are compiled.
        tensor: the ranks over which what is kept may be cut.
    """

    def __init__(
        self,
        settings: ActivationCheckpointingSettings,
        *,
        attention_drops: bool,
        compiled: bool = False,
        tensor: TensorParallel | None = None,
    ) -> None:
        self.enabled = settings.checkpoint_activations
        self._group, self._selective = settings.checkpoint_num_layers, settings.checkpoint_policy == "selective"
        self._in_cpu, self._synchronize = settings.checkpoint_in_cpu, settings.synchronize_each_layer
        self._tensor = tensor or TensorParallel()
        # With sequence parallelism each rank has its own tokens anyway.
        self._cuts = settings.partition_activations and self._tensor.is_on and not self._tensor.sequence
        self._kept = PRODUCTS if attention_drops else PRODUCTS | ATTENTION
        self._within_layers = self.enabled and self._selective and compiled

    def groups(self, layers: range) -> Iterator[range]:
        """Indices of the layers of each group."""
        return (layers[start : start + self._group] for start in range(0, len(layers), self._group))

    def __call__(self, group: Callable[[Carry], Carry], carry: Carry) -> Carry:
        """Run a group of layers, of whose results only the last is kept."""

        def run(*carry: Any) -> Carry:
            with self._synchronized(carry[0].is_cuda):
                return group(carry)

        with self._placed(carry[0].is_cuda), self._cut_over_ranks(carry[0].shape):
            return run(*carry) if self._within_layers else self._checkpointed(run, carry)

    def _placed(self, on_gpu: bool) -> contextlib.AbstractContextManager[Any]:
        return save_on_cpu(pin_memory=on_gpu) if self._in_cpu else contextlib.nullcontext()

    def _cut_over_ranks(self, shape: torch.Size) -> contextlib.AbstractContextManager[Any]:
        """While what is kept of this shape, hidden states that all tensor-parallel ranks have alike, is cut over them by tokens."""
        axis = self._tensor.axis
        if not self._cuts or shape[SEQUENCE] % axis.size:
            return contextlib.nullcontext()

        def pack(kept: torch.Tensor) -> tuple[bool, torch.Tensor]:
            alike = kept.shape == shape and kept.is_floating_point()
            return alike, axis.piece(kept, SEQUENCE) if alike else kept

        def unpack(packed: tuple[bool, torch.Tensor]) -> torch.Tensor:
            alike, kept = packed
            return axis.gather(kept, SEQUENCE) if alike else kept

        return saved_tensors_hooks(pack, unpack)

    def put_into(self, layer: nn.Module) -> None:
        """Make recomputation a part of a layer that will be compiled, where it is selective.

        The policy is about operators, and of those of a compiled layer it would see none: here it is compiled with the layer.
        Each layer then keeps its own input, whatever the group.
        """
        if not self._within_layers:
            return
        logging.getLogger("torch._higher_order_ops.wrap").addFilter(_is_not_about_contexts)
        forward: Callable[..., Carry] = layer.forward

        def recomputed(carry: Carry, cache: LayerCache | None = None) -> Carry:
            if cache is not None or not (layer.training and torch.is_grad_enabled()):
                return forward(carry, cache)
            return self._checkpointed(lambda *carry: forward(carry), carry)

        layer.forward = recomputed

    def _checkpointed(self, run: Callable[..., Carry], carry: Carry) -> Carry:
        contexts = self._selective_contexts if self._selective else noop_context_fn
        # The carry comes as several arguments since tensors within a tuple would be held as they are, not saved.
        further: Carry = checkpoint(run, *carry, use_reentrant=False, context_fn=contexts)
        return further

    @property
    def _selective_contexts(self) -> Callable[[], Any]:
        kept = self._kept

        def policy(context: Any, operator: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
            return CheckpointPolicy.MUST_SAVE if operator in kept else CheckpointPolicy.PREFER_RECOMPUTE

        return partial(create_selective_checkpoint_contexts, policy)

    @contextlib.contextmanager
    def _synchronized(self, on_gpu: bool) -> Iterator[None]:
        if not (self._synchronize and on_gpu):
            yield
            return
        torch.cuda.synchronize()
        yield
        torch.cuda.synchronize()


def _is_not_about_contexts(record: logging.LogRecord) -> bool:
    """Not torch's advice to have no in-place operations in what is recomputed by a policy: layers have none."""
    return "context_fn" not in record.getMessage()

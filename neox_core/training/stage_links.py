"""How the stages of a pipeline hand each other what goes from layer to layer, and its gradients."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, cast

import torch
import torch.distributed as dist
from torch import Tensor

from neox_core.model.block import Carry


class Shape(NamedTuple):
    """What a tensor looks like that is to come."""

    sizes: tuple[int, ...]
    dtype: torch.dtype
    requires_grad: bool


Form = tuple[Shape | None, ...]
"""Of each tensor of a carry; None for what is not there."""


class StageLink:
    """A neighbouring stage of the same pipeline.

    What a carry looks like is told with the first one after `renew`; all others look the same. Of those tensors that need a gradient
    it comes back in the same order.

    Args:
        rank: of the neighbour, among all.
        group: in which the stages communicate.
        device: where tensors are.
        waiting: what an exchange is done within, since the neighbour may hold it up.
    """

    def __init__(
        self,
        rank: int,
        group: dist.ProcessGroup | None,
        device: torch.device,
        waiting: Callable[[], AbstractContextManager[object]] = nullcontext,
    ) -> None:
        self._rank, self._group, self._device, self._waiting = rank, group, device, waiting
        self._form: Form | None = None

    def renew(self) -> None:
        """Forget what a carry looks like: the next may look different. Both ends have to."""
        self._form = None

    def send(self, carry: Carry) -> None:
        """Give the neighbour what comes out of this stage.

        Raises:
            ValueError: it does not look like the one before.
        """
        form = tuple(
            None if part is None else Shape(tuple(part.shape), part.dtype, part.requires_grad) for part in carry
        )
        if self._form is not None and form != self._form:
            raise ValueError(f"a micro-batch makes {form} of layers, and another of the same step {self._form}")
        with self._waiting():
            if self._form is None:
                self._form = form
                dist.send_object_list([form], self._rank, group=self._group, device=self._device)
            for part in carry:
                if part is not None:
                    self._send(part.detach())

    def receive(self) -> Carry:
        """What comes out of the neighbour."""
        with self._waiting():
            if self._form is None:
                told: list[Form | None] = [None]
                dist.recv_object_list(told, self._rank, group=self._group, device=self._device)
                self._form = told[0]
            assert self._form is not None
            return cast("Carry", tuple(None if shape is None else self._received(shape) for shape in self._form))

    def send_gradients(self, carry: Carry) -> None:
        """Give the neighbour the gradients of what came from it."""
        with self._waiting():
            for part in needing_gradient(carry):
                self._send(torch.zeros_like(part) if part.grad is None else part.grad)

    def receive_gradients(self, carry: Carry) -> list[Tensor]:
        """The gradients of what the neighbour got, of those parts that need one."""
        shapes = [Shape(tuple(part.shape), part.dtype, requires_grad=False) for part in needing_gradient(carry)]
        with self._waiting():
            return [self._received(shape) for shape in shapes]

    def _send(self, part: Tensor) -> None:
        dist.send(part.contiguous(), self._rank, group=self._group)

    def _received(self, shape: Shape) -> Tensor:
        part = torch.empty(shape.sizes, dtype=shape.dtype, device=self._device)
        dist.recv(part, self._rank, group=self._group)
        return part.requires_grad_(shape.requires_grad)


def needing_gradient(carry: Carry) -> list[Tensor]:
    """The tensors of a carry through which a gradient flows back."""
    return [part for part in carry if part is not None and part.requires_grad]

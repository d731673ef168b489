"""How long the parts of a model take on this device, to deal them to the stages of a pipeline."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Hashable
from functools import partial

import torch
import torch.distributed as dist
from torch import Tensor

from neox_core.config import ModelSettings, Resolved
from neox_core.model import LanguageModel
from neox_core.model.block import Carry
from neox_core.parallel import Mesh, Stage
from neox_core.parallel.partition import Weights
from neox_core.plugins import PluginManager

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}

REPEATS = 3
"""Of which the median counts, after one that does not."""


def measured_costs(resolved: Resolved, plugins: PluginManager, mesh: Mesh, device: torch.device) -> Weights:
    """Seconds of a forward and backward pass of each part on one micro-batch, by rank 0; every rank has to call it, and gets the same.

    Each distinct kind of layer is measured once, at this rank's size where matrices are cut, without what ranks tell each other.
    """
    told: list[Weights | None] = [None]
    if mesh.rank == 0:
        told = [_Stopwatch(resolved, plugins, mesh, device).weights()]
    dist.broadcast_object_list(told, 0, device=device)
    assert told[0] is not None
    return told[0]


class _Stopwatch:
    """Makes parts of the model and runs them."""

    def __init__(self, resolved: Resolved, plugins: PluginManager, mesh: Mesh, device: torch.device) -> None:
        self._resolved, self._plugins, self._device = resolved, plugins, device
        self._mesh = Mesh.without_groups(mesh.topology, mesh.rank)
        model = resolved[ModelSettings]
        length = model.seq_length // mesh.context.size
        self._tokens = torch.zeros(resolved.batch.micro, length, dtype=torch.long, device=device)

    def weights(self) -> Weights:
        """Of all parts."""
        embedding = self._part(Stage(range(0), 0, 2))
        carry = embedding.begin(self._tokens)
        seconds: dict[Hashable, float] = {}
        kinds = list(zip(self._resolved.layers, self._resolved.mixtures, strict=True))
        for layer, kind in enumerate(kinds):
            if kind not in seconds:
                block = self._part(Stage(range(layer, layer + 1), 1, 3))
                seconds[kind] = self._time(partial(self._layers, block, carry))
        head = self._part(Stage(range(0), 1, 2))
        return Weights(
            self._time(lambda: embedding.begin(self._tokens)[0]),
            tuple(seconds[kind] for kind in kinds),
            self._time(lambda: self._losses(head, carry)),
        )

    def _part(self, stage: Stage) -> LanguageModel:
        part = LanguageModel(self._resolved, self._plugins, self._mesh, stage)
        return part.to(self._device, DTYPES[self._resolved.precision]).train()

    @staticmethod
    def _layers(blocks: LanguageModel, carry: Carry) -> Tensor:
        hidden, *_ = blocks.run(_fresh(carry))
        return hidden

    def _losses(self, head: LanguageModel, carry: Carry) -> Tensor:
        output = head.end(_fresh(carry))
        return output.scores() if self._resolved.head == "reward" else output.token_losses(self._tokens)

    def _time(self, forward: Callable[[], Tensor]) -> float:
        """The median of some passes, in seconds."""
        found = []
        for _ in range(1 + REPEATS):
            start = self._clock()
            made = forward()
            if made.requires_grad:
                torch.autograd.backward(made, torch.ones_like(made))
            found.append(self._clock() - start)
        return statistics.median(found[1:])

    def _clock(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def _fresh(carry: Carry) -> Carry:
    """A carry that ends the backward pass."""
    hidden, positions, documents, aux = carry
    return hidden.detach().requires_grad_(), positions, documents, aux.detach()

"""The most bytes that a rank has at once, from the making of its engine on: counted, not sampled."""

from __future__ import annotations

import gc
import math
from typing import Any, NamedTuple
from unittest.mock import patch

import torch
from neox_commands.plan_storages import LiveStorages
from training_models import Bench

from neox_core.training.deepspeed.making import Cutter


class Allocated(LiveStorages):
    """Follows storages that have something in them."""

    def _see(self, storage: torch.UntypedStorage) -> None:
        if storage.device.type != "meta":
            super()._see(storage)


class Peaks(NamedTuple):
    """The most bytes at once, for each parameter of the model.

    Args:
        start: while the engine is made.
        passes: from there to the end of a backward pass.
        update: from there to the next step; the least after the first step, as gloo may hold what it has sent a moment longer.
        layer: what a layer is of these, in float32.
    """

    start: float
    passes: float
    update: float
    layer: float


def peaks(**changes: Any) -> Peaks:
    """Of a run of three steps."""
    gc.collect()
    phases: dict[str, list[int]] = {"start": [], "passes": [], "update": []}
    with Allocated() as storages:
        bench = Bench(**changes)
        phases["start"].append(storages.most)
        step = bench.engine._core.step

        def watched(*args: Any, **kwargs: Any) -> Any:
            phases["passes"].append(storages.most)
            result = step(*args, **kwargs)
            phases["update"].append(storages.most)
            return result

        bench.engine._core.step = watched
        bench.train(3)
    sizes = {name: math.prod(shape) for name, shape in bench.shapes().items()}
    layer = sum(4 * size for name, size in sizes.items() if name.startswith("layers.0."))
    counts = max(phases["start"]), max(phases["passes"]), min(phases["update"][1:]), layer
    return Peaks(*(count / sum(sizes.values()) for count in counts))


class Making(NamedTuple):
    """Bytes while a model of ZeRO 3 is made.

    Args:
        most: at once.
        pieces: that the rank has of it in the end.
        layer: of one layer.
    """

    most: int
    pieces: int
    layer: int


def making(**changes: Any) -> Making:
    """Until DeepSpeed is given the model."""
    gc.collect()
    found = []
    hand_over = Cutter.hand_over

    def watched(cutter: Cutter) -> None:
        found.append(storages.most)
        hand_over(cutter)

    with Allocated() as storages, patch.object(Cutter, "hand_over", watched):
        bench = Bench(**changes)
    sizes = {name: math.prod(shape) for name, shape in bench.shapes().items()}
    layer = sum(4 * size for name, size in sizes.items() if name.startswith("layers.0."))
    pieces = sum(parameter.ds_tensor.nbytes for parameter in bench.parameters.values())
    return Making(found[0], pieces, layer)

"""Weights, gradients and optimizer state of a rank, as DeepSpeed's stages of ZeRO keep them (Rajbhandari et al., "ZeRO", 2020)."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from neox_commands.plan_optimizer import Memory, Shaped
from neox_commands.plan_traffic import Traffic
from neox_core.config import Resolved
from neox_core.plugins import Optimizer, PluginManager

DEFAULTS: Mapping[str, Any] = {
    "contiguous_gradients": True,
    "reduce_bucket_size": 500_000_000,
    "stage3_prefetch_bucket_size": 50_000_000,
    "stage3_param_persistence_threshold": 100_000,
    "stage3_max_live_parameters": 1_000_000_000,
    "stage3_max_reuse_distance": 1_000_000_000,
}
"""DeepSpeed's own, of what a dictionary leaves out."""

WIDTHS = {"fp32": 4, "fp16": 2, "bf16": 2}
"""Bytes of a number, by DeepSpeed's names of formats."""

BUCKET = 500_000_000
"""Elements of gradients that are summed over ranks at once without ZeRO."""


@dataclass(frozen=True, slots=True)
class States:
    """Bytes on one rank between steps, and what a step needs beside activations.

    Args:
        weights: those that compute.
        gradients: when a backward pass is over, before they are reduced.
        master: weights in float32 that the optimizer moves, where they are others.
        optimizer: what it remembers.
        buffers: what gradients and parameters travel in.
        update: float32 gradients of what is being stepped; activations are gone by then.
        saved: what the rank writes into a checkpoint, if no other rank answers for a part of its parameters.
        offloaded: of all but `saved`, what is in the host's memory or on disks.
    """

    weights: int
    gradients: int
    master: int
    optimizer: int
    buffers: int
    update: int
    saved: int
    offloaded: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    """Parameters that are stepped alike.

    Args:
        parameters: local ones.
        width: bytes of one of their elements.
        options: of the optimizer's group.
    """

    parameters: tuple[Shaped, ...]
    width: int
    options: dict[str, Any]

    @property
    def size(self) -> int:
        """Elements."""
        return sum(math.prod(one.shape) for one in self.parameters)


def groups_to_plan(groups: list[dict[str, Any]], dtype: torch.dtype) -> list[Group]:
    """The groups of a model's optimizer, whose parameters are still in float32."""
    return [
        Group(
            tuple(Shaped(name, tuple(p.shape)) for name, p in zip(group["names"], group["params"], strict=True)),
            max(_width(p, dtype) for p in group["params"]),
            {key: value for key, value in group.items() if key not in ("params", "names")},
        )
        for group in groups
    ]


def bytes_of(parameters: Iterator[nn.Parameter], dtype: torch.dtype) -> int:
    """What parameters that are in float32 have in another number format."""
    return sum(p.numel() * _width(p, dtype) for p in parameters)


def _width(parameter: nn.Parameter, dtype: torch.dtype) -> int:
    return 4 if getattr(parameter, "keeps_float32", False) else dtype.itemsize


class Zero:
    """What a run's stage of ZeRO makes of the parameters of a rank.

    Args:
        resolved: the run's settings.
        plugins: where the optimizer is looked up.
        groups: the rank's parameters that are trained.
        frozen: bytes of those that are not.
    """

    def __init__(self, resolved: Resolved, plugins: PluginManager, groups: list[Group], frozen: int = 0) -> None:
        self._groups, self._frozen = groups, frozen
        self._memory = Memory(resolved, plugins)
        self._options: dict[str, Any] = {**DEFAULTS, **resolved.deepspeed["zero_optimization"]}
        self.stage: int = self._options["stage"]
        self._ranks, self._passes = resolved.topology.replicas, resolved.batch.accumulation
        self._carried = WIDTHS.get(resolved.deepspeed.get("communication_data_type") or "")
        component = plugins.find("optimizer", resolved.optimizer.name).component
        self._whole = isinstance(component, Optimizer) and component.whole
        summed = WIDTHS.get((resolved.deepspeed.get("data_types") or {}).get("grad_accum_dtype") or "", 0)
        self._gradient_width = [max(group.width, summed) for group in groups]
        self._size = sum(group.size for group in groups)
        self._bytes = sum(group.size * group.width for group in groups)
        self._width = max((group.width for group in groups), default=4)

    def states(self) -> States:
        """Of this rank."""
        match self.stage:
            case 0:
                buffers = min(BUCKET, self._size) * self._width if self._ranks > 1 else 0
                pieces = [-(-group.size // self._ranks) for group in self._groups]
                state = self._whole_state()
                saved = self._saved(pieces, -(-state // self._ranks))
                return States(self._bytes + self._frozen, self._bytes, 0, state, buffers, 0, saved)
            case 3:
                return self._sharded()
            case _:
                return self._partitioned()

    def _partitioned(self) -> States:
        """Stages 1 and 2: the optimizer has a flat piece of each group."""
        padded = [self._padded(group) for group in self._groups]
        pieces = [size // self._ranks for size in padded]
        sizes = [group.size for group in self._groups] if self.stage == 1 else pieces
        gradients = sum(size * width for size, width in zip(sizes, self._gradient_width, strict=True))
        state = self._cut_state(pieces)
        return self._offloaded(
            States(
                sum(size * g.width for size, g in zip(padded, self._groups, strict=True)) + self._frozen,
                gradients,
                4 * sum(pieces),
                state,
                self._bucket(),
                4 * max(pieces, default=0),
                self._saved(pieces, state),
            )
        )

    def _sharded(self) -> States:
        """Stage 3: each rank has a piece of each parameter, and gathers whole ones when they are needed."""
        pieces = [sum(-(-math.prod(one.shape) // self._ranks) for one in group.parameters) for group in self._groups]
        weights = sum(p * g.width for p, g in zip(pieces, self._groups, strict=True))
        gradients = sum(p * width for p, width in zip(pieces, self._gradient_width, strict=True))
        gathered = self._gathered() * self._width
        buffers = self._number("reduce_bucket_size") * self._width if self._options["contiguous_gradients"] else 0
        weights += self._persistent() * self._width
        originals = 4 * sum(p for p, g in zip(pieces, self._groups, strict=True) if g.width < 4 or self._offloads)
        update, state = 4 * max(pieces, default=0), self._cut_state(pieces)
        saved = self._saved(pieces, state)
        return self._offloaded(
            States(weights + self._frozen, gradients, originals, state, buffers + gathered, update, saved)
        )

    def _saved(self, pieces: list[int], state: int) -> int:
        """Weights in float32, as they are stepped, and what the optimizer remembers; of what is not trained a share."""
        return 4 * sum(pieces) + state + -(-self._frozen // self._ranks)

    @property
    def _offloads(self) -> bool:
        """Whether weights that compute and those that the optimizer moves may be on different devices."""
        options = (self._options.get(key) or {} for key in ("offload_optimizer", "offload_param"))
        return any(option.get("device", "none") != "none" for option in options)

    def _offloaded(self, states: States) -> States:
        """What is told to be elsewhere than on the GPU."""
        offloaded = 0
        if (self._options.get("offload_optimizer") or {}).get("device", "none") != "none":
            offloaded += states.master + states.optimizer
        if self.stage == 3 and (self._options.get("offload_param") or {}).get("device", "none") != "none":
            offloaded += states.weights - self._frozen
        return replace(states, offloaded=offloaded)

    def _number(self, option: str) -> int:
        """An option that counts elements."""
        return int(self._options[option])

    def _persistent(self) -> int:
        """Elements of parameters that are too small to be cut at stage 3: they stay gathered."""
        least = self._number("stage3_param_persistence_threshold")
        sizes = (math.prod(one.shape) for group in self._groups for one in group.parameters)
        return sum(size for size in sizes if size < least)

    def _kept(self) -> int:
        """Elements that stay gathered from the forward to the backward pass: those whose next use is near."""
        near = self._number("stage3_max_reuse_distance") // 2
        return min(self._size - self._persistent(), near, self._number("stage3_max_live_parameters"))

    def _gathered(self) -> int:
        """The most elements that are gathered at once: those that stay, those that are used, those that come next."""
        largest = max((math.prod(one.shape) for group in self._groups for one in group.parameters), default=0)
        ahead = self._number("stage3_prefetch_bucket_size")
        return min(self._kept() + largest + ahead, self._size - self._persistent())

    def _bucket(self) -> int:
        """What gradients are reduced in."""
        if self._ranks == 1 and not self._options["contiguous_gradients"]:
            return 0
        size = self._number("reduce_bucket_size")
        if not self._options["contiguous_gradients"]:
            size = min(size, self._size)
        return size * self._width * (2 if self._options.get("overlap_comm") else 1)

    def _padded(self, group: Group) -> int:
        """Elements of a flat group: each rank's piece begins at an even one."""
        unit = 2 * self._ranks
        return -(-group.size // unit) * unit

    def _whole_state(self) -> int:
        return sum(sum(self._memory.of(group.parameters, group.options)) for group in self._groups)

    def _cut_state(self, pieces: list[int]) -> int:
        """What the optimizer remembers on a rank; of whole parameters an even share."""
        if self._whole:
            return -(-self._whole_state() // self._ranks)
        flat = [Shaped(group.parameters[0].name, (size,)) for group, size in zip(self._groups, pieces, strict=True)]
        return sum(self._memory.of([one], g.options)[0] for one, g in zip(flat, self._groups, strict=True))

    def traffic(self) -> Traffic:
        """What the ranks that have the same weights send each other in a step.

        Stages 1 and 2 sum whole buckets, of which each rank keeps its part (`use_multi_rank_bucket_allreduce`); stage 2 does so for
        every micro-batch.
        """
        if self._ranks == 1:
            return {}
        reduced = self._size * self._carried if self._carried else self._bytes
        padded = sum(self._padded(group) * group.width for group in self._groups)
        match self.stage:
            case 0:
                return {"all_reduce": reduced}
            case 1 | 2:
                return {"all_reduce": reduced * (self._passes if self.stage == 2 else 1), "all_gather": padded}
            case _:
                cut = self._size - self._persistent()
                gathered = (2 * cut - self._kept()) * self._passes + self._persistent()
                return {"reduce_scatter": reduced * self._passes, "all_gather": gathered * self._width}

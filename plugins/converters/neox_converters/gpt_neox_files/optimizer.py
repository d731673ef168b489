"""What the optimizers of one process of GPT-NeoX, or of the data-parallel ones of its place, have of each parameter.

Of four forms: torch's optimizer itself (float32), DeepSpeed's FP16_Optimizer around it (one flat tensor for each group, or each
parameter by itself), and the flat groups of ZeRO 1 and 2 and of BF16_Optimizer, of which each data-parallel rank has a part.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neox_converters.gpt_neox_files.order import Group, Named, placed, stored_name
from neox_core.errors import UserError

MASTER = "master"
"""The role of weights in float32."""

Shapes = Mapping[str, tuple[int, ...]]
"""Of the parts that a rank has, by name."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """A tensor in pieces that follow each other, each a view of a file."""

    views: Sequence[Tensor]
    shape: tuple[int, ...]

    def whole(self) -> Tensor:
        """All of it."""
        flat = self.views[0] if len(self.views) == 1 else torch.cat(list(self.views))
        return flat.view(self.shape)


@dataclass(slots=True)
class RankState:
    """What a tensor-parallel rank has.

    Args:
        tensors: by role, then by name in the files of weights.
        steps: of the optimizer, by name.
        options: of its first group: `weight_decay` is the largest of all groups.
        stages: names of the parameters of each stage of a pipeline.
        clipped_by_engine: whether DeepSpeed's engine clips, rather than an optimizer of its own: without ZeRO, in float32.
    """

    tensors: dict[str, dict[str, Pieces]] = field(default_factory=dict)
    steps: dict[str, float] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    stages: list[list[str]] = field(default_factory=list)
    clipped_by_engine: bool = False

    def put(self, role: str, name: str, pieces: Pieces) -> None:
        """Take something of a parameter; where two stages have it, that of the first."""
        self.tensors.setdefault(role, {}).setdefault(name, pieces)


class Saved:
    """The state of one optimizer, in any of the four forms.

    Args:
        path: of the file, or the first of the files, for messages.
        parts: what is stored, of each data-parallel rank where they share it.
        partitioned: whether they do.
        shapes: of this rank's weights.
    """

    def __init__(self, path: Path, parts: Sequence[Mapping[str, Any]], partitioned: bool, shapes: Shapes) -> None:
        self.path, self._parts, self._partitioned, self._shapes = path, parts, partitioned, shapes
        inner = (
            parts[0]["base_optimizer_state" if partitioned else "optimizer_state_dict"]
            if self._is_wrapped
            else parts[0]
        )
        self._base: Any = inner
        if partitioned and "single_partition_of_fp32_groups" not in parts[0]:
            raise UserError(
                f"{path} has the optimizer's state in the form of DeepSpeed's first ZeRO stage 1 (sub-partitions), which is not read; "
                "the weights alone can be had: no_load_optim=true"
            )

    @property
    def is_plain(self) -> bool:
        """Whether it is torch's own, which DeepSpeed's engine steps, and clips for."""
        return not self._is_wrapped

    @property
    def _is_wrapped(self) -> bool:
        return self._partitioned or "optimizer_state_dict" in self._parts[0]

    @property
    def groups(self) -> int:
        """How many groups there are."""
        return len(self._masters(0)) if self._is_wrapped else len(self._base["param_groups"])

    def fits(self, groups: Sequence[Group]) -> bool:
        """Whether the parameters of the optimizer can be these."""
        if len(groups) != self.groups:
            return False
        if not self._is_wrapped:
            return all(self._has_shapes(group, stored) for group, stored in zip(groups, self._members(), strict=True))
        if "fp32_groups" in self._parts[0]:
            return all(
                [tuple(t.shape) for t in stored] == [self._shapes[name] for name in group]
                for group, stored in zip(groups, self._parts[0]["fp32_groups"], strict=True)
            )
        return all(self._fills(index, group) for index, group in enumerate(groups))

    def _fills(self, index: int, group: Group) -> bool:
        """Whether a flat group is as long as its parameters together, and what is known to fill it up."""
        used: int = sum(math.prod(self._shapes[name]) for name in group)
        there: int = sum(self._masters(rank)[index].numel() for rank in range(len(self._parts)))
        if not self._partitioned:
            return used == there
        first = self._parts[0]
        used += sum(map(int, (first.get("param_alignment_paddings") or [[]] * self.groups)[index]))
        if "group_paddings" not in first:
            return 0 <= there - used < _ALIGNMENT * len(self._parts)
        if "loss_scaler" in first:  # ZeRO leaves the padding out, BF16_Optimizer does not
            return used == there
        return used == there - sum(int(part["group_paddings"][index]) for part in self._parts)

    def _members(self) -> list[list[int]]:
        return [list(group["params"]) for group in self._base["param_groups"]]

    def _has_shapes(self, group: Group, numbers: Sequence[int]) -> bool:
        if len(group) != len(numbers):
            return False
        for name, number in zip(group, numbers, strict=True):
            stored = [tuple(value.shape) for value in self._state(number).values() if _is_of_elements(value)]
            if stored and self._shapes[name] not in stored:
                return False
        return True

    def _state(self, number: int) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._base["state"].get(number, {})
        return found

    def _masters(self, rank: int) -> list[Tensor]:
        part = self._parts[rank]
        key = "single_partition_of_fp32_groups" if self._partitioned else "fp32_groups_flat"
        found: list[Tensor] = part.get(key, part.get("fp32_groups", []))
        return found

    def names(self) -> list[Group] | None:
        """The parameters of each group, where the files say it themselves."""
        if not self._partitioned or not self._parts[0].get("param_slice_mappings"):
            return None
        found: list[dict[str, None]] = [{} for _ in range(self.groups)]
        for part in self._parts:
            for group, mapping in zip(found, part["param_slice_mappings"], strict=True):
                group.update({stored_name(name): None for name in mapping})
        return [list(group) for group in found]

    def take(self, groups: Sequence[Group], into: RankState, dealt: bool) -> None:
        """Put what there is of these parameters into a rank's state.

        Args:
            groups: of the parameters, in order.
            into: the state.
            dealt: whether ZeRO dealt them to the data-parallel ranks in turn, after this order.
        """
        if not self._is_wrapped:
            self._take_each(groups, into)
        elif "fp32_groups" in self._parts[0]:
            self._take_each(groups, into)
            for group, stored in zip(groups, self._parts[0]["fp32_groups"], strict=True):
                for name, tensor in zip(group, stored, strict=True):
                    into.put(MASTER, name, Pieces([tensor.detach()], self._shapes[name]))
        else:
            for index, group in enumerate(groups):
                self._take_flat(index, group, into, dealt)
        into.options = into.options or self._options()

    def _take_each(self, groups: Sequence[Group], into: RankState) -> None:
        common = self._base["state"].get("k")  # madgrad counts for all together
        for group, numbers, options in zip(groups, self._members(), self._base["param_groups"], strict=True):
            for name, number in zip(group, numbers, strict=True):
                state = self._state(number)
                for role, value in state.items():
                    if _is_of_elements(value) and tuple(value.shape) == self._shapes[name]:
                        into.put(role, name, Pieces([value], self._shapes[name]))
                if (steps := state.get("step", options.get("step", common))) is not None:
                    into.steps.setdefault(name, float(steps))

    def _take_flat(self, index: int, group: Group, into: RankState, dealt: bool) -> None:
        runs = list(self._runs(index, group, dealt))
        steps = self._flat_state(0, index).get("step", self._group_options(index).get("step"))
        steps = self._parts[0].get("base_optimizer_state_step", steps)
        for name, pieces in runs:
            shape = self._shapes[name]
            for role in (MASTER, *self._roles(index)):
                views = [self._flat(role, rank, index)[start:stop] for rank, start, stop in pieces]
                if sum(view.numel() for view in views) != math.prod(shape):
                    raise UserError(
                        f"{self.path}: the partitions of data-parallel ranks have {sum(view.numel() for view in views)} of the "
                        f"{math.prod(shape)} elements of '{name}'; files of different runs lie there together, or one is cut off"
                    )
                into.put(role, name, Pieces(views, shape))
            if steps is not None:
                into.steps.setdefault(name, float(steps))

    def _roles(self, index: int) -> list[str]:
        length = self._masters(0)[index].numel()
        return [
            role
            for role, value in self._flat_state(0, index).items()
            if _is_of_elements(value) and value.numel() >= length
        ]

    def _flat(self, role: str, rank: int, index: int) -> Tensor:
        tensor: Tensor = self._masters(rank)[index] if role == MASTER else self._flat_state(rank, index)[role]
        return tensor.detach().view(-1)

    def _flat_state(self, rank: int, index: int) -> Mapping[str, Any]:
        part = self._parts[rank]
        base = part["base_optimizer_state" if self._partitioned else "optimizer_state_dict"]
        if isinstance(base, list):  # "elastic" checkpoints
            elastic: Mapping[str, Any] = base[index]
            return elastic
        members = base["param_groups"][index]["params"]
        found: Mapping[str, Any] = base["state"].get(members[0], {}) if members else {}
        return found

    def _group_options(self, index: int) -> Mapping[str, Any]:
        found: Mapping[str, Any] = {} if isinstance(self._base, list) else self._base["param_groups"][index]
        return found

    def _runs(self, index: int, group: Group, dealt: bool) -> Iterator[tuple[str, list[tuple[int, int, int]]]]:
        """Where each parameter lies: (data-parallel rank, first element of its partition, the one after the last).

        Only of the last partitions padding at the end was left out. The places in `param_slice_mappings` are not used: they are wrong
        where parameters were dealt in turn.
        """
        ranks = len(self._parts)
        order = [name for first in range(ranks) for name in group[first::ranks]] if dealt else list(group)
        paddings = self._parts[0].get("param_alignment_paddings") or [[]] * self.groups
        places = placed([Named(name, self._shapes[name]) for name in order], paddings[index])
        lengths = [self._masters(rank)[index].numel() for rank in range(ranks)]
        bounds = [*itertools.accumulate(lengths, initial=0)]
        for name, (start, shape) in places.items():
            stop = start + math.prod(shape)
            yield (
                name,
                [
                    (rank, max(start, first) - first, min(stop, last) - first)
                    for rank, (first, last) in enumerate(itertools.pairwise(bounds))
                    if max(start, first) < min(stop, last)
                ],
            )

    def _options(self) -> dict[str, Any]:
        if isinstance(self._base, list):
            return {}
        groups = self._base["param_groups"]
        plain = {
            key: value for key, value in groups[0].items() if isinstance(value, bool | int | float | str | list | tuple)
        }
        return {**plain, "weight_decay": max(float(group.get("weight_decay", 0)) for group in groups)}


_ALIGNMENT = 2
"""Elements to which ZeRO fills up the part of each data-parallel rank."""


def _is_of_elements(value: Any) -> bool:
    """Whether it is a number for each of some elements; those that are quantised mean nothing without their scales."""
    return isinstance(value, Tensor) and value.dim() > 0 and value.is_floating_point()

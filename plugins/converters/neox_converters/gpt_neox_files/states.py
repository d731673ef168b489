"""Optimizer state and master weights of all ranks, by role, under the names that files of weights have."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from neox_converters.gpt_neox_files.layout import Layout
from neox_converters.gpt_neox_files.optimizer import MASTER, RankState, Saved, Shapes
from neox_converters.gpt_neox_files.order import Group, stages, stored_name
from neox_converters.gpt_neox_files.pickles import open_file
from neox_converters.gpt_neox_files.weights import parameters
from neox_core.checkpoint import LazyTensors
from neox_core.errors import UserError

STEP = "step"
"""The role of the number of steps that an optimizer has taken."""

LOOKED_AT = 256
"""Elements of each weight in float32 that are held against the model's."""


class RankRole(LazyTensors):
    """What a tensor-parallel rank has in one role: of each of its weights, in the same shape.

    What an optimizer has not begun to keep is zero; weights that it does not have are their own masters.

    Args:
        state: of the rank.
        role: which.
        weights: of the rank.
    """

    def __init__(self, state: RankState, role: str, weights: LazyTensors) -> None:
        self._pieces, self._role, self._weights = state.tensors.get(role, {}), role, weights
        self._names = parameters(weights)

    def meta(self, name: str) -> Tensor:
        """Shape and type of one."""
        return torch.empty(self._weights.meta(name).shape, dtype=torch.float32, device="meta")

    def __getitem__(self, name: str) -> Tensor:
        if name in self._pieces:
            return self._pieces[name].whole().float()
        weight = self._weights[name].float()
        return weight if self._role == MASTER else torch.zeros_like(weight)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def read_states(layout: Layout, ranks: Sequence[LazyTensors]) -> list[RankState]:
    """What the optimizers of each tensor-parallel rank have; empty where none was saved.

    Raises:
        UserError: a file is damaged, or does not fit the weights.
    """
    if not layout.partitions and not any(_has_optimizer(path) for path in layout.states.values()):
        return []
    if len(layout.states) % len(ranks) or (not layout.in_layers and len(layout.states) != len(ranks)):
        raise UserError(
            f"{layout.path} has weights of {len(ranks)} tensor-parallel ranks and {len(layout.states)} files "
            "mp_rank_*_model_states.pt, which is no multiple of them: files of different runs lie there together"
        )
    return [_read_rank(layout, rank, weights, len(ranks)) for rank, weights in enumerate(ranks)]


def _has_optimizer(path: Path) -> bool:
    return bool(open_file(path).get("optimizer"))


def _read_rank(layout: Layout, rank: int, weights: LazyTensors, ranks: int) -> RankState:
    names = parameters(weights)
    shapes = {name: tuple(weights.meta(name).shape) for name in names}
    numbers = range(rank, len(layout.states), ranks)
    saved = [_saved(layout, number, shapes) for number in numbers]
    told = [_told(layout, number, one, shapes) for number, one in zip(numbers, saved, strict=True)]
    if not all(told):
        told = _reckoned(layout, numbers, names, saved)
    state = RankState()
    for one, found in zip(saved, told, strict=True):
        assert found is not None
        one.take(found.groups, state, found.dealt)
        state.stages.append([name for group in found.groups for name in group])
    state.clipped_by_engine = all(one.is_plain for one in saved)
    _check_near(saved[0].path, state, weights)
    return state


def _reckoned(
    layout: Layout, numbers: Sequence[int], names: Sequence[str], saved: Sequence[Saved]
) -> list[Told | None]:
    """The same by the order of GPT-NeoX's modules, and the sizes of what there is."""
    path = layout.states[numbers[0]]
    try:
        groups = stages(names, len(saved), saved[0].groups, lambda stage: saved[stage].fits)
    except UserError as error:
        raise UserError(
            f"{path}: {error}; files of different runs lie there together, or its version is unknown"
        ) from error
    return [Told(found, _dealt_in_turn(path)) for found in groups]


def _saved(layout: Layout, number: int, shapes: Shapes) -> Saved:
    """The optimizer of one `mp_rank_*`."""
    files = layout.partitions.get(number, {})
    if files:
        parts = [_state_of(files[rank]) for rank in range(len(files))]
        _check_count(files[0], parts)
        return Saved(files[0], parts, True, shapes)
    path = layout.states[number]
    optimizer = open_file(path).get("optimizer")
    if not optimizer:
        raise UserError(f"{path} has no optimizer state, though another file mp_rank_*_model_states.pt has some")
    return Saved(path, [optimizer], False, shapes)


def _state_of(path: Path) -> Mapping[str, Any]:
    content = open_file(path)
    state = content.get("optimizer_state_dict") if isinstance(content, Mapping) else None
    if not isinstance(state, Mapping):
        raise UserError(f"{path} has no optimizer_state_dict, as files of ZeRO have; fetch it again")
    stage = state.get("zero_stage")
    number = getattr(stage, "values", (stage,))[0] if stage is not None else 1
    if number == 3:
        raise UserError(f"{path} is of ZeRO 3, whose state is not read; save again with ZeRO 1 or 2")
    return state


def _check_count(path: Path, parts: Sequence[Mapping[str, Any]]) -> None:
    count = parts[0].get("partition_count")
    for wanted in count if isinstance(count, list | tuple) else [count]:
        if wanted is not None and wanted != len(parts):
            raise UserError(
                f"{path} is one of {wanted} partitions of data-parallel ranks, and {len(parts)} are there: fetch the others, or "
                "remove those of another run"
            )


class Told(NamedTuple):
    """The groups of an optimizer, as files name them.

    Args:
        groups: names of the parameters.
        dealt: whether ZeRO dealt them in turn, after this order.
    """

    groups: list[Group]
    dealt: bool


def _told(layout: Layout, number: int, saved: Saved, shapes: Shapes) -> Told | None:
    """None: no file names them."""
    path = layout.states[number]
    listed, mapped = open_file(path).get("param_shapes"), saved.names()
    if isinstance(listed, list):  # in the order of the flat groups
        told = Told([[stored_name(name) for name in group] for group in listed], False)
    elif mapped is not None:
        told = Told(mapped, _dealt_in_turn(path))
    else:
        return None
    if unknown := [name for group in told.groups for name in group if name not in shapes]:
        raise UserError(
            f"{path}: there is optimizer state of '{unknown[0]}', which is no weight of {layout.path}; files of different runs lie "
            "there together"
        )
    return told


def _check_near(path: Path, state: RankState, weights: LazyTensors) -> None:
    """See that weights in float32 are those that the model has: the beginning of each is looked at."""
    for name, pieces in state.tensors.get(MASTER, {}).items():
        master = next(view for view in pieces.views if view.numel()).reshape(-1)[:LOOKED_AT].float()
        weight = weights[name].reshape(-1)[: len(master)].float()
        if not torch.allclose(master, weight, rtol=0.02, atol=1e-4):
            raise UserError(
                f"{path}: the optimizer's weights of '{name}' are not those of the model: files of different runs or steps lie there "
                "together; fetch all of them again, or take the weights alone: no_load_optim=true"
            )


def _dealt_in_turn(path: Path) -> bool:
    """Whether ZeRO 2 dealt parameters in turn; versions that name none of them did not do so at stage 1."""
    config = open_file(path).get("ds_config")
    zero = config.get("zero_optimization") if isinstance(config, Mapping) else None
    return isinstance(zero, Mapping) and zero.get("stage") == 2 and bool(zero.get("round_robin_gradients"))

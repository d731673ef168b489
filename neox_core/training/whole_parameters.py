"""Whole parameters for optimizers that cannot work on the flat pieces into which ZeRO cuts them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from neox_core.parallel import Axis, Fragment, ShardSpec
from neox_core.training.fragments import state_fragment


class Part(NamedTuple):
    """A run of elements of a parameter that lies in a rank's flat partition of a group.

    Args:
        name: of the parameter.
        shape: of the whole parameter.
        start: first element, counted in the flattened parameter.
        size: number of elements.
        place: where they begin in the partition.
    """

    name: str
    shape: tuple[int, ...]
    start: int
    size: int
    place: int


@dataclass(slots=True)
class Whole:
    """A parameter that one rank, the owner, updates whole. `parameter` is there on the owner only."""

    name: str
    owner: int
    parts: Mapping[int, Part]  # by rank
    parameter: nn.Parameter | None = None

    @property
    def is_cut(self) -> bool:
        """Whether several ranks hold parts of it."""
        return len(self.parts) > 1


@dataclass(slots=True)
class Group:
    """A group of the optimizer: the flat partition of this rank, and the parameters that it has parts of, on all ranks."""

    partition: Tensor
    wholes: list[Whole]
    options: dict[str, Any] = field(default_factory=dict)  # the inner optimizer's group


class WholeParameters(torch.optim.Optimizer):
    """An optimizer over flat partitions that lets another one, the inner, update whole parameters.

    Each parameter is updated by the rank that holds most of it. Where that is all of it, as for nearly every parameter of a
    partition that has more than a few, the inner optimizer works on the partition's own storage; parts of others travel to the owner
    before its step, and back after it.
    """

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        super().__init__([dict(group) for group in inner.param_groups], {})
        self._inner = inner
        self._groups: list[Group] = []
        self._ranks = Axis()

    def bind(
        self,
        partitions: Sequence[Tensor],
        parts: Sequence[Sequence[Part]],
        ranks: Axis,
        groups: Sequence[int] | None = None,
    ) -> None:
        """Say where parameters lie. Every rank has to call it at once.

        Args:
            partitions: of this rank, in float32.
            parts: of this rank, by partition.
            ranks: those over which parameters are cut.
            groups: of which of the optimizer's groups each partition is; None: one of each, in order.
        """
        self._ranks = ranks
        everyone: list[Any] = [[list(of_group) for of_group in parts]] * ranks.size
        if ranks.group is not None:
            dist.all_gather_object(everyone, everyone[0], group=ranks.group)
        load = [0] * len(everyone)
        for index, partition in enumerate(partitions):
            wholes = _divide([of_rank[index] for of_rank in everyone], load)
            for whole in wholes:
                if whole.owner == ranks.rank:
                    whole.parameter = _parameter(whole, partition)
            own = [(whole.name, whole.parameter) for whole in wholes if whole.parameter is not None]
            of_group = self._inner.param_groups[index if groups is None else groups[index]]
            options = {**of_group, "params": [p for _, p in own], "names": [n for n, _ in own]}
            self._groups.append(Group(partition, wholes, options))
        self._inner.state.clear()

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Step the groups that `param_groups` lists, which may be some of them only."""
        for given in self.param_groups:
            group = next((g for g in self._groups if any(g.partition is one for one in given["params"])), None)
            if group is None:
                continue
            group.options |= {key: value for key, value in given.items() if key not in ("params", "names")}
            if group.partition.grad is None:
                continue
            cut = [whole for whole in group.wholes if whole.is_cut]
            _collect(cut, group.partition, self._ranks)
            _show_gradients(group)
            self._inner.param_groups = [group.options]
            self._inner.step()
            for parameter in group.options["params"]:
                parameter.grad = None
            _return(cut, group.partition, self._ranks)

    def fragments(self) -> Iterator[Fragment]:
        """The inner optimizer's state of the parameters that this rank owns."""
        for group in self._groups:
            for name, parameter in zip(group.options["names"], group.options["params"], strict=True):
                spec = ShardSpec.complete(name, tuple(parameter.shape))
                for role, value in self._inner.state.get(parameter, {}).items():
                    yield state_fragment(spec, role, value, (0, parameter.numel()))


def _divide(parts: Sequence[Sequence[Part]], load: list[int]) -> list[Whole]:
    """Give each parameter to the rank that holds most of it, of several to the one that has the least to do so far."""
    holders: dict[str, dict[int, Part]] = defaultdict(dict)
    for rank, of_rank in enumerate(parts):
        for part in of_rank:
            holders[part.name][rank] = part
    wholes = []
    for name, by_rank in holders.items():
        owner = min(by_rank, key=lambda rank: (-by_rank[rank].size, load[rank], rank))
        load[owner] += sum(part.size for part in by_rank.values())
        wholes.append(Whole(name, owner, by_rank))
    return wholes


def _parameter(whole: Whole, partition: Tensor) -> nn.Parameter:
    """The parameter on its owner: the partition's own storage, or, of one that is cut, storage of its own."""
    part = whole.parts[whole.owner]
    if whole.is_cut:
        return nn.Parameter(torch.empty(part.shape, dtype=partition.dtype, device=partition.device))
    return nn.Parameter(_elements(partition, part).view(part.shape))


def _elements(flat: Tensor, part: Part) -> Tensor:
    return flat.detach()[part.place : part.place + part.size]


def _within(whole: Tensor, part: Part) -> Tensor:
    return whole.detach().view(-1)[part.start : part.start + part.size]


def _show_gradients(group: Group) -> None:
    """Give parameters that lie in the partition their gradients; those that are cut have them already."""
    gradient = group.partition.grad
    for whole in group.wholes:
        if whole.parameter is not None and not whole.is_cut and gradient is not None:
            part = whole.parts[whole.owner]
            whole.parameter.grad = _elements(gradient, part).view(part.shape)


def _collect(cut: Iterable[Whole], partition: Tensor, ranks: Axis) -> None:
    """Weights and gradients of cut parameters to their owners."""
    rank, gradient = ranks.rank, partition.grad
    outgoing: dict[int, list[Tensor]] = defaultdict(list)
    incoming: dict[int, list[Tensor]] = defaultdict(list)
    for whole in cut:
        if whole.parameter is not None:
            whole.parameter.grad = torch.zeros_like(whole.parameter)
        for holder, part in whole.parts.items():
            if rank == holder and gradient is not None:
                outgoing[whole.owner] += [_elements(partition, part), _elements(gradient, part)]
            if whole.parameter is not None and whole.parameter.grad is not None:
                incoming[holder] += [_within(whole.parameter, part), _within(whole.parameter.grad, part)]
    _exchange(outgoing, incoming, ranks)


def _return(cut: Iterable[Whole], partition: Tensor, ranks: Axis) -> None:
    """Weights of cut parameters from their owners to where their parts lie."""
    rank = ranks.rank
    outgoing: dict[int, list[Tensor]] = defaultdict(list)
    incoming: dict[int, list[Tensor]] = defaultdict(list)
    for whole in cut:
        for holder, part in whole.parts.items():
            if whole.parameter is not None:
                outgoing[holder].append(_within(whole.parameter, part))
            if rank == holder:
                incoming[whole.owner].append(_elements(partition, part))
    _exchange(outgoing, incoming, ranks)


def _exchange(outgoing: Mapping[int, Sequence[Tensor]], incoming: Mapping[int, Sequence[Tensor]], ranks: Axis) -> None:
    """Send tensors to ranks, and fill others from ranks: one message for each pair of ranks."""
    rank = ranks.rank
    for own, place in zip(outgoing.get(rank, ()), incoming.get(rank, ()), strict=True):
        place.copy_(own)
    sent = {other: torch.cat(list(tensors)) for other, tensors in outgoing.items() if other != rank}
    received = {
        other: torch.empty(sum(map(Tensor.numel, places)), dtype=places[0].dtype, device=places[0].device)
        for other, places in incoming.items()
        if other != rank
    }
    messages = [_message(dist.isend, tensor, other, ranks) for other, tensor in sorted(sent.items())]
    messages += [_message(dist.irecv, tensor, other, ranks) for other, tensor in sorted(received.items())]
    if messages:
        for request in dist.batch_isend_irecv(messages):
            request.wait()
    for other, message in received.items():
        places = incoming[other]
        for place, content in zip(places, torch.split(message, [place.numel() for place in places]), strict=True):
            place.copy_(content)


def _message(direction: Any, tensor: Tensor, other: int, ranks: Axis) -> dist.P2POp:
    return dist.P2POp(direction, tensor, ranks.ranks[other], group=ranks.group)

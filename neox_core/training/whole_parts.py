"""Parts of parameters that lie on several ranks: who updates which parameter, and how its parts come together there and go back."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.distributed as dist
from torch import Tensor, nn

from neox_core.parallel import Axis, ShardSpec, local_part, put_part


class Part(NamedTuple):
    """A run of elements of a parameter that lies in a rank's storage.

    Args:
        spec: what this rank's tensor-parallel part of the parameter is.
        start: first element, counted in that part, flattened.
        size: number of elements.
        place: where they begin in the storage.
    """

    spec: ShardSpec
    start: int
    size: int
    place: int


@dataclass(slots=True)
class Whole:
    """A parameter that one rank, the owner, updates whole.

    Args:
        name: of it.
        owner: that rank.
        parts: by rank.
        columns: number of tensor-parallel ranks, which take turns in the ranks.
        column: the tensor-parallel rank that all of its holders are; None where it is cut over such ranks. Those that have all of
            it update it each by itself.
        parameter: on the owner only.
    """

    name: str
    owner: int
    parts: Mapping[int, Part]
    columns: int
    column: int | None
    parameter: nn.Parameter | None = None

    @property
    def is_cut(self) -> bool:
        """Whether several ranks hold parts of it."""
        return len(self.parts) > 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Of all of it."""
        return self.parts[self.owner].spec.global_shape

    @property
    def spec(self) -> ShardSpec:
        """What the owner has of it: all, as one of several owners where there are several."""
        return ShardSpec.complete(self.name, self.shape, self.column or 0, 1 if self.column is None else self.columns)


@dataclass(slots=True)
class Store:
    """Storage of this rank, flat or of the shape of its parameter, with the parameters that it has parts of, on all ranks."""

    storage: Tensor
    wholes: list[Whole]

    @property
    def cut(self) -> list[Whole]:
        """Those of which other ranks have parts too."""
        return [whole for whole in self.wholes if whole.is_cut]

    @property
    def owned(self) -> Iterator[tuple[Whole, nn.Parameter]]:
        """Those that this rank updates."""
        return ((whole, whole.parameter) for whole in self.wholes if whole.parameter is not None)

    def own(self, rank: int) -> None:
        """Have the parameters that this rank updates: in the storage itself, or, of those that are cut, in memory of their own."""
        for whole in self.wholes:
            if whole.owner == rank:
                values = self.storage.new_empty(whole.shape) if whole.is_cut else self._all_of(self.storage, whole)
                whole.parameter = nn.Parameter(values)

    def show_gradients(self) -> None:
        """Give parameters that lie in the storage their gradients; those that are cut have them already."""
        for whole, parameter in self.owned:
            if not whole.is_cut and self.storage.grad is not None:
                parameter.grad = self._all_of(self.storage.grad, whole)

    @staticmethod
    def _all_of(tensor: Tensor, whole: Whole) -> Tensor:
        return elements(tensor, whole.parts[whole.owner]).view(whole.shape)


def elements(storage: Tensor, part: Part) -> Tensor:
    """Those of a part, flat."""
    return storage.detach().reshape(-1)[part.place : part.place + part.size]


def divide(parts: Sequence[Sequence[Part]], load: list[int], columns: int) -> list[Whole]:
    """Give each parameter to the rank that holds most of it, of several to the one that has the least to do so far.

    Args:
        parts: by rank.
        load: what each rank has to do so far; it is added to.
        columns: number of tensor-parallel ranks.
    """
    holders: dict[tuple[str, int | None], dict[int, Part]] = defaultdict(dict)
    for rank, of_rank in enumerate(parts):
        for part in of_rank:
            column = rank % columns if part.spec.is_complete else None
            holders[part.spec.name, column][rank] = part
    wholes = []
    for (name, column), by_rank in holders.items():
        owner = min(by_rank, key=lambda rank: (-by_rank[rank].size, load[rank], rank))
        load[owner] += sum(part.size for part in by_rank.values())
        wholes.append(Whole(name, owner, by_rank, columns, column))
    return wholes


class Rooms:
    """Where the owner of a parameter has what comes from its holders or goes to them, for values or gradients."""

    def __init__(self, whole: Whole, tensor: Tensor) -> None:
        self._whole, self._tensor = whole, tensor.detach()
        self._specs = {holder % whole.columns: part.spec for holder, part in whole.parts.items()}
        self._by_column: dict[int, Tensor] = {} if whole.column is None else {whole.column: self._tensor}

    def to_fill(self) -> Rooms:
        """With room for all parts."""
        if self._whole.column is None:
            self._by_column = {column: self._tensor.new_empty(spec.local_shape) for column, spec in self._specs.items()}
        return self

    def filled(self) -> Rooms:
        """With all parts."""
        if self._whole.column is None:
            self._by_column = {column: local_part(self._tensor, spec) for column, spec in self._specs.items()}
        return self

    def run(self, holder: int) -> Tensor:
        """That of a holder's part."""
        part = self._whole.parts[holder]
        return self._by_column[holder % self._whole.columns].view(-1)[part.start : part.start + part.size]

    def join(self) -> None:
        """Make the whole of the parts that are there now."""
        if self._whole.column is None:
            for column, part in self._by_column.items():
                put_part(self._tensor, part, self._specs[column])


Tensors = dict[int, list[Tensor]]
"""By rank."""


def collect(stores: Iterable[Store], ranks: Axis) -> None:
    """Weights and gradients of cut parameters to their owners."""
    outgoing: Tensors = defaultdict(list)
    incoming: Tensors = defaultdict(list)
    rooms: list[Rooms] = []
    for store in stores:
        for whole in store.cut:
            own: list[Rooms] = []
            if whole.parameter is not None:
                whole.parameter.grad = torch.zeros_like(whole.parameter)
                own = [Rooms(whole, tensor).to_fill() for tensor in (whole.parameter, whole.parameter.grad)]
            for holder, part in whole.parts.items():
                if ranks.rank == holder and store.storage.grad is not None:
                    outgoing[whole.owner] += [elements(store.storage, part), elements(store.storage.grad, part)]
                incoming[holder] += [room.run(holder) for room in own]
            rooms += own
    exchange(outgoing, incoming, ranks)
    for room in rooms:
        room.join()


def give_back(stores: Iterable[Store], ranks: Axis) -> None:
    """Weights of cut parameters from their owners to where their parts lie."""
    outgoing: Tensors = defaultdict(list)
    incoming: Tensors = defaultdict(list)
    for store in stores:
        for whole in store.cut:
            room = None if whole.parameter is None else Rooms(whole, whole.parameter).filled()
            for holder, part in whole.parts.items():
                if room is not None:
                    outgoing[holder].append(room.run(holder))
                if ranks.rank == holder:
                    incoming[whole.owner].append(elements(store.storage, part))
    exchange(outgoing, incoming, ranks)


def exchange(outgoing: Tensors, incoming: Tensors, ranks: Axis) -> None:
    """Send tensors to ranks, and fill others from ranks: one message for each pair of ranks."""
    rank = ranks.rank
    for own, place in zip(outgoing.get(rank, ()), incoming.get(rank, ()), strict=True):
        place.copy_(own)
    sent = {other: torch.cat(tensors) for other, tensors in outgoing.items() if other != rank and tensors}
    received = {
        other: torch.empty(sum(map(Tensor.numel, places)), dtype=places[0].dtype, device=places[0].device)
        for other, places in incoming.items()
        if other != rank and places
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

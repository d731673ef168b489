"""Whole parameters for optimizers that cannot work on the parts into which ZeRO and tensor parallelism cut them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from neox_core.errors import UserError
from neox_core.parallel import Axis, Fragment
from neox_core.training.fragments import state_fragment
from neox_core.training.whole_parts import Part, Store, collect, divide, give_back


class WholeParameters(torch.optim.Optimizer):
    """An optimizer over parts of parameters that lets another one, the inner, update whole parameters.

    Each parameter is updated by the rank that holds most of it. Where that is all of it, as for nearly every parameter of a
    partition of ZeRO's that has more than a few, the inner optimizer works on the partition's own storage; parts of others travel to
    the owner before its step, and back after it. Of parameters that are cut over tensor-parallel ranks all do.
    """

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        super().__init__([dict(group) for group in inner.param_groups], {})
        self._inner = inner
        self._stores: dict[int, Store] = {}  # by the storage's identity
        self._options: dict[int, dict[str, Any]] = {}  # the inner optimizer's group for it
        self._ranks = Axis()

    def bind(
        self,
        storages: Sequence[Tensor],
        parts: Sequence[Sequence[Part]],
        ranks: Axis,
        *,
        columns: int = 1,
        groups: Sequence[int] | None = None,
    ) -> None:
        """Say where parameters lie. Every rank has to call it at once.

        Args:
            storages: of this rank, in float32: flat partitions, or parameters.
            parts: of this rank, by storage.
            ranks: those over which parameters are cut.
            columns: how many of them are tensor-parallel ranks, which take turns in them.
            groups: of which of the optimizer's groups each storage is; None: one of each, in order.

        Raises:
            UserError: the storages of ranks are not of the same parameters.
        """
        self._ranks = ranks
        everyone: list[Any] = [[list(of_storage) for of_storage in parts]] * ranks.size
        if ranks.group is not None:
            dist.all_gather_object(everyone, everyone[0], group=ranks.group)
        _check_order(everyone)
        load = [0] * len(everyone)
        for index, storage in enumerate(storages):
            store = Store(storage, divide([of_rank[index] for of_rank in everyone], load, columns))
            store.own(ranks.rank)
            of_group = self._inner.param_groups[index if groups is None else groups[index]]
            self._stores[id(storage)] = store
            self._options[id(storage)] = {
                **of_group,
                "params": [parameter for _, parameter in store.owned],
                "names": [whole.name for whole, _ in store.owned],
            }
        self._inner.state.clear()
        # NCCL connects the ranks of a group by the first thing that they do there, which all have to do; parts are exchanged by some.
        ranks.sum(torch.zeros(1, device=storages[0].device))

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Step the groups that `param_groups` lists, which may be some of them only."""
        for given in self.param_groups:
            bound = [id(storage) for storage in given["params"] if id(storage) in self._stores]
            stepped = [key for key in bound if self._stores[key].storage.grad is not None]
            stores, options = [self._stores[key] for key in stepped], [self._options[key] for key in stepped]
            for of_store in options:
                of_store |= {key: value for key, value in given.items() if key not in ("params", "names")}
            collect(stores, self._ranks)
            for store in stores:
                store.show_gradients()
            self._inner.param_groups = options
            self._inner.step()
            for store in stores:
                for _, parameter in store.owned:
                    parameter.grad = None
            give_back(stores, self._ranks)

    def fragments(self) -> Iterator[Fragment]:
        """The inner optimizer's state of the parameters that this rank owns."""
        for store in self._stores.values():
            for whole, parameter in store.owned:
                for role, value in self._inner.state.get(parameter, {}).items():
                    yield state_fragment(whole.spec, role, value, (0, parameter.numel()))


def _check_order(everyone: Sequence[Sequence[Sequence[Part]]]) -> None:
    """Ranks have parts of the same parameters in storages of the same number, or they would wait for each other."""
    place: dict[str, int] = {}
    for of_rank in everyone:
        for name, index in ((part.spec.name, index) for index, parts in enumerate(of_rank) for part in parts):
            if place.setdefault(name, index) != index:
                raise UserError(
                    f"zero_optimization: ranks have {name} in different groups of parameters, which an optimizer for whole "
                    "parameters cannot follow: raise zero_optimization.sub_group_size, or take a lower stage"
                )

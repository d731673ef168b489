"""How much memory operations need, counted while they run, also where tensors have shapes and nothing in them."""

from __future__ import annotations

import weakref
from collections.abc import Iterable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class LiveStorages(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Follows the storages that operations make within the block.

    What a backward pass will need is alive wherever it is kept: by autograd, in a context, by selective recomputation.

    Args:
        known: tensors whose storages do not count, since they were there before.
    """

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._known = {tensor.untyped_storage()._cdata for tensor in known}
        self._held: dict[int, weakref.ref[Any]] = {}
        self.live, self._most = 0, 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run an operation, and look at what it made."""
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, Tensor):
                self._see(leaf.untyped_storage())
        return made

    @property
    def most(self) -> int:
        """The most bytes that were alive since this was last asked."""
        most, self._most = self._most, self.live
        return most

    def _see(self, storage: torch.UntypedStorage) -> None:
        address = storage._cdata
        if address in self._known or address in self._held:
            return
        size = storage.nbytes()
        self._held[address] = weakref.ref(storage, partial(self._forget, address, size))
        self.live += size
        self._most = max(self._most, self.live)

    def _forget(self, address: int, size: int, reference: weakref.ref[Any]) -> None:
        if self._held.get(address) is reference:
            del self._held[address]
            self.live -= size

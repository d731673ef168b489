"""Tensors by name that are read one at a time, when they are asked for: more than memory holds, and only what is wanted."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from functools import cached_property

import torch
from torch import Tensor

from neox_core.errors import UserError


class LazyTensors(Mapping[str, Tensor]):
    """Global tensors by name. Each look-up reads, and makes, its tensor anew; nothing is kept."""

    @abstractmethod
    def meta(self, name: str) -> Tensor:
        """A tensor without content (device "meta") of the shape and type that the one called `name` has; nothing is read."""

    def __contains__(self, name: object) -> bool:
        """Whether there is one of this name. What `Mapping` does would read it."""
        return name in self._known

    @cached_property
    def _known(self) -> frozenset[str]:
        return frozenset(self)


class HeldTensors(LazyTensors):
    """Tensors that are in memory, or in the memory map of a file, already."""

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        self._tensors = tensors

    def meta(self, name: str) -> Tensor:
        """Shape and type of one."""
        return self._tensors[name].to("meta")

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


class Renamed(LazyTensors):
    """Tensors under other names.

    Args:
        tensors: under their own.
        names: their names here, and their own.
    """

    def __init__(self, tensors: LazyTensors, names: Mapping[str, str]) -> None:
        self._tensors, self._names = tensors, names

    def meta(self, name: str) -> Tensor:
        """Shape and type of one."""
        return self._tensors.meta(self._names[name])

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[self._names[name]]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


class Typed(LazyTensors):
    """Tensors that are cast when they are read.

    Args:
        tensors: in the types that they have.
        types: by name.

    Raises:
        UserError: when one is read whose values are too large for its type, so that they would become infinite.
    """

    def __init__(self, tensors: LazyTensors, types: Mapping[str, torch.dtype]) -> None:
        self._tensors, self._types = tensors, types

    def meta(self, name: str) -> Tensor:
        """Shape and type of one."""
        return self._tensors.meta(name).to(self._types[name])

    def __getitem__(self, name: str) -> Tensor:
        tensor = self._tensors[name]
        cast = tensor.to(self._types[name])
        if cast.dtype is not tensor.dtype and _is_infinite(cast) and not _is_infinite(tensor):
            most, dtype = float(tensor.abs().max()), str(cast.dtype).removeprefix("torch.")
            raise UserError(
                f"{name} has values up to {most:.3g}, which are infinite in {dtype}: write it as float32 or bfloat16"
            )
        return cast

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)


def _is_infinite(tensor: Tensor) -> bool:
    """Whether any value is; nothing as large as the tensor is made."""
    return tensor.numel() > 0 and any(bool(extreme.isinf()) for extreme in torch.aminmax(tensor))


class Overlaid(LazyTensors):
    """Tensors, and others in the place of some of them.

    Args:
        tensors: all of them.
        others: what takes the place of those of the same names.
    """

    def __init__(self, tensors: LazyTensors, others: LazyTensors) -> None:
        self._tensors, self._others = tensors, others

    def meta(self, name: str) -> Tensor:
        """Shape and type of one."""
        return self._of(name).meta(name)

    def __getitem__(self, name: str) -> Tensor:
        return self._of(name)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

    def _of(self, name: str) -> LazyTensors:
        return self._others if name in self._others else self._tensors

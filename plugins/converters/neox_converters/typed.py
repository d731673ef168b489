"""Tensors in other types."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from neox_core.checkpoint import LazyTensors


class Typed(LazyTensors):
    """Tensors that are cast when they are read.

    Args:
        tensors: in the types that they have.
        types: by name.
    """

    def __init__(self, tensors: LazyTensors, types: Mapping[str, torch.dtype]) -> None:
        self._tensors, self._types = tensors, types

    def meta(self, name: str) -> Tensor:
        """Shape and type of one."""
        return self._tensors.meta(name).to(self._types[name])

    def __getitem__(self, name: str) -> Tensor:
        return self._tensors[name].to(self._types[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._tensors)

    def __len__(self) -> int:
        return len(self._tensors)

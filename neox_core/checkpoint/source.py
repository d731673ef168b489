"""What weights and optimizer state can be read from: a checkpoint of ours, or whole tensors of any origin."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from neox_core.checkpoint.lazy import LazyTensors
from neox_core.checkpoint.regions import regions
from neox_core.errors import UserError, did_you_mean
from neox_core.parallel.shards import Fragment, Range, ShardSpec


class TensorSource(Protocol):
    """Tensors by canonical name and role ("weight", "master", "exp_avg", ...), of which any part can be had. `Reader` is one."""

    @property
    def path(self) -> Path:
        """Where they are from, for messages."""

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical names of the parameters."""

    def roles(self, name: str) -> tuple[str, ...]:
        """The roles in which there is something of a parameter; none where there is no such parameter."""

    def shape(self, name: str, role: str = "weight") -> tuple[int, ...]:
        """The global shape of a parameter, or of what an optimizer remembers of it; for a scalar that of the parameter.

        Raises:
            UserError: there is no such parameter.
        """

    def dtype(self, name: str, role: str) -> torch.dtype:
        """The data type in which it is stored."""

    def is_scalar(self, name: str, role: str) -> bool:
        """Whether it is one number for the tensor as a whole."""

    def whole(self, name: str, role: str = "weight") -> Tensor:
        """All of it, in its global shape and stored type; a scalar has no dimension."""

    def verify(self, spec: ShardSpec, role: str, range: Range) -> None:
        """Raise what `read` with the same arguments would raise."""

    def read(self, spec: ShardSpec, role: str, range: Range, out: Tensor | None = None) -> Tensor:
        """Elements `range` of the flat local tensor that `spec` describes, into `out` or a new tensor; a scalar is range (0, 1).

        Raises:
            UserError: there is nothing of that name and role, or of another shape.
        """


class WholeTensors:
    """Whole tensors as a `TensorSource`.

    Args:
        path: where they are from.
        tensors: by role, then by canonical name. There must be a "weight" of each; what has no dimension is a scalar where the
            weight has some.
    """

    def __init__(self, path: Path, tensors: Mapping[str, LazyTensors]) -> None:
        self.path, self._tensors = path, tensors

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical names of the parameters."""
        return tuple(self._tensors["weight"])

    def roles(self, name: str) -> tuple[str, ...]:
        """The roles in which there is something of parameter `name`."""
        return tuple(role for role, tensors in self._tensors.items() if name in tensors)

    def shape(self, name: str, role: str = "weight") -> tuple[int, ...]:
        """The global shape of parameter `name` in `role`; for a scalar that of the parameter.

        Raises:
            UserError: there is no such parameter, or no such role.
        """
        kept = "weight" if self.is_scalar(name, role) else role
        return tuple(self._find(name, kept).meta(name).shape)

    def dtype(self, name: str, role: str) -> torch.dtype:
        """The data type of parameter `name` in `role`."""
        return self._find(name, role).meta(name).dtype

    def is_scalar(self, name: str, role: str) -> bool:
        """Whether it is one number for the tensor as a whole."""
        found = self._find(name, role).meta(name)
        return role != "weight" and found.dim() == 0 and self._find(name, "weight").meta(name).dim() > 0

    def whole(self, name: str, role: str = "weight") -> Tensor:
        """All of it."""
        return self._find(name, role)[name]

    def verify(self, spec: ShardSpec, role: str, range: Range) -> None:
        """Raise a UserError where `read` would."""
        found = self._find(spec.name, role).meta(spec.name)
        if not self.is_scalar(spec.name, role) and tuple(found.shape) != spec.global_shape:
            raise UserError(
                f"{self.path}: {spec.name} ('{role}') has shape {tuple(found.shape)} and is {spec.global_shape} in this model"
            )

    def read(self, spec: ShardSpec, role: str, range: Range, out: Tensor | None = None) -> Tensor:
        """Elements `range` of the flat local tensor that `spec` describes."""
        self.verify(spec, role, range)
        held = self.whole(spec.name, role)
        result = torch.empty(range[1] - range[0], dtype=held.dtype) if out is None else out
        flat = result.detach().view(-1)
        if self.is_scalar(spec.name, role):
            flat.fill_(held)
            return result
        for region in regions(spec, range):
            box = tuple(slice(start, stop) for start, stop in region.whole)
            flat[region.start - range[0] :].as_strided(region.shape, region.strides).copy_(held[box])
        return result

    def _find(self, name: str, role: str) -> LazyTensors:
        weights = self._tensors["weight"]
        if name not in weights:
            raise UserError(f"{self.path}: there is no parameter '{name}' ({did_you_mean(name, list(weights))})")
        if name not in self._tensors.get(role, ()):
            raise UserError(f"{self.path}: there is no '{role}' of {name}, only: {', '.join(self.roles(name))}")
        return self._tensors[role]


class RoleTensors(LazyTensors):
    """What a source has of its parameters in one role, whole, by canonical name.

    Args:
        source: a checkpoint.
        role: "weight", or one of the optimizer's.
    """

    def __init__(self, source: TensorSource, role: str) -> None:
        self._source, self._role = source, role
        self._names = {name: None for name in source.names if role in source.roles(name)}

    def meta(self, name: str) -> Tensor:
        """Shape and type of one."""
        scalar = self._source.is_scalar(name, self._role)
        shape = () if scalar else self._source.shape(name)
        return torch.empty(shape, dtype=self._source.dtype(name, self._role), device="meta")

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._names:
            raise KeyError(name)
        return self._source.whole(name, self._role)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def load_fragments(source: TensorSource, fragments: Iterable[Fragment]) -> None:
    """Copy what was saved into each live fragment. No fragment changes unless all of them can be loaded.

    Raises:
        UserError: something is not in the source, or is damaged; see `TensorSource.read`.
    """
    fragments = list(fragments)
    for fragment in fragments:
        source.verify(fragment.spec, fragment.role, fragment.range)
    for fragment in fragments:
        source.read(fragment.spec, fragment.role, fragment.range, out=fragment.tensor)

"""A complete checkpoint opened for reading: nothing comes out of a file that is not exactly what was written."""

from __future__ import annotations

import json
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open

from neox_core.checkpoint.copies import Copy
from neox_core.checkpoint.index import Index
from neox_core.checkpoint.layout import INDEX, STATE, random_state_name, shard_name, stream_state_name
from neox_core.checkpoint.manifest import DamagedCheckpoint, Manifest
from neox_core.checkpoint.search import require_complete
from neox_core.config.presets import CHECKPOINT_SETTINGS, ELSEWHERE
from neox_core.config.topology import Place, Topology
from neox_core.errors import UserError
from neox_core.parallel.shards import Range, ShardSpec


class Reader:
    """What a complete checkpoint holds. A shard is read through a memory map, after its digest was found to be right."""

    def __init__(self, path: Path) -> None:
        """Open the checkpoint in the directory `path`; its files must be there and have their sizes.

        Raises:
            UserError: it is absent, not complete, or GPT-NeoX's, or of a newer format.
            DamagedCheckpoint: the manifest is not what was written, or a file is absent, cut off or too long.
        """
        require_complete(path)
        self.path = path
        self.manifest = Manifest.read(path)
        for name, difference in self.manifest.missing(path).items():
            raise DamagedCheckpoint(path, name, difference)
        self._shards: dict[str, Any] = {}

    @property
    def iteration(self) -> int:
        """The step after which it was saved."""
        return self.manifest.iteration

    @property
    def world_size(self) -> int:
        """Number of ranks that saved it."""
        return self.manifest.world_size

    @property
    def topology(self) -> Topology:
        """How the run was cut over them."""
        return self.manifest.topology

    @cached_property
    def state(self) -> dict[str, Any]:
        """The plain values that were saved with it: consumed samples and the like."""
        state: dict[str, Any] = json.loads(self.file(STATE))
        return state

    @property
    def settings_text(self) -> str:
        """The settings that it was saved with, as YAML."""
        return self.file(CHECKPOINT_SETTINGS).decode()

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical names of the parameters."""
        return self._index.names

    def roles(self, name: str) -> tuple[str, ...]:
        """The roles in which parameter `name` was saved ("weight", "exp_avg", ...); none when it was not."""
        return self._index.roles(name)

    def shape(self, name: str, role: str = "weight") -> tuple[int, ...]:
        """The global shape of parameter `name`, or of what an optimizer remembers of it, such as a number for each row.

        Raises:
            UserError: there is no such parameter, or no such role.
        """
        return self._index.shape(name, role)

    def dtype(self, name: str, role: str) -> torch.dtype:
        """The data type in which parameter `name` was saved in `role`.

        Raises:
            UserError: there is no such parameter, or no such role.
        """
        return self._index.dtype(name, role)

    def is_scalar(self, name: str, role: str) -> bool:
        """Whether what was saved of parameter `name` in `role` is one number for the tensor as a whole, not one for each element."""
        return self._index.is_scalar(name, role)

    def whole(self, name: str, role: str = "weight") -> torch.Tensor:
        """All of parameter `name` in `role`, in its global shape and the type that was saved; a scalar state has no dimension.

        Raises:
            UserError: it was not saved, or not all of it.
            DamagedCheckpoint: a shard that holds some of it is not what was written.
        """
        spec = ShardSpec.complete(name, self.shape(name, role))
        if self.is_scalar(name, role):
            return self.read(spec, role, (0, 1)).squeeze(0)
        return self.read(spec, role, (0, spec.local_size)).view(spec.global_shape)

    def file(self, name: str) -> bytes:
        """The content of the file `name` (a path relative to the checkpoint).

        Raises:
            UserError: the checkpoint has no such file.
            DamagedCheckpoint: it is not what was written.
        """
        return self.manifest.content(self.path, name)

    def random_state(self, rank: int) -> dict[str, Any] | None:
        """The state of the random generators of `rank`, or None when none was saved for it."""
        return self._own_state(random_state_name(rank))

    def random_state_at(self, place: Place) -> dict[str, Any] | None:
        """The same of the rank that was at a place, or None also where there was none."""
        if any(index >= size for index, size in zip(place, self.topology.shape, strict=True)):
            return None
        return self.random_state(self.topology.rank_at(place))

    def stream_state(self, rank: int) -> dict[str, Any] | None:
        """Where the streams of samples of `rank` are, or None when it had none."""
        return self._own_state(stream_state_name(rank))

    def stream_states(self) -> list[dict[str, Any] | None]:
        """Where the streams of each data-parallel rank are, or None for one that had none.

        Ranks that differ in other axes alone have the same samples: what the first of them that saved something says holds for all.
        """
        states: list[dict[str, Any] | None] = [None] * self.topology.data
        for rank in range(self.world_size):
            data = self.topology.place(rank).data
            if states[data] is None:
                states[data] = self.stream_state(rank)
        return states

    def _own_state(self, name: str) -> dict[str, Any] | None:
        if name not in self.manifest.files:
            return None
        state: dict[str, Any] = json.loads(self.file(name))
        return state

    def verify(self, spec: ShardSpec, role: str, range: Range) -> None:
        """Raise what `read` with the same arguments would raise."""
        for copy in self._copies(spec, role, range):
            self._open(copy.stored.shard)

    def verify_shard(self, rank: int) -> None:
        """Raise `DamagedCheckpoint` where what a rank saved is not what was written."""
        if shard_name(rank) in self.manifest.files:
            self._open(shard_name(rank))

    def read(self, spec: ShardSpec, role: str, range: Range, out: torch.Tensor | None = None) -> torch.Tensor:
        """Elements `range` of the flat local tensor that `spec` describes, however it was cut when it was saved.

        They are copied to `out` (as many elements, contiguous, any device; converted to its type), or come as a new flat tensor
        in host memory of the type that was saved. Nothing else is held in memory. A scalar state is range (0, 1).

        Raises:
            UserError: the parameter, its role or some of the elements were not saved, or its shape is another.
            DamagedCheckpoint: a shard that holds some of them is not what was written.
        """
        copies = self._copies(spec, role, range)
        result = torch.empty(range[1] - range[0], dtype=self._index.dtype(spec.name, role)) if out is None else out
        flat = result.detach().view(-1)
        for copy in copies:
            start, stop = copy.span
            held = self._open(copy.stored.shard).get_slice(copy.stored.piece.key)[start:stop]  # a view of the file
            copy.target.of(flat, copy.shape).copy_(held.as_strided(copy.shape, copy.source.strides))
        return result

    @cached_property
    def _index(self) -> Index:
        return Index.from_json(self.file(INDEX).decode())

    def _copies(self, spec: ShardSpec, role: str, range: Range) -> list[Copy]:
        try:
            return self._index.copies(spec, role, range, self._shards)
        except UserError as error:
            raise UserError(f"{self.path}: {error}.") from error

    def _open(self, shard: str) -> Any:
        if shard not in self._shards:
            path = self.path / shard
            if (self.path / ELSEWHERE).exists():
                url = (self.path / ELSEWHERE).read_text(encoding="utf-8")
                raise UserError(
                    f"{url}: its tensors are not here; copy it first by `neox checkpoint pull {url} DIRECTORY`"
                )
            self.manifest.check_file(self.path, shard)
            self._shards[shard] = safe_open(path, framework="pt")
        return self._shards[shard]

"""The files of a release, of which each has the part of one tensor-parallel rank."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from neox_converters.file_tensors import open_files
from neox_core.checkpoint import LazyTensors
from neox_core.errors import UserError

COLUMNS = re.compile(r"layers\.\d+\.(attention\.wo|feed_forward\.w2)\.weight")
"""Weights that are cut by columns."""

WHOLE = re.compile(
    r"(layers\.\d+\.(attention_norm|ffn_norm)|norm)\.weight|(layers\.\d+\.attention\.inner_attention\.)?rope\.freqs"
)
"""What each rank has all of."""

EMBEDDING, NORM = "tok_embeddings.weight", "norm.weight"


class Merged(LazyTensors):
    """The tensors of several ranks' files, put together.

    Args:
        files: by rank, for messages.
        parts: tensors of each.

    Raises:
        UserError: ranks have different tensors.
    """

    def __init__(self, files: Sequence[Path], parts: Sequence[LazyTensors]) -> None:
        self._files, self._parts = files, parts
        self._names = tuple(parts[0])
        for file, part in zip(files, parts, strict=True):
            odd = sorted(set(self._names) ^ set(part))
            if odd:
                raise UserError(
                    f"{file}: '{odd[0]}' is not in all of {', '.join(other.name for other in files)}; get them anew"
                )

    def meta(self, name: str) -> Tensor:
        """Shape and type of one."""
        return self._joined(name, [part.meta(name) for part in self._parts])

    def __getitem__(self, name: str) -> Tensor:
        held = [part[name] for part in self._parts]
        if WHOLE.fullmatch(name):
            for file, tensor in zip(self._files, held, strict=True):
                if not torch.equal(tensor, held[0]):
                    raise UserError(
                        f"{file}: '{name}' is not the same as in {self._files[0].name}: they are of different checkpoints"
                    )
        return self._joined(name, held)

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)

    def _joined(self, name: str, held: Sequence[Tensor]) -> Tensor:
        if len(held) == 1 or WHOLE.fullmatch(name):
            return held[0]
        try:
            return torch.cat(list(held), self._dimension(name, held[0]))
        except RuntimeError as error:
            raise UserError(f"{self._files[0].parent}: the parts of '{name}' do not fit together ({error})") from error

    def _dimension(self, name: str, part: Tensor) -> int:
        """Along which a tensor is cut; the embedding once was by columns, and since LLaMA 3 is by rows."""
        if name == EMBEDDING:
            width = self._parts[0].meta(NORM).shape[0]
            return 0 if part.shape[1] == width else 1
        return 1 if COLUMNS.fullmatch(name) else 0


def open_release(files: Sequence[Path]) -> LazyTensors:
    """The tensors of a release.

    Raises:
        UserError: a file is damaged, or holds other things than tensors.
    """
    return Merged(files, [open_files([file]) for file in files])

"""Tensors in the files of other programs: safetensors, and what torch.save writes; one at a time, out of a memory map."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from neox_converters.safetensors_header import DTYPES, read_header
from neox_core.checkpoint import HeldTensors, LazyTensors
from neox_core.errors import UserError

TORCH_TYPES = {name: getattr(torch, torch_name) for name, torch_name in DTYPES.items()}
"""Types by their names in the headers of safetensors."""


class SafeTensors(LazyTensors):
    """Those of one .safetensors file.

    Raises:
        UserError: it is cut off, or something else.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._entries = path, read_header(path)
        try:
            self._file: Any = safe_open(path, framework="pt")
        except (SafetensorError, OSError) as error:
            raise damaged(path, error) from error

    def meta(self, name: str) -> Tensor:
        """Shape and type of one, from the header."""
        entry = self._entries[name]
        return torch.empty(entry.shape, dtype=TORCH_TYPES[entry.dtype], device="meta")

    def __getitem__(self, name: str) -> Tensor:
        if name not in self._entries:
            raise KeyError(name)
        try:
            tensor: Tensor = self._file.get_tensor(name)
        except SafetensorError as error:
            raise damaged(self._path, error) from error
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)


class Together(LazyTensors):
    """Those of several files.

    Raises:
        UserError: two of them have a tensor of the same name.
    """

    def __init__(self, files: Mapping[Path, LazyTensors]) -> None:
        self._of: dict[str, LazyTensors] = {}
        for path, tensors in files.items():
            for name in tensors:
                if name in self._of:
                    raise UserError(f"{path}: has '{name}', which another file of the same checkpoint has too")
                self._of[name] = tensors

    def meta(self, name: str) -> Tensor:
        """Shape and type of one."""
        return self._of[name].meta(name)

    def __getitem__(self, name: str) -> Tensor:
        return self._of[name][name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._of)

    def __len__(self) -> int:
        return len(self._of)


def open_files(paths: Iterable[Path]) -> LazyTensors:
    """The tensors of some files, by their suffixes: .safetensors, or what torch.save wrote.

    Raises:
        UserError: one is damaged, or holds other things than tensors.
    """
    opened = {path: SafeTensors(path) if path.suffix == ".safetensors" else open_pickled(path) for path in paths}
    return next(iter(opened.values())) if len(opened) == 1 else Together(opened)


def open_pickled(path: Path) -> LazyTensors:
    """The tensors of a file of torch.save, which may have nothing else in it: nothing is run to read it.

    Raises:
        UserError: it is damaged, or holds other things than tensors by name.
    """
    try:
        held = torch.load(path, map_location="cpu", weights_only=True, mmap=_is_zip(path))
    except pickle.UnpicklingError as error:
        raise UserError(
            f"{path} holds more than tensors, and reading it would run code of whoever made it, which neox does not: save its "
            f"weights as safetensors where you trust it ({str(error).splitlines()[0]})"
        ) from error
    except Exception as error:  # bytes that are no pickle any more raise anything
        raise damaged(path, error) from error
    if not isinstance(held, dict) or not all(isinstance(tensor, Tensor) for tensor in held.values()):
        raise UserError(f"{path} does not hold tensors by name; give the file of a model's weights alone")
    return HeldTensors(held)


def damaged(path: Path, error: Exception) -> UserError:
    """That a file cannot be read."""
    return UserError(
        f"{path} cannot be read: {str(error).splitlines()[0] if str(error) else type(error).__name__}; get it anew"
    )


def _is_zip(path: Path) -> bool:
    """Whether a file is in the form that torch has written since 1.6, which alone can be mapped into memory."""
    with path.open("rb") as file:
        return file.read(2) == b"PK"

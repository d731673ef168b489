"""Files that torch.load reads, written one tensor at a time: torch.save holds all that it writes."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

ALIGNMENT = 64
"""Tensors begin at a multiple of so many bytes, as in files of torch.save, so that they can be mapped."""

_STORAGES = {
    torch.float64: torch.DoubleStorage,
    torch.float32: torch.FloatStorage,
    torch.float16: torch.HalfStorage,
    torch.bfloat16: torch.BFloat16Storage,
    torch.int64: torch.LongStorage,
    torch.int32: torch.IntStorage,
    torch.uint8: torch.ByteStorage,
    torch.bool: torch.BoolStorage,
}
_LOCAL_HEADER, _ZIP64_EXTRA, _EXTRA_HEADER = 30, 20, 4
"""Bytes of a record's header in an archive: without its name, of the sizes of a large one, and of a further field."""


@dataclass(frozen=True, slots=True)
class Stored:
    """A tensor in what is to be written, which is read when its turn comes.

    Args:
        shape: its own.
        dtype: likewise.
        read: the tensor itself.
    """

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], Tensor]


@dataclass(frozen=True, slots=True)
class _Storage:
    """The place of a tensor's elements: the record of this number."""

    number: int
    tensor: Stored


class _Pickler(pickle.Pickler):
    """Writes tensors as torch does, and collects them."""

    def __init__(self, stream: BytesIO) -> None:
        super().__init__(stream, protocol=2)
        self.tensors: list[Stored] = []

    def reducer_override(self, value: Any) -> Any:
        """A tensor is made from its storage."""
        if not isinstance(value, Stored):
            return NotImplemented
        self.tensors.append(value)
        strides = torch.empty(value.shape, device="meta").stride()
        storage = _Storage(len(self.tensors) - 1, value)
        return torch._utils._rebuild_tensor_v2, (storage, 0, value.shape, strides, False, OrderedDict())

    def persistent_id(self, value: Any) -> Any:
        """Storages lie outside of the pickle."""
        if not isinstance(value, _Storage):
            return None
        size = torch.Size(value.tensor.shape).numel()
        return "storage", _STORAGES[value.tensor.dtype], str(value.number), "cpu", size


def write_archive(path: Path, content: Any) -> None:
    """Write plain data in which tensors are `Stored`; the file is on disk when this returns.

    Raises:
        OSError: the file system refuses.
    """
    data = BytesIO()
    pickler = _Pickler(data)
    pickler.dump(content)
    with path.open("wb") as stream:
        with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
            _write(archive, f"{path.stem}/data.pkl", memoryview(data.getvalue()))
            _write(archive, f"{path.stem}/byteorder", memoryview(b"little"))
            for number, tensor in enumerate(pickler.tensors):
                _write(archive, f"{path.stem}/data/{number}", _bytes(tensor.read()))
            _write(archive, f"{path.stem}/version", memoryview(b"3\n"))
        stream.flush()
        os.fsync(stream.fileno())


def _write(archive: zipfile.ZipFile, name: str, content: memoryview) -> None:
    """One record, whose content is aligned by a field of zeros in its header."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    large = content.nbytes >= zipfile.ZIP64_LIMIT // 2
    header = _LOCAL_HEADER + len(name) + (_ZIP64_EXTRA if large else 0) + _EXTRA_HEADER
    padding = -(archive.start_dir + header) % ALIGNMENT
    info.extra = b"FB" + padding.to_bytes(2, "little") + b"\0" * padding
    info.file_size = content.nbytes
    with archive.open(info, "w", force_zip64=large) as record:
        record.write(content)


def _bytes(tensor: Tensor) -> memoryview:
    flat = tensor.detach().contiguous().reshape(-1)
    return memoryview(flat.view(torch.uint8).numpy().data) if flat.numel() else memoryview(b"")

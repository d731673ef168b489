"""The rules by which recorded runs made their weights and digests."""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt


def rule_weights(name: str, shape: Sequence[int]) -> npt.NDArray[np.float32]:
    """Weights before the first step, from the parameter's name: vectors are small, and norms' weights around one."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    weights = random.standard_normal(tuple(shape)) * (0.25 if len(shape) > 1 else 0.1)
    parent, _, last = name.rpartition(".")
    if last in ("scale", "g") or (last == "weight" and "norm" in parent.rpartition(".")[2]):
        weights = weights + 1.0
    return np.asarray(weights, dtype=np.float32)


def array_digest(array: npt.NDArray[np.int64]) -> str:
    """First 16 hexadecimal digits of the sha256 of little-endian int64 in C order."""
    return hashlib.sha256(np.ascontiguousarray(array, dtype="<i8").tobytes()).hexdigest()[:16]


def file_digest(path: Path) -> str:
    """sha256 of a file, which is read whole.

    Raises:
        OSError: it cannot be read.
    """
    return hashlib.sha256(path.read_bytes()).hexdigest()


def absolute_error(found: Sequence[float], wanted: Sequence[float]) -> float:
    """Largest difference; infinite where a number is missing or is not one."""
    return _largest(found, wanted, lambda f, w: abs(f - w))


def relative_error(found: Sequence[float], wanted: Sequence[float]) -> float:
    """Largest difference as a share of the wanted number; infinite where a number is missing or is not one."""
    return _largest(found, wanted, lambda f, w: abs(f - w) / max(abs(w), 1e-30))


def _largest(found: Sequence[float], wanted: Sequence[float], error: Callable[[float, float], float]) -> float:
    errors = [error(f, w) for f, w in zip(found, wanted, strict=False)]
    incomplete = len(found) != len(wanted) or any(math.isnan(e) for e in errors)
    return math.inf if incomplete else max(errors, default=0.0)

"""The rules by which recorded runs made their weights and digests."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


def rule_weights(name: str, shape: Sequence[int]) -> npt.NDArray[np.float32]:
    """Weights before the first step, from the parameter's name: vectors are small, and norms' weights around one."""
    random = np.random.default_rng(zlib.crc32(name.encode()))
    weights = random.standard_normal(tuple(shape)) * (0.25 if len(shape) > 1 else 0.1)
    parent, _, last = name.rpartition(".")
    if last in ("scale", "g") or (last == "weight" and "norm" in parent.rpartition(".")[2]):
        weights = weights + 1.0
    return weights.astype(np.float32)


def array_digest(array: npt.NDArray[np.int64]) -> str:
    """First 16 hexadecimal digits of the sha256 of little-endian int64 in C order."""
    return hashlib.sha256(np.ascontiguousarray(array, dtype="<i8").tobytes()).hexdigest()[:16]


def relative_error(found: Sequence[float], wanted: Sequence[float]) -> float:
    """Largest relative difference; infinite where a number is missing or is not one."""
    if len(found) != len(wanted):
        return float("inf")
    errors = [abs(f - w) / max(abs(w), 1e-30) for f, w in zip(found, wanted, strict=True)]
    return max(errors, default=0.0) if not any(error != error for error in errors) else float("inf")  # noqa: PLR0124 - NaN

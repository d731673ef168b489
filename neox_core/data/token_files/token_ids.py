"""What may be written as a sequence of token ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from neox_core.errors import UserError

LONGEST = np.iinfo(np.int32).max
"""Tokens of a sequence at most: an index counts them in 32 bits."""


def token_ids(sequence: npt.ArrayLike, dtype: np.dtype[Any], where: str) -> npt.NDArray[Any]:
    """A sequence as an array of an element type, [tokens]; `where` is said in errors.

    Raises:
        UserError: an id does not fit the element type, or the sequence is too long.
        TypeError: it is not a flat sequence of numbers, or has fractions where the element type has none.
    """
    ids = np.asarray(sequence)
    if ids.ndim != 1 or (ids.size and dtype.kind in "iu" and ids.dtype.kind not in "iu"):
        raise TypeError(f"{where}: an array of {ids.dtype} with the shape {ids.shape} is no sequence of {dtype.name}")
    if len(ids) > LONGEST:
        raise UserError(f"{where} has a sequence of {len(ids)} tokens; {LONGEST} are the most. Cut it into several.")
    if ids.dtype == dtype:
        return np.ascontiguousarray(ids)
    if ids.size and dtype.kind in "iu":
        _check_range(int(ids.min()), int(ids.max()), dtype, where)
    return ids.astype(dtype)


def _check_range(lowest: int, highest: int, dtype: np.dtype[Any], where: str) -> None:
    limits = np.iinfo(dtype)
    wrong = lowest if lowest < limits.min else highest
    if not limits.min <= wrong <= limits.max:
        raise UserError(
            f"{where} has the token {wrong}, and {dtype.name} holds {limits.min} to {limits.max}; write the file with a wider "
            "element type, or with the tokenizer that the ids belong to"
        )

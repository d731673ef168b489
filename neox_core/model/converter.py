"""The contract of a converter: weights of another family, in memory, to ours and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor


class WeightConverter(Protocol):
    """Maps names and layouts of one family for the architecture it was made for. Tensors are global, not shards."""

    def read(self, foreign: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Their weights under our canonical names and layouts.

        Raises:
            UserError: a weight is missing, left over or of another shape.
        """

    def write(self, ours: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Our weights under their names and layouts."""

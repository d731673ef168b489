"""Which layers each stage of a pipeline has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stage:
    """A stage of a pipeline. The first has the embedding too, the last one the final norm and the head.

    Args:
        layers: indices of its blocks; there may be none.
        index: which stage it is, from 0.
        count: how many stages there are.
    """

    layers: range
    index: int = 0
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether it begins with tokens."""
        return self.index == 0

    @property
    def is_last(self) -> bool:
        """Whether it ends with logits."""
        return self.index == self.count - 1

    @property
    def is_whole(self) -> bool:
        """Whether it is the model, and there is no pipeline."""
        return self.count == 1

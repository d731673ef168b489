"""Bytes in words."""

from __future__ import annotations

from typing import NamedTuple


class Unit(NamedTuple):
    """In what bytes are told.

    Args:
        name: as people know it.
        size: in bytes.
    """

    name: str
    size: int

    @classmethod
    def of(cls, largest: float) -> Unit:
        """The one for numbers up to the largest of them."""
        return next((unit for unit in (GIB, MIB) if largest >= unit.size), KIB)

    def number(self, size: float) -> str:
        """Bytes in this unit."""
        shown = size / self.size
        return f"{shown:.2f}" if shown >= 0.01 or size == 0 else f"{shown:.2g}"


GIB, MIB, KIB = Unit("GiB", 2**30), Unit("MiB", 2**20), Unit("KiB", 2**10)


def in_words(size: float) -> str:
    """Bytes in the unit that suits them."""
    unit = Unit.of(size)
    return f"{unit.number(size)} {unit.name}"

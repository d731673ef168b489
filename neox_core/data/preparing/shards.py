"""The parts of a preparation, and which of them token files are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

_NAME = re.compile(r"(?P<whole>.+)\.shard-(?P<number>\d{4,})-of-(?P<count>\d{4,})")


@dataclass(frozen=True, slots=True)
class Shard:
    """One of several parts of a preparation, counted from 1."""

    number: int
    count: int

    def __str__(self) -> str:
        return f"{self.number}/{self.count}"

    @property
    def suffix(self) -> str:
        """What the names of its files end in; in alphabetical order the shards are in order."""
        return f".shard-{self.number:04}-of-{self.count:04}"


def parts_of(prefixes: Iterable[str | Path]) -> dict[str, list[Shard]]:
    """The prefixes of the wholes that token files are parts of, with the parts; a file whose name says no part is all of itself."""
    parts: dict[str, list[Shard]] = {}
    for prefix in map(str, prefixes):
        match = _NAME.fullmatch(prefix)
        shard = Shard(int(match["number"]), int(match["count"])) if match else Shard(1, 1)
        parts.setdefault(match["whole"] if match else prefix, []).append(shard)
    return parts


def missing_parts(prefixes: Iterable[str | Path]) -> list[str]:
    """Prefixes of the shards that are not here, of wholes of which others are."""
    return [
        f"{whole}{Shard(number, count).suffix}"
        for whole, shards in parts_of(prefixes).items()
        for count in sorted({shard.count for shard in shards})
        for number in range(1, count + 1)
        if Shard(number, count) not in shards
    ]

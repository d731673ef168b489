"""Which mixers settings name, before they are resolved; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


def mixer_names(attention: Any) -> Iterator[str]:
    """All names in `attention_config`, however deep, without the distribution that offers them."""
    if isinstance(attention, str):
        yield attention.rpartition("/")[2].casefold()
    for part in attention if isinstance(attention, list) else ():
        yield from mixer_names(part)

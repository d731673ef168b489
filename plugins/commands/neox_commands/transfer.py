"""What verbs that copy to and from stores have in common."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from typing import Self

from neox_commands.sizes import in_words
from neox_core.checkpoint.remote import StoreOptions
from neox_core.cli.words import positive
from neox_core.config.parser import RaisingParser

PAUSE = 0.5
"""Seconds between lines that are written over each other."""


def add_requests(command: RaisingParser) -> None:
    """The options that say how a store is talked to."""
    command.add_argument(
        "--threads", type=positive, default=8, metavar="N", help="requests that are under way at once (8)"
    )
    command.add_argument(
        "--part-size",
        type=positive,
        default=StoreOptions().part_size,
        metavar="BYTES",
        help="of uploads that go in parts (100 MiB), as s3_chunk_size",
    )
    command.add_argument(
        "--timeout", type=positive, default=60, metavar="SECONDS", help="that the store may take to answer (60)"
    )


def options_of(options: argparse.Namespace) -> StoreOptions:
    """How a store is talked to."""
    return StoreOptions(part_size=options.part_size, timeout=float(options.timeout), threads=options.threads)


class Progress:
    """How far a copy is, in a line on a terminal; nothing where there is none. A context manager.

    Args:
        name: of what is copied.
        size: of it, in bytes.
    """

    def __init__(self, name: str, size: int) -> None:
        self._name, self._size, self._done = name, size, 0
        self._lock, self._begun, self._said = threading.Lock(), time.monotonic(), 0.0

    def add(self, size: int) -> None:
        """So many more bytes are copied; any thread may say so."""
        with self._lock:
            self._done += size
            now = time.monotonic()
            if sys.stderr.isatty() and now - self._said > PAUSE:
                self._said = now
                rate = self._done / (now - self._begun + 1e-9)
                text = f"{self._name}: {in_words(self._done)} of {in_words(self._size)}, {in_words(rate)}/s"
                sys.stderr.write(f"\r{text}\033[K")
                sys.stderr.flush()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._said:
            sys.stderr.write("\r\033[K")

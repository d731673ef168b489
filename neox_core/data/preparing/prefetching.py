"""Work done ahead of its use, in a thread."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, Full, Queue
from threading import Event, Thread
from typing import TypeVar

Item = TypeVar("Item")

_PATIENCE = 0.1  # seconds between looks at whether anybody still wants the items
_FAREWELL = 2.0  # seconds that a thread gets to end; one that waits for standard input may not


@dataclass(frozen=True, slots=True)
class _End:
    error: BaseException | None = None


def prefetched(items: Generator[Item], depth: int = 2) -> Generator[Item]:
    """The items in order, at most `depth` of them made ahead by a thread. What making them raises is raised here."""
    queue: Queue[Item | _End] = Queue(depth)
    unwanted = Event()
    thread = Thread(target=_fill, args=(items, queue, unwanted), daemon=True)
    thread.start()
    try:
        while not isinstance(item := queue.get(), _End):
            yield item
        if item.error is not None:
            raise item.error
    finally:
        unwanted.set()
        with suppress(Empty):
            queue.get_nowait()
        thread.join(_FAREWELL)


def _fill(items: Generator[Item], queue: Queue[Item | _End], unwanted: Event) -> None:
    end = _End()
    try:
        for item in items:
            if not _put(queue, item, unwanted):
                break
    except BaseException as error:  # raised again where the items are used  # noqa: BLE001
        end = _End(error)
    finally:
        items.close()
    _put(queue, end, unwanted)


def _put(queue: Queue[Item | _End], item: Item | _End, unwanted: Event) -> bool:
    """Whether the item found its place before nobody wanted it any more."""
    while not unwanted.is_set():
        with suppress(Full):
            queue.put(item, timeout=_PATIENCE)
            return True
    return False

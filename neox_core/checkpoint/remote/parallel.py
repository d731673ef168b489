"""Several requests at once, by threads that never keep a process from ending."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from typing import Generic, TypeVar

T = TypeVar("T")
R = TypeVar("R")


def in_parallel(work: Callable[[T], R], items: Iterable[T], threads: int) -> list[R]:
    """Do `work` with each item; the results, in the order of the items.

    Items are taken one at a time, when a thread is free. After the first error no further one is begun, and it is raised when all
    that were begun have ended.
    """
    shared = _Shared[T, R](iter(items))
    helpers = [
        threading.Thread(target=shared.serve, args=(work,), name="copying", daemon=True) for _ in range(threads - 1)
    ]
    for helper in helpers:
        helper.start()
    shared.serve(work)
    for helper in helpers:
        helper.join()
    if shared.error is not None:
        raise shared.error
    return [shared.results[place] for place in range(len(shared.results))]


class _Shared(Generic[T, R]):
    """What the threads share."""

    def __init__(self, items: Iterator[T]) -> None:
        self._items = enumerate(items)
        self._lock = threading.Lock()
        self.results: dict[int, R] = {}
        self.error: BaseException | None = None

    def serve(self, work: Callable[[T], R]) -> None:
        """Take items until there is none, or something is wrong."""
        while self.error is None:
            try:
                with self._lock:
                    place, item = next(self._items)
                self.results[place] = work(item)
            except StopIteration:
                return
            except BaseException as error:  # noqa: BLE001 - raised by whoever asked for the work
                self.error = self.error or error

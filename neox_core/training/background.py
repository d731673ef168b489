"""Work that goes on beside training in a thread of its own, and of which all ranks learn the end at the same step."""

from __future__ import annotations

from collections.abc import Callable
from threading import Thread
from typing import Generic, TypeVar

T = TypeVar("T")


class Background(Generic[T]):
    """One piece of work, which begins at once.

    The thread is no daemon's: an interpreter that ends waits for it, so that what it writes is not cut off.
    """

    def __init__(self, work: Callable[[], T], name: str) -> None:
        self._result: T
        self._error: BaseException | None = None
        self._thread = Thread(target=self._do, args=(work,), name=name)
        self._thread.start()

    def _do(self, work: Callable[[], T]) -> None:
        try:
            self._result = work()
        except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
            self._error = error

    @property
    def ended(self) -> bool:
        """Whether it is done, or has failed."""
        return not self._thread.is_alive()

    def result(self) -> T:
        """What the work gives, once it has ended; what it raised is raised here."""
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._result

"""Functions that train, whose settings can be had without training."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Generic, ParamSpec

from neox_core.config import Entry
from neox_core.config.nodes.deferred import Deferred
from neox_core.errors import Origin, UserError

P = ParamSpec("P")

Settings = Mapping[str, Any] | Iterable[Entry]
"""What a run is: keys with their values, or with where they were written too."""


class Training(Deferred, Generic[P]):
    """A function whose arguments say a run in words of its own, and that returns the run's settings; made by `trains`.

    Calling it trains. `settings` gives the settings alone.
    """

    __name__: str

    def __init__(self, function: Callable[P, Settings]) -> None:
        functools.update_wrapper(self, function)
        self.function = function

    def __call__(self, /, *args: P.args, **kwargs: P.kwargs) -> Path | None:
        """Train; see `neox_core.train`."""
        from neox_core.training.start import train  # whose imports only a run is worth

        return train(self._entries(args, kwargs))

    def settings(self, arguments: Mapping[str, Any], origins: Mapping[str, Origin] | None = None) -> list[Entry]:
        """The settings of a run, not validated.

        Args:
            arguments: those of the function, by name.
            origins: where they were written; for keys among them that the function hands on under their name.
        """
        known = inspect.signature(self.function).parameters
        places = {name: origin for name, origin in (origins or {}).items() if name not in known}
        return [
            replace(entry, origin=places[entry.key]) if entry.key in places else entry
            for entry in self._entries((), arguments)
        ]

    def _entries(self, args: Iterable[Any], kwargs: Mapping[str, Any]) -> list[Entry]:
        given = self.function(*args, **kwargs)
        if isinstance(given, Mapping):
            from neox_core.config.entries import entries_of

            return list(entries_of(given, self.__name__).values())
        found = list(given) if isinstance(given, Iterable) else [given]
        if not all(isinstance(entry, Entry) for entry in found):
            raise UserError(
                f"{self.__name__} gives {type(given).__name__}, not settings; return a mapping of keys to values"
            )
        return found

    def __repr__(self) -> str:
        return f"<{self.__name__}, which trains>"


def trains(function: Callable[P, Settings]) -> Training[P]:
    """Make a function that returns a run's settings one that trains, which `neox train` can check and start.

    Example:
        @trains
        def pretrain(size: int, data: str) -> dict[str, Any]:
            return {"num_layers": size, "hidden_size": 64 * size, "data_path": data, ...}
    """
    return Training(function)

"""A JSON file beside weights that describes them, such as config.json or params.json: values with their types, or a sentence."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from neox_core.errors import UserError


class Described:
    """A JSON object in a file.

    Args:
        path: the file, for messages.
        values: by key; what is null is as if it were not there.
    """

    def __init__(self, path: Path, values: Mapping[str, Any]) -> None:
        self.path = path
        self.values = {key: value for key, value in values.items() if value is not None}
        self._null = frozenset(values) - frozenset(self.values)

    @classmethod
    def read(cls, path: Path) -> Described:
        """That of a file.

        Raises:
            UserError: it cannot be read, or is no JSON object.
        """
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise UserError(
                f"{path} cannot be read: {error.strerror}; it says what the weights beside it mean"
            ) from error
        except ValueError as error:
            raise UserError(f"{path} is no JSON ({error}); get it anew") from error
        if not isinstance(found, dict):
            raise UserError(f"{path} is no JSON object; get it anew")
        return cls(path, found)

    @classmethod
    def seen(cls, path: Path) -> Described | None:
        """That of a file, or None where there is none that can be read: to look whose it is."""
        try:
            return cls.read(path) if path.is_file() else None
        except UserError:
            return None

    def with_values(self, values: Mapping[str, Any]) -> Described:
        """The same with other values in place of some."""
        return Described(self.path, {**dict.fromkeys(self._null), **self.values, **values})

    def __contains__(self, key: str) -> bool:
        return key in self.values

    def is_null(self, key: str) -> bool:
        """Whether a key is there, and null."""
        return key in self._null

    def get(self, key: str, default: Any = None) -> Any:
        """A value as it is."""
        return self.values.get(key, default)

    def whole(self, key: str, default: int | None = None) -> int:
        """A whole number > 0; 10000.0 is one.

        Raises:
            UserError: it is not, or there is none and no default.
        """
        value = self._found(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf or value % 1:
            raise self.wrong(key, value, "a whole number > 0")
        return int(value)

    def number(self, key: str, default: float | None = None) -> float:
        """A number > 0.

        Raises:
            UserError: it is not, or there is none and no default.
        """
        value = self._found(key, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < math.inf:
            raise self.wrong(key, value, "a number > 0")
        return float(value)

    def flag(self, key: str, default: bool) -> bool:
        """true or false.

        Raises:
            UserError: it is neither.
        """
        value = self._found(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, value, "true or false")
        return value

    def inner(self, key: str) -> Described:
        """An object within it; an empty one where there is none.

        Raises:
            UserError: it is something else.
        """
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, value, "an object")
        return Described(self.path, value)

    def choice(self, key: str, table: Mapping[str, Any], default: str) -> Any:
        """What a table has for a value.

        Raises:
            UserError: it has nothing.
        """
        value = self._found(key, default)
        if not isinstance(value, str) or value not in table:
            raise self.wrong(key, value, f"one of {', '.join(table)}")
        return table[value]

    def require(self, key: str, allowed: Collection[Any], default: Any, why: str) -> None:
        """See that a value is one that settings can express.

        Raises:
            UserError: it is another; `why` says what it would mean.
        """
        value = self.values.get(key, default)
        if value not in allowed:
            needed = " or ".join(json.dumps(one) for one in allowed)
            raise UserError(
                f"{self.path}: {key}: {json.dumps(value)} is {why}, which neox does not have; it reads {needed}"
            )

    def wrong(self, key: str, value: Any, allowed: str) -> UserError:
        """That a value is not what it should be."""
        return UserError(f"{self.path}: {key}: {json.dumps(value)} is not {allowed}; mend it, or get the file anew")

    def _found(self, key: str, default: Any) -> Any:
        value = self.values.get(key, default)
        if value is None:
            raise UserError(f"{self.path}: there is no '{key}'; mend it, or get the file anew")
        return value

"""Which names in files are imported: those under a prefix that somebody allowed, if what they name was defined there too."""

from __future__ import annotations

import functools
import re
import sys
from collections.abc import Iterable, Mapping
from enum import Enum
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType
from typing import Any, Final

from neox_core.config.nodes.problems import NodeError
from neox_core.config.nodes.targets import imported, innermost_module, name_of

SETTINGS: Final = "neox_core.NeoXArgs"
"""What a file without `_target_` makes."""

SETTINGS_CLASS: Final = "neox_core.config.args.NeoXArgs"
"""Where that is defined."""

_PUBLIC: Final[Mapping[str, str]] = {
    SETTINGS: SETTINGS_CLASS,
    "neox_core.Script": "neox_core.config.nodes.script.Script",
}
"""The names in files, which stay, of what is defined in modules that may move."""

_WRITTEN: Final = {defined: public for public, defined in _PUBLIC.items()}

_DTYPES = """
    float32 float64 float16 bfloat16 uint8 int8 int16 int32 int64 bool complex64 complex128 float8_e4m3fn float8_e5m2
"""

DEFAULT_ALLOWED: Final = frozenset(
    {*_PUBLIC, *_PUBLIC.values(), "builtins.dict", *(f"torch.{name}" for name in _DTYPES.split())}
)
"""What files may name in any case: these alone, and nothing below them."""

_PREFIX = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)+")


class Refused(NodeError):
    """A name in a file that is not imported; says why and what to do."""


class Allowed:
    """What may be imported.

    Args:
        prefixes: modules and dotted names of classes (`acme.models`, `acme.models.Llama`), besides `DEFAULT_ALLOWED`.

    Raises:
        NodeError: a prefix is no dotted name.
    """

    def __init__(self, prefixes: Iterable[str] | None = None) -> None:
        self.prefixes = (prefixes,) if isinstance(prefixes, str) else tuple(prefixes or ())
        for prefix in self.prefixes:
            if not (isinstance(prefix, str) and _PREFIX.fullmatch(prefix)):
                raise NodeError(f"allow={prefix!r} is no dotted name: give packages, modules or classes, as my.package")

    def find(self, written: str) -> Any:
        """The class, function, member of an enum or dtype that a name in a file stands for.

        Nothing is imported before the name is known to be allowed, and nothing is returned that was not defined under an allowed
        name itself, whatever it is called there.

        Raises:
            Refused: the name is not allowed, is an alias of what is not, or there is no such thing.
        """
        if not _NAME.fullmatch(written):
            raise Refused(f"'{written}' is no dotted name, as my.package.Model")
        name = _PUBLIC.get(written, written)
        if not self._allows(name):
            raise Refused(f"'{written}' is not allowed: {self._in_words(written)}")
        try:
            found = _walked(name, self)
        except ModuleNotFoundError as error:
            raise Refused(f"'{written}' cannot be imported: there is no module '{error.name}' here") from error
        except NodeError as error:
            raise Refused(str(error)) from error
        defined = defined_as(found)
        if defined is None:
            raise Refused(
                f"'{written}' is {_kind(found)}: name a class, a function that is no lambda, a member of an enum or a dtype"
            )
        if not self._allows(defined):
            raise Refused(
                f"'{written}' is another name of '{defined}', which is not allowed: {self._in_words(defined)}"
            )
        return found

    def hold(self, meant: type) -> None:
        """See that a class is allowed which no name in a file stands for, but the place of a node without a name.

        Raises:
            Refused: it is not.
        """
        defined = defined_as(meant)
        if defined is None or not self._allows(defined):
            raise Refused(f"'{defined}', which the parameter takes, is not allowed: {self._in_words(str(defined))}")

    def _allows(self, name: str) -> bool:
        return name in DEFAULT_ALLOWED or any(_under(name, prefix) for prefix in self.prefixes)

    def may_pass(self, module: str, name: str) -> bool:
        """Whether a module lies under what is allowed, or on the way to it; any does on the way to our own names."""
        return name in DEFAULT_ALLOWED or any(_under(module, way) or _under(way, module) for way in self.prefixes)

    def _in_words(self, name: str) -> str:
        package = name.partition(".")[0]
        given = f"allowed are {', '.join(map(repr, self.prefixes))}" if self.prefixes else "no package is allowed"
        return (
            f"{given}; if you trust what the file names, allow it: --allow {package}, or --allow {package}.py for a file; "
            f"in Python from_yaml(..., allow=['{package}'])"
        )


def _under(name: str, prefix: str) -> bool:
    return name == prefix or name.startswith(f"{prefix}.")


def _walked(name: str, allowed: Allowed) -> Any:
    """What an allowed name names, by way of modules and classes alone. Each is allowed, or on the way to what is."""
    found, rest = innermost_module(name)
    if found is None:
        raise ModuleNotFoundError(name=rest[0])
    for part in rest:
        if isinstance(found, ModuleType) and not allowed.may_pass(found.__name__, name):
            raise Refused(f"'{name}' goes through the module '{found.__name__}', which is not allowed")
        if not isinstance(found, ModuleType | type):
            raise Refused(f"'{name}' goes through {_kind(found)}")
        if not hasattr(found, part):
            return imported(name)  # which says what there is
        found = getattr(found, part)
    return found


def defined_as(found: Any) -> str | None:
    """`module.qualname` of a class, function, member of an enum or dtype; None of anything else."""
    if isinstance(found, Enum):
        return f"{name_of(type(found))}.{found.name}" if found.name in type(found).__members__ else None
    if type(found).__module__ == "torch" and type(found).__qualname__ == "dtype":
        return str(found)
    if isinstance(found, MethodType | functools.partial):  # also those that have a `__wrapped__`
        return None
    if not (isinstance(found, type | FunctionType | BuiltinFunctionType) or hasattr(found, "__wrapped__")):
        return None
    if isinstance(found, BuiltinFunctionType) and not isinstance(found.__self__, ModuleType | None):
        return None
    module, qualname = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
    return f"{module}.{qualname}" if _NAME.fullmatch(f"{module}.{qualname}") else None


def written_name(found: Any) -> str | None:
    """The name of something in a file, by which it is found again; None where there is none."""
    name = defined_as(found)
    if name is None or _known(name) is not found:
        return None
    return _WRITTEN.get(name, name)


def _known(name: str) -> Any:
    """What a dotted name names in the modules that are imported already; None where it names nothing."""
    parts = name.split(".")
    for cut in range(len(parts) - 1, 0, -1):
        found: Any = sys.modules.get(".".join(parts[:cut]))
        if found is not None:
            for part in parts[cut:]:
                found = getattr(found, part, None)
            return found
    return None


def _kind(found: Any) -> str:
    return f"a {type(found).__name__}" if not isinstance(found, ModuleType) else f"the module '{found.__name__}'"

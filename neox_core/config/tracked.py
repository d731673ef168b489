"""`Tracked`: objects that remember what they were made with, apart from what they have become."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterable, Mapping
from typing import Any, Self

from neox_core.config.plain import copied

_KINDS_OF_MANY = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class Tracked:
    """A mixin: the arguments of `__init__` are *hparams*, which are read, changed and saved by name.

    A hparam has two values. The *tracked* one is what the object is made from, and is made from again; the *live* one is the
    attribute of the same name, of which `__post_init__` or a method may have made something else. `get_hparams()` of plain values
    is plain data: saving it is saving the object.

    Any class can have it, best as the last of its bases: dataclasses, those that override defaults of another, those whose
    `__init__` hands `**kwargs` on.
    Lists and mappings are copied when they come in and when they go out.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Note the arguments; `__init__` is called with them next."""
        made = super().__new__(cls)
        object.__setattr__(made, "_given_hparams", _given(cls, args, kwargs))  # a frozen dataclass has no other way
        return made

    @classmethod
    def hparam_names(cls) -> tuple[str, ...]:
        """The names of all hparams, in the order of `__init__`."""
        return tuple(_parameters(cls))

    def get_hparam(self, name: str) -> Any:
        """The tracked value: what was given or set, else the default.

        Raises:
            KeyError: there is no such hparam, or it has neither value nor default.
        """
        given = _of(self)
        if name in given:
            return copied(given[name])
        default = _default(type(self), self._known(name))
        if default is inspect.Parameter.empty:
            raise KeyError(f"{name} of {type(self).__name__} has neither a value nor a default")
        return default

    def set_hparam(self, name: str, value: Any, also_change_value: bool = True) -> None:
        """Set the tracked value, and, unless it is to stay, the live one.

        Raises:
            KeyError: there is no such hparam.
        """
        tracked = {**_of(self), self._known(name): copied(value)}
        if also_change_value:
            setattr(self, name, value)
        object.__setattr__(self, "_given_hparams", tracked)  # a new one: copies of the object have the old one too

    def get_hparams(self) -> dict[str, Any]:
        """The tracked values that are not the defaults."""
        return {
            name: copied(value) for name, value in _of(self).items() if not _is_same(value, _default(type(self), name))
        }

    def reinit(self) -> Self:
        """An object made anew from the tracked values."""
        signature, given = _signature(type(self)), {name: copied(value) for name, value in _of(self).items()}
        own = {name: given.pop(name) for name in signature.parameters if name in given}
        rest = next((p.name for p in signature.parameters.values() if p.kind is p.VAR_KEYWORD), None)
        bound = inspect.BoundArguments(signature, {**own, rest: given} if rest else own)
        return type(self)(*bound.args, **bound.kwargs)

    def _known(self, name: str) -> str:
        options = self.hparam_names()
        if name not in options and name not in _of(self):
            raise KeyError(f"{type(self).__name__} has no hparam '{name}'. Options: {', '.join(options)}")
        return name


def common_hparams(mine: Tracked, saved: Tracked, override_parent_fields: Iterable[str] = ()) -> list[str]:
    """The hparams that both have, without those that are kept."""
    theirs, kept = set(saved.hparam_names()), set(override_parent_fields)
    return [name for name in mine.hparam_names() if name in theirs and name not in kept]


def merge_hparams(mine: Tracked, saved: Tracked, names: Iterable[str]) -> None:
    """Give `mine` both values of these hparams, as `saved` has them; nothing is derived again.

    Raises:
        KeyError: one of them has no such hparam.
        AttributeError: `saved` has no attribute of the name.
    """
    for name in names:
        mine.set_hparam(name, saved.get_hparam(name), also_change_value=False)
        setattr(mine, name, copied(getattr(saved, name)))


def _of(tracked: Tracked) -> dict[str, Any]:
    given: dict[str, Any] = vars(tracked)["_given_hparams"]
    return given


def _given(cls: type, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments by name."""
    signature = _signature(cls)
    try:
        found = dict(signature.bind_partial(*args, **kwargs).arguments)
    except TypeError:
        return {}  # `__init__` is about to say so
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            found |= found.pop(parameter.name, {})
    return {name: copied(value) for name, value in found.items()}


def _signature(cls: type) -> inspect.Signature:
    """What a class is made from: its `__init__`, without `self`."""
    signature = inspect.signature(cls.__init__)  # type: ignore[misc] # of exactly this class
    return signature.replace(parameters=list(signature.parameters.values())[1:])


def _parameters(cls: type) -> dict[str, inspect.Parameter]:
    """The parameters by name; where `__init__` hands `**kwargs` on, also those of the class that it hands them to."""
    found: dict[str, inspect.Parameter] = {}
    for base in cls.__mro__:
        if "__init__" not in vars(base) or base is object:
            continue
        parameters = _signature(base).parameters.values()
        for parameter in parameters:
            if parameter.kind not in _KINDS_OF_MANY:
                found.setdefault(parameter.name, parameter)
        if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters):
            break
    return found


def _default(cls: type, name: str) -> Any:
    """The default of a hparam, made anew where a factory makes it; `Parameter.empty` where there is none."""
    for field in dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ():
        if field.name == name and field.default_factory is not dataclasses.MISSING:
            return field.default_factory()
    parameter = _parameters(cls).get(name)
    return inspect.Parameter.empty if parameter is None else copied(parameter.default)


def _is_same(one: Any, other: Any) -> bool:
    """Whether two values are equal; arrays and tensors, whose comparison is no truth, are so only to themselves."""
    return one is other or (type(one) is type(other) and (one == other) is True)

"""What a target takes: the parameters of its signature, and their defaults, read once."""

from __future__ import annotations

import dataclasses
import inspect
from collections import defaultdict
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from neox_core.config.nodes.annotations import remembered

MISSING: Final[Any] = inspect.Parameter.empty
"""The default of a parameter that has none, or none that is known before the target is called."""


class Parameter(NamedTuple):
    """One parameter."""

    name: str
    """As it is set and read."""
    default: Any = MISSING
    """Its value where it is not given, or `MISSING`."""
    factory: Callable[[], Any] | None = None
    """Makes the default anew each time, where the target declares it so."""
    keyword: str = ""
    """What the target is called with, where that is another name: an alias of pydantic's."""
    by_position: bool = False
    """Whether the target takes it only so."""
    required: bool = False
    """Whether it must be given."""

    def value(self) -> Any:
        """The default; a new one where there is a factory. `MISSING` where there is none."""
        return self.default if self.factory is None else self.factory()


class Parameters:
    """The parameters of a target.

    Args:
        by_name: those that have a name, in order.
        positional: the names that values without a name are bound to, in order.
        rest: whether it takes more values without a name (`*args`).
        others: whether it takes any other name (`**kwargs`), or does not say what it takes.
    """

    __slots__ = ("by_name", "direct", "others", "positional", "required", "rest")

    def __init__(
        self,
        by_name: Mapping[str, Parameter] = MappingProxyType({}),
        positional: tuple[str, ...] = (),
        rest: bool = False,
        others: bool = False,
    ) -> None:
        self.by_name, self.positional, self.rest, self.others = by_name, positional, rest, others
        self.required = tuple(item.name for item in by_name.values() if item.required)
        """The names that must be given."""
        self.direct = not any(item.keyword or item.by_position for item in by_name.values())
        """Whether every parameter is passed by its own name."""

    @classmethod
    def of(cls, target: Any) -> Parameters:
        """Those of a class or function. One that does not say what it takes (`dict`, C functions) takes any name.

        A class that defines the classmethod `__node_parameters__() -> Parameters` says itself what it takes.
        """
        return _parameters(target)

    def takes(self, name: str) -> bool:
        """Whether a value of this name can be given."""
        return self.others or name in self.by_name


@remembered
def _parameters(target: Any) -> Parameters:
    declared = getattr(target, "__node_parameters__", None)
    if declared is not None:
        found: Parameters = declared()
        return found
    if getattr(target, "__pydantic_custom_init__", None) is False:
        return _of_model(target)
    try:
        signature = inspect.signature(target)
    except (ValueError, TypeError):
        return Parameters(others=True, rest=True)
    return _of_signature(signature, target)


def _of_model(model: Any) -> Parameters:
    """Those of a pydantic model: its fields, by their own names, whatever aliases they have."""
    keywords = _keywords(model)
    found = {name: _of_field(name, info, keywords.get(name, "")) for name, info in model.model_fields.items()}
    return Parameters(found, others=model.model_config.get("extra") == "allow")


def _of_field(name: str, info: Any, keyword: str) -> Parameter:
    """A field of pydantic's. What a factory makes of the other fields is not known before they are."""
    required = info.is_required()
    computed = getattr(info, "default_factory_takes_validated_data", False)
    default = MISSING if required or info.default_factory is not None else info.default
    return Parameter(name, default, None if computed else info.default_factory, keyword, required=required)


def _keywords(target: Any) -> dict[str, str]:
    """The aliases of those fields of a model or dataclass of pydantic's that cannot be passed by their names."""
    config = getattr(target, "model_config", None) or getattr(target, "__pydantic_config__", None) or {}
    by_name = config.get("validate_by_name") or config.get("populate_by_name")
    if by_name or config.get("validate_by_alias") is False:
        return {}
    aliases = {name: _alias(info) for name, info in _pydantic_fields(target).items()}
    return {name: alias for name, alias in aliases.items() if alias and alias != name}


def _alias(info: Any) -> str | None:
    given = info.validation_alias if info.validation_alias is not None else info.alias
    return next((choice for choice in getattr(given, "choices", [given]) if isinstance(choice, str)), None)


def _pydantic_fields(target: Any) -> Mapping[str, Any]:
    """The fields of a model or dataclass of pydantic's; those of nothing else."""
    found = getattr(target, "__pydantic_fields__", None)
    return found if isinstance(found, dict) else {}


def _of_signature(signature: inspect.Signature, target: Any) -> Parameters:
    factories, keywords = _factories(target), _keywords(target)
    names = {keyword: name for name, keyword in keywords.items()}
    kinds = defaultdict[Any, list[str]](list)
    found = {}
    for written, parameter in signature.parameters.items():
        name = names.get(written, written)  # pydantic writes an alias there, where it can
        kinds[parameter.kind].append(name)
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
            continue
        made = repr(parameter.default) == "<factory>"  # what dataclasses put there
        found[name] = Parameter(
            name,
            default=MISSING if made else parameter.default,
            factory=factories.get(name) if made else None,
            keyword=keywords.get(name, ""),
            by_position=parameter.kind is parameter.POSITIONAL_ONLY,
            required=parameter.default is MISSING,
        )
    return Parameters(
        found,
        positional=tuple(name for name in found if name not in kinds[inspect.Parameter.KEYWORD_ONLY]),
        rest=bool(kinds[inspect.Parameter.VAR_POSITIONAL]),
        others=bool(kinds[inspect.Parameter.VAR_KEYWORD]),
    )


def _factories(target: Any) -> dict[str, Callable[[], Any]]:
    """The default factories of a dataclass, also of pydantic's."""
    infos = _pydantic_fields(target) or getattr(target, "__dataclass_fields__", {})
    factories = {name: info.default_factory for name, info in infos.items()}
    return {name: made for name, made in factories.items() if made not in (None, dataclasses.MISSING)}

"""A checker of JSON Schema, of the keywords that the schema of settings has; any other keyword is an error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

ANNOTATIONS = {"$schema", "title", "description", "default", "deprecated"}

TYPES: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "null": type(None),
    "number": (int, float),
    "integer": (int, float),
}

BOUNDS = {
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "exclusiveMaximum": lambda value, bound: value < bound,
    "minItems": lambda value, bound: len(value) >= bound,
    "maxItems": lambda value, bound: len(value) <= bound,
}


def complaints(value: Any, schema: Any, whole: Any, path: str = "$") -> Iterator[str]:
    """What is wrong with a value, as texts that begin with a path."""
    for keyword, wanted in schema.items():
        if keyword not in ANNOTATIONS:
            yield from (f"{path}{text}" for text in _of_keyword(keyword, wanted, value, schema, whole))


def _of_keyword(keyword: str, wanted: Any, value: Any, schema: Any, whole: Any) -> Iterator[str]:
    if keyword == "$ref":
        yield from complaints(value, whole["properties"][wanted.rpartition("/")[2]], whole, "")
    elif keyword == "anyOf":
        if all(list(complaints(value, option, whole)) for option in wanted):
            yield f": {value!r} is none of {wanted}"
    elif keyword == "type":
        if not any(_is(value, name) for name in (wanted if isinstance(wanted, list) else [wanted])):
            yield f": {value!r} is not {wanted}"
    elif keyword in ("enum", "const"):
        if value not in (wanted if keyword == "enum" else [wanted]):
            yield f": {value!r} is not among {wanted}"
    elif keyword == "pattern":
        if isinstance(value, str) and not re.search(wanted, value):
            yield f": {value!r} does not match {wanted}"
    elif keyword in BOUNDS:
        of_this_sort = isinstance(value, list if "Items" in keyword else int | float)
        if of_this_sort and not BOUNDS[keyword](value, wanted):
            yield f": {value!r} breaks {keyword} {wanted}"
    elif keyword in ("items", "prefixItems"):
        for number, item in enumerate(value if isinstance(value, list) else ()):
            if keyword == "items" or number < len(wanted):
                yield from complaints(item, wanted if keyword == "items" else wanted[number], whole, f"[{number}]")
    elif keyword == "additionalProperties":
        for name, item in value.items() if isinstance(value, dict) else ():
            parts = [schema.get("properties", {}).get(name)]
            parts += [part for pattern, part in schema.get("patternProperties", {}).items() if re.search(pattern, name)]
            known = [part for part in parts if part is not None]
            if not known and wanted is False:
                yield f".{name}: is not known"
            for part in known or [wanted if isinstance(wanted, dict) else {}]:
                yield from complaints(item, part, whole, f".{name}")
    elif keyword in ("properties", "patternProperties"):
        if "additionalProperties" not in schema:
            raise NotImplementedError(f"{keyword} without additionalProperties")
    else:
        raise NotImplementedError(keyword)


def _is(value: Any, name: str) -> bool:
    if isinstance(value, bool) and name != "boolean":
        return False
    return isinstance(value, TYPES[name]) and (name != "integer" or float(value).is_integer())

"""Turning "module:attribute" into the thing it names, at the moment it is used."""

from __future__ import annotations

import importlib
from functools import reduce
from typing import Any


def resolve(reference: str) -> Any:
    """Import the module and give the attribute (dotted attributes are followed).

    Raises:
        ImportError: the module cannot be imported.
        AttributeError: it has no such attribute.
    """
    module, _, attribute = reference.partition(":")
    return reduce(getattr, attribute.split("."), importlib.import_module(module))

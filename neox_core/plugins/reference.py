"""Turning "module:attribute" into the thing it names, at the moment it is used."""

from __future__ import annotations

import importlib
import re
from functools import reduce
from typing import Any

_FORM = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


def check_form(reference: object) -> None:
    """Raise a ValueError unless it is text of the form "module:attribute"."""
    if not isinstance(reference, str) or not _FORM.fullmatch(reference):
        raise ValueError(f"reference {reference!r} is not of the form 'module:attribute'")


def resolve(reference: str) -> Any:
    """Import the module and give the attribute (dotted attributes are followed).

    Raises:
        ImportError: the module cannot be imported.
        AttributeError: it has no such attribute.
    """
    module, _, attribute = reference.partition(":")
    return reduce(getattr, attribute.split("."), importlib.import_module(module))

"""Optional packages that tokenizers need."""

from __future__ import annotations

import importlib
from types import ModuleType

from neox_core.errors import UserError


def require_package(name: str, kind: str) -> ModuleType:
    """An optional package, which is an extra of the same name.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise UserError(
            f"tokenizer_type: {kind} needs the package {name}, which is missing: pip install 'neox-toolkit[{name}]'"
        ) from error

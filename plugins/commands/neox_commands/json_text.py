"""Numbers that verbs found, as JSON, and the option that asks for it."""

from __future__ import annotations

import json
import math
from typing import Any

from neox_core.config.parser import RaisingParser


def add_json(parser: RaisingParser) -> None:
    """The option that asks for JSON."""
    parser.add_argument("--json", action="store_true", help="print JSON")


def json_text(data: Any) -> str:
    """Data as JSON; numbers that are not finite, which JSON does not have, become null."""
    return json.dumps(_without_nan(data), indent=1, allow_nan=False)


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value

"""Which number format a run has, from `precision` and from the dictionaries of number formats."""

from __future__ import annotations

from typing import TYPE_CHECKING

from neox_core.config.resolved import Precision
from neox_core.errors import Problem, SettingsError

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

BY_NAME: dict[str, Precision] = {"fp32": "fp32", "fp16": "fp16", "bfloat16": "bf16"}
"""Values of `precision`."""


def precisions_asked_for(args: NeoXArgs) -> set[Precision]:
    """The number formats that `precision` names and those whose dictionary says `enabled`; more than one is a mistake."""
    named: set[Precision] = {BY_NAME[args.precision]} if args.precision else set()
    return named | set(_enabled(args))


def resolve_precision(args: NeoXArgs) -> Precision:
    """The number format of parameters and activations.

    Raises:
        SettingsError: several are asked for.
    """
    asked = precisions_asked_for(args)
    if len(asked) > 1:
        message = f"{' and '.join(sorted(asked))} are both asked for"
        raise SettingsError([Problem(keys=("precision", *_enabled(args)), message=message, remedy="keep one")])
    return next(iter(asked), "fp32")


def _enabled(args: NeoXArgs) -> list[Precision]:
    dictionaries: dict[Precision, dict[str, object] | None] = {"fp16": args.fp16, "bf16": args.bf16}
    return [name for name, options in dictionaries.items() if (options or {}).get("enabled") is True]

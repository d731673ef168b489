"""Which optimizer a run has, read from the keys that say it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from neox_core.config.plain import shown
from neox_core.config.resolved import OptimizerChoice
from neox_core.errors import Problem, SettingsError

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

DEFAULT_OPTIMIZER = "adam"
DEFAULT_LR = 0.001
IN_8_BITS = {"adam": "adam8bit", "adamw": "adam8bit"}
"""What `use_bnb_optimizer` makes of an optimizer."""
_ALL = "`neox plugins --kind optimizer` lists them"


def optimizer_choice(values: Mapping[str, Any] | NeoXArgs) -> OptimizerChoice:
    """The optimizer's name and options.

    Args:
        values: the keys of a run, or those that a checkpoint was saved with.

    Raises:
        SettingsError: `optimizer` is malformed.
    """
    given = values.get("optimizer")
    chosen: Mapping[str, Any] = {"type": DEFAULT_OPTIMIZER} if given is None else given
    if problems := list(_problems(chosen)):
        raise SettingsError(problems)
    name, params = chosen["type"].casefold(), chosen.get("params", {})
    if values.get("use_bnb_optimizer"):
        name = IN_8_BITS.get(plain_name(name), name)
    return OptimizerChoice(name, params, float(params.get("lr", DEFAULT_LR)))


def optimizer_name(values: Mapping[str, Any] | NeoXArgs) -> str:
    """The plain name of the optimizer, for rules; empty where there is none, which is refused by itself."""
    given = values.get("optimizer")
    name = DEFAULT_OPTIMIZER if given is None else given.get("type")
    return plain_name(name) if isinstance(name, str) else ""


def plain_name(name: str) -> str:
    """A component's name in lower case, without the distribution that may stand before it: `acme-neox/Lion` is `lion`."""
    return name.rpartition("/")[2].casefold()


def _problems(chosen: Mapping[str, Any]) -> Iterator[Problem]:
    """What keeps the key from naming an optimizer and its options."""
    name, params = chosen.get("type"), chosen.get("params", {})
    if others := sorted(set(chosen) - {"type", "params"}):
        message = f"has {', '.join(others)} beside `type` and `params`"
        yield _problem(message, f"write {{type: NAME, params: {{{others[0]}: {shown(chosen[others[0]])}}}}}", others[0])
    if "type" not in chosen:
        yield _problem("no `type` is given", f"write {{type: adamw}}; {_ALL}", "")
    elif not isinstance(name, str):
        yield _problem(f"type: {shown(name)} is not a name", f"name one, such as adamw; {_ALL}", "type")
    if not isinstance(params, dict):
        remedy = "write {lr: 0.001}, or leave `params` out"
        yield _problem(f"params: {shown(params)} is not a mapping of options", remedy, "params")
        return
    lr = params.get("lr", DEFAULT_LR)
    if isinstance(lr, bool) or not isinstance(lr, int | float) or not 0 < lr < math.inf:
        remedy = "it is the largest learning rate, such as 0.001"
        yield _problem(f"params.lr: {shown(lr)} is not a number > 0", remedy, "params.lr")


def _problem(message: str, remedy: str, path: str) -> Problem:
    return Problem(keys=("optimizer",), message=message, remedy=remedy, path=path)

"""Whether an optimizer can go on with the state that another one, or the same, has left in a checkpoint."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from neox_core.checkpoint.manifest import Manifest
from neox_core.config import Resolved
from neox_core.config.optimizer_choice import optimizer_choice
from neox_core.errors import UserError
from neox_core.plugins import ComponentError, Optimizer, PluginManager
from neox_core.training.resuming import saved_settings

if TYPE_CHECKING:
    from neox_core.checkpoint import Reader
    from neox_core.parallel import Fragment


def check_same_optimizer(path: Path, resolved: Resolved, plugins: PluginManager) -> None:
    """Compare what the optimizer of a checkpoint remembers with what the run's does; the same numbers mean the same in all of ours.

    Of an optimizer that does not say what it remembers, or is not here any more, nothing is known beforehand.

    Args:
        path: the checkpoint.
        resolved: the run.
        plugins: where optimizers are looked up.

    Raises:
        UserError: they remember different things.
    """
    manifest = Manifest.read(path)
    before = optimizer_choice(saved_settings(path, manifest)).name
    if before == resolved.optimizer.name or manifest.iteration == 0:
        return
    theirs, mine = _state(before, plugins), _state(resolved.optimizer.name, plugins)
    if theirs and mine and theirs != mine:
        raise UserError(
            f"{path} was saved with optimizer.type {before}, which remembers {_listed(theirs)}; {resolved.optimizer.name} needs "
            f"{_listed(mine)}. Go on with {before}, or {_without(path)}"
        )


def check_same_state(reader: Reader, wanted: Iterable[Fragment]) -> None:
    """Compare what an optimizer with these options remembers with what a checkpoint has, before anything is loaded.

    Args:
        reader: the checkpoint.
        wanted: what is to be loaded; weights are not looked at.

    Raises:
        UserError: the optimizer remembers something that was not saved.
    """
    for fragment in wanted:
        roles = reader.roles(fragment.name)
        if "weight" in roles and fragment.role not in roles:
            if reader.manifest.holds_weights_alone:
                raise UserError(
                    f"optimizer: it remembers {fragment.role} of {fragment.name}, and {reader.path} holds weights alone, as an "
                    f"average does, or what an optimizer that remembers nothing has trained: {_without(reader.path)}"
                )
            there = ", ".join(role for role in roles if role != "weight") or "nothing"
            raise UserError(
                f"optimizer: with these params it remembers {fragment.role} of {fragment.name}, and that of {reader.path} remembered "
                f"{there}. Go on with the params that it was saved with, or {_without(reader.path)}"
            )


def _without(path: Path) -> str:
    """How to go on from a checkpoint without its optimizer."""
    return (
        "let the optimizer and its schedule begin anew at this step: no_load_optim: true, or begin at step 0 with the weights alone, "
        f"and another `save`: initial_ckpt_path: {path}"
    )


def _state(name: str, plugins: PluginManager) -> Mapping[str, str]:
    try:
        component = plugins.find("optimizer", name).component
    except ComponentError:
        return {}
    return component.state if isinstance(component, Optimizer) else {}


def _listed(state: Mapping[str, str]) -> str:
    return ", ".join(state)

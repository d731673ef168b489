"""muP before a run is launched: its base shapes are read, held against the model, or written."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from neox_core.config import ModelSettings, NeoXArgs, Resolved
from neox_core.config.base_shapes import BaseShapes
from neox_core.config.groups import MuPSettings
from neox_core.errors import Problem, UserError
from neox_core.files import write_file
from neox_core.plugins import Optimizer, PluginManager

if TYPE_CHECKING:
    from neox_core.model import LanguageModel


def optimizer_problems(resolved: Resolved, plugins: PluginManager) -> Iterator[Problem]:
    """A problem when muP cannot say which rates the optimizer needs."""
    optimizer = plugins.find("optimizer", resolved.optimizer.name).component
    if not resolved[MuPSettings].use_mup or not isinstance(optimizer, Optimizer) or optimizer.mup is not None:
        return
    offered = (offer.component for offer in plugins.offers("optimizer"))
    suited = sorted({one.name for one in offered if isinstance(one, Optimizer) and one.mup is not None})
    yield Problem(
        keys=("use_mup", "optimizer"),
        message=f"muP has no rules for the learning rates of {optimizer.name}",
        remedy=f"use one of {', '.join(suited)}, or use_mup: false",
        origin=resolved.origin("use_mup"),
    )


def take_base_shapes(args: NeoXArgs) -> None:
    """Put what `base_shapes_file` holds into the settings, so that ranks and checkpoints need no file.

    Raises:
        UserError: the file is missing or not in order, or says otherwise than the settings.
    """
    file = args.base_shapes_file
    if not args.use_mup or args.save_base_shapes or file is None:
        return
    given = args.base_shapes
    if given is not None and not Path(file).exists():
        return
    found = BaseShapes.read(file).to_dict()
    if given is None:
        args.update_value("base_shapes", found)
    elif BaseShapes.of(given).to_dict() != found:
        raise UserError(
            f"{file} holds other shapes than base_shapes, which a run or checkpoint has saved; give one of the two"
        )


def meta_model(resolved: Resolved, plugins: PluginManager) -> LanguageModel:
    """The model of a run, with shapes and nothing in them.

    Raises:
        UserError: the base shapes of muP are those of another architecture.
    """
    import torch

    from neox_core.model import LanguageModel

    with torch.device("meta"):
        return LanguageModel(resolved, plugins)


def check_base_shapes(resolved: Resolved, plugins: PluginManager) -> None:
    """Whether the base shapes of muP are those of this architecture; costs nothing without muP.

    Raises:
        UserError: they are not.
    """
    if resolved[MuPSettings].use_mup:
        meta_model(resolved, plugins)


def base_shapes_of(resolved: Resolved, plugins: PluginManager) -> BaseShapes:
    """The shapes of the model that settings describe."""
    model = resolved[ModelSettings]
    shapes = {name: list(one.shape) for name, one in meta_model(resolved, plugins).named_parameters()}
    return BaseShapes.of({"head_size": model.hidden_size // model.num_attention_heads, "shapes": shapes})


def save_base_shapes(resolved: Resolved, plugins: PluginManager) -> Path | None:
    """Write the shapes of this model where the settings ask for it; the file that was written."""
    settings = resolved[MuPSettings]
    if not settings.save_base_shapes or settings.base_shapes_file is None:
        return None
    path = Path(settings.base_shapes_file)
    write_file(path, base_shapes_of(resolved, plugins).to_text(path))
    return path

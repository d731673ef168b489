"""A checkpoint of another family, opened with the settings that its model is made by. Torch is imported where tensors are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neox_core.checkpoint.family import Family, ForeignCheckpoint, find_family
from neox_core.config import NeoXArgs, Resolved, World
from neox_core.config.entries import entries_of
from neox_core.config.foreign import is_ours
from neox_core.config.topology import Topology
from neox_core.errors import SettingsError, UserError
from neox_core.plugins import PluginManager

if TYPE_CHECKING:
    from neox_core.checkpoint.lazy import LazyTensors
    from neox_core.checkpoint.source import WholeTensors

LENGTH, BATCH = ("train_iters", "train_epochs"), ("train_batch_size", "train_micro_batch_size_per_gpu")
DATA = ("data_path", "train_data_paths", "mock_data")
"""Keys of which a run needs one."""

WEIGHTS_ALONE = {"no_load_optim": True}
"""What is given where nobody wants optimizer state."""


@dataclass(frozen=True, slots=True)
class Foreign:
    """A checkpoint of another family.

    Args:
        family: name of the converter.
        checkpoint: what it holds.
        args: its settings, of a run of one step where it says nothing of a run.
        resolved: the same, resolved.
        plugins: where components are looked up.
    """

    family: str
    checkpoint: ForeignCheckpoint
    args: NeoXArgs
    resolved: Resolved
    plugins: PluginManager

    def weights(self) -> LazyTensors:
        """Its weights by canonical name, of the shapes that the model has.

        Raises:
            UserError: one is missing, left over or of another shape.
        """
        path = self.checkpoint.path
        try:
            weights = self.checkpoint.weights(self.resolved)
        except SettingsError:
            raise
        except UserError as error:
            # What maps weights knows their names, and not where they are from.
            raise error if str(path) in str(error) else UserError(f"{path}: {error}") from error
        check_shapes(path, weights, self.resolved, self.plugins)
        return weights

    def source(self) -> WholeTensors:
        """Its weights as something that any part can be had of.

        Raises:
            UserError: as `weights`.
        """
        from neox_core.checkpoint.source import WholeTensors

        return WholeTensors(self.checkpoint.path, {"weight": self.weights()})


def open_foreign(path: Path, plugins: PluginManager, given: Mapping[str, Any] | None = None) -> Foreign | None:
    """A checkpoint of another family, or the newest of a directory of such; None where it is one of ours, or nobody knows it.

    Its weights are wanted: optimizer state, which may be large, or in a form that is not read, is not looked at.

    Args:
        path: its directory.
        plugins: where families are looked up.
        given: settings for what it does not say.

    Raises:
        UserError: it is damaged, or says what settings cannot.
    """
    found = None if is_ours(path) else find_family(path, plugins)
    return None if found is None else opened(*found, path, plugins, {**WEIGHTS_ALONE, **(given or {})})


def opened(
    name: str, family: Family, path: Path, plugins: PluginManager, given: Mapping[str, Any] | None = None
) -> Foreign:
    """The same of a family that is known, with all that is given.

    Raises:
        UserError: as `open_foreign`.
    """
    checkpoint = family.open(path, given or {})
    values = checkpoint.settings
    entries = entries_of({**frame(values), **values}, f"{name} checkpoint {checkpoint.path}")
    args = NeoXArgs(entries.values(), plugins)
    resolved = args.resolve(World.local(fitting_ranks(args)), checkpoint.vocabulary)
    return Foreign(name, checkpoint, args, resolved, plugins)


def frame(values: Mapping[str, Any]) -> dict[str, Any]:
    """What makes a run of settings that make a model: one step on samples that are made up."""
    missing: dict[tuple[str, ...], dict[str, Any]] = {
        LENGTH: {"train_iters": 1},
        BATCH: {"train_micro_batch_size_per_gpu": 1},
        DATA: {"mock_data": True},
    }
    return {
        key: value
        for keys, default in missing.items()
        if all(values.get(key) is None for key in keys)
        for key, value in default.items()
    }


def fitting_ranks(args: NeoXArgs) -> int:
    """The least ranks that settings fit: those of a model, times the data-parallel ones that their batches speak of."""
    parts = (args.train_micro_batch_size_per_gpu, args.gradient_accumulation_steps)
    total, apart = args.train_batch_size, 1
    if total and all(parts) and total % (parts[0] * parts[1]) == 0:
        apart = total // (parts[0] * parts[1])
    return Topology.of(args, data=1).size * int(apart)


def check_shapes(path: Path, weights: LazyTensors, resolved: Resolved, plugins: PluginManager) -> None:
    """See that weights are those of the model that settings describe.

    Args:
        path: where they are from, for messages.
        weights: by canonical name.
        resolved: the settings.
        plugins: where components are looked up.

    Raises:
        UserError: one is missing, left over or of another shape; the first of them are named.
    """
    problems = [*_differences(weights, model_shapes(resolved, plugins))]
    if problems:
        more = f"; and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        raise UserError(
            f"{path}: its weights are not those of its settings: {'; '.join(problems[:SHOWN])}{more}. Mend the settings "
            "beside the weights, or give the right ones (neox convert --config FILE)"
        )


SHOWN = 5
"""How many weights a sentence names."""


def _differences(weights: LazyTensors, shapes: Mapping[str, tuple[int, ...]]) -> Iterator[str]:
    for name, shape in shapes.items():
        if name not in weights:
            yield f"there is no {name}, which is {list(shape)}"
        elif (found := tuple(weights.meta(name).shape)) != shape:
            yield f"{name} is {list(found)}, and {list(shape)} by the settings"
    for name in weights:
        if name not in shapes:
            yield f"there is {name}, which the model has not"


def model_shapes(resolved: Resolved, plugins: PluginManager) -> dict[str, tuple[int, ...]]:
    """Global shapes of all parameters by canonical name, in the order of the model; nothing is filled."""
    import torch

    from neox_core.model import LanguageModel

    with torch.device("meta"):
        model = LanguageModel(resolved, plugins)
    return {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}

"""A trained model out of a checkpoint, ready to run in one process."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from neox_core.checkpoint import Foreign, Reader, TensorSource, open_foreign
from neox_core.checkpoint.resolution import resolve_saved
from neox_core.config import Device, NeoXArgs, Resolved, TokenizerSettings, read_text
from neox_core.config.entries import plugins_for
from neox_core.config.presets import CHECKPOINT_SETTINGS
from neox_core.data.tokenizers import Tokenizer, load_tokenizer, make_tokenizer, stored_source
from neox_core.model import LanguageModel
from neox_core.parallel import ShardSpec
from neox_core.plugins import PluginManager, Switches
from neox_core.training.initial import complete_checkpoint


@dataclass(frozen=True, slots=True)
class Trained:
    """A model with the settings it was trained with.

    Args:
        path: the checkpoint.
        iteration: steps that it was trained for.
        tokenizer: what it reads and writes; None when it was trained on data that was tokenized elsewhere.
    """

    path: Path
    iteration: int
    model: LanguageModel
    resolved: Resolved
    tokenizer: Tokenizer | None


def load_trained(where: Path, switches: Switches, *, iteration: int | None = None, device: Device = "cpu") -> Trained:
    """The model of a checkpoint, of another family too, or of the newest one in a directory of checkpoints, in evaluation mode.

    Raises:
        UserError: there is no complete checkpoint, it is damaged, or a part of its model cannot be had here.
    """
    foreign = open_foreign(where, PluginManager(switches)) if iteration is None else None
    if foreign is not None:
        return load_foreign(foreign, device)
    reader = Reader(complete_checkpoint(where, iteration))
    resolved, plugins = settings_of(reader, switches, device)
    model = filled_model(resolved, plugins, reader, device)
    return Trained(reader.path, reader.iteration, model, resolved, tokenizer_of(reader, resolved))


def settings_of(reader: Reader, switches: Switches, device: Device = "cpu") -> tuple[Resolved, PluginManager]:
    """The settings that a checkpoint was saved with, with as many rows of the embedding as it has, and the plugins that they choose.

    Raises:
        UserError: they do not fit together, or a plugin that they need is not here.
    """
    entries = {entry.key: entry for entry in read_text(reader.settings_text, str(reader.path / CHECKPOINT_SETTINGS))}
    plugins = plugins_for(entries, switches)
    return resolve_saved(NeoXArgs(entries.values(), plugins), reader.state, device=device), plugins


def load_foreign(foreign: Foreign, device: Device = "cpu") -> Trained:
    """The model of a checkpoint of another family.

    Raises:
        UserError: its weights are damaged, or not those of its settings.
    """
    checkpoint, resolved = foreign.checkpoint, foreign.resolved
    checkpoint.verify()
    model = filled_model(resolved, foreign.plugins, foreign.source(), device)
    tokenizer = None if checkpoint.tokenizer is None else make_tokenizer(checkpoint.tokenizer)
    iteration = int((checkpoint.progress or {}).get("iteration", 0))
    return Trained(checkpoint.path, iteration, model, resolved, tokenizer)


def filled_model(
    resolved: Resolved, plugins: PluginManager, source: TensorSource, device: Device = "cpu"
) -> LanguageModel:
    """A model with the weights of a checkpoint, in evaluation mode; bf16 on GPUs where it was trained in that.

    Raises:
        UserError: they are damaged, or another model's.
    """
    model = LanguageModel(resolved, plugins)
    for name, parameter in model.named_parameters():
        spec = ShardSpec.complete(name, tuple(parameter.shape))
        source.read(spec, "weight", (0, parameter.numel()), out=parameter.data)
    narrow = resolved.precision == "bf16" and device == "cuda"
    return model.to(device=device, dtype=torch.bfloat16 if narrow else torch.float32).eval()


def tokenizer_of(reader: Reader, resolved: Resolved) -> Tokenizer | None:
    """The tokenizer that was saved along, or the one that needs no file."""
    settings = resolved[TokenizerSettings]
    source = stored_source(reader.path, reader.manifest.files, reader.file)
    if source is not None:
        return make_tokenizer(source)
    return load_tokenizer(settings.tokenizer_type) if settings.tokenizer_type == "CharLevelTokenizer" else None

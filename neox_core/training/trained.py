"""A trained model out of a checkpoint, ready to run in one process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from neox_core.checkpoint import Reader
from neox_core.config import Device, NeoXArgs, Resolved, TokenizerSettings, World, read_text
from neox_core.config.entries import plugins_for
from neox_core.config.presets import CHECKPOINT_SETTINGS
from neox_core.data.tokenizers import Tokenizer, load_tokenizer, restore_tokenizer
from neox_core.model import LanguageModel
from neox_core.parallel import ShardSpec
from neox_core.plugins import Switches
from neox_core.training.initial import complete_checkpoint
from neox_core.training.resuming import TOKENIZER

RANKS = "ranks"
"""In a checkpoint's state, of how many ranks its settings are, where others wrote it."""


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
    """The model of a checkpoint, or of the newest one in a directory of checkpoints, in evaluation mode.

    Raises:
        UserError: there is no complete checkpoint, it is damaged, or a part of its model cannot be had here.
    """
    reader = Reader(complete_checkpoint(where, iteration))
    entries = {entry.key: entry for entry in read_text(reader.settings_text, str(reader.path / CHECKPOINT_SETTINGS))}
    plugins = plugins_for(entries, switches)
    world = World.local(reader.state.get(RANKS, reader.world_size), device)
    resolved = NeoXArgs(entries.values(), plugins).resolve(world, reader.state["vocabulary"])
    resolved = replace(resolved, padded_vocab_size=reader.state.get("padded_vocab_size", resolved.padded_vocab_size))
    model = LanguageModel(resolved, plugins)
    for name, parameter in model.named_parameters():
        spec = ShardSpec.complete(name, tuple(parameter.shape))
        reader.read(spec, "weight", (0, parameter.numel()), out=parameter.data)
    dtype = torch.bfloat16 if resolved.precision == "bf16" and device == "cuda" else torch.float32
    model = model.to(device=device, dtype=dtype).eval()
    return Trained(reader.path, reader.iteration, model, resolved, tokenizer_of(reader, resolved))


def tokenizer_of(reader: Reader, resolved: Resolved) -> Tokenizer | None:
    """The tokenizer that was saved along, or the one that needs no file."""
    settings = resolved[TokenizerSettings]
    if TOKENIZER in reader.manifest.files:
        reader.file(TOKENIZER)  # for its verification
        return restore_tokenizer(reader.path / TOKENIZER)
    return load_tokenizer(settings.tokenizer_type) if settings.tokenizer_type == "CharLevelTokenizer" else None

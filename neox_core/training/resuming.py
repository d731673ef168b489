"""Which checkpoint a run goes on from, whether it fits, and whether the run may save where it is told to; costs no torch."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from neox_core.checkpoint.foreign import open_foreign
from neox_core.checkpoint.layout import STATE, checkpoints
from neox_core.checkpoint.manifest import Manifest
from neox_core.checkpoint.search import require_none_later
from neox_core.config import CheckpointSettings, ModelSettings, Resolved, TokenizerSettings, read_text
from neox_core.config.architecture import meaning
from neox_core.config.plain import shown
from neox_core.config.presets import CHECKPOINT_SETTINGS
from neox_core.data.tokenizers import TOKENIZER, parse_source, read_source
from neox_core.errors import UserError, shortened
from neox_core.plugins import PluginManager
from neox_core.training.away import Away
from neox_core.training.bias_copies import check_same_copies
from neox_core.training.clip_norm import tell_other_norm
from neox_core.training.load_choice import NOTHING, LoadChoice, Tell, check_files, choose
from neox_core.training.schedule_resuming import check_same_schedule

EMBEDDING = "embedding.weight"
"""Its canonical name."""

ORDERING = (
    "seed",
    "seq_length",
    "split",
    "data_path",
    "dataset_impl",
    "train_data_paths",
    "train_data_weights",
)
"""Keys that decide which samples there are and in what order."""


def checkpoint_to_resume(resolved: Resolved, notice: Tell, away: Away | None = None) -> LoadChoice:
    """The checkpoint that `load` and `iteration` mean, and what there is besides; nothing to begin anew, or with `finetune`.

    Args:
        resolved: the run.
        notice: is told what a user should know but need not mend.
        away: what is to be copied from a URL, where that is meant.

    Raises:
        UserError: it is asked for and not there, or damaged, or of another model, or has another schedule.
    """
    settings = resolved[CheckpointSettings]
    if settings.load is None:
        for key in ("iteration", "finetune", "load_required"):
            if getattr(settings, key):
                raise UserError(f"{key}: is about a checkpoint, but `load` does not say in which directory")
        return NOTHING
    if settings.finetune:
        return NOTHING
    if away is not None:
        with away.spoken():
            check_resumable(away.path, resolved, away.told(notice))
        return LoadChoice(away.path)
    choice = choose(settings, notice)
    if choice.path is None:
        return choice
    check_resumable(choice.path, resolved, notice)
    return choice._replace(older=tuple(_resumable(choice.older, resolved)))


def check_resumable(path: Path, resolved: Resolved, notice: Tell) -> None:
    """Hold a run against a checkpoint that it may go on from.

    Raises:
        UserError: the checkpoint is damaged, or of another model, or has another schedule.
    """
    check_same_model(path, resolved)
    manifest = Manifest.read(path)
    if resolved[CheckpointSettings].no_load_optim:
        notice(f"no_load_optim: the optimizer begins anew at step {manifest.iteration}, and the schedule with it")
    else:
        taken = saved_state(path, manifest).get("applied", manifest.iteration)
        saved = saved_settings(path, manifest)
        check_same_schedule(path, saved, taken, resolved, notice)
        check_same_copies(path, saved, resolved, notice)
        tell_other_norm(path, saved, resolved, notice)
    tell_differences(path, resolved, notice)


def _resumable(paths: Iterable[Path], resolved: Resolved) -> Iterator[Path]:
    """Those that the run could go on from."""
    for path in paths:
        with suppress(UserError):
            check_files(path)
            check_resumable(path, resolved, lambda text: None)
            yield path


def checkpoint_to_finetune(resolved: Resolved, notice: Tell, away: Away | None = None) -> Path | None:
    """The checkpoint of which `finetune` takes the weights; None where that is not asked for.

    Args:
        resolved: the run.
        notice: is told what a user should know but need not mend.
        away: what is to be copied from a URL, where that is meant.

    Raises:
        UserError: there is none, or it is damaged, or of another model.
    """
    settings = resolved[CheckpointSettings]
    if not settings.finetune or settings.load is None:
        return None
    if settings.save is not None and checkpoints(Path(settings.save)):
        raise UserError(
            f"finetune: begins at step 0, and {settings.save} holds checkpoints already. To go on with them remove finetune and "
            f"set load to {settings.save}; to begin again choose another save. One file for both: initial_ckpt_path: "
            f"{settings.load} in place of finetune, with load: {settings.save}"
        )
    if away is not None:
        with away.spoken():
            check_same_model(away.path, resolved)
        notice(f"finetune: the first weights are those of {away.url}; training begins at step 0")
        return away.path
    path = choose(settings, notice).path
    if path is not None:
        check_same_model(path, resolved)
        notice(f"finetune: the first weights are those of {path}; training begins at step 0")
    return path


def check_saving(resolved: Resolved, checkpoint: Path | None, damaged: Collection[Path] = ()) -> None:
    """Whether the run may save where it is told to.

    Args:
        resolved: the run.
        checkpoint: what it goes on from.
        damaged: later checkpoints, which it will set aside.

    Raises:
        UserError: nothing can be written there, or there are later checkpoints than the one that the run begins with: those of
            another run, or of another branch of it.
    """
    settings = resolved[CheckpointSettings]
    if settings.save is None:
        return
    directory = Path(settings.save).absolute()
    existing = next(path for path in (directory, *directory.parents) if path.exists())
    if not existing.is_dir():
        raise UserError(f"{settings.save}: {existing} is not a directory; choose another directory")
    try:
        with TemporaryFile(dir=existing):  # has no name where the file system can do that, and is gone at once anywhere
            pass
    except OSError as error:
        raise UserError(
            f"{settings.save}: {existing} cannot be written to ({error.strerror}); choose another directory"
        ) from error
    iteration = 0 if checkpoint is None else Manifest.read(checkpoint).iteration
    require_none_later(Path(settings.save), iteration, damaged)
    if checkpoint is None and 0 in checkpoints(directory):
        raise UserError(
            f"{settings.save} holds global_step0, with which another run began, and this one begins anew: a restart would take that "
            "up. Save to another directory, or move it away"
        )


def check_same_model(path: Path, resolved: Resolved) -> None:
    """Compare what makes a model (its settings, vocabulary and tokenizer) with what a checkpoint was saved with.

    Raises:
        UserError: the checkpoint is damaged, or is of another model; all differences are named.
    """
    manifest = Manifest.read(path)
    check_files(path)
    differences = list(model_differences(saved_settings(path, manifest), resolved))
    rows = with_saved_rows(resolved, path).padded_vocab_size
    saved_rows = saved_state(path, manifest).get("padded_vocab_size", rows)
    if rows is not None and saved_rows != rows:  # where nothing says how many, that is told instead
        differences.append(f"{saved_rows} rows of the embedding (now {rows})")
    differences += tokenizer_difference(path, manifest, resolved)
    if differences:
        raise UserError(
            f"{path} was saved with {', '.join(differences)}: use the same settings, or load from another directory"
        )


def with_saved_rows(resolved: Resolved, path: Path | None, plugins: PluginManager | None = None) -> Resolved:
    """Settings with as many rows of the embedding as a checkpoint has, where its run padded the same vocabulary in the same way.

    The number of tensor-parallel ranks makes a difference to how many there are when a model is made, and none afterwards. A
    checkpoint of another family, which `plugins` read, need only have a row for each token.
    """
    if path is None:
        return resolved
    foreign = None if plugins is None else open_foreign(path, plugins)
    if foreign is not None:
        return _with_foreign_rows(resolved, foreign.resolved.padded_vocab_size)
    manifest = Manifest.read(path)
    state, key = saved_state(path, manifest), "make_vocab_size_divisible_by"
    before = saved_settings(path, manifest).get(key, ModelSettings.model_fields[key].default)
    alike = (state.get("vocabulary"), before) == (
        resolved.vocabulary,
        resolved[ModelSettings].make_vocab_size_divisible_by,
    )
    rows: int | None = state.get("padded_vocab_size")
    return replace(resolved, padded_vocab_size=rows) if alike and rows is not None else resolved


def _with_foreign_rows(resolved: Resolved, rows: int | None) -> Resolved:
    """Settings with so many rows, where those of the embedding are wanted and there is one for each token."""
    skipped = tuple(resolved[CheckpointSettings].initial_ckpt_skip_keys_with_these_prefixes)
    enough = rows is not None and rows >= (resolved.vocabulary or 0)
    return resolved if not enough or EMBEDDING.startswith(skipped) else replace(resolved, padded_vocab_size=rows)


def tokenizer_difference(path: Path, manifest: Manifest, resolved: Resolved) -> Iterator[str]:
    """That a checkpoint was saved with another tokenizer, if it was."""
    described = resolved[TokenizerSettings]
    if TOKENIZER not in manifest.files or described.vocab_file is None:
        return
    try:
        given = read_source(described.tokenizer_type, described.vocab_file, described.merge_file)
    except UserError:
        return  # it is told where the tokenizer is opened
    saved = parse_source(manifest.content(path, TOKENIZER), path / TOKENIZER)
    if given.fingerprint != saved.fingerprint:
        yield f"another tokenizer than {described.vocab_file} (its own is {path / TOKENIZER})"


def saved_settings(path: Path, manifest: Manifest) -> dict[str, Any]:
    """The keys that were given when a checkpoint was saved."""
    text = manifest.content(path, CHECKPOINT_SETTINGS).decode()
    return {entry.key: entry.value for entry in read_text(text, str(path / CHECKPOINT_SETTINGS))}


def saved_state(path: Path, manifest: Manifest) -> dict[str, Any]:
    """What a checkpoint keeps as plain data beside tensors and settings."""
    state: dict[str, Any] = json.loads(manifest.content(path, STATE))
    return state


COMPARED_APART = {*TokenizerSettings.model_fields, "vocab_size", "make_vocab_size_divisible_by"}
"""Keys for the tokenizer, of which the content is compared, and for the number of rows of the embedding."""


def model_differences(saved: Mapping[str, Any], resolved: Resolved) -> Iterator[str]:
    """Keys that belong to the model and differ in what they mean; where the tokenizer's files lie is compared apart."""
    values = resolved.all_values()
    fields = {key: field for group in resolved.groups for key, field in group.model_fields.items()}
    before = {key: field.default for key, field in fields.items()} | dict(saved)
    for key, field in fields.items():
        if key in COMPARED_APART or not belongs_to_model(field.json_schema_extra) or before[key] == values[key]:
            continue
        if meaning(key, before) != meaning(key, values):
            yield f"{key} {shortened(shown(before[key]), 80)} (now {shortened(shown(values[key]), 80)})"


def belongs_to_model(extra: Any) -> bool:
    """Whether a key's declaration says that a checkpoint decides its value."""
    return isinstance(extra, dict) and extra.get("from_checkpoint") in ("match", "take")


def tell_differences(path: Path, resolved: Resolved, notice: Tell) -> None:
    """Say which changes since a checkpoint give the run other data than it would have gone on with.

    The order of a server's samples is the server's, and the checkpoint has the place: none of these keys moves it.
    """
    saved, values = saved_settings(path, Manifest.read(path)), resolved.all_values()
    if saved.get("dataset_impl") == values["dataset_impl"] == "online":
        return
    defaults = {key: field.default for group in resolved.groups for key, field in group.model_fields.items()}
    changed = [key for key in ORDERING if saved.get(key, defaults[key]) != values[key]]
    if changed:
        notice(f"{', '.join(changed)} changed since {path}: the data does not go on where it was, but in another order")
    elif saved.get("train_iters") != values["train_iters"]:
        notice(f"train_iters changed since {path}: data that the run uses more than once goes on in another order")

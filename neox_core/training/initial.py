"""Which checkpoint a run that begins has its first weights from, and what to know about it; costs no torch."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from neox_core.checkpoint.foreign import open_foreign
from neox_core.checkpoint.layout import Condition, condition
from neox_core.checkpoint.manifest import DamagedCheckpoint, Manifest
from neox_core.checkpoint.remote.urls import pull_first, url_of
from neox_core.checkpoint.search import find, require_complete
from neox_core.config import CheckpointSettings, Resolved
from neox_core.config.saved import is_nemo
from neox_core.errors import UserError
from neox_core.plugins import PluginManager
from neox_core.training.away import Away
from neox_core.training.load_choice import Tell
from neox_core.training.resuming import (
    checkpoint_to_finetune,
    model_differences,
    saved_settings,
    tokenizer_difference,
)


def initial_checkpoint(
    resolved: Resolved,
    resumed: Path | None,
    plugins: PluginManager,
    notice: Tell,
    *,
    loaded: Away | None = None,
    away: Away | None = None,
) -> Path | None:
    """The checkpoint that `initial_ckpt_path`, or `load` with `finetune`, means, or None where the run has its weights from elsewhere.

    Args:
        resolved: the settings.
        resumed: the checkpoint from which the run goes on; then it needs no other.
        plugins: whose converters know checkpoints of other families.
        notice: is told what a user should know but need not mend.
        loaded: what `load` means, where that is a URL.
        away: what `initial_ckpt_path` means, where that is one.

    Raises:
        UserError: there is none, or it is damaged.
    """
    settings = resolved[CheckpointSettings]
    finetuned = checkpoint_to_finetune(resolved, notice, loaded)
    if finetuned is not None:
        if settings.initial_ckpt_path is not None:
            notice(
                f"initial_ckpt_path: {settings.initial_ckpt_path} is not read: finetune takes the weights of {finetuned}"
            )
        return finetuned
    if settings.initial_ckpt_path is None:
        if settings.initial_ckpt_skip_keys_with_these_prefixes:
            notice("initial_ckpt_skip_keys_with_these_prefixes: has no effect without initial_ckpt_path")
        return None
    where = Path(settings.initial_ckpt_path)
    if resumed is not None:
        notice(f"initial_ckpt_path: {settings.initial_ckpt_path} is not read: the run goes on from {resumed}")
        return None
    if away is not None:
        notice(f"initial_ckpt_path: the first weights are those of {away.url}")
        with away.spoken():
            tell_other_model(away.path, resolved, away.told(notice))
        return away.path
    foreign = open_foreign(where, plugins)
    if foreign is not None:
        path = foreign.checkpoint.path
        foreign.checkpoint.verify()
        notice(f"initial_ckpt_path: the first weights are those of {path}, a checkpoint of {foreign.family}")
        _tell(path, model_differences(foreign.resolved.values, resolved), notice)
        return path
    path = complete_checkpoint(where)
    notice(f"initial_ckpt_path: the first weights are those of {path}")
    tell_other_model(path, resolved, notice)
    return path


def complete_checkpoint(where: Path, iteration: int | None = None) -> Path:
    """`where` itself when it is a checkpoint, else the one of `iteration`, or the newest, in it.

    Raises:
        UserError: there is none, or it is not complete, or `where` is that of another step.
    """
    if condition(where) in (Condition.COMPLETE, Condition.RENAMED, Condition.GPT_NEOX):
        require_complete(where)
        if iteration is not None and (step := Manifest.read(where).iteration) != iteration:
            raise UserError(
                f"iteration {iteration}: {where} is the checkpoint of step {step}; leave the step out, or name another checkpoint"
            )
        return where
    found = find(where, iteration) if where.is_dir() else None
    if found is None and (url := url_of(where)) is not None:
        raise pull_first(url)
    if found is None:
        what = "is a checkpoint of NeMo 2, which is not read" if is_nemo(where) else "there is no checkpoint"
        raise UserError(f"{where}: {what}; give a directory global_step..., or one that holds some")
    return found


def tell_other_model(path: Path, resolved: Resolved, notice: Tell) -> None:
    """Say in what the model that a checkpoint is of differs from this one; the same weights may mean something else in it.

    Raises:
        DamagedCheckpoint: a file is absent or cut off.
    """
    manifest = Manifest.read(path)
    for name, difference in manifest.missing(path).items():
        raise DamagedCheckpoint(path, name, difference)
    model = model_differences(saved_settings(path, manifest), resolved)
    _tell(path, [*model, *tokenizer_difference(path, manifest, resolved)], notice)


def _tell(path: Path, differences: Iterable[str], notice: Tell) -> None:
    said = ", ".join(differences)
    if said:
        notice(f"initial_ckpt_path: {path} was saved with {said}")

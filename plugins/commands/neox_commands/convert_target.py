"""What `neox convert` makes: a checkpoint of neox, or of a family that has such models."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm  # type: ignore[import-untyped]

from neox_commands.convert_source import NEOX, Source, Watched, all_tensors, size_of
from neox_core.checkpoint import (
    Exported,
    ExportOptions,
    Family,
    LazyTensors,
    Typed,
    WholeTensors,
    families,
    write_checkpoint,
)
from neox_core.checkpoint.layout import PLUGINS, checkpoint_path
from neox_core.checkpoint.resolution import resolved_with
from neox_core.config import dump_yaml
from neox_core.config.presets import CHECKPOINT_SETTINGS
from neox_core.config.topology import on_one_rank
from neox_core.data.tokenizers import TOKENIZER, TokenizerFile, make_tokenizer
from neox_core.errors import SettingsError, UserError, did_you_mean
from neox_core.files import whole_directory
from neox_core.training.progress import Progress

HUGGING_FACE = "hf-"
"""What names of converters begin with whose families a checkpoint of neox becomes unless another is named."""

Writer = Callable[[Exported, Path], None]


@dataclass(frozen=True)
class Target:
    """Where a checkpoint is converted to.

    Args:
        family: `NEOX`, or the name of a converter.
        writes: the family, where it is another.
        options: how it is written.
        notes: what a user should know.
    """

    family: str
    writes: Family | None
    options: ExportOptions
    notes: tuple[str, ...] = ()

    def write(self, source: Source, path: Path) -> dict[str, Any]:
        """Write it, and say how large it is.

        Raises:
            UserError: there is something at `path`, the file system refuses, or the source is damaged; nothing is there then.
        """
        with watched(source.exported) as exported:
            if self.writes is None:
                write_ours(exported, path, self.options.dtype)
            else:
                self.writes.write(exported, path, self.options)
        size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
        return {"tensors": len(exported.weights), "bytes": size, "dtype": _dtypes(self.written_weights(source, path))}

    def written_weights(self, source: Source, path: Path) -> LazyTensors:
        """The weights of the result, by canonical name, read back from the disk.

        Raises:
            UserError: it cannot be read.
        """
        if self.writes is None:
            from neox_core.checkpoint import Reader, RoleTensors
            from neox_core.training.initial import complete_checkpoint

            return RoleTensors(Reader(complete_checkpoint(path)), "weight")
        resolved = source.exported.resolved
        return self.writes.open(path, dict(resolved.values)).weights(resolved)


def choose_target(name: str | None, source: Source, options: ExportOptions) -> Target:
    """What a user wants, which is found able to hold the source.

    Args:
        name: of a family; None: neox, or for a checkpoint of neox the family of Hugging Face that has such models.
        source: what is converted.
        options: how it is written.

    Raises:
        UserError: there is no such family, or it has no such models; all reasons.
    """
    target = _chosen(name, source, options)
    return replace(target, notes=(*target.notes, *_tokens_without_rows(source)))


def _chosen(name: str | None, source: Source, options: ExportOptions) -> Target:
    if name is None and (options.tensor != 1 or options.pipe != 1):
        raise UserError(
            "--tp and --pp: only some families have files that are cut for ranks: name one, --to gpt-neox, or leave them out"
        )
    if name is None:
        name = NEOX if source.family != NEOX else None
    if name == NEOX:
        if options.tensor != 1 or options.pipe != 1:
            raise UserError("--tp and --pp: a checkpoint of neox loads at any number of ranks: leave them out")
        return Target(NEOX, None, options, tuple(_without_tokenizer(source)))
    known = dict(families(source.exported.plugins))
    if name is None:
        return _fitting({n: family for n, family in known.items() if n.startswith(HUGGING_FACE)}, source, options)
    if name not in known:
        raise UserError(f"--to {name}: there is no such family; {did_you_mean(name, [NEOX, *known])}")
    known[name].check(source.exported.resolved, options)
    return Target(name, known[name], options)


def _fitting(known: dict[str, Family], source: Source, options: ExportOptions) -> Target:
    """The first family that has models like the source's.

    Raises:
        UserError: none has; of each why not, of the one with the fewest reasons first.
    """
    reasons: list[list[str]] = []
    for name, family in known.items():
        try:
            family.check(source.exported.resolved, options)
        except UserError as error:
            sentences = error.problems if isinstance(error, SettingsError) else [error]
            reasons.append([f"{name}: {sentence}" for sentence in sentences])
        else:
            return Target(name, family, options, (f"--to: {name}, which has such models",))
    listed = (
        "\n".join(sentence for family in sorted(reasons, key=len) for sentence in family)
        or "there is no converter of one"
    )
    raise UserError(
        f"{source.exported.path}: no family of Hugging Face has such models, so that --to has to say what to make of it\n{listed}"
    )


def left_out(source: Source, target: Target, path: Path) -> Iterator[str]:
    """What the source has and the result has not, though it is whole.

    Args:
        source: what was converted.
        target: how.
        path: the result.
    """
    tokenizer = source.exported.tokenizer
    if tokenizer is None or target.writes is None:
        return
    written = target.writes.open(path, {}).tokenizer
    if written is None:
        yield f"the tokenizer, {tokenizer.tokenizer_type}, has no form in {target.family}, and is left out"
        return
    for name, file in tokenizer.beside.items():
        yield from _left_out_beside(file, written.beside.get(name), target)


def _left_out_beside(file: TokenizerFile, written: TokenizerFile | None, target: Target) -> Iterator[str]:
    """What a file beside a tokenizer has and the one that was written has not."""
    if written is not None and written.content == file.content:
        return
    before, after = _object(file), _object(written)
    if before is None:
        yield f"{file.path} is no JSON object, and is left out"
    elif after is None:
        yield f"{file.path} has no form in {target.family}, and is left out"
    elif before.keys() - after.keys():
        yield f"{', '.join(sorted(before.keys() - after.keys()))} of {file.path} has no form in {target.family}, and is left out"


def _object(file: TokenizerFile | None) -> dict[str, Any] | None:
    try:
        found = None if file is None else json.loads(file.content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _without_tokenizer(source: Source) -> Iterator[str]:
    if source.exported.tokenizer is None:
        yield f"{source.exported.path} has no tokenizer that neox reads: vocab_file has to name one where texts are read or written"


def _tokens_without_rows(source: Source) -> Iterator[str]:
    tokenizer, rows = source.exported.tokenizer, source.exported.resolved.padded_vocab_size
    if tokenizer is None or rows is None:
        return
    try:
        tokens = make_tokenizer(tokenizer).vocab_size
    except UserError:  # whoever needs it is told
        return
    if tokens > rows:
        yield (
            f"the tokenizer of {source.exported.path} has {tokens} tokens and the embedding {rows} rows: texts with tokens from "
            f"{rows} on cannot be read"
        )


def write_ours(exported: Exported, path: Path, dtype: str) -> None:
    """Write a directory that holds one checkpoint of neox.

    Args:
        exported: what it holds.
        path: the directory, of which nothing may be there.
        dtype: torch's name of the type of the weights; "auto": each as it is.

    Raises:
        UserError: something is there, the file system refuses, or the source is damaged.
    """
    resolved, progress = exported.resolved, {**Progress().to_dict(), **(exported.progress or {})}
    tensors = {**all_tensors(exported), "weight": _typed(exported.weights, dtype)}
    iteration = int(progress["iteration"])
    state = {**progress, **resolved_with(resolved, resolved.topology.data)}  # as its settings are, which are not cut
    files: dict[str, str | bytes] = {
        CHECKPOINT_SETTINGS: dump_yaml(_settings(exported, checkpoint_path(path, iteration))),
        PLUGINS: json.dumps(exported.plugins.manifest(), indent=1),
    }
    if exported.tokenizer is not None:
        files |= exported.tokenizer.stored()
    with whole_directory(path) as place:
        write_checkpoint(place, WholeTensors(exported.path, tensors), iteration=iteration, state=state, files=files)


def _settings(exported: Exported, checkpoint: Path) -> dict[str, Any]:
    """The given keys, but those that cut a run over ranks.

    A tokenizer that is one file is the checkpoint's own, since the source need not stay where it is.
    """
    values = on_one_rank(exported.resolved.values)
    if (
        exported.tokenizer is not None
        and exported.tokenizer.tokenizer_type == values.get("tokenizer_type") == "HFTokenizer"
    ):
        values["vocab_file"] = str(checkpoint / TOKENIZER)
    return values


def _typed(weights: LazyTensors, dtype: str) -> LazyTensors:
    return weights if dtype == "auto" else Typed(weights, dict.fromkeys(weights, getattr(torch, dtype)))


def _dtypes(weights: LazyTensors) -> str:
    """Names of the types, the commonest first."""
    sizes: dict[str, int] = {}
    for name in weights:
        meta = weights.meta(name)
        dtype = str(meta.dtype).removeprefix("torch.")
        sizes[dtype] = sizes.get(dtype, 0) + meta.numel()
    return " and ".join(sorted(sizes, key=lambda dtype: -sizes[dtype]))


@contextmanager
def watched(exported: Exported) -> Iterator[Exported]:
    """The same with a line on the terminal that tells how much of it was read."""
    tensors = all_tensors(exported)
    total = sum(map(size_of, tensors.values()))
    with tqdm(total=total, unit="B", unit_scale=True, desc="converting", disable=None, leave=False) as bar:
        seen = {role: Watched(held, bar) for role, held in tensors.items()}
        yield replace(exported, weights=seen.pop("weight"), states=seen)

"""Which files a checkpoint of GPT-NeoX consists of, by their names alone.

mp_rank_{MM}_model_states.pt                          `pipe_parallel_size: 0`: all weights of a tensor-parallel rank. Else without
                                                      weights, and MM is the stage x tensor-parallel ranks + the rank
layer_{NN}-model_{MM}-model_states.pt                 `pipe_parallel_size` of 1 and more: weights of layer NN of rank MM
[bf16_]zero_pp_rank_{DD}_mp_rank_{MM}_optim_states.pt with ZeRO: data-parallel rank DD's partition of the optimizer's state; until
                                                      DeepSpeed 0.3.13 without the line before `optim`
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from neox_core.config.presets import LATEST, MANIFEST
from neox_core.errors import UserError

_STATES = re.compile(r"mp_rank_(\d+)_model_states\.pt")
_LAYER = re.compile(r"layer_(\d+)(?:-model_(\d+))?-model_states\.pt")
_PARTITION = re.compile(r"(?:bf16_)?zero_pp_rank_(\d+)_mp_rank_(\d+)_?optim_states\.pt")
_CUT_WEIGHTS = re.compile(r"(?:bf16_)?zero_pp_rank_\d+_mp_rank_\d+_model_states\.pt")
_EXPERT = re.compile(r"(?:layer_\d+_)?expp?(?:ert)?_?(?:rank_)?\d+.*_(?:model|optim)_states\.pt")
_CHECKPOINT = re.compile(r"global_step(\d+)")


@dataclass(frozen=True, slots=True)
class Layout:
    """The files of one checkpoint.

    Args:
        path: its directory.
        states: `mp_rank_*` by number.
        layers: `layer_*` by layer, then tensor-parallel rank; none with `pipe_parallel_size: 0`.
        partitions: `zero_pp_rank_*` by the number of the `mp_rank_*` that they belong to, then data-parallel rank.
    """

    path: Path
    states: Mapping[int, Path]
    layers: Mapping[int, Mapping[int, Path]]
    partitions: Mapping[int, Mapping[int, Path]]

    @classmethod
    def of(cls, path: Path) -> Layout:
        """The files of a directory.

        Raises:
            UserError: one is missing, or it is a checkpoint that cannot be read.
        """
        names = sorted(entry.name for entry in path.iterdir())
        _refuse(path, names)
        states = {int(found[1]): path / found[0] for found in _matches(_STATES, names)}
        layers: dict[int, dict[int, Path]] = {}
        for found in _matches(_LAYER, names):
            layers.setdefault(int(found[1]), {})[int(found[2] or 0)] = path / found[0]
        partitions: dict[int, dict[int, Path]] = {}
        for found in _matches(_PARTITION, names):
            partitions.setdefault(int(found[2]), {})[int(found[1])] = path / found[0]
        layout = cls(path, states, layers, partitions)
        layout.check()
        return layout

    @property
    def in_layers(self) -> bool:
        """Whether each layer has files of its own."""
        return bool(self.layers)

    @property
    def tensor_ranks(self) -> int:
        """Tensor-parallel ranks whose weights there are."""
        return 1 + max(max(files) for files in self.layers.values()) if self.layers else len(self.states)

    def files(self, *, partitions: bool) -> Iterator[Path]:
        """All, with those of an optimizer or without."""
        yield from self.states.values()
        for numbered in (*self.layers.values(), *(self.partitions.values() if partitions else ())):
            yield from numbered.values()

    def check(self) -> None:
        """Raise a UserError that names a file which has to be there and is not."""
        ranks = self.tensor_ranks if self.layers else 1 + max(self.states)
        for layer, files in self.layers.items():
            self._complete(files, ranks, f"layer_{layer:02d}-model_{{:02d}}-model_states.pt".format)
        if self.states:
            self._complete(self.states, 1 + max(self.states), "mp_rank_{:02d}_model_states.pt".format)
        if self.layers and 0 not in self.layers:
            raise self._missing("layer_00-model_00-model_states.pt")
        if not self.partitions:
            return
        if not self.states:
            raise self._missing("mp_rank_00_model_states.pt")
        name = next(iter(next(iter(self.partitions.values())).values())).name
        prefix = "bf16_" if name.startswith("bf16_") else ""
        count = 1 + max(max(files) for files in self.partitions.values())
        for number in self.states:
            name = f"{prefix}zero_pp_rank_{{}}_mp_rank_{number:02d}_optim_states.pt"
            self._complete(self.partitions.get(number, {}), count, name.format)

    def _complete(self, files: Mapping[int, Path], count: int, named: Callable[[int], str]) -> None:
        for number in range(count):
            if number not in files:
                raise self._missing(named(number))

    def _missing(self, name: str) -> UserError:
        return UserError(
            f"{self.path / name} is missing, though other files of its kind are there: the copy is not complete. Fetch it from where "
            "the others came from"
        )


def is_checkpoint(path: Path) -> bool:
    """Whether a directory has files that are named as GPT-NeoX names them, and is not one of ours."""
    if not path.is_dir() or (path / MANIFEST).exists():
        return False
    return any(pattern.fullmatch(entry.name) for entry in path.iterdir() for pattern in (_STATES, _LAYER, _CUT_WEIGHTS))


def checkpoints(directory: Path) -> dict[int, Path]:
    """Those that a directory holds, by rising iteration."""
    if not directory.is_dir():
        return {}
    found = {int(match[1]): path for path in directory.iterdir() if (match := _CHECKPOINT.fullmatch(path.name))}
    return {number: found[number] for number in sorted(found) if is_checkpoint(found[number])}


def find_checkpoint(where: Path) -> Path:
    """`where` itself, or of those in it the one that `latest` names, else the newest.

    Raises:
        UserError: there is none, or not the one that `latest` names.
    """
    if is_checkpoint(where):
        return where
    latest = where / LATEST
    if latest.is_file():
        named = where / latest.read_text(errors="replace").strip()
        if is_checkpoint(named):
            return named
        others = ", ".join(path.name for path in checkpoints(where).values()) or "none"
        raise UserError(
            f"{latest} names '{named.name}', which is no checkpoint of GPT-NeoX; those that are there: {others}. Name one of them "
            "itself"
        )
    found = checkpoints(where)
    if not found:
        raise UserError(
            f"{where}: there is no checkpoint of GPT-NeoX (mp_rank_*_model_states.pt or layer_*-model_*-model_states.pt); give a "
            "directory global_step..., or one that holds some"
        )
    return found[max(found)]


def named_iteration(path: Path) -> int | None:
    """The iteration that a checkpoint's directory is named after."""
    match = _CHECKPOINT.fullmatch(path.name)
    return int(match[1]) if match else None


def _matches(pattern: re.Pattern[str], names: Iterable[str]) -> Iterator[re.Match[str]]:
    return (match for name in names if (match := pattern.fullmatch(name)))


def _refuse(path: Path, names: Iterable[str]) -> None:
    """Raise a UserError of what cannot be read."""
    for name in names:
        if _CUT_WEIGHTS.fullmatch(name):
            raise UserError(
                f"{path / name} is a part of weights that ZeRO 3 has cut, which is not read; let zero_to_fp32.py, which lies beside "
                "the checkpoint, put them together, or save again with ZeRO 1 or 2"
            )
        if _EXPERT.fullmatch(name):
            raise UserError(
                f"{path / name} holds experts of DeepSpeed's mixtures, which GPT-NeoX gave up and neox does not read"
            )

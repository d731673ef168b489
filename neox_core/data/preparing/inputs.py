"""The files that a command line names: lists, globs, directories, data sets on disk, addresses, standard input."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neox_core.data.preparing.blocks import Block
from neox_core.data.preparing.readers import known_suffix, reader_of
from neox_core.data.preparing.sources import STANDARD_INPUT, Source, find_source, is_remote
from neox_core.errors import UserError

_DATASET = "state.json"  # lists the files of a Hugging Face data set on disk, in order
_DATASETS = "dataset_dict.json"
MADE = (".prepared.json", ".rejects.jsonl")
"""What the names of files end in that a preparation writes, and that are no texts when they lie in a directory of inputs."""


@dataclass(frozen=True, slots=True)
class Inputs:
    """What is prepared: the files in order, and the blocks that they are cut into."""

    sources: tuple[Source, ...]
    blocks: tuple[Block, ...]


def find_inputs(arguments: Sequence[str]) -> Inputs:
    """The files that `arguments` name, in the order of the arguments; within a glob or a directory by name.

    Raises `UserError` for what is not there, cannot be read, or is of no known kind.
    """
    sources = tuple(find_source(path) for path in _paths(arguments))
    blocks = [block for number, source in enumerate(sources) for block in reader_of(source.path).cut(source, number)]
    return Inputs(sources, tuple(blocks))


def _paths(arguments: Iterable[str]) -> Iterator[str]:
    for argument in arguments:
        for name in [argument] if Path(argument).exists() else argument.split(","):
            found = list(_matches(name)) if name else []
            if not found:
                raise UserError(f"nothing matches '{name}' in {argument}; check the path.")
            for path in found:
                yield from _files(path)


def _matches(name: str) -> Iterable[str]:
    """The paths that a name or a glob stands for."""
    is_pattern = glob.has_magic(name) and not is_remote(name) and not Path(name).exists()
    return sorted(glob.glob(name, recursive=True)) if is_pattern else [name]  # noqa: PTH207  absolute patterns too


def _files(path: str) -> Iterator[str]:
    directory = Path(path)
    if path == STANDARD_INPUT or is_remote(path) or not directory.is_dir():
        yield path
    elif (directory / _DATASETS).is_file():
        raise UserError(f"{path} holds several data sets; name those that are meant, such as {path}/train.")
    elif (directory / _DATASET).is_file():
        yield from _dataset_files(directory)
    else:
        yield from _directory_files(directory)


def _directory_files(directory: Path) -> Iterator[str]:
    found = [
        str(path)
        for path in sorted(directory.rglob("*"))
        if (path.is_file() or path.is_symlink()) and known_suffix(path.name) and not path.name.startswith(".")
        if not path.name.endswith(MADE)
    ]
    if not found:
        raise UserError(f"directory {directory} holds no file of a known kind; name the files.")
    yield from found


def _dataset_files(directory: Path) -> Iterator[str]:
    state: dict[str, Any] = {}
    try:
        state = json.loads((directory / _DATASET).read_bytes())
        names = [str(file["filename"]) for file in state["_data_files"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{directory / _DATASET} is not the state of a data set ({error}).") from error
    if state.get("_indices_data_files"):
        raise UserError(
            f"{directory} keeps a selection of rows beside its data; save it with `dataset.flatten_indices()` first."
        )
    yield from (str(directory / name) for name in names)

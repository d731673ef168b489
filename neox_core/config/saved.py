"""Settings that were saved: those of a checkpoint or of a run, any YAML or JSON file, or a part of one. Only plain data is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from neox_core.config.entries import entries_of
from neox_core.config.entry import Entry, merge
from neox_core.config.foreign import foreign_settings
from neox_core.config.presets import ELSEWHERE, MANIFEST, RUN_SETTINGS, exists, newest, recorded_settings
from neox_core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from neox_core.plugins import PluginManager


class Saved(NamedTuple):
    """Settings as they were saved, not held against any keys yet.

    Args:
        path: the file that they are in.
        source: what messages call it.
        entries: by key, each with its line.
        whole: whether they are all that was given, so that what is not there had its default.
    """

    path: Path
    source: str
    entries: Mapping[str, Entry]
    whole: bool


def read_saved(path: str | Path, name: str | None = None, plugins: PluginManager | None = None) -> Saved:
    """The settings that a path stands for.

    Args:
        path: a checkpoint, of another family too, a directory of checkpoints, the directory of a run, or a YAML or JSON file.
        name: dotted path of the part that holds them (`model.config`), where the file is nested.
        plugins: whose converters read checkpoints of other families.

    Raises:
        UserError: there are none, or they are in a form of another program; the file is not YAML, or has no such part.
    """
    from neox_core.config.loading import read_file  # which costs PyYAML

    foreign = None if plugins is None or name is not None else foreign_settings(Path(path), plugins)
    if foreign is not None:
        source = f"{foreign.family} checkpoint {foreign.path}"
        return Saved(foreign.path, source, entries_of(foreign.values, source), whole=True)
    file = settings_file(Path(path))
    in_checkpoint, in_run = (file.parent / MANIFEST).is_file(), file.name == RUN_SETTINGS
    source = f"{'checkpoint ' if in_checkpoint else 'run ' if in_run else ''}{_shown(file)}"
    entries = merge([[_with_source(entry, source) for entry in read_file(file)]])
    if name is not None:
        for part in name.split("."):
            entries = _within(entries, part, f"{file}: {name}")
    return Saved(file, source, entries, whole=name is None and (in_checkpoint or in_run))


def _shown(file: Path) -> str:
    """What messages call a file: by a URL, where it was fetched from there."""
    url = file.parent / ELSEWHERE
    return f"{url.read_text(encoding='utf-8')}/{file.name}" if url.is_file() else str(file)


def settings_file(path: Path) -> Path:
    """The file with the settings of a path.

    Raises:
        UserError: there is none, or another program wrote what is there.
    """
    if not exists(path):
        raise UserError(
            f"{path}: there is no such file or directory; give a checkpoint, a run's directory, or a YAML or JSON file"
        )
    if not path.is_dir():
        return path
    if is_nemo(path):
        raise UserError(
            f"{path} is a checkpoint of NeMo 2: its io.json and model.yaml say how to make Python objects, which is never done "
            "to read settings. Write the settings that you want from it into a YAML file, and name that"
        )
    for place in (path, newest(path)):
        if any(place.glob("*.pt")) and not (place / MANIFEST).is_file():
            _refuse_deepspeed(place)
    return recorded_settings(path)


def is_nemo(path: Path) -> bool:
    """Whether a directory is a checkpoint of NeMo 2, or the `context` of one."""
    return any((place / name).is_file() for place in (path, path / "context") for name in ("io.json", "model.yaml"))


def _refuse_deepspeed(path: Path) -> None:
    configs = [str(file) for file in sorted((path / "configs").glob("*.y*ml"))]
    what = f"name a file of those it was trained with: {', '.join(configs)}" if configs else "name its YAML file"
    raise UserError(
        f"{path} is a checkpoint of DeepSpeed, as GPT-NeoX writes them (*.pt files and no {MANIFEST}); its settings are not in a "
        f"file that neox knows: {what}"
    )


def _with_source(entry: Entry, source: str) -> Entry:
    inner = {path: origin._replace(source=source) for path, origin in entry.inner.items()}
    return replace(entry, origin=entry.origin._replace(source=source), inner=inner)


def _within(entries: Mapping[str, Entry], part: str, about: str) -> dict[str, Entry]:
    """The entries of the mapping that is called `part`.

    Raises:
        UserError: there is none.
    """
    found = entries.get(part.replace("-", "_"))
    if found is None:
        raise UserError(f"{about}: there is no '{part}'; {did_you_mean(part, list(entries))}")
    if not isinstance(found.value, dict):
        raise UserError(f"{about}: '{part}' is {found.value!r}, and no mapping; name one that holds settings")
    return merge([[_inner_entry(found, str(key), value) for key, value in found.value.items()]])


def _inner_entry(outer: Entry, key: str, value: Any) -> Entry:
    """A key of a mapping as an entry of its own."""
    inner = {path.removeprefix(f"{key}."): origin for path, origin in outer.inner.items() if path.startswith(f"{key}.")}
    return Entry(key.replace("-", "_"), value, outer.inner.get(key, outer.origin), inner, "-" in key)

"""Finding a configuration by path, by name in a directory, or by the name of a shipped preset."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from neox_core.errors import UserError, did_you_mean

SUFFIXES = (".yml", ".yaml", ".json")

RUN_SETTINGS = "resolved.yml"
"""What a run has its settings in."""

CHECKPOINT_SETTINGS = "settings.yml"
"""What a checkpoint has them in."""

MANIFEST = "manifest.json"
"""What tells a checkpoint of neox from any other directory."""

ELSEWHERE = ".url"
"""In a directory that has a checkpoint's small files alone: the URL at which all of it lies."""

LATEST = "latest"
"""The file that names the newest of the checkpoints beside it."""


def preset_directories() -> list[Path]:
    """Where presets are: inside an installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent.parent
    return [directory for directory in (package / "configs", package.parent / "configs") if directory.is_dir()]


def preset_names() -> list[str]:
    """Names of the presets, with `/` for those in folders, without suffix."""
    return sorted(
        {
            path.relative_to(directory).with_suffix("").as_posix()
            for directory in preset_directories()
            for path in directory.rglob("*")
            if path.suffix in SUFFIXES
        }
    )


def find_config(name: str, directory: Path | None = None) -> Path:
    """The file that a user means: an existing path, else a preset (`125M`, `pythia/70M`); the suffix may be left out of both.

    `1.3B` is the preset `1-3B`: GPT-NeoX's files of sizes have dashes, people write points.
    The directory of a run, of a checkpoint or of checkpoints stands for its settings.

    Args:
        name: what was written.
        directory: where to look for it; None: here, and then among the presets.

    Raises:
        UserError: it is not there.
    """
    places = [Path(), *preset_directories()] if directory is None else [directory]
    spellings = [(place, name) for place in places]
    if directory is None:
        dashed = re.sub(r"(\d)\.(\d)", r"\1-\2", name)
        spellings += [(place, dashed) for place in preset_directories()]
    paths = [place / f"{spelt}{suffix}" for place, spelt in spellings for suffix in ("", *SUFFIXES)]
    if file := next(filter(is_readable, paths), None):
        return file
    if exists(paths[0]):
        return recorded_settings(paths[0])
    if directory is None:
        message, known = f"{name}: there is no such file, and no preset of this name", preset_names()
    elif directory.is_dir():
        message = f"{directory / name}: there is no such file"
        known = [path.stem for path in directory.iterdir() if path.suffix in SUFFIXES]
    else:
        raise UserError(f"{directory}: there is no such directory; give that of the configuration files")
    raise UserError(f"{message}; {did_you_mean(without_suffix(name), known)}" if known else f"{message}, nor any other")


def without_suffix(name: str) -> str:
    """The name of a configuration without the suffix that it may be written with; `6.7B` has none."""
    return next((name.removesuffix(suffix) for suffix in SUFFIXES if name.endswith(suffix)), name)


def is_readable(path: Path) -> bool:
    """Whether there is something to read: a file, or a pipe such as the shell's `<(...)`."""
    return exists(path) and not path.is_dir()


def exists(path: Path) -> bool:
    """Whether there is a file or directory; at a path that is too long for one, such as a long override, is none."""
    try:
        return path.exists()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            return False
        raise


def newest(directory: Path) -> Path:
    """The checkpoint that `latest` in a directory names; the directory itself where it names none."""
    latest = directory / LATEST
    name = latest.read_text(encoding="utf-8", errors="replace").strip() if is_readable(latest) else ""
    return directory / name


def recorded_settings(directory: Path) -> Path:
    """The settings of a run, of a checkpoint, or of the newest of some checkpoints.

    Raises:
        UserError: the directory is none of these.
    """
    names = (RUN_SETTINGS, CHECKPOINT_SETTINGS)
    for place in (directory, newest(directory)):
        for name in names:
            if (place / name).is_file():
                return place / name
    inside = sorted(path.parent.name for name in names for path in directory.glob(f"*/{name}"))
    hint = f", or one of the directories in it, such as {directory / inside[-1]}" if inside else ""
    raise UserError(
        f"{directory}: is a directory, and neither that of a run ({RUN_SETTINGS}) nor that of a checkpoint ({CHECKPOINT_SETTINGS}); "
        f"name a file{hint}"
    )

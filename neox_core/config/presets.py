"""Finding a configuration by path, by name in a directory, or by the name of a shipped preset."""

from __future__ import annotations

from pathlib import Path

from neox_core.errors import UserError, did_you_mean

SUFFIXES = (".yml", ".yaml", ".json")


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

    Args:
        name: what was written.
        directory: where to look for it; None: here, and then among the presets.

    Raises:
        UserError: it is not there.
    """
    for place in [Path(), *preset_directories()] if directory is None else [directory]:
        for suffix in ("", *SUFFIXES):
            path = place / f"{name}{suffix}"
            if path.is_file():
                return path
    if directory is None:
        message, known = f"{name}: there is no such file, and no preset of this name", preset_names()
    elif directory.is_dir():
        message = f"{directory / name}: there is no such file"
        known = [path.stem for path in directory.iterdir() if path.suffix in SUFFIXES]
    else:
        raise UserError(f"{directory}: there is no such directory; give that of the configuration files")
    raise UserError(f"{message}; {did_you_mean(Path(name).stem, known)}")

"""Finding a configuration by path or by the name of a shipped preset."""

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


def find_config(name: str) -> Path:
    """The file that a user means: an existing path, else a preset (`125M`, `pythia/70M`; the suffix may be left out).

    Raises:
        UserError: there is neither.
    """
    given = Path(name)
    if given.is_file():
        return given
    for directory in preset_directories():
        for suffix in ("", *SUFFIXES):
            path = directory / f"{name}{suffix}"
            if path.is_file():
                return path
    raise UserError(
        f"{name}: there is no such file, and no preset of this name; {did_you_mean(given.stem, preset_names())}"
    )

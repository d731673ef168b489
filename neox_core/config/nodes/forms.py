"""Files of nodes by their names: `.yml` and `.yaml`, `.json`, `.toml`, and `run.yml:section` for a part of one."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from neox_core.config.loading import text_of
from neox_core.config.nodes import document
from neox_core.config.nodes.document import Item
from neox_core.config.nodes.paths import get_value
from neox_core.config.nodes.reading import from_json_text, nodes_of
from neox_core.config.nodes.sections import split
from neox_core.config.nodes.writing import to_json, to_toml, to_yaml
from neox_core.errors import UserError


class Form(NamedTuple):
    """How nodes are written in a file."""

    write: Callable[..., str]
    """As `to_yaml`."""
    parse: Callable[[str, str], Item]
    """Text and its name -> what it says."""


_YAML = Form(to_yaml, document.from_yaml)
FORMS: Final[Mapping[str, Form]] = {
    ".yml": _YAML,
    ".yaml": _YAML,
    ".json": Form(to_json, from_json_text),
    ".toml": Form(to_toml, document.from_toml),
}
"""By the end of the file's name."""


def dump(root: Any, path: str | Path, *, replace: bool = False) -> str:
    """Write a tree of nodes to a file, in the form that its name says.

    Args:
        root: a node, or a container of nodes.
        path: the file; with a section, as in `model.yml:trainer.model`, that part of the tree alone is written.
        replace: whether a file that exists is replaced.

    Returns:
        What was written.

    Raises:
        UserError: the name says no form, the file exists, something in the tree cannot be written, or there is no such part.
    """
    file, section = split(path)
    return _form(file).write(get_value(root, section), file, replace=replace)


def load(path: str | Path, allow: Iterable[str] | None = None, *, settings: bool = True, check: bool = True) -> Any:
    """The nodes of a file, or of a section of it: `run.yml:trainer.model`.

    Args:
        path: the file, and the section.
        allow: packages, modules and classes under which targets are found; see `from_yaml`.
        settings: whether a file without `_target_` is the settings of a run; else it is a mapping, as a section always is.
        check: whether the arguments are held against their annotations.

    Raises:
        UserError: the name says no form, the file cannot be read, has no such section, or has mistakes, as in `from_yaml`.
    """
    file, section = split(path)
    item = _form(file).parse(text_of(file), str(file))
    return nodes_of(item, section, allow, settings=settings, check=check)


def _form(path: Path) -> Form:
    form = FORMS.get(path.suffix.lower())
    if form is None:
        raise UserError(f"{path}: its form is not known; the name ends with one of {', '.join(FORMS)}")
    return form

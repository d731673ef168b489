"""Parts of documents: `run.yml:trainer.model`, `run.yml:layers[0]`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from neox_core.config.nodes.document import Item
from neox_core.config.nodes.markers import SEQUENCES
from neox_core.config.nodes.steps import Step, parse, shown
from neox_core.errors import UserError, did_you_mean


def split(path: str | Path) -> tuple[Path, str]:
    """A file and the section of it that is meant; "" for all of it."""
    found = re.fullmatch(r"(.*\.(?:ya?ml|json|toml)):(.+)", str(path))
    return (Path(found[1]), found[2]) if found else (Path(path), "")


def section_of(root: Item, section: str) -> Item:
    """The part of a document at a path.

    Raises:
        UserError: there is none; with the nearest name.
    """
    steps = parse(section)
    for number, step in enumerate(steps):
        root = _below(root, step, shown(steps[: number + 1]))
    return root


def _below(item: Item, step: Step, where: str) -> Item:
    held = _held(item)
    if step.key in held:
        return held[step.key]
    if isinstance(item.value, dict) and not isinstance(step.key, int):
        nearest = did_you_mean(str(step.key), [str(key) for key in held])
        raise UserError(f"{item.origin.source}: there is no section '{where}'; {nearest}")
    raise UserError(
        f"{item.origin.source}: there is no section '{where}': what is at {item.origin} has {len(held)} parts"
    )


def _held(item: Item) -> dict[Any, Item]:
    """What a mapping has, by its keys, or a list, by index."""
    value = item.value
    if isinstance(value, dict) and len(value) == 1 and next(iter(value)) in SEQUENCES:
        value = next(iter(value.values())).item.value
    if isinstance(value, dict):
        return {key: member.item for key, member in value.items()}
    return dict(enumerate(value)) if isinstance(value, list) else {}

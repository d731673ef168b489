"""Base shapes: how large each parameter is in the model that hyper-parameters were found on, which muP holds a wider one against."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from neox_core.config.loading import read_file
from neox_core.config.plain import shown
from neox_core.errors import UserError

Shape = tuple[int | None, ...]
"""Sizes of the dimensions; None stands for one that does not grow with the width."""

EMBEDDING = "embedding.weight"
"""The parameter by which the width of a base model is known; every model has it."""

REMEDY = "make base shapes from these settings with `neox mup shapes FILES --width N --output FILE`"

_HEADER = """\
# The model on which hyper-parameters were found: the shape of each parameter, `layers.*` being every layer.
# With `use_mup: true` and `base_shapes_file` a wider model takes its factors from here.
"""


@dataclass(frozen=True, slots=True)
class BaseShapes:
    """The shapes of a base model.

    Args:
        shapes: by canonical name, with `layers.*` for all layers in which the parameter has the same shape.
        head_size: width of one attention head; None where that is not said, as in files of the package `mup`: the base model is
            then taken to have as many heads as the model that is held against it.
        source: how messages call it.
    """

    shapes: Mapping[str, Shape]
    head_size: int | None = None
    source: str = "base_shapes"

    @classmethod
    def of(cls, content: Mapping[str, Any], source: str = "base_shapes") -> BaseShapes:
        """Base shapes from plain data: `{head_size: 32, shapes: {NAME: [...]}}`, or names and shapes alone.

        Raises:
            UserError: it is of neither form.
        """
        named = content.get("shapes")
        head_size = content.get("head_size")
        shapes = named if isinstance(named, Mapping) else content
        beside = sorted(content.keys() - {"head_size", "shapes"}) if shapes is named else []
        if beside:
            raise UserError(f"{source}: '{beside[0]}' is not known beside head_size and shapes; {REMEDY}")
        if head_size is not None and not _is_size(head_size):
            raise UserError(f"{source}: head_size: {shown(head_size)} is not a whole number > 0; {REMEDY}")
        for name, shape in shapes.items():
            if not isinstance(shape, list) or not all(size is None or _is_size(size) for size in shape):
                raise UserError(
                    f"{source}: {name}: {shown(shape)} is not a shape, such as [256, 64] (null for a dimension that does not "
                    f"grow with the width); {REMEDY}"
                )
        if EMBEDDING not in shapes:
            raise UserError(f"{source}: has no shape of '{EMBEDDING}', which every model has; {REMEDY}")
        return cls(by_kind({name: tuple(shape) for name, shape in shapes.items()}), head_size, source)

    @classmethod
    def read(cls, path: str | Path) -> BaseShapes:
        """Base shapes from a YAML or JSON file.

        Raises:
            UserError: there is no such file, or it holds something else.
        """
        return cls.of({entry.key: entry.value for entry in read_file(Path(path))}, str(path))

    def to_dict(self) -> dict[str, Any]:
        """As plain data, from which `of` makes the same."""
        shapes = {name: list(shape) for name, shape in self.shapes.items()}
        return {"shapes": shapes} if self.head_size is None else {"head_size": self.head_size, "shapes": shapes}

    def to_text(self, path: Path) -> str:
        """What a file of this name holds: JSON where it ends with .json, else YAML."""
        if path.suffix == ".json":
            return json.dumps(self.to_dict(), indent=1) + "\n"
        head = "" if self.head_size is None else f"head_size: {self.head_size}\n"
        rows = (f"  {name}: {shown(list(shape))}\n" for name, shape in self.shapes.items())
        return f"{_HEADER}{head}shapes:\n{''.join(rows)}"

    def shape(self, name: str, own: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a parameter in the base model; `own` is the one that it has in the model at hand.

        Raises:
            UserError: the base model has no such parameter, or one with another number of dimensions.
        """
        found = self.shapes.get(name, self.shapes.get(kind_of(name)))
        if found is None:
            raise UserError(
                f"{self.source}: has no shape of '{name}': the base model is another architecture; {REMEDY}"
            )
        if len(found) != len(own):
            raise UserError(
                f"{self.source}: '{name}' has the shape {shown(list(found))} there and {shown(list(own))} in this model, whose "
                f"dimensions are not as many; {REMEDY}"
            )
        return tuple(here if there is None else there for there, here in zip(found, own, strict=True))


def kind_of(name: str) -> str:
    """The name of a parameter of some layer, without which layer it is."""
    return re.sub(r"^layers\.\d+\.", "layers.*.", name)


def by_kind(shapes: Mapping[str, Shape]) -> dict[str, Shape]:
    """One shape for all layers in which a parameter has the same one; others stay apart."""
    kinds: dict[str, set[Shape]] = {}
    for name, shape in shapes.items():
        kinds.setdefault(kind_of(name), set()).add(shape)
    return {kind_of(name) if len(kinds[kind_of(name)]) == 1 else name: shape for name, shape in shapes.items()}


def _is_size(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0

"""Which arrays are wanted, and whether files have them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from neox_core.data.samples.array_files import ArrayFiles, Arrays


@dataclass(frozen=True, slots=True)
class Recipe:
    """Which arrays are wanted, and how they are made."""

    digest: str
    """Tells what they are made from."""
    build: Callable[[], Arrays]
    adopts: Callable[[Arrays], bool] | None = None
    """Whether arrays without a record will do. None: nobody else makes such arrays, so what has no record is unfinished."""


@dataclass(slots=True)
class ArraySearch:
    """Looks for the arrays: under the plain name, and apart from somebody else's that have it."""

    files: ArrayFiles
    recipe: Recipe
    rejected: set[object] = field(default_factory=set)

    @property
    def apart(self) -> ArrayFiles:
        """The set beside one that was made from something else."""
        return self.files.apart(self.recipe.digest)

    def recorded(self) -> Arrays | None:
        """Arrays whose record says that they are those."""
        for files in (self.files, self.apart):
            record = files.record()
            if record and record.digest == self.recipe.digest and (arrays := files.load(record)):
                return arrays
        return None

    def adopted(self) -> Arrays | None:
        """Arrays without a record that will do. They are checked once, and again when they have changed."""
        signature = self.files.signature()
        if not self.recipe.adopts or self.files.record() or signature is None or signature in self.rejected:
            return None
        arrays = self.files.load()
        if arrays is not None and self.recipe.adopts(arrays):
            return arrays
        self.rejected.add(signature)
        return None

    def place(self) -> ArrayFiles:
        """Where to write: where nobody else's whole set is."""
        record = self.files.record()
        if record is None:
            theirs = self.recipe.adopts is not None and self.files.load() is not None
        else:
            theirs = record.digest != self.recipe.digest
        return self.apart if theirs else self.files

    def remove_leftovers(self) -> None:
        """Remove what killed processes left unfinished."""
        self.files.remove_leftovers()
        self.apart.remove_leftovers()

"""Corpora that are downloads: files of text, in forms that preparing reads."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from neox_core.data.corpora.fetching import Place, fetch, held
from neox_core.data.corpora.items import Item
from neox_core.data.corpora.records import State
from neox_core.errors import UserError


@dataclass(frozen=True, slots=True)
class DownloadedCorpus:
    """A corpus that consists of files."""

    item: Item

    @property
    def name(self) -> str:
        """How it is asked for."""
        return self.item.name

    @property
    def stem(self) -> str:
        """The name of its directory below the data directory, and of its token files, as GPT-NeoX has it."""
        return self.item.directory

    def fetch(self, place: Place) -> list[Path]:
        """Fetch what is missing, and return all its files in their order.

        Raises:
            UserError: as `fetching.fetch`.
        """
        return [file.path for file in fetch(self.item, place)]

    def files(self, data_dir: Path) -> list[Path]:
        """Its files in their order, when they are there; no server is asked.

        Raises:
            UserError: one is missing or damaged.
        """
        files = held(self.item, Place(data_dir=data_dir))
        for file in files:
            if file.state not in (State.WHOLE, State.UNKNOWN):
                raise UserError(
                    f"corpus '{self.name}' is not ready: {file.path} is {file.state}; run "
                    f"`neox data fetch {self.name} -d {data_dir}`"
                )
        return [file.path for file in files]

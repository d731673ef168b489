"""What datasets of token files have in common."""

from __future__ import annotations

from neox_core.data.samples.documents import Documents, Reading
from neox_core.data.samples.sample import Sample
from neox_core.data.samples.windows import Windows


class IndexedDataset:
    """Samples that an index cuts from documents.

    Args:
        windows: which pieces of documents make which sample.
        seq_length: tokens of a sample, without the one that is only a label.
        name: which dataset of a run it is ("train", "valid_0", ...).
        reading: what is read of the documents beside what lies in their files.
    """

    def __init__(self, windows: Windows, seq_length: int, name: str, reading: Reading) -> None:
        self.name = name
        self.index = windows.index
        self._windows = windows
        self._width = seq_length + 1
        self._reading = reading

    @property
    def windows(self) -> int:
        """Samples that can be read."""
        return self._windows.windows

    def __len__(self) -> int:
        return len(self._windows)

    def _read(self, documents: Documents, i: int) -> Sample:
        return documents.read(self._windows.pieces(i), self._width, self._reading)

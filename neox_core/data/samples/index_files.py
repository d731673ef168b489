"""Sample indices in files, under GPT-NeoX's names: what it made is used as it is."""

from __future__ import annotations

from pathlib import Path

from neox_core.data.samples.array_files import ArrayFiles, Arrays
from neox_core.data.samples.array_search import Recipe
from neox_core.data.samples.building import Builder, stored_arrays
from neox_core.data.samples.index_checks import belongs
from neox_core.data.samples.index_request import IndexRequest
from neox_core.data.samples.sample_index import SampleIndex

NAMES = ("doc_idx", "sample_idx", "shuffle_idx")


def stored_index(base: Path | None, request: IndexRequest, builder: Builder) -> SampleIndex:
    """The index for `request`, mapped from files whose names begin with `base` (see `index_base`), made if it is not there.

    Without `base`, the index is built in memory.

    Raises:
        UserError: it cannot be built (see `IndexRequest.check`) or written, or did not appear in time.
    """
    if base is None:
        return request.build()
    request.check()  # by every rank: none waits for what cannot be

    def build() -> Arrays:
        index = request.build()
        return {name: getattr(index, name) for name in NAMES}

    def adopts(arrays: Arrays) -> bool:
        return belongs(SampleIndex(**arrays), request)

    return SampleIndex(**stored_arrays(ArrayFiles(base, NAMES), Recipe(request.digest(), build, adopts), builder))

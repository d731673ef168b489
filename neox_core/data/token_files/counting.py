"""How much there is in token files."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from neox_core.data.token_files.token_file import TokenFile


@dataclass(frozen=True, slots=True)
class Counts:
    """How much there is.

    Args:
        documents: documents, as the document index has them; where it is lost, as many as sequences.
        sequences: sequences, each of which training takes as a document.
        tokens: tokens.
        bytes: bytes of `.bin`.
    """

    documents: int
    sequences: int
    tokens: int
    bytes: int


def count(tokens: TokenFile) -> Counts:
    """The counts of a token file; of the tokens themselves nothing is read."""
    return Counts(
        documents=len(document_ends(tokens)),
        sequences=len(tokens),
        tokens=int(tokens.sizes.sum(dtype=np.int64)),
        bytes=tokens.nbytes,
    )


def document_ends(tokens: TokenFile) -> npt.NDArray[np.int64] | range:
    """The sequences up to the end of each document, [documents]; each sequence is one, where the document index is lost."""
    entries = tokens.document_index
    whole = len(entries) > 0 and entries[0] == 0 and entries[-1] == len(tokens)
    return entries[1:] if whole else range(1, len(tokens) + 1)

"""The names of files that go together, document by document."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class DocumentFiles:
    """Token files by prefix.

    Args:
        text: tokens.
        label: what is to be predicted, token by token.
        reward: of each document, its first entry.
        ref: log-probabilities under a reference model, token by token.
    """

    text: str
    label: str | None = None
    reward: str | None = None
    ref: str | None = None

"""Which special tokens have which role, by the files that lie beside a tokenizer's."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from neox_core.data.tokenizers import Tokenizer, TokenizerSource

CONFIG, GENERATION = "tokenizer_config.json", "generation_config.json"
ROLES = ("bos_token", "eos_token", "pad_token")


class Special(NamedTuple):
    """A special token."""

    text: str
    id: int


def objects(source: TokenizerSource) -> dict[str, dict[str, Any]]:
    """The JSON objects beside a tokenizer, by name; what is none is not among them."""
    found = {name: _object(file.content) for name, file in source.beside.items() if name.endswith(".json")}
    return {name: described for name, described in found.items() if described is not None}


def roles(tokenizer: Tokenizer, described: Mapping[str, Mapping[str, Any]]) -> dict[str, Special] | None:
    """The tokens of those roles that have one; None where nothing is said of any role.

    Args:
        tokenizer: which knows the tokens.
        described: as `objects` gives it.
    """
    said = described.get(CONFIG, {})
    if (
        "added_tokens_decoder" not in said
    ):  # which is younger than the map, and where it is transformers does not read that
        said = {**said, **described.get("special_tokens_map.json", {})}
    if not any(role in said for role in ROLES):
        return None
    texts = {role: _text(said.get(role)) for role in ROLES}
    added = dict(_added(described))
    ids = {text: _id(tokenizer, added, text) for text in texts.values() if text}
    return {role: Special(text, token) for role, text in texts.items() if text and (token := ids[text]) is not None}


def _id(tokenizer: Tokenizer, added: Mapping[str, int], text: str) -> int | None:
    """The id of a token: one of the tokenizer's own, or one that its files add."""
    if text in tokenizer.special_tokens:
        return tokenizer.special_tokens[text]
    ordinary = (token for token in range(tokenizer.vocab_size) if tokenizer.piece(token) == text)
    return next(ordinary, added.get(text))


def _added(described: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, int]]:
    """Tokens that the files beside add to the tokenizer's, which a model of SentencePiece does not say itself."""
    yield from ((text, token) for text, token in described.get("added_tokens.json", {}).items() if type(token) is int)
    decoder = described.get(CONFIG, {}).get("added_tokens_decoder")
    for token, entry in decoder.items() if isinstance(decoder, dict) else ():
        text = _text(entry)
        if text is not None and token.isdecimal():
            yield text, int(token)


def _text(entry: Any) -> str | None:
    """A token as its text, or with flags beside it."""
    text = entry.get("content") if isinstance(entry, dict) else entry
    return text if isinstance(text, str) else None


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None

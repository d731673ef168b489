"""Tokenizers in the files that transformers' `AutoTokenizer` loads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neox_converters.tokenizer_files import DEFINITION, MODEL
from neox_core.data.tokenizers import BackendTokenizer, CharLevelTokenizer, Tokenizer, TokenizerSource, make_tokenizer
from neox_core.data.tokenizers.pieces import byte_of_letter
from neox_core.files import write_file

CONFIG = "tokenizer_config.json"
ENDS, BEGINNINGS = ("</s>", "<|end_of_text|>", "<eos>"), ("<s>", "<|begin_of_text|>", "<bos>")
"""How other vocabularies write the ends and beginnings of texts."""


def write_tokenizer(directory: Path, source: TokenizerSource | None, length: int | None) -> dict[str, Any]:
    """Write a tokenizer's files, where there is a tokenizer that transformers has too.

    Args:
        directory: for the files.
        source: of the tokenizer.
        length: of texts at most, in tokens.

    Returns:
        The special tokens, by their keys in config.json.

    Raises:
        UserError: the tokenizer is damaged, or the file system refuses.
    """
    nothing: dict[str, Any] = {"bos_token_id": None, "eos_token_id": None, "pad_token_id": None}
    if source is None:
        return nothing
    tokenizer = make_tokenizer(source)
    described = _described(tokenizer, length)
    if isinstance(tokenizer, BackendTokenizer):
        content: str | bytes = source.dump() if source.tokenizer_type == "HFTokenizer" else tokenizer.to_json()
        write_file(directory / DEFINITION, content)
        described["tokenizer_class"] = "PreTrainedTokenizerFast"
    elif isinstance(tokenizer, CharLevelTokenizer):
        write_file(directory / DEFINITION, _bytes_tokenizer())
        described["tokenizer_class"] = "PreTrainedTokenizerFast"
    elif source.tokenizer_type == "SPMTokenizer":
        write_file(directory / MODEL, source.files["vocab_file"].content)
        # Neither adds a sentence's beginning and end, as ours does not.
        described |= {
            "tokenizer_class": "LlamaTokenizer",
            "add_bos_token": False,
            "add_eos_token": False,
            "legacy": False,
        }
    else:
        return nothing
    write_file(directory / CONFIG, json.dumps(described, indent=2, sort_keys=True) + "\n")
    return {**nothing, **{f"{name}_id": token for name, token in _special(tokenizer).items()}}


def _special(tokenizer: Tokenizer) -> dict[str, int]:
    """Ids by the names that transformers gives their roles. What ends documents begins them too, as in GPT-NeoX, unless the
    vocabulary has a token for that."""
    known = tokenizer.special_tokens
    end = tokenizer.eod_id if tokenizer.eod_id is not None else _first(known, ENDS)
    begin = _first(known, BEGINNINGS)
    found = {"eos_token": end, "bos_token": end if begin is None else begin, "pad_token": tokenizer.pad_id}
    return {name: token for name, token in found.items() if token is not None}


def _first(known: Mapping[str, int], names: Iterable[str]) -> int | None:
    return next((known[name] for name in names if name in known), None)


def _described(tokenizer: Tokenizer, length: int | None) -> dict[str, Any]:
    """tokenizer_config.json, without the class."""
    special = {name: tokenizer.piece(token) for name, token in _special(tokenizer).items()}
    limit = {} if length is None else {"model_max_length": length}
    return {**special, **limit, "clean_up_tokenization_spaces": False}


def _bytes_tokenizer() -> str:
    """One token a byte, as the text of a tokenizer.json."""
    from tokenizers import Tokenizer as Backend, decoders, models, pre_tokenizers

    backend = Backend(models.BPE(dict(byte_of_letter()), []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return str(backend.to_str(pretty=True))

"""Tokenizers in the files that transformers' `AutoTokenizer` loads."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from neox_converters.hugging_face.tokenizer_roles import CONFIG, ROLES, Special, objects, roles
from neox_converters.tokenizer_files import DEFINITION, MODEL
from neox_core.data.tokenizers import BackendTokenizer, CharLevelTokenizer, Tokenizer, TokenizerSource, make_tokenizer
from neox_core.data.tokenizers.pieces import byte_of_letter
from neox_core.files import write_file

ENDS, BEGINNINGS = ("</s>", "<|end_of_text|>", "<eos>"), ("<s>", "<|begin_of_text|>", "<bos>")
"""How other vocabularies write the ends and beginnings of texts."""


class _Form(NamedTuple):
    """A tokenizer as transformers has it.

    Args:
        name: of its file.
        content: of that.
        described: what tokenizer_config.json says of it, the class at least.
    """

    name: str
    content: str | bytes
    described: Mapping[str, Any]


def write_tokenizer(directory: Path, source: TokenizerSource | None, length: int | None) -> dict[str, Any]:
    """Write a tokenizer's files, where there is a tokenizer that transformers has too; and those that lie beside it, as they are.

    Args:
        directory: for the files.
        source: of the tokenizer.
        length: of texts at most, in tokens.

    Returns:
        The special tokens, by their keys in config.json.

    Raises:
        UserError: the tokenizer is damaged, or the file system refuses.
    """
    ids: dict[str, Any] = {f"{role}_id": None for role in ROLES}
    tokenizer = None if source is None else make_tokenizer(source)
    form = None if tokenizer is None else _form(tokenizer)
    if source is None or tokenizer is None or form is None:
        return ids
    said = objects(source)
    named = roles(tokenizer, said)
    special = _special(tokenizer) if named is None else named
    described = {**_described(special, length), **form.described}
    files = {form.name: form.content, CONFIG: _json(described), **_beside(source, said, described, named is None)}
    for name, content in files.items():
        write_file(directory / name, content)
    return ids | {f"{role}_id": token.id for role, token in special.items()}


def _form(tokenizer: Tokenizer) -> _Form | None:
    """None: transformers has no such tokenizer."""
    source, fast = tokenizer.source, {"tokenizer_class": "PreTrainedTokenizerFast"}
    if isinstance(tokenizer, BackendTokenizer):
        content = source.dump() if source.tokenizer_type == "HFTokenizer" else tokenizer.to_json()
        return _Form(DEFINITION, content, fast)
    if isinstance(tokenizer, CharLevelTokenizer):
        return _Form(DEFINITION, _bytes_tokenizer(), fast)
    if source.tokenizer_type != "SPMTokenizer":
        return None
    # Neither adds a sentence's beginning and end, as ours does not.
    alone = {"tokenizer_class": "LlamaTokenizer", "add_bos_token": False, "add_eos_token": False, "legacy": False}
    return _Form(MODEL, source.files["vocab_file"].content, alone)


def _beside(
    source: TokenizerSource, said: Mapping[str, Mapping[str, Any]], described: Mapping[str, Any], guessed: bool
) -> dict[str, str | bytes]:
    """The files beside a tokenizer, to the byte where nothing has to be mended.

    Args:
        source: of the tokenizer.
        said: its JSON objects. What should be one and is none is left out, since transformers would stop at it.
        described: tokenizer_config.json as it would be without them.
        guessed: whether no file says what is the end of a text.
    """
    files: dict[str, str | bytes] = {
        name: file.content for name, file in source.beside.items() if name in said or not name.endswith(".json")
    }
    config = said.get(CONFIG)
    if config is None:
        return files
    mended = {key: value for key, value in config.items() if key != "auto_map"}  # code, which does not go along
    if mended.keys() != config.keys() or "tokenizer_class" not in config:
        # Without it transformers would choose by the family of the model, which may be another one by now.
        mended["tokenizer_class"] = described["tokenizer_class"]
    if guessed:
        mended |= {role: described[role] for role in ROLES if role in described}
    return files if mended == config else {**files, CONFIG: _json(mended)}


def _special(tokenizer: Tokenizer) -> dict[str, Special]:
    """Tokens by the names that transformers gives their roles. What ends documents begins them too, as in GPT-NeoX, unless the
    vocabulary has a token for that."""
    known = tokenizer.special_tokens
    end = tokenizer.eod_id if tokenizer.eod_id is not None else _first(known, ENDS)
    begin = _first(known, BEGINNINGS)
    found = {"eos_token": end, "bos_token": end if begin is None else begin, "pad_token": tokenizer.pad_id}
    return {name: Special(tokenizer.piece(token), token) for name, token in found.items() if token is not None}


def _first(known: Mapping[str, int], names: Iterable[str]) -> int | None:
    return next((known[name] for name in names if name in known), None)


def _described(special: Mapping[str, Special], length: int | None) -> dict[str, Any]:
    """tokenizer_config.json, without the class."""
    limit = {} if length is None else {"model_max_length": length}
    return {
        **{role: token.text for role, token in special.items()},
        **limit,
        "clean_up_tokenization_spaces": False,
    }


def _json(values: Mapping[str, Any]) -> str:
    return json.dumps(values, indent=2, sort_keys=True) + "\n"


def _bytes_tokenizer() -> str:
    """One token a byte, as the text of a tokenizer.json."""
    from tokenizers import Tokenizer as Backend, decoders, models, pre_tokenizers

    backend = Backend(models.BPE(dict(byte_of_letter()), []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return str(backend.to_str(pretty=True))

"""GPT-2's byte-level BPE, out of vocab.json and merges.txt or a tokenizer.json."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neox_core.data.tokenizers.hugging_face import BackendTokenizer, parse_backend
from neox_core.data.tokenizers.protocol import END_OF_DOCUMENT, PADDING
from neox_core.data.tokenizers.source import TokenizerFile, TokenizerSource, read_file
from neox_core.errors import UserError

if TYPE_CHECKING:
    import tokenizers

VOCABULARY, MERGES, DEFINITION = "vocab.json", "merges.txt", "tokenizer.json"


class GPT2BPETokenizer(BackendTokenizer):
    """vocab.json and merges.txt with the ids of GPT-2's own encoder; `<|endoftext|>` ends documents."""

    @classmethod
    def from_source(cls, source: TokenizerSource) -> GPT2BPETokenizer:
        """The tokenizer of a vocabulary and merges. Raises `UserError` when a file is something else, or damaged."""
        return cls(_backend(source.files["vocab_file"], source.files["merge_file"]), source)


class HFGPT2Tokenizer(BackendTokenizer):
    """GPT-2's tokenizer as Hugging Face keeps it, with `<|padding|>` as a further entry where it has none."""

    @classmethod
    def from_source(cls, source: TokenizerSource) -> HFGPT2Tokenizer:
        """The tokenizer of a tokenizer.json, or of a vocabulary and merges. Raises `UserError` when a file is damaged."""
        files = source.files
        if "merge_file" in files:
            backend = _backend(files["vocab_file"], files["merge_file"])
        else:
            backend = parse_backend(files["vocab_file"])
        backend.add_special_tokens([PADDING])
        return cls(backend, source)


def read_gpt2(vocab_file: str | Path, merge_file: str | Path | None) -> TokenizerSource:
    """The files of a GPT2BPETokenizer. Raises `UserError` when one is unset or cannot be read."""
    if merge_file is None:
        raise UserError("merge_file: GPT2BPETokenizer needs the path of a merges.txt, and none is set.")
    return TokenizerSource("GPT2BPETokenizer", _vocabulary_and_merges(vocab_file, merge_file))


def read_hugging_face_gpt2(vocab_file: str | Path, merge_file: str | Path | None) -> TokenizerSource:
    """The files of an HFGPT2Tokenizer: those given, or those in a directory that is given.

    Raises:
        UserError: one is missing.
    """
    return TokenizerSource("HFGPT2Tokenizer", _hugging_face_files(Path(vocab_file), merge_file))


def _hugging_face_files(vocab_file: Path, merge_file: str | Path | None) -> dict[str, TokenizerFile]:
    if not vocab_file.is_dir():
        if merge_file is not None:
            return _vocabulary_and_merges(vocab_file, merge_file)
        return {"vocab_file": read_file("vocab_file", vocab_file, f"a {DEFINITION}")}
    if (vocab_file / DEFINITION).is_file():
        return {"vocab_file": read_file("vocab_file", vocab_file / DEFINITION, f"a {DEFINITION}")}
    missing = [name for name in (VOCABULARY, MERGES) if not (vocab_file / name).is_file()]
    if missing:
        raise UserError(
            f"vocab_file: {vocab_file} has no {' and no '.join(missing)}, and no {DEFINITION}; give a directory that has "
            f"{DEFINITION}, or both {VOCABULARY} and {MERGES}."
        )
    return _vocabulary_and_merges(vocab_file / VOCABULARY, vocab_file / MERGES)


def _vocabulary_and_merges(vocab_file: str | Path, merge_file: str | Path) -> dict[str, TokenizerFile]:
    return {
        "vocab_file": read_file("vocab_file", vocab_file, f"a {VOCABULARY}"),
        "merge_file": read_file("merge_file", merge_file, f"a {MERGES}"),
    }


def _backend(vocabulary_file: TokenizerFile, merges_file: TokenizerFile) -> tokenizers.Tokenizer:
    from tokenizers import Tokenizer as Backend, decoders, models, pre_tokenizers

    vocabulary, merges = _vocabulary(vocabulary_file), _merges(merges_file)
    if END_OF_DOCUMENT not in vocabulary:
        raise UserError(
            f"vocab_file: {vocabulary_file.path} has no {END_OF_DOCUMENT} among its {len(vocabulary)} entries, which ends "
            "documents; use the vocabulary of GPT-2, or a tokenizer.json with HFTokenizer."
        )
    try:  # GPT-2's encoder gives what is missing from the vocabulary the id of its unknown token, which is this one
        backend = Backend(models.BPE(vocabulary, merges, unk_token=END_OF_DOCUMENT))
    except Exception as error:  # the library raises nothing more precise
        raise UserError(
            f"merge_file: {merges_file.path} does not belong to {vocabulary_file.path} ({error}); give the merges.txt that came "
            "with the vocabulary."
        ) from error
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([END_OF_DOCUMENT])
    return backend


def _vocabulary(file: TokenizerFile) -> dict[str, int]:
    """The ids of a vocab.json.

    Raises:
        UserError: it is something else.
    """
    reason = "it is no JSON"
    try:
        found: Any = json.loads(file.content)
        if isinstance(found, dict) and found and all(type(entry) is int for entry in found.values()):
            return found
        reason = "it does not map tokens to ids"
        if isinstance(found, dict) and "model" in found:
            reason = "it seems to be a tokenizer.json, which HFTokenizer reads"
    except ValueError as error:
        reason += f": {error}"
    if file.content.startswith(b"#version"):
        reason = "it seems to be the merges, which `merge_file` names"
    raise UserError(f"vocab_file: {file.path} is no GPT-2 vocabulary ({reason}); give its {VOCABULARY}.")


def _merges(file: TokenizerFile) -> list[tuple[str, str]]:
    """The pairs of a merges.txt, without its first line, which GPT-2's encoder does not read either.

    Raises:
        UserError: it is something else.
    """
    try:
        first, *lines = file.content.decode().split("\n")
    except UnicodeDecodeError as error:
        raise _no_merges(file, str(error)) from error
    if not first.startswith("#version"):
        raise _no_merges(file, f"its first line is {first[:40]!r} instead of `#version: 0.2`")
    pairs = []
    for number, line in enumerate(lines, start=2):
        pair = line.rstrip("\r").split(" ")
        if pair == [""]:
            continue
        if len(pair) != 2:
            raise _no_merges(file, f"line {number}, {line[:40]!r}, is not two parts of a token with a space between")
        pairs.append((pair[0], pair[1]))
    return pairs


def _no_merges(file: TokenizerFile, reason: str) -> UserError:
    return UserError(
        f"merge_file: {file.path} has no GPT-2 merges ({reason}); give the {MERGES} that came with the vocabulary."
    )

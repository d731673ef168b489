"""Which tokenizer the settings describe."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from neox_core.data.tokenizers.beside import BESIDE, files_beside
from neox_core.data.tokenizers.characters import CharLevelTokenizer
from neox_core.data.tokenizers.gpt2 import GPT2BPETokenizer, HFGPT2Tokenizer, read_gpt2, read_hugging_face_gpt2
from neox_core.data.tokenizers.hugging_face import HFTokenizer
from neox_core.data.tokenizers.protocol import Tokenizer
from neox_core.data.tokenizers.sentence_piece import SPMTokenizer
from neox_core.data.tokenizers.source import TOKENIZER, TokenizerFile, TokenizerSource, parse_source, read_file
from neox_core.data.tokenizers.tik_token import TiktokenTokenizer, read_tiktoken
from neox_core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from neox_core.config import NeoXArgs


TOKENIZER_JSON, MODEL = "a tokenizer.json", "a SentencePiece .model"


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of tokenizer.

    Args:
        make: the tokenizer of a source.
        read: the source, from `vocab_file` and `merge_file`.
        vocab_file: what that names; None for a kind that needs no file.
    """

    make: Callable[[TokenizerSource], Tokenizer]
    read: Callable[[str | Path, str | Path | None], TokenizerSource]
    vocab_file: str | None


def _vocabulary_alone(kind: str, what: str, vocab_file: str | Path, merge_file: str | Path | None) -> TokenizerSource:
    return TokenizerSource(kind, {"vocab_file": read_file("vocab_file", vocab_file, what)})


def _no_file(vocab_file: str | Path, merge_file: str | Path | None) -> TokenizerSource:
    return TokenizerSource("CharLevelTokenizer", {})


KINDS: Mapping[str, Kind] = {
    "GPT2BPETokenizer": Kind(GPT2BPETokenizer.from_source, read_gpt2, "a vocab.json"),
    "HFTokenizer": Kind(
        HFTokenizer.from_source, partial(_vocabulary_alone, "HFTokenizer", TOKENIZER_JSON), TOKENIZER_JSON
    ),
    "HFGPT2Tokenizer": Kind(
        HFGPT2Tokenizer.from_source,
        read_hugging_face_gpt2,
        "a tokenizer.json, or of a directory that has one or vocab.json and merges.txt",
    ),
    "SPMTokenizer": Kind(SPMTokenizer.from_source, partial(_vocabulary_alone, "SPMTokenizer", MODEL), MODEL),
    "CharLevelTokenizer": Kind(CharLevelTokenizer, _no_file, None),
    "TiktokenTokenizer": Kind(
        TiktokenTokenizer.from_source, read_tiktoken, "a .tiktoken file, or the name of an encoding"
    ),
}
"""By GPT-NeoX's names."""


def describes_tokenizer(args: NeoXArgs) -> bool:
    """Whether settings name a tokenizer. Samples that are made up need none, unless its file is given."""
    from neox_core.config import TokenizerSettings

    described = any(key in args for key in TokenizerSettings.model_fields)
    return described and not (args.mock_data and args.vocab_file is None)


def load_tokenizer(
    tokenizer_type: str, vocab_file: str | Path | None = None, merge_file: str | Path | None = None
) -> Tokenizer:
    """The tokenizer that the settings of these names describe (upper and lower case are the same in the type).

    `merge_file` belongs to GPT2BPETokenizer and HFGPT2Tokenizer, and is not read by the others. Raises `UserError` for a type
    that is unknown, a package that is not installed, and a file that is missing, unset or damaged.
    """
    return make_tokenizer(read_source(tokenizer_type, vocab_file, merge_file))


def read_source(
    tokenizer_type: str, vocab_file: str | Path | None = None, merge_file: str | Path | None = None
) -> TokenizerSource:
    """What the settings of these names describe, without making the tokenizer. Raises `UserError` for what cannot be read."""
    name = kind_name(tokenizer_type)
    kind = KINDS[name]
    if vocab_file is None and kind.vocab_file is not None:
        raise UserError(f"vocab_file: {name} needs the path of {kind.vocab_file}, and none is set.")
    source = kind.read(vocab_file or "", merge_file)
    vocabulary = source.files.get("vocab_file")
    return source if vocabulary is None else replace(source, beside=files_beside(vocabulary.path))


def make_tokenizer(source: TokenizerSource) -> Tokenizer:
    """The tokenizer that is made from a source. Raises `UserError` for what is damaged, or needs a package that is missing."""
    return KINDS[source.tokenizer_type].make(source)


def read_definition(path: str | Path) -> TokenizerSource:
    """The definition in a file, as `TokenizerSource.dump` gives it; any tokenizer.json is one too.

    Raises:
        UserError: the file cannot be read, or defines no tokenizer.
    """
    source = parse_source(read_file("vocab_file", path, TOKENIZER_JSON).content, path)
    kind_name(source.tokenizer_type)
    return source


def stored_source(place: Path, names: Collection[str], content: Callable[[str], bytes]) -> TokenizerSource | None:
    """The tokenizer whose files, as `TokenizerSource.stored` gives them, a checkpoint has; None where it has none.

    Args:
        place: its directory, for messages.
        names: of all its files.
        content: of one of them.

    Raises:
        UserError: the definition is damaged; or what `content` raises.
    """
    if TOKENIZER not in names:
        return None
    source = parse_source(content(TOKENIZER), place / TOKENIZER)
    kind_name(source.tokenizer_type)
    beside = {name: TokenizerFile(str(place / name), content(name)) for name in BESIDE if name in names}
    return replace(source, beside=beside)


def restore_tokenizer(path: str | Path) -> Tokenizer:
    """The tokenizer whose definition is in a file. Raises `UserError` as `read_definition` and `make_tokenizer` do."""
    return make_tokenizer(read_definition(path))


def kind_name(tokenizer_type: str) -> str:
    """GPT-NeoX's spelling of a kind.

    Raises:
        UserError: there is no such kind.
    """
    for name in KINDS:
        if name.casefold() == tokenizer_type.casefold():
            return name
    raise UserError(
        f"tokenizer_type: there is no tokenizer '{tokenizer_type}'; {did_you_mean(tokenizer_type, list(KINDS))}"
    )

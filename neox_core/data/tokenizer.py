"""Tokenizers by GPT-NeoX's names. Importing this module, and asking a tokenizer for its size, loads neither numpy nor torch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from neox_core.errors import UserError, did_you_mean

if TYPE_CHECKING:
    import tokenizers

    from neox_core.config import NeoXArgs

END_OF_DOCUMENT = "<|endoftext|>"
PADDING = "<|padding|>"

NOT_YET = ("GPT2BPETokenizer", "HFGPT2Tokenizer", "SPMTokenizer", "TiktokenTokenizer")
"""GPT-NeoX's tokenizers that are not available here yet."""


def describes_tokenizer(args: NeoXArgs) -> bool:
    """Whether settings name a tokenizer. Samples that are made up need none, unless its file is given."""
    from neox_core.config import TokenizerSettings

    described = any(key in args for key in TokenizerSettings.model_fields)
    return described and not (args.mock_data and args.vocab_file is None)


class Tokenizer(Protocol):
    """Text to token ids and back."""

    @property
    def vocab_size(self) -> int:
        """Number of entries, before padding."""

    @property
    def eod_id(self) -> int | None:
        """Id that ends a document, or None when the vocabulary has none."""

    def encode(self, text: str) -> list[int]:
        """Token ids of a text."""

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of several texts, computed in parallel where the tokenizer can."""

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; special tokens are written out."""


class HFTokenizer:
    """A tokenizer of the `tokenizers` library."""

    def __init__(self, backend: tokenizers.Tokenizer) -> None:
        self._backend = backend

    @classmethod
    def from_file(cls, path: str | Path) -> HFTokenizer:
        """Read a tokenizer's JSON file. Raises `UserError` when it is missing or is no tokenizer."""
        from tokenizers import Tokenizer as Backend

        text = _read_text(Path(path))
        try:
            return cls(Backend.from_str(text))
        except Exception as error:  # the library raises nothing more precise
            raise UserError(
                f"vocab_file: {path} is not a tokenizer of the `tokenizers` library ({error}); give its tokenizer.json."
            ) from error

    @property
    def vocab_size(self) -> int:
        """Number of entries, before padding."""
        return int(self._backend.get_vocab_size())

    @property
    def eod_id(self) -> int | None:
        """Id of `<|endoftext|>`, or None when the vocabulary has none."""
        return self._backend.token_to_id(END_OF_DOCUMENT)

    def encode(self, text: str) -> list[int]:
        """Token ids of a text, with the special tokens that the tokenizer itself adds."""
        return list(self._backend.encode(text).ids)

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """Token ids of several texts, on all cores."""
        return [encoding.ids for encoding in self._backend.encode_batch_fast(list(texts))]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; special tokens are written out."""
        return str(self._backend.decode(list(ids), skip_special_tokens=False))

    def to_json(self) -> str:
        """The tokenizer as the text of a tokenizer.json file."""
        return str(self._backend.to_str(pretty=True))


class CharLevelTokenizer:
    """One token a byte of UTF-8. Ids 0 and 1 also mean end of document and padding, so that text should not contain those bytes."""

    vocab_size = 512
    eod_id = 0
    pad_id = 1

    def encode(self, text: str) -> list[int]:
        """The text's bytes."""
        return list(text.encode())

    def encode_batch(self, texts: Sequence[str]) -> list[list[int]]:
        """The bytes of each text."""
        return [self.encode(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of bytes; ids above 255, and bytes that are no UTF-8, become U+FFFD."""
        return bytes(min(token, 0xFF) for token in ids).decode(errors="replace")  # 0xFF never occurs in UTF-8


def load_tokenizer(
    tokenizer_type: str, vocab_file: str | Path | None = None, merge_file: str | Path | None = None
) -> Tokenizer:
    """The tokenizer that the settings of these names describe (upper and lower case are the same in the type).

    `merge_file` belongs to GPT2BPETokenizer and is not read by the others. Raises `UserError` for a type that is unknown or not
    available yet, and for a vocabulary file that is missing, unset or damaged.
    """
    kind = tokenizer_type.casefold()
    if kind == "charleveltokenizer":
        return CharLevelTokenizer()
    if kind == "hftokenizer":
        if vocab_file is None:
            raise UserError("vocab_file: HFTokenizer needs the path of a tokenizer.json, and none is set.")
        return HFTokenizer.from_file(vocab_file)
    if kind in (name.casefold() for name in NOT_YET):
        raise UserError(
            f"tokenizer_type: {tokenizer_type} is not available yet; use HFTokenizer with the tokenizer's tokenizer.json "
            "as vocab_file."
        )
    known = ("HFTokenizer", "CharLevelTokenizer", *NOT_YET)
    raise UserError(f"tokenizer_type: there is no tokenizer '{tokenizer_type}'; {did_you_mean(tokenizer_type, known)}")


def train_bpe(texts: Iterable[str], vocab_size: int) -> HFTokenizer:
    """Train a byte-level BPE of at most `vocab_size` entries; the same texts give the same tokenizer to the byte.

    Id 0 ends a document, id 1 is padding, the 256 bytes follow, so that any text can be encoded, and decodes to itself. Raises
    `UserError` for a vocabulary that has no room for those.
    """
    from tokenizers import Tokenizer as Backend, decoders, models, pre_tokenizers, trainers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    special = [END_OF_DOCUMENT, PADDING]
    fewest = len(special) + len(alphabet)
    if vocab_size < fewest:
        raise UserError(
            f"vocab_size: {vocab_size} entries are too few for a byte-level vocabulary; it has {len(special)} special tokens "
            f"and {len(alphabet)} bytes, so give at least {fewest}."
        )
    backend = Backend(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(texts, trainer)
    return HFTokenizer(backend)


def _read_text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise UserError(
            f"vocab_file: {path} cannot be read ({reason}); give the path of a tokenizer.json, which `neox data prepare` makes."
        ) from error

"""Training a tokenizer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from neox_core.data.tokenizers.hugging_face import HFTokenizer
from neox_core.data.tokenizers.protocol import END_OF_DOCUMENT, PADDING
from neox_core.errors import UserError, did_you_mean

SPECIAL = (END_OF_DOCUMENT, PADDING)

NORMALIZERS: Mapping[str, str | None] = {"none": None, "nfc": "NFC", "nfkc": "NFKC"}
"""Unicode normalisations that texts can go through first, by name. Decoding gives the normalised text."""


def train_bpe(
    texts: Iterable[str],
    vocab_size: int,
    *,
    normalizer: str = "none",
    add_prefix_space: bool = False,
    special: Sequence[str] = SPECIAL,
) -> HFTokenizer:
    """Train a byte-level BPE of at most `vocab_size` entries; the same texts give the same tokenizer to the byte.

    The special tokens come first (by default id 0 ends a document and id 1 is padding) and the 256 bytes follow, so that any text
    can be encoded, and, without a normaliser, decodes to itself. `add_prefix_space` puts a space before texts that begin without
    one. Raises `UserError` for a vocabulary that has no room for those, a normaliser that is unknown, and a special token that is
    empty or given twice.
    """
    from tokenizers import Tokenizer as Backend, decoders, models, pre_tokenizers, trainers

    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    _require_room(vocab_size, special, len(alphabet))
    backend = Backend(models.BPE())
    backend.normalizer = _normalizer(normalizer)
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    backend.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
    )
    backend.train_from_iterator(texts, trainer)
    return HFTokenizer.from_backend(backend)


def _require_room(vocab_size: int, special: Sequence[str], letters: int) -> None:
    wrong = [token for place, token in enumerate(special) if not token or token in special[:place]]
    if wrong:
        raise UserError(f"special: {wrong[0]!r} is empty or given twice; give each special token once.")
    fewest = len(special) + letters
    if vocab_size < fewest:
        raise UserError(
            f"vocab_size: {vocab_size} entries are too few for a byte-level vocabulary; it has {len(special)} special tokens "
            f"and {letters} bytes, so give at least {fewest}."
        )


def _normalizer(name: str) -> Any:
    from tokenizers import normalizers

    if name not in NORMALIZERS:
        raise UserError(f"normalizer: there is no {name!r}; {did_you_mean(name, list(NORMALIZERS))}")
    form = NORMALIZERS[name]
    return None if form is None else getattr(normalizers, form)()

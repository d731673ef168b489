"""Files that lie beside a tokenizer's: they change no ids, and go along unread."""

from __future__ import annotations

from pathlib import Path

from neox_core.data.tokenizers.source import TokenizerFile
from neox_core.errors import UserError

BESIDE = (
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template.jinja",
    "generation_config.json",
)
"""What transformers reads besides: which special tokens have which role, how a chat is written, which tokens end an answer. Nothing
here needs it, and who trains an instructed model further and takes it back there finds it as it was."""

OF_TRANSFORMERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
"""Names by which transformers finds a tokenizer in a directory: beside a file of another name may lie what belongs to others."""


def files_beside(vocab_file: str) -> dict[str, TokenizerFile]:
    """Those in the directory of a tokenizer's file, by name.

    Raises:
        UserError: one cannot be read.
    """
    path = Path(vocab_file)
    if path.name not in OF_TRANSFORMERS:
        return {}
    places = {name: path.with_name(name) for name in BESIDE}
    return {name: _read(place) for name, place in places.items() if place.is_file()}


def _read(path: Path) -> TokenizerFile:
    try:
        return TokenizerFile(str(path), path.read_bytes())
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}), and goes along with the tokenizer beside it; let it be read, or move it away."
        ) from error

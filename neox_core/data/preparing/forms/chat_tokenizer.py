"""The tokenizer of a model that converses."""

from __future__ import annotations

import json
from pathlib import Path

from neox_core.data.tokenizers import HFTokenizer
from neox_core.errors import UserError


def load_chat_tokenizer(directory: Path) -> HFTokenizer:
    """The tokenizer.json of a directory, without what would put special tokens around a text: templates write them themselves.

    Raises `UserError` when it is missing or no tokenizer.
    """
    from tokenizers import Tokenizer as Backend

    path = directory / "tokenizer.json"
    try:
        definition = json.loads(path.read_bytes())
        definition["post_processor"] = None
        return HFTokenizer.from_backend(Backend.from_str(json.dumps(definition)))
    except OSError as error:
        raise UserError(
            f"--tokenizer-path: {path} cannot be read ({error.strerror}); give the directory of a tokenizer, which has this file."
        ) from error
    except Exception as error:
        raise UserError(
            f"--tokenizer-path: {path} is not a tokenizer of the `tokenizers` library ({error})."
        ) from error

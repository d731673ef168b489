"""What a tokenizer is made from: its kind and its files' content. This is also what a checkpoint keeps of it."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from neox_core.errors import UserError

TOKENIZER = "tokenizer.json"
"""Name of a definition inside a checkpoint."""

ENVELOPE = "neox_tokenizer"
"""The key by which a file with a whole definition differs from a tokenizer.json of the `tokenizers` library."""

PLAIN = "HFTokenizer"
"""The kind whose one file is its whole definition."""


@dataclass(frozen=True, slots=True)
class TokenizerFile:
    """A file that a tokenizer is made from: its path, or what is known of it, for messages; and its content."""

    path: str
    content: bytes

    @property
    def name(self) -> str:
        """The path without directories."""
        return Path(self.path).name


@dataclass(frozen=True, slots=True)
class TokenizerSource:
    """What a tokenizer is made from.

    Args:
        tokenizer_type: its kind, by GPT-NeoX's name.
        files: by the setting that names them, `vocab_file` and `merge_file`.
        variant: what else decides what the tokenizer is: the encoding of a TiktokenTokenizer.
        beside: by name, files that change no ids and go along unread (`BESIDE`): no part of `summary`, `fingerprint` and `dump`.
    """

    tokenizer_type: str
    files: Mapping[str, TokenizerFile]
    variant: str = ""
    beside: Mapping[str, TokenizerFile] = field(default_factory=dict)

    @property
    def summary(self) -> dict[str, Any]:
        """The kind, the variant, and each file's name, size and digest."""
        files = {
            role: {"name": file.name, "bytes": len(file.content), "sha256": hashlib.sha256(file.content).hexdigest()}
            for role, file in self.files.items()
        }
        return {"tokenizer_type": self.tokenizer_type, "variant": self.variant, "files": files}

    @property
    def fingerprint(self) -> str:
        """A sha256 (hexadecimal) of the kind, the variant and the files' content."""
        parts = [self.tokenizer_type.encode(), self.variant.encode()]
        for role, file in sorted(self.files.items()):
            parts += [role.encode(), file.content]
        digest = hashlib.sha256()
        for part in parts:
            digest.update(len(part).to_bytes(8, "big") + part)
        return digest.hexdigest()

    def dump(self) -> bytes:
        """The whole definition as one file: for HFTokenizer its tokenizer.json, for others JSON that has the files within."""
        if self.tokenizer_type == PLAIN:
            return self.files["vocab_file"].content
        files = {
            role: {"name": file.name, "base64": base64.b64encode(file.content).decode()}
            for role, file in self.files.items()
        }
        whole = {"tokenizer_type": self.tokenizer_type, "variant": self.variant, "files": files}
        return json.dumps({ENVELOPE: whole}, indent=1).encode()

    def stored(self) -> dict[str, bytes]:
        """The files that a checkpoint has of it, by name: the definition, and what lies beside. `stored_source` reads them."""
        return {TOKENIZER: self.dump(), **{name: file.content for name, file in self.beside.items()}}


def read_file(setting: str, path: str | Path, what: str) -> TokenizerFile:
    """The file that a setting names; `what` says for the user what that should be.

    Raises:
        UserError: it cannot be read.
    """
    try:
        return TokenizerFile(str(path), Path(path).read_bytes())
    except OSError as error:
        raise UserError(f"{setting}: {path} cannot be read ({error.strerror}); give the path of {what}.") from error


def parse_source(content: bytes, where: str | Path) -> TokenizerSource:
    """The definition in a file that `TokenizerSource.dump` gave, or in any tokenizer.json.

    Raises:
        UserError: it is neither.
    """
    try:
        found = json.loads(content)
        if ENVELOPE not in found:
            return TokenizerSource(PLAIN, {"vocab_file": TokenizerFile(str(where), content)})
        whole = found[ENVELOPE]
        files = {
            role: TokenizerFile(file["name"], base64.b64decode(file["base64"], validate=True))
            for role, file in whole["files"].items()
        }
        return TokenizerSource(str(whole["tokenizer_type"]), files, str(whole["variant"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{where} defines no tokenizer ({error}); take it from a checkpoint or an undamaged copy."
        ) from error

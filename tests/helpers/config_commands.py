"""Calls `neox` in this process, and files for it to look at."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from neox_core.cli.main import main

MODEL = {
    "num_layers": "2",
    "hidden_size": "16",
    "num_attention_heads": "2",
    "seq_length": "16",
    "max_position_embeddings": "16",
    "train_iters": "6",
    "train_batch_size": "4",
    "data_path": "data/tokens",
}


@dataclass(frozen=True)
class Done:
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


class Neox:
    """`neox("config", "check", "a.yml")` in a directory of its own."""

    def __init__(self, directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.directory = directory
        self._capsys = capsys

    def __call__(self, *words: str) -> Done:
        """Run a command."""
        code = main(words)
        out, err = self._capsys.readouterr()
        return Done(code, out, err)

    def write(self, name: str, text: str = "", **changes: str | None) -> None:
        """A file with a whole small configuration, one key a line, changed; or with `text` alone."""
        keys = {} if text else {key: value for key, value in (MODEL | changes).items() if value is not None}
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text or "".join(f"{key}: {value}\n" for key, value in keys.items()))

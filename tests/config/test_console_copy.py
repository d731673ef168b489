"""Copies of what is written to a terminal hold all of it, and making them never ends a run."""

from __future__ import annotations

import io
import sys

import pytest

from neox_core.config.console_copy import copy_output


def copied(directory, monkeypatch) -> io.BytesIO:
    """What arrives at a terminal that escapes what it cannot write, and that is copied to files of a directory."""
    terminal = io.BytesIO()
    stream = io.TextIOWrapper(terminal, encoding="utf-8", errors="backslashreplace", write_through=True)
    monkeypatch.setattr("sys.stdout", stream)
    monkeypatch.setattr("sys.stderr", io.StringIO())
    copy_output(directory)
    return terminal


def write_text_that_is_not_unicode() -> None:
    sys.stdout.write("file \udcff\n")


def write_lines() -> None:
    sys.stdout.writelines(["one\n", "two\n"])
    sys.stdout.buffer.writelines([b"three\n", b"four\n"])


@pytest.mark.parametrize(
    ("write", "expected"),
    [(write_text_that_is_not_unicode, "file \\udcff\n"), (write_lines, "one\ntwo\nthree\nfour\n")],
)
def test_a_copy_holds_what_the_terminal_gets(tmp_path, monkeypatch, write, expected):
    with monkeypatch.context() as patch:
        terminal = copied(tmp_path, patch)
        write()
        seen = terminal.getvalue().decode()
    (file,) = tmp_path.glob("*_stdout.txt")
    assert (file.read_text(encoding="utf-8"), seen) == (expected, expected)

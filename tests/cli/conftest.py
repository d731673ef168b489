"""Fixtures for the command line."""

from __future__ import annotations

import sys

import pytest
from config_commands import Neox


@pytest.fixture
def neox(tmp_path, monkeypatch, capsys):
    """`neox` in this process, in a directory with tiny.yml."""
    monkeypatch.chdir(tmp_path)
    for name in ("NEOX_PLUGINS", "NEOX_DISABLE_PLUGINS", "NEOX_TRACEBACK", "DLTS_HOSTFILE"):
        monkeypatch.delenv(name, raising=False)
    command = Neox(tmp_path, capsys)
    command.write("tiny.yml")
    return command


@pytest.fixture
def python_file(neox, monkeypatch):
    """`python_file("name.py", text)`: a file for `neox`, whose module and place are forgotten in the end; gives `neox`."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    written = []

    def write(name, text):
        neox.write(name, text)
        written.append(name.removesuffix(".py"))
        return neox

    yield write
    for module in written:
        sys.modules.pop(module, None)

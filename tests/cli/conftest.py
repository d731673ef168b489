"""Fixtures for the command line."""

from __future__ import annotations

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

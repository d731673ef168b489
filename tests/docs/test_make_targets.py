"""The Makefile and what the documentation says of it."""

from __future__ import annotations

import re
import subprocess

from markdown_pages import PAGES, ROOT


def described_targets() -> set[str]:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return set(re.findall(r"^make (\S+)", shown, re.MULTILINE))


def test_help_describes_what_there_is_to_do() -> None:
    assert described_targets() >= {"quickstart", "test", "test-all", "lint", "types", "bench", "clean", "help"}


def test_the_documentation_names_only_targets_that_there_are() -> None:
    named = {
        name for page in PAGES for name in re.findall(r"(?:`|^)make ([a-z][a-z-]*)", page.read_text(), re.MULTILINE)
    }
    assert named
    assert named <= described_targets()

"""The pages of the documentation, and the fenced blocks of code in them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]

PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])

_FENCE = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^(?:neox|make) .*?(?= *(?:#|$))", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block. Its first line, "```python file=relu2.py", says what it is and, here, that it is the text of a file."""

    page: Path
    line: int
    language: str
    file: str | None
    code: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"

    @property
    def commands(self) -> list[str]:
        """The lines of a shell block that begin with `neox` or `make`, without comments."""
        return _COMMAND.findall(self.code)


def blocks(page: Path) -> list[Block]:
    """The fenced blocks of a page, in order; `line` is that of the fence."""
    text = page.read_text(encoding="utf-8")
    found = []
    for match in _FENCE.finditer(text):
        language, *options = match["info"].split() or [""]
        values = dict(option.partition("=")[::2] for option in options)
        line = text.count("\n", 0, match.start()) + 1
        found.append(Block(page, line, language, values.get("file"), match["code"]))
    return found

"""Which ways of training go together, as tables for docs and README; `python tests/helpers/combination_table.py` writes them anew."""

from __future__ import annotations

from collections.abc import Iterator

from markdown_pages import ROOT

from neox_core.config.combinations import EXCLUSIONS, WAYS

PAGES = {ROOT / "docs" / "parallelism.md": list(WAYS), ROOT / "README.md": list(WAYS)[:8]}
"""Pages with a table, and the ways that it has."""
BEGIN, END = "<!-- combinations -->\n", "<!-- end of combinations -->\n"


def table(columns: list[str]) -> str:
    """A row and a column for each way; below, why some exclude each other."""
    return "\n".join(_lines(columns)) + "\n"


def _lines(columns: list[str]) -> Iterator[str]:
    yield f"| | {' | '.join(columns)} |"
    yield f"|---|{':-:|' * len(columns)}"
    for one in columns:
        yield f"| **{one}** | {' | '.join(_cell(one, other) for other in columns)} |"
    yield ""
    for number, exclusion in enumerate(EXCLUSIONS, 1):
        if {exclusion.one, exclusion.other} <= set(columns):
            yield f"{number}. {exclusion.one} and {exclusion.other}: {exclusion.reason}."


def _cell(one: str, other: str) -> str:
    """`yes`, `or` where there is one or the other, or the number of the reason why not."""
    if one == other:
        return ""
    numbers = [n for n, exclusion in enumerate(EXCLUSIONS, 1) if {exclusion.one, exclusion.other} == {one, other}]
    if {one, other} <= {"ZeRO 1", "ZeRO 2", "ZeRO 3"} or {one, other} == {"bf16", "fp16"}:
        return "or"
    return f"no {numbers[0]}" if numbers else "yes"


def written(page: str, columns: list[str]) -> str:
    """A page with the table of today between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + table(columns) + END + after


if __name__ == "__main__":
    for path, columns in PAGES.items():
        path.write_text(written(path.read_text(), columns))

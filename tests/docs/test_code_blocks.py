"""What the documentation shows is run, page by page and from top to bottom, in a directory that has the presets and data.

`python` blocks of a page share their names, `sh` blocks run in bash, `yaml` blocks are resolved on top of the quickstart preset,
`toml` blocks are parsed; a block with `file=NAME` is written to that file first, which can be imported. `text` and `mermaid` blocks
are only looked at.
"""

from __future__ import annotations

import subprocess
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest
from markdown_pages import PAGES, ROOT, Block, blocks

from neox_core.config import NeoXArgs, Topology, World, read_text
from neox_core.config.loading import read_file
from neox_core.plugins import PluginManager

LOOKED_AT = {"text", "mermaid"}
RUN = {"python", "sh", "yaml", "toml"}

Shell = Callable[[str, Path], str]


def ids(pages: list[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


def with_something_to_run(pages: list[Path]) -> list[Path]:
    return [page for page in pages if any(block.language in RUN for block in blocks(page))]


def run_python(block: Block, names: dict[str, object]) -> None:
    source = "\n" * block.line + block.code  # so that a traceback has the page's line numbers
    exec(compile(source, str(block.page), "exec"), names)


def run_yaml(block: Block, workplace: Path) -> None:
    entries = {entry.key: entry for entry in read_file(workplace / "configs" / "quickstart.yml")}
    entries |= {entry.key: entry for entry in read_text(block.code, str(block))}
    args = NeoXArgs(entries.values(), PluginManager())
    args.resolve(World.local(Topology.of(args, data=1).size), vocabulary=2048)


@pytest.mark.slow
@pytest.mark.parametrize("page", with_something_to_run(PAGES), ids=ids(with_something_to_run(PAGES)))
def test_what_a_page_shows_works(page: Path, workplace: Path, shell: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workplace)
    monkeypatch.syspath_prepend(workplace)
    names: dict[str, object] = {"__name__": "__main__"}
    for block in blocks(page):
        if block.file is not None:
            (workplace / block.file).write_text(block.code)
        match block.language:
            case "python" if block.file is None:
                run_python(block, names)
            case "sh":
                shell(block.code, workplace)
            case "yaml":
                run_yaml(block, workplace)
            case "toml":
                tomllib.loads(block.code)


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_every_block_says_what_it_is(page: Path) -> None:
    unknown = [str(block) for block in blocks(page) if block.language not in RUN | LOOKED_AT]
    assert not unknown


def test_quickstart_of_the_makefile_is_run_as_part_of_the_readme() -> None:
    planned = subprocess.run(
        ["make", "--dry-run", "quickstart"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout.splitlines()
    wanted = [line.removeprefix(".venv/bin/") for line in planned if line.startswith(".venv/bin/neox ")]
    shown = [c for block in blocks(ROOT / "README.md") if block.language == "sh" for c in block.commands]
    assert wanted
    assert [command for command in shown if command in wanted] == wanted

"""The table of NeMo's vocabulary in the documentation is the one that the parts say."""

from __future__ import annotations

import re

from markdown_pages import ROOT
from neox_recipes import data, logs, models, optimizers, trainer
from neox_recipes.part import Part
from neox_recipes.table import PLACES, as_markdown

PAGE = ROOT / "docs" / "recipes.md"
BETWEEN = re.compile(r"<!-- table:begin -->\n(.*?)<!-- table:end -->", re.DOTALL)


def test_the_page_has_the_table_that_is_generated():
    (written,) = BETWEEN.findall(PAGE.read_text(encoding="utf-8"))
    assert written == as_markdown(), "put what neox_recipes.table.as_markdown() gives between the two markers"


def test_every_part_that_says_what_fields_mean_has_a_place():
    found = [value for module in (data, logs, models, optimizers, trainer) for value in vars(module).values()]
    parts = {value for value in found if isinstance(value, type) and issubclass(value, Part) and value is not Part}
    assert {part for part in parts if "meanings" in vars(part)} == {part for _, part in PLACES}


def test_a_field_is_there_once():
    rows = as_markdown().splitlines()[2:]
    paths = [row.split(" | ")[0] for row in rows]
    assert len(paths) == len(set(paths)) == len({(place, name) for place, part in PLACES for name in part.meanings})

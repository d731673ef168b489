"""The page on parallelism tells what the rules of settings say."""

from __future__ import annotations

import pytest
from combination_table import PAGES, table, written

from neox_core.config.combinations import EXCLUSIONS, WAYS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_committed_table_is_the_generated_one(page):
    text = page.read_text()
    assert text == written(text, PAGES[page]), "write it anew: python tests/helpers/combination_table.py"


def test_it_has_every_way_and_every_reason():
    text = table(list(WAYS))
    assert all(f"| **{name}** |" in text for name in WAYS)
    assert all(exclusion.reason in text for exclusion in EXCLUSIONS)
    assert text.count("| no ") == 2 * len(EXCLUSIONS)

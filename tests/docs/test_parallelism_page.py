"""The page on parallelism tells what the rules of settings say."""

from __future__ import annotations

from combination_table import PAGE, table, written

from neox_core.config.combinations import EXCLUSIONS, WAYS


def test_the_committed_table_is_the_generated_one():
    assert PAGE.read_text() == written(PAGE.read_text()), "write it anew: python tests/helpers/combination_table.py"


def test_it_has_every_way_and_every_reason():
    text = table()
    assert all(f"| **{name}** |" in text for name in WAYS)
    assert all(exclusion.reason in text for exclusion in EXCLUSIONS)
    assert text.count("| no ") == 2 * len(EXCLUSIONS)

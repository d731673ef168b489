"""Whatever is wrong with a configuration, it loads or is refused in a sentence that names one of its keys."""

from __future__ import annotations

import copy
import os
import random
import re
from collections.abc import Callable, Iterator
from typing import Any

from gpt_neox_tables import as_text, configs, entries_of, read_golden
from whole_matrix import WHOLE

from neox_core.config import NeoXArgs, World
from neox_core.config.entry import merge
from neox_core.errors import UserError
from neox_core.plugins import PluginManager

RUNS = [run for run in read_golden("gpt-neox-runs") if not {"without", "compat"} & run.keys()]
COUNT = 10_000 if WHOLE else 500
STRANGERS: tuple[Any, ...] = (
    *(None, True, False, 0, 1, -1, 10**20, 0.5, -0.5, 1e300),
    *("", "text", "1e5", " 3", "None", "NaN"),
    *([], [1], ["text"], [[]], [None]),
    *({}, {"type": 1}, {"enabled": True}, {"stage": None}),
)
"""Values that most keys do not take."""

Table = dict[str, Any]
Mutation = Callable[[random.Random, Table], None]


def mappings_of(table: Table) -> Iterator[Table]:
    """The table and every mapping within it."""
    yield table
    for value in table.values():
        if isinstance(value, dict):
            yield from mappings_of(value)


def some_mapping(draw: random.Random, table: Table) -> Table:
    """The table itself as often as not, else a mapping within it; none that is empty."""
    inner = [mapping for mapping in mappings_of(table) if mapping and mapping is not table]
    return draw.choice(inner) if inner and draw.random() < 0.5 else table


def stranger(draw: random.Random) -> Any:
    return copy.deepcopy(draw.choice(STRANGERS))


def mistype_a_key(draw: random.Random, table: Table) -> None:
    mapping = some_mapping(draw, table)
    key = draw.choice(list(mapping))
    at, letter = draw.randrange(len(key)), draw.choice("aeinrst_-")
    typo = draw.choice(
        [key[:at] + key[at + 1 :], key[:at] + letter + key[at:], key[:at] + letter + key[at + 1 :], key.upper()]
    )
    mapping[typo or letter] = mapping.pop(key)


def give_another_value(draw: random.Random, table: Table) -> None:
    mapping = some_mapping(draw, table)
    mapping[draw.choice(list(mapping))] = stranger(draw)


def delete_a_key(draw: random.Random, table: Table) -> None:
    mapping = some_mapping(draw, table)
    del mapping[draw.choice(list(mapping))]


def sink_a_key(draw: random.Random, table: Table) -> None:
    """Move a key into a mapping beside it."""
    key = draw.choice([key for key, value in table.items() if not isinstance(value, dict)])
    draw.choice(list(mappings_of(table)))[key] = table.pop(key)


def lift_a_mapping(draw: random.Random, table: Table) -> None:
    """Put what is within a mapping beside it, in its place."""
    outer = some_mapping(draw, table)
    inner = [key for key, value in outer.items() if isinstance(value, dict)]
    if inner:
        outer.update(outer.pop(draw.choice(inner)))


def swap_two_values(draw: random.Random, table: Table) -> None:
    one, other = draw.choice(list(table)), draw.choice(list(table))
    table[one], table[other] = table[other], table[one]


def repeat_a_key(draw: random.Random, table: Table) -> None:
    """Give a key again in the other spelling."""
    key = draw.choice(list(table))
    table[key.replace("_", "-") if "_" in key else key.replace("-", "_")] = table[key]


def spoil_an_item(draw: random.Random, table: Table) -> None:
    """Replace an item of a list, or of a list within one."""
    lists = [value for mapping in mappings_of(table) for value in mapping.values() if isinstance(value, list) and value]
    if lists:
        items = draw.choice(lists)
        while isinstance(items[0], list) and items[0] and draw.random() < 0.6:
            items = items[0]
        items[draw.randrange(len(items))] = stranger(draw)


def leave_the_range(draw: random.Random, table: Table) -> None:
    mapping = some_mapping(draw, table)
    numbers = [key for key, value in mapping.items() if isinstance(value, int | float) and not isinstance(value, bool)]
    if numbers:
        key = draw.choice(numbers)
        mapping[key] = draw.choice([-mapping[key], 0, mapping[key] + 1, mapping[key] * 1000, mapping[key] / 3, 10**30])


MUTATIONS: tuple[Mutation, ...] = (
    mistype_a_key,
    give_another_value,
    delete_a_key,
    sink_a_key,
    lift_a_mapping,
    swap_two_values,
    repeat_a_key,
    spoil_an_item,
    leave_the_range,
)


def complaint(table: Table, ranks: int, plugins: PluginManager) -> str | None:
    """How the table is refused; None when it is not."""
    try:
        entries = merge([entries_of("run.yml", table)])
        NeoXArgs(entries.values(), plugins).resolve(World.local(ranks, device="cuda"), vocabulary=50_000)
    except UserError as error:
        return str(error)
    return None


def names_one_of(text: str, keys: set[str]) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(key)}(?!\w)", text) for key in keys)


def test_a_mutated_configuration_loads_or_is_refused_by_the_name_of_a_key():
    seed = int(os.environ.get("NEOX_MUTATION_SEED", random.randrange(2**32)))
    print(f"NEOX_MUTATION_SEED={seed}")
    draw, plugins = random.Random(seed), PluginManager()
    refused = 0
    for _ in range(COUNT):
        run = draw.choice(RUNS)
        table = {key: value for file in run["files"] for key, value in copy.deepcopy(configs()[file]).items()}
        before = set(table)
        for mutation in draw.choices(MUTATIONS, k=draw.randint(1, 3)):
            mutation(draw, table)
        try:
            text = complaint(table, run["ranks"], plugins)
        except Exception as error:
            error.add_note(f"NEOX_MUTATION_SEED={seed}\n{as_text(table)}")
            raise
        refused += text is not None
        keys = {key.replace("-", "_") for key in before | set(table)}
        assert text is None or names_one_of(text, keys), f"{text}\nNEOX_MUTATION_SEED={seed}\n{as_text(table)}"
    assert COUNT / 4 < refused < COUNT  # else they are not what their names say


def test_the_tables_themselves_are_not_refused():
    plugins = PluginManager()
    for run in RUNS:
        table = {key: value for file in run["files"] for key, value in configs()[file].items()}
        assert complaint(table, run["ranks"], plugins) is None

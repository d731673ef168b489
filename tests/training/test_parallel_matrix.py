"""However a run is cut over processes, it is the same run as a plain torch loop in one process; or it is refused beforehand."""

from __future__ import annotations

import math
from collections import Counter
from functools import cache
from typing import Any

import parallel_ranks as ranks
import pytest
from covering import combinations, covering
from parallel_cells import Cell, all_cells, computed, settings
from parallel_reference import Curve, PlainLoop
from parallel_rows import ROWS
from training_models import resolve
from whole_matrix import SEED, WHOLE

from neox_core.errors import Problem, SettingsError
from neox_core.training.components import component_problems

CELLS = all_cells()
ACCEPTED = [cell for cell in CELLS if not cell.is_refused]
REFUSED = [cell for cell in CELLS if cell.is_refused]


def sample(cells: list[Cell]) -> list[Cell]:
    """Every combination of two axes, or the whole."""
    return cells if WHOLE else covering(cells, 2, SEED)


@pytest.fixture
def fresh(workers):
    """Ranks that are now and then replaced: each engine leaves process groups behind, of which a process can have only so many."""

    def of_size(world_size):
        USES[world_size] += 1
        if USES[world_size] % 40 == 0:
            workers(world_size).close()
        return workers(world_size)

    return of_size


USES: Counter[int] = Counter()


@cache
def reference(cell: Cell) -> Curve:
    return PlainLoop(**computed(cell)).run()


def problems(ranks: int, **changes: Any) -> list[Problem]:
    """What is said of settings before anything is started."""
    try:
        resolved, plugins = resolve(ranks, **changes)
    except SettingsError as error:
        return list(error.problems)
    return [*resolved.limitations, *component_problems(resolved, plugins)]


def distances(found: Curve, expected: Curve) -> dict[str, float]:
    """Of each weight how far it is from where it should be, as a share of the way that it went; and of all together."""
    away = {name: float((found.weights[name] - wanted).norm()) for name, wanted in expected.weights.items()}
    ways = {name: float((wanted - expected.beginning[name]).norm()) for name, wanted in expected.weights.items()}
    shares = {name: away[name] / (ways[name] or 1e-30) for name in away}
    return shares | {TOGETHER: math.hypot(*away.values()) / math.hypot(*ways.values())}


TOGETHER = "all weights"


def check_same(found: Curve, expected: Curve, bf16: bool) -> None:
    """Losses, norms and weights agree, and the weights begin alike to the bit.

    In bfloat16, numbers of 8 bits, the gradients of the first step are one or two per cent from those in float32, the reference's as
    much as any other's, and five steps of Adam may take an element of a bias where its gradient is near 0 the other way. So each
    weight's first gradient is compared, and where they all come to.
    """
    assert found.weights.keys() == expected.weights.keys()
    assert all(found.beginning[name].equal(expected.beginning[name]) for name in expected.weights)
    assert found.losses == pytest.approx(expected.losses, rel=2e-3 if bf16 else 1e-5)
    assert found.norms == pytest.approx(expected.norms, rel=2e-2 if bf16 else 1e-5)
    shares = distances(found, expected)
    assert shares.pop(TOGETHER) < (0.1 if bf16 else 5e-5)
    errors = {
        name: float((found.moments[name] - wanted).norm() / wanted.norm()) for name, wanted in expected.moments.items()
    }
    first, later = (0.06, 0.25) if bf16 else (1e-4, 1e-4)
    assert {name: error for name, error in errors.items() if not error < first} == {}
    assert {name: share for name, share in shares.items() if not share < later} == {}


@pytest.mark.parametrize("cell", sample(ACCEPTED), ids=str)
def test_it_trains_as_one_process_does(fresh, cell):
    print(settings(cell))
    assert [*map(str, problems(cell.ranks, **settings(cell)))] == []
    answers = fresh(cell.ranks).run(ranks.train, **settings(cell))
    check_same(ranks.curve(answers), reference(cell), cell.bf16)


@pytest.mark.drawn(10)
@pytest.mark.parametrize("name", ROWS)
def test_so_do_other_kinds_of_models_and_losses(fresh, name):
    row = ROWS[name]
    cut = {**row.alone, **row.cut}
    assert [*map(str, problems(row.ranks, **cut))] == []
    answers = fresh(row.ranks).run(ranks.train, **cut)
    check_same(ranks.curve(answers), PlainLoop(**row.alone).run(), bf16=False)


def test_what_is_left_out_is_refused_in_a_sentence_that_names_two_settings():
    for cell in sample(REFUSED):
        found = problems(cell.ranks, **settings(cell))
        assert found, cell
        for problem in found:
            assert len(problem.keys) >= 2, (cell, str(problem))
            assert all(key in str(problem) for key in problem.keys)
            assert problem.remedy


def test_a_sample_has_every_combination_of_two_axes():
    taken = [ACCEPTED.index(cell) for cell in covering(ACCEPTED, 2, SEED)]
    met, count = combinations(ACCEPTED, 2)
    assert len(set(met[taken].flatten())) == count > 150
    assert len(taken) < 25

"""Biases of which GPT-NeoX trained several copies go on as their sum, at any topology, and no resumed run forgets it."""

from __future__ import annotations

from pathlib import Path

import pytest
from gpt_neox_directories import CHECKPOINTS
from training_models import model, resolve

from neox_core.config import NeoXArgs, Topology, World
from neox_core.errors import UserError
from neox_core.testing.resumed import compare_resumed
from neox_core.training.bias_copies import check_same_copies, saved_copies
from neox_core.training.parameter_groups import groups_of

PARALLEL = {"gpt_j_residual": True}
NEOX = {"compat": "gpt-neox", **PARALLEL}


@pytest.mark.parametrize(
    ("settings", "ranks", "copies"),
    [
        (PARALLEL, 2, 1),
        (NEOX, 1, 1),
        (NEOX, 2, 2),
        ({**NEOX, "row_parallel_bias_copies": 4}, 2, 4),
        ({**NEOX, "row_parallel_bias_copies": 1}, 2, 1),
        ({**PARALLEL, "row_parallel_bias_copies": 3}, 1, 3),
        ({"row_parallel_bias_copies": 3}, 1, 1),
        ({"compat": "gpt-neox"}, 2, 1),
    ],
)
def test_there_are_as_many_copies_as_is_said_or_as_gpt_neox_would_have(settings, ranks, copies):
    resolved, _ = resolve(ranks, model_parallel_size=ranks, **settings)
    assert resolved.bias_copies == copies
    assert saved_copies({"model_parallel_size": ranks, **settings}) == copies


def test_these_biases_alone_have_another_rate():
    settings = {**PARALLEL, "row_parallel_bias_copies": 3}
    resolved, plugins = resolve(**settings)
    groups = groups_of(model(**settings), resolved, plugins)
    rates = {name: group.get("lr_scale", 1.0) for group in groups for name in group["names"]}
    faster = {f"layers.{layer}.{name}.bias" for layer in range(2) for name in ("attention.output", "mlp.down")}
    assert {name for name, rate in rates.items() if rate != 1} == faster
    assert {rates[name] for name in faster} == {3.0}
    assert all(group["weight_decay"] == 0 for group in groups if group.get("lr_scale"))


def test_a_run_is_told_of_it():
    def remarks(**settings):
        resolved, _ = resolve(**settings)
        return [notice.message for notice in resolved.notices if notice.keys == ("row_parallel_bias_copies",)]

    (told,) = remarks(row_parallel_bias_copies=2, **PARALLEL)
    assert "at 2 times the learning rate, as by GPT-NeoX on 2 tensor-parallel ranks" in told
    assert remarks(row_parallel_bias_copies=2) == ["has no effect without gpt_j_residual: true"]
    assert remarks(row_parallel_bias_copies=1, **PARALLEL) == remarks(**PARALLEL) == []


def test_a_resumed_run_says_so_too_or_is_refused():
    saved = {**PARALLEL, "row_parallel_bias_copies": 2}
    told: list[str] = []

    def check(**settings):
        check_same_copies(Path("saved"), saved, resolve(**PARALLEL, **settings)[0], told.append)

    check(row_parallel_bias_copies=2)
    assert told == []
    with pytest.raises(UserError, match="write row_parallel_bias_copies: 2 to go on as it began"):
        check()
    check(row_parallel_bias_copies=1)
    assert told == ["row_parallel_bias_copies: 1 from here on; saved was saved with 2"]


def test_what_a_checkpoint_of_gpt_neox_s_defects_says_by_its_ranks_is_held_against_too():
    saved = {**NEOX, "model_parallel_size": 2}
    args = NeoXArgs.from_dict({**resolve(**NEOX)[0].values, "model_parallel_size": 2}, plugins=resolve()[1])
    check_same_copies(Path("saved"), saved, args.resolve(World.local(2)), lambda text: None)
    with pytest.raises(UserError, match="was saved with row_parallel_bias_copies: 2, and these settings come to 1"):
        check_same_copies(Path("saved"), saved, resolve(**NEOX)[0], lambda text: None)


@pytest.mark.parametrize("name", ["pythia_tp2", "pythia_pp2_tp2_zero1"])
def test_without_it_the_losses_of_gpt_neox_are_missed(workers, name):
    path = CHECKPOINTS / f"{name}.expected.json"
    (losses,) = (
        check
        for check in workers(1).run(compare_resumed, path, Topology(), {"row_parallel_bias_copies": 1})[0]
        if check.name == "losses"
    )
    assert 1e-4 < losses.error < 1e-3

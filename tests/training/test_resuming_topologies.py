"""A run goes on where another topology has left it; on the same one with the same bits."""

from __future__ import annotations

import pytest
import torch
import training_steps as steps

from neox_core.checkpoint import Reader
from neox_core.parallel import ShardSpec
from neox_core.plugins import Switches
from neox_core.training.trained import load_trained

HEADS = {"num_kv_heads": 2, "intermediate_size": 37}
"""Four ranks share key/value heads, and no number of ranks divides the MLP."""

RING = {"attention_config": [[["ring"], "all"]]}


def tensor(ranks, stage=0, **changes):
    return {"model_parallel_size": ranks, "zero_optimization": {"stage": stage}, **HEADS, **changes}


@pytest.mark.drawn(3)
@pytest.mark.parametrize(
    ("ranks", "changes"),
    [
        (2, tensor(2)),
        (2, tensor(2, 1, precision="bfloat16", pos_emb="rpe")),
        (4, tensor(2, 1, sequence_parallel=True, no_weight_tying=False)),
        (4, tensor(2, 3)),
        (4, tensor(2, pipe_parallel_size=2)),
    ],
)
def test_the_same_topology_goes_on_bit_for_bit(workers, tmp_path, ranks, changes):
    saved = workers(ranks).run(steps.save_and_go_on, tmp_path, hidden_dropout=0.1, **changes)
    loaded = workers(ranks).run(steps.load_and_go_on, saved[0]["path"], hidden_dropout=0.1, **changes)
    for before, after in zip(saved, loaded, strict=True):
        assert after["counts"] == {2.0}
        assert after["losses"] == before["losses"]


@pytest.mark.drawn(3)
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ((2, tensor(2)), (1, tensor(1))),
        ((2, tensor(2, 1)), (2, tensor(1, 1))),
        ((1, tensor(1)), (4, tensor(4, sequence_parallel=True))),
        ((4, tensor(2, 3)), (4, tensor(4))),
        ((4, tensor(2, 1, pipe_parallel_size=2)), (2, tensor(1, 3))),
        ((4, tensor(2, 1, context_parallel_size=2, **RING)), (2, tensor(1, pipe_parallel_size=2))),
    ],
)
def test_another_topology_goes_on_with_the_same_losses(workers, tmp_path, before, after):
    (ranks, changes), (ranks_after, changes_after) = before, after
    saved = workers(ranks).run(steps.save_and_go_on, tmp_path, **changes)[0]
    loaded = workers(ranks_after).run(steps.load_and_go_on, saved["path"], **changes_after)[0]
    assert loaded["counts"] == {2.0}
    assert loaded["losses"] == pytest.approx(saved["losses"], rel=1e-6)


def test_first_weights_are_saved_alike_whatever_the_topology(workers, tmp_path):
    one = workers(1).run(steps.save_at_the_beginning, tmp_path / "one", **tensor(1))[0]
    four = Reader(workers(4).run(steps.save_at_the_beginning, tmp_path / "four", **tensor(4))[0])
    assert four.topology.tensor == 4
    for name in Reader(one).names:
        spec = ShardSpec.complete(name, Reader(one).shape(name))
        whole, joined = (reader.read(spec, "weight", (0, spec.local_size)) for reader in (Reader(one), four))
        assert torch.equal(whole, joined)


def test_a_run_goes_on_with_the_rows_of_its_embedding_and_is_used_by_one_process(train, data):
    """Two tensor-parallel ranks pad the vocabulary to more rows than one does."""
    changes = {"make_vocab_size_divisible_by": 24, "eval_iters": 1}
    cut = {"model_parallel_size": 2, **changes}
    kept = {"save": str(data / "saved"), "load": str(data / "saved")}
    whole = train(2, **cut)
    part = train(2, exit_interval=3, **kept, **cut)
    rest = train(1, **kept, **changes)
    assert (part.start, rest.start, rest.code) == (0, 3, 0)
    losses = [step.loss for step in part.steps + rest.steps]
    assert losses == pytest.approx([step.loss for step in whole.steps], rel=1e-6)
    for iteration in (3, 7):
        trained = load_trained(data / "saved", Switches(), iteration=iteration)
        reader = Reader(trained.path)
        for name, parameter in trained.model.named_parameters():
            spec = ShardSpec.complete(name, tuple(parameter.shape))
            assert torch.equal(reader.read(spec, "weight", (0, spec.local_size)), parameter.flatten())
        assert trained.model.embedding.weight.shape == (96, 16)

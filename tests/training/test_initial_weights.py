"""Beginning with the weights of another checkpoint: to the bit, at any number of ranks, and never half of them."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
import training_runs as runs
from plugin_runs import listing
from safetensors.torch import load_file
from torch import Tensor, nn

from neox_core.checkpoint import Reader
from neox_core.errors import UserError
from neox_core.parallel import ShardSpec
from neox_core.plugins import Switches
from neox_core.training.initial_weights import update_model_from_checkpoint
from neox_core.training.trained import load_trained

HEAD = {"no_weight_tying": True}
"""A head with weights of its own."""


@pytest.fixture
def pretrained(train, data):
    """Trains a model; the directory of its checkpoints."""

    def make(ranks=1, **changes):
        train(ranks, save=str(data / "first"), train_iters=3, **changes)
        return data / "first"

    return make


def zero(stage):
    return {"zero_optimization": {"stage": stage}}


def weights(checkpoint: Path) -> dict[str, Tensor]:
    """Every weight of a checkpoint, as it is saved."""
    reader = Reader(checkpoint)
    shapes = {name: reader.shape(name) for name in reader.names}
    return {
        name: reader.read(ShardSpec.complete(name, shape), "weight", (0, torch.Size(shape).numel()))
        for name, shape in shapes.items()
    }


def differing(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[str]:
    """The names of which the weights are not equal to the bit, or which only one has."""
    both = one.keys() & other.keys()
    return {name for name in both if not torch.equal(one[name], other[name])} | (one.keys() ^ other.keys())


@pytest.mark.drawn(3)
@pytest.mark.parametrize(
    ("before", "after", "precision"),
    [
        ((1, 0), (1, 0), "fp32"),
        ((1, 0), (2, 1), "fp32"),
        ((2, 1), (1, 1), "bfloat16"),
        ((2, 1), (2, 0), "fp32"),
        ((1, 0), (2, 1), "bfloat16"),
    ],
)
def test_a_run_goes_on_with_the_weights_at_any_number_of_ranks_and_zero_stage(
    train, data, pretrained, before, after, precision
):
    first = pretrained(before[0], **zero(before[1]), precision=precision)
    changes = {**zero(after[1]), "precision": precision, "extra_save_iters": [0], "seed": 7, "train_iters": 2}
    found = train(after[0], save=str(data / "second"), initial_ckpt_path=str(first), **changes)
    assert (found.code, found.start, found.resumed_from, len(found.steps)) == (0, 0, None, 2)
    assert differing(weights(first / "global_step3"), weights(data / "second/global_step0")) == set()
    names = {key.split("/")[0] for key in load_file(next((data / "second/global_step0/shards").iterdir()))}
    assert "exp_avg" not in names, "the weights alone"
    assert found.notices == [f"initial_ckpt_path: the first weights are those of {first}/global_step3"]
    assert found.log[0] == f"weights from {first}/global_step3: 27 tensors loaded"


@pytest.mark.parametrize("precision", ["fp32", "bfloat16"])
def test_the_loss_goes_on_where_it_was(train, data, precision):
    changes = {"precision": precision, "eval_iters": 2}
    before = train(save=str(data / "first"), **changes).steps[-1].evaluations[0].loss
    still = {"optimizer": {"type": "adamw", "params": {"lr": 1e-12}}, "init_method_std": 0.5, **changes}
    after = train(initial_ckpt_path=str(data / "first"), **still).steps[-1].evaluations[0].loss
    anew = train(**still).steps[-1].evaluations[0].loss
    assert after == pytest.approx(before, rel=1e-6)
    assert anew != pytest.approx(before, rel=1e-3)


def test_a_run_from_the_first_weights_is_the_same_run(train, pretrained):
    first = pretrained(extra_save_iters=[0])
    same = train(load=str(first), iteration=0)
    again = train(initial_ckpt_path=str(first / "global_step0"), init_method_std=0.5)
    assert runs.numbers(again.steps) == runs.numbers(same.steps)


@pytest.mark.parametrize(("ranks", "stage"), [(1, 0), (2, 1)])
def test_a_head_is_added(train, data, pretrained, ranks, stage):
    first = pretrained()
    changes = {**HEAD, **zero(stage), "save": str(data / "second"), "extra_save_iters": [0]}
    anew = train(ranks, **{**changes, "save": str(data / "anew")})
    refused = train(ranks, initial_ckpt_path=str(first), **changes)
    assert refused.code is None
    assert refused.failure.startswith(f"{first}/global_step3 does not fit this model: it has no head.weight. ")
    assert not (data / "second").exists()
    skip = {"initial_ckpt_skip_keys_with_these_prefixes": ["head"]}
    found = train(ranks, initial_ckpt_path=str(first), **skip, **changes)
    assert (anew.code, found.code) == (0, 0)
    begun, fresh = weights(data / "second/global_step0"), weights(data / "anew/global_step0")
    assert differing(begun, weights(first / "global_step3")) == {"head.weight"}
    assert torch.equal(begun["head.weight"], fresh["head.weight"]), "left at its initialisation"
    assert found.log[1] == "left at their initialisation: head.weight; the checkpoint lacks all of them"
    assert (
        found.notices[1] == f"initial_ckpt_path: {first}/global_step3 was saved with no_weight_tying false (now true)"
    )


def test_a_part_is_dropped(train, data, pretrained):
    first = pretrained(**HEAD)
    changes = {"num_layers": 1, "save": str(data / "second"), "extra_save_iters": [0]}
    found = train(initial_ckpt_path=str(first), **changes)
    gone = differing(weights(data / "second/global_step0"), weights(first / "global_step3"))
    assert gone == {name for name in weights(first / "global_step3") if name.startswith(("layers.1.", "head."))}
    assert found.log[1].startswith("in the checkpoint only, and not used: layers.1.")
    assert found.log[1].endswith("... (13 in all)")


def test_resuming_wins(train, data, pretrained):
    first = pretrained()
    changes = {"save": str(data / "second"), "load": str(data / "second"), "initial_ckpt_path": str(first)}
    part = train(exit_interval=2, **changes)
    rest = train(**changes)
    assert (part.start, rest.start) == (0, 2)
    assert rest.notices == [f"initial_ckpt_path: {first} is not read: the run goes on from {data}/second/global_step2"]
    assert not any("weights from" in line for line in rest.log)
    whole = train(initial_ckpt_path=str(first))
    assert runs.numbers(part.steps + rest.steps) == runs.numbers(whole.steps)


def test_a_prefix_that_is_none_is_told_with_the_nearest_name(train, pretrained):
    first = pretrained()
    skip = {"initial_ckpt_skip_keys_with_these_prefixes": ["layer.1", "regression_head"]}
    found = train(initial_ckpt_path=str(first), **skip)
    key = "initial_ckpt_skip_keys_with_these_prefixes"
    assert f"{key}: no weight begins with 'layer.1'; did you mean 'layers.1'?" in found.log
    assert any(line.startswith(f"{key}: no weight begins with 'regression_head'") for line in found.log)
    idle = train(**skip)
    assert idle.notices == [f"{key}: has no effect without initial_ckpt_path"]


def test_a_checkpoint_that_is_not_there_or_damaged_is_an_error(train, data, pretrained):
    assert "there is no checkpoint" in train(initial_ckpt_path=str(data / "gone")).failure
    first = pretrained() / "global_step3"
    shard = next((first / "shards").iterdir())
    content = shard.read_bytes()
    shard.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert "is damaged" in train(initial_ckpt_path=str(first)).failure
    shard.write_bytes(content[:-1])
    assert "is damaged" in train(initial_ckpt_path=str(first)).failure
    (first / "manifest.json").unlink()
    assert "there is no checkpoint" in train(initial_ckpt_path=str(first)).failure
    (first / "mp_rank_00_model_states.pt").touch()
    assert "mp_rank_00_model_states.pt is damaged: it ends too early" in train(initial_ckpt_path=str(first)).failure
    (data / "nemo/context").mkdir(parents=True)
    (data / "nemo/context/io.json").touch()
    assert "is a checkpoint of NeMo 2" in train(initial_ckpt_path=str(data / "nemo")).failure


class Toy(nn.Module):
    """A module with some canonical names, of given shapes."""

    def __init__(self, **shapes: tuple[int, ...]) -> None:
        super().__init__()
        for name, shape in shapes.items():
            part = nn.Module()
            part.register_parameter("weight", nn.Parameter(torch.full(shape, -1.0, dtype=torch.bfloat16)))
            self.add_module(name, part)


def test_every_weight_that_misses_or_differs_is_named_and_nothing_is_changed(pretrained):
    first = pretrained()
    before = listing(first)
    fresh = {f"new{number:02}": (2,) for number in range(12)}
    toy = Toy(embedding=(64, 8), norm=(16,), **fresh)
    with pytest.raises(UserError) as error:
        update_model_from_checkpoint(toy, first)
    listed = ", ".join(f"new{number:02}.weight" for number in range(10))
    assert str(error.value).startswith(
        f"{first}/global_step3 does not fit this model: it has no {listed}, ... (12 in all); "
        "its shapes differ: embedding.weight [64, 16] (here [64, 8]). Use the settings that it was saved with"
    )
    assert all(bool((parameter == -1).all()) for parameter in toy.parameters()), "all of them, or none"
    assert listing(first) == before


def test_a_model_of_another_type_takes_what_it_has(pretrained, caplog):
    first = pretrained()
    toy = Toy(embedding=(64, 16), norm=(16,), head=(3,), header=(3,))
    with caplog.at_level(logging.INFO, "neox"):
        report = update_model_from_checkpoint(toy, str(first / "global_step3"), skip=["head", "gone"])
    assert report.loaded == ("embedding.weight", "norm.weight")
    assert report.skipped == report.missing == ("head.weight", "header.weight")
    assert caplog.messages == [*report.lines(), *report.warnings()]
    assert (report.path, report.idle) == (first / "global_step3", {"gone": None})
    saved = weights(first / "global_step3")
    assert set(report.beyond) == saved.keys() - set(report.loaded)
    assert torch.equal(toy.embedding.weight.flatten(), saved["embedding.weight"].bfloat16())
    assert bool((toy.head.weight == -1).all())


def test_a_trained_model_takes_the_weights_of_another(pretrained):
    first = pretrained(extra_save_iters=[0])
    model = load_trained(first, Switches(), iteration=0).model
    update_model_from_checkpoint(model, first)
    expected = weights(first / "global_step3")
    assert all(torch.equal(value.flatten(), expected[name]) for name, value in model.named_parameters())

"""`neox plan`: runs on machines that are not there."""

from __future__ import annotations

import json
import resource
import subprocess
import sys

import pytest
import torch
from config_commands import Neox
from neox_commands.plan import parser, world_for
from neox_commands.plan_machines import gpu, torn_groups, world_of
from neox_commands.plan_traffic import counted, sent, taken

from neox_core.config import NeoXArgs, Topology
from neox_core.errors import UserError
from neox_core.parallel import Mesh

SMALL = (
    "19M",
    *("num_layers=2", "hidden_size=8", "num_attention_heads=2"),
    *("seq_length=64", "max_position_embeddings=64", "train_micro_batch_size_per_gpu=1"),
    "zero_optimization={'stage': 1, 'reduce_bucket_size': 1000, 'allgather_bucket_size': 1000}",
)
OF_20B = ("20B", "pipe_parallel_size=4", "model_parallel_size=2", "--world-size", "96")


@pytest.fixture
def neox(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return Neox(tmp_path, capsys)


def layers_of(stage):
    first, last = stage["layers"]
    return last - first


def planned(neox, *words):
    done = neox("plan", *words, "--json")
    assert done.code == 0, done.err
    return json.loads(done.out)


@pytest.mark.parametrize(
    ("words", "parameters", "layers"),
    [
        # Of the published weights, with rows that pad the vocabulary for tensor-parallel ranks; 175B's as this model has them.
        (OF_20B, 20_554_567_680 + 2 * (50_688 - 50_432) * 6144, 44),
        (
            ("llama2/70B", "model_parallel_size=8", "pipe_parallel_size=4", "--world-size", "256"),
            68_976_648_192 + 2 * (32_768 - 32_000) * 8192,
            80,
        ),
        (("175B", "model_parallel_size=8", "pipe_parallel_size=8", "--world-size", "1024"), 175_219_826_688, 96),
    ],
)
def test_published_models_are_planned_without_their_machines(neox, words, parameters, layers):
    plan = planned(neox, *words)
    assert plan["parameters"] == parameters
    assert sum(map(layers_of, plan["stages"])) == layers
    per_token = plan["flops_per_token"]
    assert 6 * parameters < per_token < 7 * parameters


@pytest.mark.slow
def test_a_plan_needs_little_memory():
    done = subprocess.run(
        [sys.executable, "-m", "neox_core.cli.main", "plan", "175B", "model_parallel_size=8", "--world-size", "64"],
        capture_output=True,
        check=True,
        text=True,
    )
    assert "175.2 G parameters" in done.stdout
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss < 4 * 2**20  # KiB


def test_bytes_follow_from_parameters(neox):
    """Of the 20B in fp16 with ZeRO 1: 2 a weight, 2 a gradient, 4 of its float32 copy and 8 of Adam's over 12 ranks."""
    plan = planned(neox, *OF_20B)
    for stage in plan["stages"]:
        size, held = stage["parameters"], stage["bytes"]
        assert held["weights"] == pytest.approx(2 * size, rel=1e-4)
        assert held["gradients"] == pytest.approx(2 * size, rel=1e-4)
        assert held["master"] == pytest.approx(4 * size / 12, rel=1e-4)
        assert held["optimizer"] == pytest.approx(8 * size / 12, rel=1e-4)
        assert stage["traffic"]["replicas"]["tensors"]["all_reduce"] == pytest.approx(2 * size, rel=1e-4)
    assert plan["bubble"] == pytest.approx(3 / (32 + 3))


def test_layers_keep_what_recomputation_leaves(neox):
    """The input of each layer, [4, 2048, 6144] in fp16, and what the stage gives, for each micro-batch under way."""
    for stage in planned(neox, *OF_20B)["stages"][:3]:
        under_way = 4 - stage["stage"]
        assert stage["micro_batches_under_way"] == under_way
        kept = under_way * (layers_of(stage) + 1) * 4 * 2048 * 6144 * 2
        assert stage["bytes"]["activations"] == pytest.approx(kept, rel=1e-3)


def test_cut_activations_are_kept_in_pieces(neox):
    """Of each layer's input a half; whole what the stage gives, and what it was given."""
    for stage in planned(neox, *OF_20B, "partition_activations=true")["stages"][:3]:
        whole = 2 if stage["stage"] else 1
        kept = (4 - stage["stage"]) * (layers_of(stage) / 2 + whole) * 4 * 2048 * 6144 * 2
        assert stage["bytes"]["activations"] == pytest.approx(kept, rel=1e-3)


def test_text_says_what_fits(neox):
    done = neox("plan", *OF_20B, "--gpu", "a100-40")
    assert done.code == 0, done.err
    assert "pipe 4 x data 12 x tensor 2" in done.out
    assert "<- most" in done.out
    assert "fits a100-40" in done.out


@pytest.mark.parametrize(
    ("words", "memory", "traffic"),
    [
        (OF_20B, "GiB", "GiB"),
        (("125M", "--world-size", "2"), "GiB", "MiB"),
        ((*SMALL, "--world-size", "2"), "MiB", "MiB"),
    ],
)
def test_sizes_have_the_unit_that_suits_them(neox, words, memory, traffic):
    said = neox("plan", *words).out
    assert f"memory of a rank in {memory}" in said
    assert f"{traffic} that a rank sends in a step" in said


def test_what_does_not_fit_is_refused_with_changes_that_help(neox):
    words = ("125M", "train_micro_batch_size_per_gpu=8", "checkpoint_activations=false", "mock_data=true")
    done = neox("plan", *words, "--world-size", "8", "--gpu", "5GiB")
    assert done.code == 2
    assert "does not fit 5GiB" in done.err
    advice = done.err.rpartition(" with ")[2]
    changes = [word for word in advice.split() if "=" in word]
    assert changes
    given = {word.partition("=")[0]: word for word in (*words[1:], *changes)}
    again = neox("plan", words[0], *given.values(), "--world-size", "8", "--gpu", "5GiB")
    assert again.code == 0, again.err
    assert (
        json.loads(neox("plan", words[0], *given.values(), "--world-size", "8", "--json").out)["batch"]["total"] == 64
    )


@pytest.mark.parametrize(
    "words", [("--world-size", "1"), ("pipe_parallel_size=2", "--world-size", "64", "--slots", "1")]
)
def test_what_nothing_helps_is_said(neox, words):
    """Nor do more stages than there are layers."""
    done = neox("plan", "125M", *words, "--gpu", "50MB")
    assert done.code == 2
    assert "take more ranks" in done.err


def test_what_is_refused_does_not_keep_other_changes_from_being_tried(neox):
    """8 tensor-parallel ranks are, for 12 heads; more stages are tried with what was accepted before."""
    done = neox("plan", "125M", "pipe_parallel_size=2", "--world-size", "64", "--gpu", "2.44GiB")
    assert done.code == 2
    assert "pipe_parallel_size=4" in done.err


def test_impossible_cuts_are_refused(neox):
    done = neox("plan", "20B", "model_parallel_size=3", "--world-size", "96")
    assert done.code == 2
    assert "num_attention_heads 64 is not a multiple of model_parallel_size 3" in done.err
    assert "data_path" not in done.err


def test_ways_that_exclude_each_other_are_refused(neox):
    done = neox("plan", *OF_20B, "zero_optimization.stage=3")
    assert done.code == 2
    assert "pipe_parallel_size 4 with zero_optimization.stage 3: every micro-batch would gather" in done.err
    assert "set pipe_parallel_size: 1, or stage: 1 in zero_optimization" in done.err


def test_tensor_groups_over_hosts_are_told(neox):
    torn = neox("plan", "20B", "model_parallel_size=8", "--hosts", "4", "--slots", "4")
    assert torn.code == 0, torn.err
    assert "ranks 0 to 7 are on 2 hosts" in torn.err
    assert "hosts" not in neox("plan", "20B", "model_parallel_size=4", "--hosts", "4", "--slots", "4").err


@pytest.mark.parametrize(
    ("settings", "words", "sizes"),
    [
        ({"model_parallel_size": 2}, (), [2]),
        ({"num_gpus": 4, "model_parallel_size": 2}, (), [4]),
        ({"num_gpus": 4, "num_nodes": 3}, (), [4, 4, 4]),
        ({"num_gpus": 4}, ("--hosts", "2"), [4, 4]),
        ({"num_gpus": 4}, ("--world-size", "6"), [4, 2]),
        ({"num_gpus": 4}, ("--hosts", "2", "--slots", "3"), [3, 3]),
    ],
)
def test_ranks_are_those_of_the_options_or_of_the_settings(settings, words, sizes):
    sizes_of_model = dict.fromkeys(("num_layers", "hidden_size", "num_attention_heads", "seq_length"), 8)
    args = NeoXArgs.from_dict({**sizes_of_model, "max_position_embeddings": 8, **settings})
    world = world_for(args, parser().parse(["125M", *words]))
    assert [host.slots for host in world.hosts] == sizes


def test_options_that_contradict_each_other_are_refused(neox):
    done = neox("plan", "125M", "--world-size", "9", "--hosts", "2", "--slots", "4")
    assert done.code == 2
    assert "--world-size 9 is not 2 hosts of 4 slots" in done.err


def test_hosts_of_a_few_slots_tear_groups():
    assert list(torn_groups(world_of(8, 3, "cuda"), Topology(data=4, tensor=2))) == [(2, 2)]
    assert list(torn_groups(world_of(8, 2, "cuda"), Topology(data=4, tensor=2))) == []
    assert list(torn_groups(world_of(8, 3, "cuda"), Topology(tensor=8))) == [(0, 3)]


@pytest.mark.parametrize(
    ("text", "memory"), [("A100-80", 81920 * 2**20), ("1.5GiB", 3 * 2**29), ("80e", None), ("h101-80", None)]
)
def test_gpus_have_names_or_sizes(text, memory):
    if memory is not None:
        assert gpu(text).memory == memory
        return
    with pytest.raises(UserError, match="there are"):
        gpu(text)


def test_what_a_rank_sends_is_what_rings_send():
    assert (
        sent({"all_reduce": 8, "all_gather": 8, "reduce_scatter": 8, "all_to_all": 8, "send": 8}, 4)
        == 12 + 6 + 6 + 6 + 8
    )


def test_axes_count_what_they_are_asked_for():
    mesh = counted(Mesh.without_groups(Topology(tensor=4), 1))
    part = torch.zeros(2, 8, dtype=torch.bfloat16)
    mesh.tensor.sum(part)
    mesh.tensor.start_sum(part, wide=True)
    mesh.tensor.gather(part, 1)
    mesh.tensor.scatter_sum(part, 1)
    mesh.context.sum(part)
    assert taken(mesh) == {"tensor": {"all_reduce": 32 + 64, "all_gather": 128, "reduce_scatter": 32}, "context": {}}
    assert taken(mesh) == {"tensor": {}, "context": {}}

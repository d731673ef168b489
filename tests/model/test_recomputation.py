"""Activation checkpointing computes the same gradients from less that is kept."""

from __future__ import annotations

import pytest
import torch
import training_steps as steps
from training_models import model, plugins, tokens

from neox_core.model import recomputation

LAYERS = 4
KINDS = [
    {},
    {"pos_emb": "alibi"},
    {"attention_implementation": "eager", "gpt_j_residual": True},
    {"hidden_dropout": 0.3, "attention_dropout": 0.2},
]
WAYS = [
    {},
    {"checkpoint_num_layers": 2},
    {"checkpoint_num_layers": 3},
    {"checkpoint_policy": "selective"},
    {"checkpoint_in_cpu": True},
    {"synchronize_each_layer": True},
]


def network(**changes):
    return model(num_layers=LAYERS, **changes).train()


def gradients(documents=None, **changes):
    made = network(**changes)
    made(tokens(), documents=documents).token_losses(tokens(seed=1)).mean().backward()
    return {name: parameter.grad for name, parameter in made.named_parameters()}


def kept(**changes):
    """Numbers that are saved for the backward pass through the layers, parameters left out."""
    made = network(**changes)
    own = {parameter.untyped_storage().data_ptr() for parameter in made.parameters()}
    storages = {}

    def pack(tensor):
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        output = made(tokens())
    assert output.hidden.requires_grad
    return sum(storages.values())


def operations(monkeypatch, **changes):
    """How often each operator runs in the backward pass."""
    counts = {}

    class Counting(torch.utils._python_dispatch.TorchDispatchMode):
        def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
            counts[str(operator)] = counts.get(str(operator), 0) + 1
            return operator(*args, **(kwargs or {}))

    loss = network(**changes)(tokens()).token_losses(tokens(seed=1)).mean()
    with Counting():
        loss.backward()
    return counts


@pytest.mark.parametrize("way", WAYS, ids=str)
@pytest.mark.parametrize("kind", KINDS, ids=str)
def test_gradients_are_the_same_to_the_bit(kind, way):
    documents = torch.tensor([[0] * 5 + [1] * 7, [0] * 12])
    expected, found = gradients(documents, **kind), gradients(documents, **kind, **way, checkpoint_activations=True)
    assert expected.keys() == found.keys()
    assert all(torch.equal(expected[name], found[name]) for name in expected)


@pytest.mark.parametrize("mixer", plugins().names("attention"))
def test_every_mixer_can_be_computed_again(mixer):
    kind = {"attention_config": [[[mixer], "all"]], "pos_emb": "none", "hidden_dropout": 0.1}
    documents = torch.tensor([[0] * 5 + [1] * 7, [0] * 12])
    expected = gradients(documents, **kind)
    for policy in ("full", "selective"):
        found = gradients(documents, **kind, checkpoint_activations=True, checkpoint_policy=policy)
        assert all(torch.equal(expected[name], found[name]) for name in expected if expected[name] is not None)


def test_the_larger_the_groups_the_less_is_kept():
    every, pairs, all_at_once = (kept(checkpoint_activations=True, checkpoint_num_layers=n) for n in (1, 2, LAYERS))
    assert all_at_once < pairs < every < kept() / 3


def test_of_a_layer_its_input_is_kept_alone():
    one, two = (kept(checkpoint_activations=True, checkpoint_num_layers=n) for n in (1, 2))
    hidden = 4 * tokens().numel() * 16
    assert one - two == LAYERS // 2 * hidden


def test_selected_results_are_not_computed_again(monkeypatch):
    def count(**changes):
        found = operations(monkeypatch, **changes)
        return {
            "products": found.get("aten.mm.default", 0) + found.get("aten.addmm.default", 0),
            "attention": found.get("aten._scaled_dot_product_flash_attention_for_cpu.default", 0),
            "gelu": found.get("aten.gelu.default", 0),
        }

    plain = count()
    full = count(checkpoint_activations=True)
    selective = count(checkpoint_activations=True, checkpoint_policy="selective")
    assert plain["attention"] == plain["gelu"] == 0
    assert full["attention"] == full["gelu"] == LAYERS
    assert full["products"] > plain["products"]
    assert selective == {**plain, "gelu": LAYERS}


def test_attention_that_drops_is_computed_again():
    settings = network(checkpoint_activations=True, checkpoint_policy="selective", attention_dropout=0.1)
    assert settings.recompute._kept.isdisjoint(recomputation.ATTENTION)


def test_what_is_kept_goes_to_the_host(monkeypatch):
    packed = []

    class Recording(torch.autograd.graph.saved_tensors_hooks):
        def __init__(self, pin_memory):
            super().__init__(lambda tensor: packed.append(tensor.shape) or tensor, lambda tensor: tensor)

    monkeypatch.setattr(recomputation, "save_on_cpu", Recording)
    gradients(checkpoint_activations=True, checkpoint_in_cpu=True)
    assert packed.count((2, 12, 16)) == LAYERS, "the input of each layer, and nothing from within"
    assert not any(shape[-1:] == (64,) for shape in packed)


@pytest.mark.parametrize("of", ["evaluation", "generation", "no gradient"])
def test_nothing_is_computed_again_outside_of_training(of, monkeypatch):
    made, calls = network(checkpoint_activations=True), []
    monkeypatch.setattr(recomputation, "checkpoint", lambda *args, **options: calls.append(args))
    if of == "evaluation":
        made.eval()(tokens())
    elif of == "generation":
        made(tokens(), caches=made.new_caches(2, 12))
    else:
        with torch.no_grad():
            made(tokens())
    assert not calls
    with pytest.raises(TypeError):  # the recording gives nothing to go on with
        made.train()(tokens())
    assert len(calls) == 1


def test_a_gpu_is_waited_for_before_and_after_each_group(monkeypatch):
    events = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: events.append("wait"))
    for waits in (False, True):
        recompute = network(checkpoint_activations=True, synchronize_each_layer=waits).recompute
        with recompute._synchronized(on_gpu=True):
            events.append("layers")
    assert events == ["layers", "wait", "layers", "wait"]


def test_it_is_off_by_default(monkeypatch):
    monkeypatch.setattr(recomputation, "checkpoint", None)
    network()(tokens()).token_losses(tokens()).sum().backward()


@pytest.mark.parametrize(("ranks", "stage"), [(1, 0), (2, 1)])
def test_the_engine_takes_the_same_steps(workers, ranks, stage):
    changes = {"hidden_dropout": 0.2, "train_micro_batch_size_per_gpu": 1, "zero_optimization": {"stage": stage}}
    expected = workers(ranks).run(steps.curve, 3, **changes)
    for way in ({"checkpoint_num_layers": 2}, {"checkpoint_policy": "selective"}):
        found = workers(ranks).run(steps.curve, 3, **changes, **way, checkpoint_activations=True)
        assert found == expected

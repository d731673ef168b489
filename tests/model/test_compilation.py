"""Layers compiled by torch.compile compute what they compute otherwise."""

from __future__ import annotations

import pytest
import torch
from torch._dynamo.utils import counters
from training_models import model, tokens
from whole_matrix import in_whole

SIZE = {"num_layers": 3, "hidden_size": 32, "seq_length": 64}
LLAMA = {"norm": "rmsnorm", "activation": "swiglu", "intermediate_size": 192, "num_kv_heads": 2}
PARALLEL = {"gpt_j_residual": True, "pos_emb": "alibi"}
"""Its two biases of a layer have the same gradient, of which torch 2.13 makes C++ that does not build."""


@pytest.fixture(autouse=True)
def _forgetful():
    torch._dynamo.reset()
    counters.clear()


def step(network):
    loss = network(tokens(2, 48)).token_losses(tokens(2, 48, seed=1)).mean()
    loss.backward()
    return loss.detach(), {name: parameter.grad for name, parameter in network.named_parameters()}


def both(dtype, **changes):
    plain, compiled = (model(dtype, **SIZE, **changes, torch_compile=on).train() for on in (False, True))
    assert plain.state_dict().keys() == compiled.state_dict().keys()
    return step(plain), step(compiled)


def relative(found, wanted):
    return float((found.float() - wanted.float()).norm() / wanted.float().norm().clamp(min=1e-3))


def test_loss_and_gradients_are_the_same_and_all_layers_share_a_graph():
    (wanted_loss, wanted), (loss, gradients) = both(torch.float32, **LLAMA)
    assert counters["stats"]["unique_graphs"] == 1
    torch.testing.assert_close(loss, wanted_loss, rtol=1e-6, atol=0)
    assert max(relative(gradients[name], wanted[name]) for name in wanted) < 1e-4


@pytest.mark.parametrize(
    "changes", [PARALLEL, in_whole(LLAMA), in_whole({}), in_whole({"norm": "scalenorm", "pos_emb": "rpe"})]
)
def test_in_bfloat16_too(changes):
    (wanted_loss, wanted), (loss, gradients) = both(torch.bfloat16, **changes)
    assert counters["stats"]["unique_graphs"] == 1
    torch.testing.assert_close(loss, wanted_loss, rtol=1e-2, atol=0)
    assert max(relative(gradients[name], wanted[name]) for name in wanted if "norm" not in name) < 0.2


def test_generating_compiles_nothing():
    network = model(**SIZE, torch_compile=True)
    with torch.no_grad():
        caches = network.new_caches(1, 8)
        for place in range(4):
            network(tokens(1, 1), torch.tensor([[place]]), caches=caches)
    assert counters["stats"]["unique_graphs"] == 0


SELECTIVE = {"checkpoint_activations": True, "checkpoint_policy": "selective", "hidden_dropout": 0.1}


def kept_bytes(network):
    """What one step holds for the backward pass, beside weights, and its loss and gradients."""
    held = {}

    def pack(tensor):
        if not isinstance(tensor, torch.nn.Parameter):
            held[tensor.data_ptr()] = tensor.nbytes
        return tensor

    network.random.step = 3
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = network(tokens(2, 48)).token_losses(tokens(2, 48, seed=1)).mean()
    loss.backward()
    return sum(held.values()), loss.detach(), {name: weight.grad for name, weight in network.named_parameters()}


def test_a_compiled_layer_recomputes_what_is_between_products():
    networks = [
        model(**SIZE, torch_compile=True, **{**SELECTIVE, "checkpoint_activations": on}).train() for on in (False, True)
    ]
    (most, wanted_loss, wanted), (least, loss, gradients) = (kept_bytes(network) for network in networks)
    assert least < 0.75 * most
    assert counters["stats"]["unique_graphs"] == 2, "one for all layers of each network"
    assert torch.equal(loss, wanted_loss)
    assert max(relative(gradients[name], wanted[name]) for name in wanted) < 1e-5
    assert networks[0].state_dict().keys() == networks[1].state_dict().keys()
    with torch.no_grad():
        networks[1].eval()(tokens(1, 4), caches=networks[1].new_caches(1, 8))

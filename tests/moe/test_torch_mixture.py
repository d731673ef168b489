"""The plain mixture of experts against a loop over tokens, and against the dense MLP that it contains."""

from __future__ import annotations

import pytest
import torch
from neox_moe.torch_mixture import TorchMixture
from training_models import context, model, resolve, tokens

from neox_core.errors import SettingsError
from neox_core.model import MLP


def mixture(**changes):
    torch.manual_seed(0)
    made = TorchMixture(context(**{"moe_num_experts": 4, "moe_top_k": 2, **changes})).double()
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter, 0.0, 0.4)
    return made


def inputs(batch=2, seq=5):
    return torch.randn(batch, seq, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_one_expert_is_the_dense_mlp():
    made, dense = mixture(moe_num_experts=1, moe_top_k=1), MLP(context()).double()
    dense.load_state_dict(made.experts[0].state_dict())
    out, _ = made(inputs())
    torch.testing.assert_close(out, dense(inputs()), atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("top_k", [1, 2, 4])
def test_each_token_gets_its_likeliest_experts_by_their_share(top_k):
    made, x = mixture(moe_top_k=top_k), inputs()
    out, _ = made(x)
    for token, found in zip(x.flatten(0, 1), out.flatten(0, 1), strict=True):
        probabilities = (made.router.weight @ token).softmax(0)
        chosen = probabilities.argsort(descending=True)[:top_k]
        shares = probabilities[chosen] / probabilities[chosen].sum()
        expected = sum(share * made.experts[index](token) for share, index in zip(shares, chosen, strict=True))
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_the_auxiliary_loss_is_that_of_the_formula_and_reaches_the_router():
    made, x = mixture(moe_loss_coeff=0.5), inputs()
    _, aux = made(x)
    probabilities = made.router(x.flatten(0, 1)).softmax(-1)
    chosen = probabilities.topk(2).indices.flatten()
    load = torch.bincount(chosen, minlength=4) / len(chosen)
    expected = 0.5 * 4 * (load * probabilities.mean(0)).sum()
    torch.testing.assert_close(aux.double(), expected.double(), atol=1e-6, rtol=1e-6)
    aux.backward()
    assert made.router.weight.grad.abs().sum() > 0


def test_a_balanced_router_costs_the_coefficient():
    made = mixture(moe_loss_coeff=0.3)
    torch.nn.init.zeros_(made.router.weight)
    assert float(made(inputs())[1].detach()) == pytest.approx(0.3)


def test_the_model_sums_the_auxiliary_losses_of_its_mixtures():
    network = model(num_layers=3, moe_num_experts=2, moe_expert_interval=2, moe_loss_coeff=1.0)
    assert [block.is_mixture for block in network.layers] == [True, False, True]
    seen = []
    for block in (network.layers[0], network.layers[2]):
        block.mlp.register_forward_hook(lambda _module, _args, output: seen.append(output[1]))
    aux = network(tokens()).aux
    torch.testing.assert_close(aux, seen[0] + seen[1])


def test_the_auxiliary_loss_is_trained_on_but_not_reported(workers):
    free, costly = (
        workers(1).run("training_steps:curve", 1, moe_num_experts=2, moe_router_type="topk", moe_loss_coeff=c)[0][0]
        for c in (0, 1)
    )
    assert free[0] == costly[0], "the loss is that of the objective"
    assert free[1] != pytest.approx(costly[1], rel=1e-3), "the gradient is that of both"


def test_more_experts_for_a_token_than_there_are_is_refused_with_the_settings():
    with pytest.raises(SettingsError, match="moe_top_k 3 is more than moe_num_experts 2"):
        resolve(moe_num_experts=2, moe_top_k=3)


def test_the_router_that_is_not_there_is_refused_and_not_replaced():
    told, silent = (
        [str(limitation) for limitation in resolve(moe_num_experts=2, **changes)[0].limitations]
        for changes in ({}, {"moe_router_type": "topk"})
    )
    assert any("moe_router_type, moe_num_experts: sinkhorn" in text for text in told)
    assert not any("sinkhorn" in text for text in silent)

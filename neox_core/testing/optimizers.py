"""What every optimizer must do, and what its descriptor claims, as checks that the author of a plugin runs.

    from neox_core.testing.optimizers import Bench, checks

    @pytest.mark.parametrize("check", checks(plugins, "signs"), ids=lambda check: check.__name__)
    def test_signs(check):
        check(Bench(plugins, "signs"))

A check fails with an AssertionError, or with what the optimizer raises.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from neox_core.plugins import Optimizer, PluginManager, StateShape
from neox_core.testing.optimizer_bench import (
    Bench as Bench,  # noqa: PLC0414
    Trainee,
    same,
)

TOLERANCE = 1e-5
"""Between a parameter that is updated whole and in pieces, in float32."""

# What every optimizer must do


def learns(bench: Bench) -> None:
    """The loss of a small language model falls."""
    trainee = bench.trainee()
    before = trainee.loss().item()
    trainee.learn(40)
    after = trainee.loss().item()
    assert after < 0.8 * before, f"in 40 steps the loss went from {before:.3f} to {after:.3f}"


def repeats_itself(bench: Bench) -> None:
    """The same bits from the same gradients."""
    one, other = bench.trainee(), bench.trainee()
    for trainee in (one, other):
        trainee.drift(4)
    assert same(one.weights(), other.weights()), "twice the same is not the same"


def stands_still_at_rate_zero(bench: Bench) -> None:
    """No weight moves, neither in a first step nor later."""
    trainee = bench.trainee()
    for steps in (0, 3):
        trainee.drift(steps)
        before = trainee.weights()
        trainee.step(0.0)
        assert same(before, trainee.weights()), f"after {steps} steps a step at rate 0 moves weights"


def leaves_alone_what_has_no_gradient(bench: Bench) -> None:
    """Neither weights nor state of a parameter without a gradient change; and all others do move."""
    trainee = bench.trainee()
    trainee.drift(2)
    before = trainee.weights()
    kept = {key: fragment.tensor.clone() for key, fragment in trainee.fragments().items()}
    spared = [*trainee.parameters][::2]
    for name in spared:
        trainee.parameters[name].grad = None
    trainee.step(trainee.rate)
    after = trainee.fragments()
    for name, weight in trainee.weights().items():
        still = torch.equal(weight, before[name])
        assert still == (name in spared), f"{name} {'stands still' if still else 'moves without a gradient'}"
    for key, tensor in kept.items():
        changed = not torch.equal(tensor, after[key].tensor)
        assert not (changed and key[0] in spared), f"the state '{key[1]}' of {key[0]} changes without a gradient"


def keeps_names_with_parameters(bench: Bench) -> None:
    """However it cuts groups, "names" are those of "params", and every parameter is in one group."""
    trainee = bench.trainee()
    pairs = [
        pair for group in trainee.optimizer.param_groups for pair in zip(group["names"], group["params"], strict=True)
    ]
    assert sorted(name for name, _ in pairs) == sorted(trainee.parameters)
    assert all(trainee.parameters[name] is parameter for name, parameter in pairs)


def heeds_rates_of_groups(bench: Bench) -> None:
    """Each group moves at its own rate: that of rate 0 stands still."""
    trainee = bench.trainee()
    for group in trainee.optimizer.param_groups:
        group["lr_scale"] = 0.0 if group["weight_decay"] == 0 else 1.0
    before = trainee.weights()
    trainee.drift(2)
    for group in trainee.optimizer.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            moved = not torch.equal(parameter, before[name])
            assert moved == (group["lr_scale"] == 1.0), f"{name}: moves: {moved}, at {group['lr_scale']} of the rate"


def heeds_weight_decay_of_groups(bench: Bench) -> None:
    """Where the gradient is zero, what decays becomes smaller and nothing else moves."""
    trainee = bench.trainee()
    before = trainee.weights()
    for parameter in trainee.parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    trainee.step(trainee.rate)
    for group in trainee.optimizer.param_groups:
        for name, parameter in zip(group["names"], group["params"], strict=True):
            if group["weight_decay"] > 0:
                assert parameter.norm().item() < before[name].norm().item(), f"{name} does not decay"
            else:
                assert torch.equal(parameter, before[name]), (
                    f"{name} moves, though it neither decays nor has a gradient"
                )


# Its state


def declares_its_state(bench: Bench) -> None:
    """Everything that it keeps is a tensor, and of the shape that the descriptor says."""
    trainee, declared = bench.trainee(), bench.component.state
    trainee.drift(2)
    for name, state in trainee.state().items():
        for role, value in state.items():
            assert role in declared, f"the descriptor does not declare the state '{role}'"
            assert isinstance(value, Tensor), f"the state '{role}' is {type(value).__name__}, not a tensor"
            fits = _fits(declared[role], value, trainee.parameters[name])
            assert fits, f"the state '{role}' of {name} has the shape {tuple(value.shape)}, declared: {declared[role]}"


def _fits(shape: StateShape, value: Tensor, parameter: Tensor) -> bool:
    if shape == "scalar":
        return value.numel() == 1
    if shape == "element":
        return value.shape == parameter.shape
    return value.shape in {(size,) for size in parameter.shape} or value.numel() < parameter.numel()


def goes_on_from_what_torch_saved(bench: Bench) -> None:
    """`state_dict`, saved and loaded into a new optimizer: the steps after it are the same, bit for bit."""
    undisturbed, resumed = bench.trainee(), bench.trainee()
    undisturbed.drift(3)
    file = io.BytesIO()
    torch.save(undisturbed.optimizer.state_dict(), file)
    file.seek(0)
    resumed.optimizer.load_state_dict(torch.load(file, weights_only=True))
    _go_on(undisturbed, resumed, "torch's state_dict")


def goes_on_from_what_checkpoints_keep(bench: Bench) -> None:
    """State that is copied, flat, over that of a new optimizer after a step at rate 0, as when a checkpoint is loaded."""
    undisturbed, resumed = bench.trainee(), bench.trainee()
    undisturbed.drift(3)
    for parameter in resumed.parameters.values():
        parameter.grad = torch.zeros_like(parameter)
    resumed.step(0.0)
    saved, places = undisturbed.fragments(), resumed.fragments()
    assert saved.keys() == places.keys(), "a step at rate 0 does not make the whole state"
    for key, fragment in saved.items():
        places[key].tensor.copy_(fragment.tensor)
    _go_on(undisturbed, resumed, "a checkpoint")


@torch.no_grad()
def _go_on(undisturbed: Trainee, resumed: Trainee, source: str) -> None:
    for name, parameter in resumed.parameters.items():
        parameter.copy_(undisturbed.parameters[name])
    for trainee in (undisturbed, resumed):
        trainee.drift(3, first=3)
    assert same(undisturbed.weights(), resumed.weights()), f"after {source} it goes on in another way"


def gives_weights_of_use(bench: Bench) -> None:
    """`weight_of_use`, where it has one: new float32 tensors, and nothing changes by asking, before any step or later."""
    trainee = bench.trainee()
    weight_of_use: Callable[[Tensor], Tensor] | None = getattr(trainee.optimizer, "weight_of_use", None)
    if weight_of_use is None:
        return
    for steps in (0, 3):
        trainee.drift(steps)
        before, kept = trainee.weights(), trainee.fragments().keys()
        for name, parameter in trainee.parameters.items():
            used = weight_of_use(parameter)
            assert used.shape == parameter.shape, f"the weight of {name} has the shape {tuple(used.shape)}"
            assert used.dtype == torch.float32, f"the weight of {name} is {used.dtype}"
            used.zero_()
        assert same(before, trainee.weights()), "asking for weights changes what is trained"
        assert kept == trainee.fragments().keys(), "asking for weights makes state"


# What descriptors claim


def does_the_same_on_flat_pieces(bench: Bench) -> None:
    """Without `whole`: ZeRO hands it pieces of a flattened parameter, on which it does what it does on the parameter."""
    start = torch.randn(6, 8, generator=torch.Generator().manual_seed(0))
    whole = nn.Parameter(start.clone())
    pieces = [nn.Parameter(piece.clone()) for piece in torch.split(start.view(-1), [5, 17, 26])]
    one, several = (
        bench.optimizer([{"params": parameters, "names": names, "weight_decay": 0.1}])
        for parameters, names in (([whole], ["layers.0.a.weight"]), (pieces, ["piece"] * 3))
    )
    random = torch.Generator().manual_seed(1)
    for _ in range(5):
        whole.grad = torch.randn(start.shape, generator=random)
        for piece, gradient in zip(pieces, torch.split(whole.grad.view(-1), [5, 17, 26]), strict=True):
            piece.grad = gradient.clone()
        one.step()
        several.step()
    error = (torch.cat([*pieces]) - whole.view(-1)).abs().max().item()
    assert error < TOLERANCE, f"on flat pieces weights differ by {error:.3g}: does its descriptor need `whole=True`?"


Check = Callable[[Bench], None]

ALWAYS: tuple[Check, ...] = (
    learns,
    repeats_itself,
    stands_still_at_rate_zero,
    leaves_alone_what_has_no_gradient,
    keeps_names_with_parameters,
    heeds_rates_of_groups,
    heeds_weight_decay_of_groups,
    declares_its_state,
    goes_on_from_what_torch_saved,
    goes_on_from_what_checkpoints_keep,
    gives_weights_of_use,
)


def checks(plugins: PluginManager, name: str) -> list[Check]:
    """The checks of an optimizer: what all must do, and what its descriptor claims."""
    component: Any = plugins.find("optimizer", name).component
    claims: Mapping[Check, bool] = {
        does_the_same_on_flat_pieces: isinstance(component, Optimizer) and not component.whole
    }
    return [*ALWAYS, *(check for check, claimed in claims.items() if claimed)]

"""Twenty steps of every optimizer are those of its formula: with and without decay, at rates that change."""

from __future__ import annotations

import numpy as np
import optimizer_formulas as formulas
import pytest
import torch
from compiled_extensions import why_not
from neox_optimizers import cpu_adam
from training_models import plugins

from neox_core.testing.optimizers import Bench

SHAPES = {"layers.0.wide.weight": (4, 6), "layers.0.tall.weight": (7, 3), "norm.weight": (5,), "head.weight": (3, 4)}
DECAYS = {"layers.0.wide.weight": 0.3, "layers.0.tall.weight": 0.0, "norm.weight": 0.0, "head.weight": 0.3}
STEPS = 20
ADAM = {"betas": (0.8, 0.95), "eps": 1e-3}
CASES = [
    ("adam", formulas.Adam, ADAM),
    ("adam", formulas.Adam, {**ADAM, "adam_w_mode": False}),
    ("adamw", formulas.Adam, ADAM),
    ("cpu_torch_adam", formulas.Adam, ADAM),
    ("lamb", formulas.Lamb, ADAM),
    ("lion", formulas.Lion, {"betas": (0.8, 0.95)}),
    ("sgd", formulas.SGD, {}),
    ("sgd", formulas.SGD, {"momentum": 0.8, "dampening": 0.3}),
    ("sgd", formulas.SGD, {"momentum": 0.8, "nesterov": True}),
    ("madgrad_wd", formulas.Madgrad, {"momentum": 0.8, "eps": 1e-3}),
    ("madgrad_wd", formulas.Madgrad, {"momentum": 0.0, "eps": 1e-3}),
    ("sm3", formulas.SM3, {"eps": 1e-3}),
    ("sm3", formulas.SM3, {"eps": 1e-3, "momentum": 0.8, "beta": 0.7, "decoupled_decay": True}),
    ("schedule_free_adamw", formulas.ScheduleFree, ADAM),
]


def rates():
    """A warm-up, and a fall."""
    return [0.02 * min(1, (step + 1) / 5) / (1 + step / 10) for step in range(STEPS)]


def start():
    random = np.random.default_rng(0)
    return {name: random.standard_normal(shape) for name, shape in SHAPES.items()}


def gradients(step):
    random = np.random.default_rng(1 + step)
    return {name: random.standard_normal(shape) for name, shape in SHAPES.items()}


class Run:
    """An optimizer over float64 parameters, in two groups."""

    def __init__(self, name, options, weights):
        self.weights = {key: torch.nn.Parameter(torch.from_numpy(weight.copy())) for key, weight in weights.items()}
        groups = []
        for decay in sorted({DECAYS[key] for key in weights}):
            names = [key for key in weights if DECAYS[key] == decay]
            groups.append({"params": [self.weights[key] for key in names], "names": names, "weight_decay": decay})
        self.optimizer = Bench(plugins(), name, options).optimizer(groups)

    def step(self, step, rate):
        for key, gradient in gradients(step).items():
            if key in self.weights:
                self.weights[key].grad = torch.from_numpy(gradient).to(self.weights[key].dtype)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        self.optimizer.step()

    def read(self):
        return {key: weight.detach().numpy() for key, weight in self.weights.items()}


def train(name, options):
    run = Run(name, options, start())
    for step, rate in enumerate(rates()):
        run.step(step, rate)
    return run


def by_hand(made):
    """Weights after the steps, and what took them; `made` makes a formula from name and weight."""
    weights = start()
    taken = {name: made(name, weight) for name, weight in weights.items()}
    for step, rate in enumerate(rates()):
        for name, gradient in gradients(step).items():
            scale = getattr(taken[name], "lr_scale", 1.0)
            weights[name] = taken[name].step(weights[name], gradient, rate * scale, DECAYS[name])
    return weights, taken


def close(found, wanted):
    for name, weight in wanted.items():
        np.testing.assert_allclose(found[name], weight, rtol=1e-6, atol=1e-8, err_msg=name)


@pytest.mark.parametrize(("name", "formula", "options"), CASES)
def test_twenty_steps_are_those_of_the_formula(name, formula, options):
    wanted, _ = by_hand(lambda _, weight: formula(weight, **options))
    close(train(name, options).read(), wanted)


@pytest.mark.parametrize(
    "options",
    [{"adam_lr": 0.003}, {"scale": "shape", "nesterov": False, "steps": 3, "momentum": 0.8}],
    ids=["like Adam", "by shape"],
)
def test_muon_is_its_formula_for_matrices_of_layers_and_adamw_for_the_rest(options):
    ratio = options.get("adam_lr", 0.01) / 0.01  # the bench's rate

    def formula(name, weight):
        if name.startswith("layers."):
            return formulas.Muon(weight, **{key: value for key, value in options.items() if key != "adam_lr"})
        return formulas.Adam(weight, **ADAM, lr_scale=ratio)

    close(train("muon", {**options, **ADAM}).read(), by_hand(formula)[0])


def test_lamb_does_not_scale_what_is_zero():
    """A weight of zero has no length to scale the update to; without a gradient and a decay there is no update."""
    zeros = {name: np.zeros(shape) for name, shape in SHAPES.items()}
    run = Run("lamb", ADAM, zeros)
    run.step(0, 0.02)
    for name, gradient in gradients(0).items():
        formula = formulas.Adam(zeros[name], **ADAM)
        np.testing.assert_allclose(run.read()[name], formula.step(zeros[name], gradient, 0.02, 0.0), rtol=1e-6)
    still = Run("lamb", ADAM, {"norm.weight": np.ones(5)})
    still.weights["norm.weight"].grad = torch.zeros(5, dtype=torch.float64)
    still.optimizer.step()
    np.testing.assert_array_equal(still.read()["norm.weight"], np.ones(5))


@pytest.mark.slow
@pytest.mark.parametrize("decoupled", [True, False])
def test_cpu_adam_is_the_formula_up_to_float32(decoupled):
    if reason := why_not("cpu_adam", cpu_adam.lack()):
        pytest.skip(reason)
    options = {**ADAM, "adam_w_mode": decoupled}
    run = Run("cpu_adam", options, {name: weight.astype(np.float32) for name, weight in start().items()})
    for step, rate in enumerate(rates()):
        run.step(step, rate)
    wanted, _ = by_hand(lambda _, weight: formulas.Adam(weight, **options))
    for name, weight in wanted.items():
        np.testing.assert_allclose(run.read()[name], weight, rtol=1e-5, atol=1e-6, err_msg=name)


def test_the_weight_of_use_of_schedule_free_is_the_average():
    run = train("schedule_free_adamw", ADAM)
    _, taken = by_hand(lambda _, weight: formulas.ScheduleFree(weight, **ADAM))
    for name, weight in run.weights.items():
        used = run.optimizer.weight_of_use(weight)
        np.testing.assert_allclose(used.numpy(), taken[name].x, rtol=1e-5, atol=1e-6, err_msg=name)
        assert not np.allclose(used.numpy(), weight.detach().numpy(), rtol=1e-3)


def test_the_average_of_schedule_free_counts_steps_by_the_square_of_their_rate():
    run = Run("schedule_free_adamw", {"betas": (0.9, 0.0)}, start())
    name = "norm.weight"
    visited, squares = [], []
    for step, rate in enumerate((0.001, 0.01, 0.0, 0.02)):
        run.step(step, rate)
        visited.append(run.optimizer.state[run.weights[name]]["z"].numpy().copy())
        squares.append(rate**2)
    average = sum(z * square for z, square in zip(visited, squares, strict=True)) / sum(squares)
    np.testing.assert_allclose(run.optimizer.weight_of_use(run.weights[name]).numpy(), average, rtol=1e-5)


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
@pytest.mark.parametrize(("scale", "theirs"), [("adam", "match_rms_adamw"), ("shape", "original")])
@pytest.mark.parametrize("nesterov", [True, False])
def test_muon_does_to_matrices_what_torchs_does_but_for_its_bfloat16(scale, theirs, nesterov, monkeypatch):
    from neox_optimizers.newton_schulz import orthogonalised

    module = "torch.optim._muon._zeropower_via_newtonschulz"
    monkeypatch.setattr(module, lambda matrix, _, steps, eps: orthogonalised(matrix, steps))
    matrices = {name: weight for name, weight in start().items() if name.startswith("layers.")}
    ours = Run("muon", {"scale": scale, "nesterov": nesterov, "momentum": 0.9}, matrices)
    copies = {name: torch.nn.Parameter(torch.from_numpy(weight.copy())) for name, weight in matrices.items()}
    groups = [{"params": [weight], "weight_decay": DECAYS[name]} for name, weight in copies.items()]
    reference = torch.optim.Muon(groups, adjust_lr_fn=theirs, nesterov=nesterov, momentum=0.9)
    for step, rate in enumerate(rates()):
        ours.step(step, rate)
        for name, weight in copies.items():
            weight.grad = torch.from_numpy(gradients(step)[name])
        for group in reference.param_groups:
            group["lr"] = rate
        reference.step()
    close(ours.read(), {name: weight.detach().numpy() for name, weight in copies.items()})


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon")
@pytest.mark.parametrize("shape", [(16, 16), (8, 32), (32, 8)])
def test_orthogonal_matrices_are_torchs_up_to_bfloat16(shape):
    from neox_optimizers.newton_schulz import COEFFICIENTS, orthogonalised
    from torch.optim._muon import _zeropower_via_newtonschulz

    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    theirs = _zeropower_via_newtonschulz(matrix, COEFFICIENTS, 5, 1e-7).float()
    ours = orthogonalised(matrix, 5)
    assert (ours - theirs).norm() < 0.02 * ours.norm()
    values = torch.linalg.svdvals(ours)
    assert values.min() > 0.6
    assert values.max() < 1.25


def test_sgd_is_torchs():
    options = {"momentum": 0.9, "dampening": 0.1}
    ours, weights = train("sgd", options), {key: torch.nn.Parameter(torch.from_numpy(w)) for key, w in start().items()}
    groups = [{"params": [weight], "weight_decay": DECAYS[name]} for name, weight in weights.items()]
    reference = torch.optim.SGD(groups, **options)
    for step, rate in enumerate(rates()):
        for (name, weight), group in zip(weights.items(), reference.param_groups, strict=True):
            weight.grad, group["lr"] = torch.from_numpy(gradients(step)[name]), rate
        reference.step()
    close(ours.read(), {name: weight.detach().numpy() for name, weight in weights.items()})

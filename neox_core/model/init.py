"""Initialisation: a parameter is tagged with its method when it is made, and filled by its canonical name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Literal, cast

import torch
from torch import nn

from neox_core.config import ModelSettings
from neox_core.parallel import generator

Initialiser = Callable[[torch.Tensor, torch.Generator], object]
"""Fills a float32 CPU tensor of the parameter's global shape."""

Role = Literal["input", "output"]
"""Whether a weight reads from the residual stream or writes to it."""

_TAG = "neox_initialiser"


def normal(std: float) -> Initialiser:
    """Normal with mean 0."""
    return lambda tensor, random: tensor.normal_(0.0, std, generator=random)


def uniform(bound: float) -> Initialiser:
    """Uniform from `-bound` to `bound`."""
    return lambda tensor, random: tensor.uniform_(-bound, bound, generator=random)


def orthogonal(gain: float) -> Initialiser:
    """Orthonormal rows or columns, whichever are fewer, times `gain`."""
    return lambda tensor, random: nn.init.orthogonal_(tensor, gain, generator=random)


def initialiser(model: ModelSettings, role: Role, parts: int = 1) -> Initialiser:
    """The method that the settings name for weights of this role.

    Args:
        model: the settings.
        role: of the weight.
        parts: how many matrices of this shape, one below the other, the method is for. GPT-NeoX has value and gate of a gated MLP
            in one, whose shape decides how large its numbers are.
    """
    name = model.init_method if role == "input" else model.output_layer_init_method
    method = METHODS[name](model)
    if parts == 1 or name not in SHAPED:
        return method

    def fill(tensor: torch.Tensor, random: torch.Generator) -> None:
        whole = tensor.new_empty(parts * len(tensor), *tensor.shape[1:])
        method(whole, random)
        tensor.copy_(whole[: len(tensor)])

    return fill


SHAPED = frozenset({"orthogonal", "scaled_orthogonal", "xavier_uniform", "xavier_normal"})
"""Methods whose numbers depend on the shape of the matrix."""


METHODS: dict[str, Callable[[ModelSettings], Initialiser]] = {
    "normal": lambda model: normal(model.init_method_std),
    "scaled_normal": lambda model: normal(model.init_method_std / math.sqrt(2 * model.num_layers)),
    "single_residual_scaled_normal": lambda model: normal(model.init_method_std / math.sqrt(model.num_layers)),
    # Nguyen and Salazar, "Transformers without Tears", 2019
    "small_init": lambda model: normal(math.sqrt(2 / (5 * model.hidden_size))),
    # Wang and Komatsuzaki, mesh-transformer-jax (GPT-J), 2021
    "wang_init": lambda model: normal(2 / model.num_layers / math.sqrt(model.hidden_size)),
    # Saxe, McClelland and Ganguli, "Exact solutions to the nonlinear dynamics of learning", 2013
    "orthogonal": lambda model: orthogonal(math.sqrt(2)),
    "scaled_orthogonal": lambda model: orthogonal(math.sqrt(2 / model.num_layers)),
    "xavier_uniform": lambda model: lambda tensor, random: nn.init.xavier_uniform_(tensor, generator=random),
    "xavier_normal": lambda model: lambda tensor, random: nn.init.xavier_normal_(tensor, generator=random),
}


def tag(parameter: nn.Parameter, method: Initialiser) -> nn.Parameter:
    """Say how a parameter is to be filled; untagged ones keep what their module gave them."""
    setattr(parameter, _TAG, method)
    return parameter


def linear(inputs: int, outputs: int, *, bias: bool, method: Initialiser) -> nn.Linear:
    """A linear layer whose weight is tagged with `method` and whose bias begins at zero."""
    layer = nn.Linear(inputs, outputs, bias=bias)
    tag(cast("nn.Parameter", layer.weight), method)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


@torch.no_grad()
def initialise(parameters: Iterable[tuple[str, nn.Parameter]], seed: int) -> None:
    """Fill every tagged parameter from the generator of (seed, canonical name), unless it is on the meta device and holds nothing."""
    for name, parameter in parameters:
        method: Initialiser | None = getattr(parameter, _TAG, None)
        if method is not None and not parameter.is_meta:
            values = torch.empty(parameter.shape, dtype=torch.float32)
            method(values, generator(seed, name))
            parameter.copy_(values)

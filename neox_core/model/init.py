"""Initialisation: a parameter is tagged with its method when it is made, and filled by its canonical name."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, NamedTuple, cast

import torch
from torch import nn

from neox_core.config import ModelSettings
from neox_core.parallel import generator, global_shape, local_part, spec_of

Initialiser = Callable[[torch.Tensor, torch.Generator], object]
"""Fills a float32 CPU tensor of the parameter's global shape."""

Role = Literal["input", "output"]
"""Whether a weight reads from the residual stream or writes to it."""

_TAG = "neox_initialiser"


class Tag(NamedTuple):
    """What `tag` says of a parameter."""

    method: Initialiser | None = None
    fan_in: int | None = None
    scaled: bool = False


def normal(std: float) -> Initialiser:
    """Normal with mean 0."""
    return lambda tensor, random: tensor.normal_(0.0, std, generator=random)


def uniform(bound: float) -> Initialiser:
    """Uniform from `-bound` to `bound`."""
    return lambda tensor, random: tensor.uniform_(-bound, bound, generator=random)


def orthogonal(gain: float) -> Initialiser:
    """Orthonormal rows or columns, whichever are fewer, times `gain`."""
    return lambda tensor, random: nn.init.orthogonal_(tensor, gain, generator=random)


@dataclass(frozen=True, slots=True)
class Named:
    """A method that the settings name.

    Args:
        name: of the method, see `METHODS`.
        model: the settings.
        parts: how many matrices of the parameter's shape, one below the other, the method is for. GPT-NeoX has value and gate of a
            gated MLP in one, whose shape decides how large its numbers are.
    """

    name: str
    model: ModelSettings
    parts: int = 1

    def __call__(self, tensor: torch.Tensor, random: torch.Generator) -> None:
        """Fill a tensor."""
        method = METHODS[self.name](self.model)
        if self.parts == 1 or self.name not in SHAPED:
            method(tensor, random)
            return
        whole = tensor.new_empty(self.parts * len(tensor), *tensor.shape[1:])
        method(whole, random)
        tensor.copy_(whole[: len(tensor)])

    def scale(self, shape: Sequence[int], hidden_size: int) -> float:
        """How large numbers it makes for a parameter of this shape in a model of this width; a root mean square."""
        rows, columns = self.parts * shape[0], shape[1]
        match SHAPED.get(self.name):
            case "both":
                return math.sqrt(2 / (rows + columns))
            case "larger":
                return 1 / math.sqrt(max(rows, columns))
            case _:
                return math.pow(hidden_size, WIDTH_POWERS.get(self.name, 0.0))


def initialiser(model: ModelSettings, role: Role, parts: int = 1) -> Initialiser:
    """The method that the settings name for weights of this role; `parts` as `Named` has it."""
    return Named(model.init_method if role == "input" else model.output_layer_init_method, model, parts)


SHAPED = {"orthogonal": "larger", "scaled_orthogonal": "larger", "xavier_uniform": "both", "xavier_normal": "both"}
"""Methods whose numbers depend on the shape of the matrix, and on which of its two sizes."""

WIDTH_POWERS = {"small_init": -0.5, "wang_init": -0.5}
"""Methods whose numbers depend on the width of the model, and the power of it that they are proportional to."""


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


def tag(
    parameter: nn.Parameter, method: Initialiser, *, fan_in: int | None = None, scaled: bool = False
) -> nn.Parameter:
    """Say how a parameter is to be filled; untagged ones keep what their module gave them.

    Args:
        parameter: what is to be filled.
        method: fills it.
        fan_in: the dimension that is summed over when the parameter multiplies, which muP asks for. None: that of torch's linear
            layers in such a layer, else none, as in biases, norms and tables of vectors.
        scaled: whether the method itself makes numbers smaller in a wider model, so that muP leaves them as they are.
    """
    setattr(parameter, _TAG, Tag(method, fan_in, scaled))
    return parameter


def tag_of(parameter: nn.Parameter) -> Tag:
    """What was said of a parameter."""
    found: Tag = getattr(parameter, _TAG, Tag())
    return found


def begin(layer: nn.Linear, method: Initialiser) -> nn.Linear:
    """Have a linear layer's weight filled by `method`, and its bias with zeros."""
    tag(cast("nn.Parameter", layer.weight), method)
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


@torch.no_grad()
def initialise(
    parameters: Iterable[tuple[str, nn.Parameter]], seed: int, factors: Mapping[str, float] = MappingProxyType({})
) -> None:
    """Fill every tagged parameter from the generator of (seed, canonical name), unless it is on the meta device and holds nothing.

    Of a parameter that is cut the global one is filled, of which this rank keeps its part.

    Args:
        parameters: by canonical name.
        seed: the run's.
        factors: what the numbers of a parameter are multiplied by, where that is not 1.
    """
    for name, parameter in parameters:
        method = tag_of(parameter).method
        if method is not None and not parameter.is_meta:
            values = torch.empty(global_shape(parameter), dtype=torch.float32)
            method(values, generator(seed, name))
            parameter.copy_(local_part(values, spec_of(name, parameter)).mul_(factors.get(name, 1.0)))

"""Muon (Jordan et al., 2024; at scale Liu et al., 2025) for the matrices of layers, AdamW for everything else."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from neox_core.parallel import global_shape
from neox_optimizers.grouped import GroupedOptimizer, State, column, decay
from neox_optimizers.moments import adam_directions, no_moments
from neox_optimizers.newton_schulz import orthogonalised
from neox_optimizers.params import MuonParams


class Muon(GroupedOptimizer):
    """A matrix moves by its momentum made orthogonal, so that all its directions are learned at the same pace.

    A group is cut in two, by `orthogonal`: matrices, and what AdamW trains. A parameter with the mark `row_parts` is several
    matrices, such as queries, keys and values, whose rows take turns in pieces of these sizes; each is made orthogonal by itself.
    """

    def __init__(self, groups: Iterable[dict[str, Any]], params: MuonParams) -> None:
        cut = [part for group in groups for part in _cut(group, params)]
        self._scale, self._steps, self._nesterov = params.scale, params.steps, params.nesterov
        self._row_parts: dict[str, Sequence[int]] = {
            name: parameter.row_parts
            for group in cut
            for name, parameter in zip(group["names"], group["params"], strict=True)
            if params.split and hasattr(parameter, "row_parts")
        }
        super().__init__(cut, params.model_dump(include={"lr", "momentum", "betas", "eps"}))

    def begin(self, parameter: Tensor, group: dict[str, Any]) -> State:
        """A momentum, or the moments of Adam."""
        if group["orthogonal"]:
            return {"momentum_buffer": torch.zeros_like(parameter, memory_format=torch.contiguous_format)}
        return no_moments(parameter)

    def update(
        self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor], states: list[State]
    ) -> None:
        """Weight decay is decoupled in both."""
        decay(group, parameters, group["lr"])
        if group["orthogonal"]:
            updates = self._orthogonal(group, parameters, gradients, states)
        else:
            updates = adam_directions(gradients, states, group["betas"], group["eps"])
        torch._foreach_add_(parameters, updates, alpha=-group["lr"])

    def _orthogonal(
        self, group: dict[str, Any], parameters: list[Tensor], gradients: list[Tensor], states: list[State]
    ) -> list[Tensor]:
        momenta, momentum = column(states, "momentum_buffer"), group["momentum"]
        torch._foreach_lerp_(momenta, gradients, 1 - momentum)
        ahead = torch._foreach_lerp(gradients, momenta, momentum) if self._nesterov else momenta
        names = {id(parameter): name for name, parameter in zip(group["names"], group["params"], strict=True)}
        return [
            self._direction(matrix, self._row_parts.get(names[id(parameter)], [len(matrix)]))
            for matrix, parameter in zip(ahead, parameters, strict=True)
        ]

    def _direction(self, matrix: Tensor, sizes: Sequence[int]) -> Tensor:
        """The update at rate 1; each part of the rows by itself."""
        turns = matrix.reshape(-1, sum(sizes), matrix.shape[1])
        pieces = torch.split(turns, list(sizes), 1)  # each [turns, rows, columns]
        parts = (self._scaled(piece.flatten(0, 1)).view_as(piece) for piece in pieces)
        return torch.cat(list(parts), 1).flatten(0, 1)

    def _scaled(self, matrix: Tensor) -> Tensor:
        rows, columns = matrix.shape
        scale = 0.2 * math.sqrt(max(rows, columns)) if self._scale == "adam" else math.sqrt(max(1, rows / columns))
        return orthogonalised(matrix, self._steps) * scale


def _cut(group: dict[str, Any], params: MuonParams) -> Iterator[dict[str, Any]]:
    """The matrices of a group, and the rest with its own rate; of which each may be nothing."""
    members = list(zip(group["names"], group["params"], strict=True))
    for orthogonal, rate in ((True, 1.0), (False, (params.adam_lr or params.lr) / params.lr)):
        chosen = [member for member in members if is_matrix_of_a_layer(*member) == orthogonal]
        if chosen:
            names, parameters = zip(*chosen, strict=True)
            part = {"names": [*names], "params": [*parameters], "orthogonal": orthogonal}
            yield {**group, **part, "lr_scale": group.get("lr_scale", 1.0) * rate}


def is_matrix_of_a_layer(name: str, parameter: Tensor) -> bool:
    """Whether it maps vectors to vectors within a layer, by its canonical name and shape.

    An embedding and a head map to and from single tokens; a convolution's and other tables of numbers are no such maps either.
    """
    is_weight = name.startswith("layers.") and name.endswith(".weight")
    return is_weight and parameter.dim() == 2 and min(global_shape(parameter)) > 1


def build(groups: list[dict[str, Any]], params: MuonParams) -> Muon:
    """The optimizer over parameter groups."""
    return Muon(groups, params)

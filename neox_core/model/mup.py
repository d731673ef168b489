"""Maximal update parametrisation (Yang et al., "Tensor Programs V", 2022): what becomes of a model that is wider than its base model.

Hyper-parameters that were found on the base model then hold for the wide one. The rules are those of the paper's table 8, which
suit tied weights too; a model of the base's own width is the same as without muP, to the bit.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from torch import nn

from neox_core.config import ModelSettings, Resolved
from neox_core.config.base_shapes import EMBEDDING, REMEDY, BaseShapes, kind_of
from neox_core.config.groups import MuPSettings
from neox_core.errors import UserError
from neox_core.model.init import Named, tag_of
from neox_core.parallel import global_shape

Rules = Literal["adam", "sgd"]
"""How an optimizer's step depends on the size of gradients: not at all, or in proportion."""

VOCABULARY = (EMBEDDING, "head.weight")
"""Parameters whose first dimension is the vocabulary, which no wider model has more of."""


class Growth(NamedTuple):
    """By what factors one parameter is larger than in the base model.

    Args:
        inputs: in the dimension that is summed over when it multiplies; 1 where there is none.
        outputs: in all others together.
    """

    inputs: float = 1.0
    outputs: float = 1.0

    @property
    def initial(self) -> float:
        """Factor of the base model's initial numbers: sums over more inputs stay as large.

        What reads a wide layer and gives a narrow one begins smaller still, as outputs do in the paper's table 3.
        """
        return 1 / self.inputs if self.outputs == 1 else 1 / math.sqrt(self.inputs)

    def rate(self, rules: Rules) -> float:
        """Factor of the learning rate, by which a step changes what the parameter gives by as much as in the base model."""
        return 1 / self.inputs if rules == "adam" else self.outputs / self.inputs


@dataclass(frozen=True, slots=True)
class MuP:
    """What muP does to a model of these settings; nothing but the factors of the settings where there is no base."""

    settings: MuPSettings
    model: ModelSettings
    base: BaseShapes | None

    @classmethod
    def of(cls, resolved: Resolved) -> MuP:
        """That of a run.

        Raises:
            UserError: the base shapes are missing, or not in the form of such.
        """
        settings = resolved[MuPSettings]
        return cls(settings, resolved[ModelSettings], base_shapes(settings))

    @property
    def width(self) -> float:
        """How many times as wide as the base model the model is."""
        return self.model.hidden_size / self._base_width

    @property
    def _base_width(self) -> int:
        own = (1, self.model.hidden_size)
        return self.model.hidden_size if self.base is None else self.base.shape(EMBEDDING, own)[1]

    # Factors in the forward pass

    @property
    def embedding(self) -> float:
        """Of the embedding's output."""
        return self.settings.mup_embedding_mult if self.base is not None else 1.0

    @property
    def positions(self) -> float:
        """Of what positions add to the embedding."""
        return self.settings.mup_rp_embedding_mult

    @property
    def output(self) -> float:
        """Of the last hidden states, and so of logits."""
        return 1.0 if self.base is None else 1 / (self.width * self.settings.mup_output_temp)

    def attention(self, head_size: int, base_head_size: int | None = None) -> float | None:
        """Of the products of queries and keys; None for the usual 1 / sqrt(head_size).

        Args:
            head_size: of the model.
            base_head_size: of the base model; None: as the base shapes say.
        """
        if self.base is None:
            return None
        base = base_head_size or self.base.head_size or self._base_width / self.model.num_attention_heads
        factor = math.sqrt(base / head_size) / self.settings.mup_attn_temp
        return None if factor == 1 else factor / math.sqrt(head_size)

    @property
    def is_plain(self) -> bool:
        """Whether the forward pass is that of the standard parametrisation."""
        model = self.model
        scale = self.attention(model.hidden_size // model.num_attention_heads)
        return (self.embedding, self.positions, self.output, scale) == (1.0, 1.0, 1.0, None)

    # Factors of parameters

    def growths(self, module: nn.Module) -> dict[str, Growth]:
        """By what each parameter has grown, by canonical name; nothing without muP.

        Raises:
            UserError: the base shapes are those of another architecture.
        """
        self.check(module)
        return self._growths_of(dict(module.named_parameters()), module)

    def check(self, module: nn.Module) -> None:
        """Whether a model has all that its base model has; a stage of a pipeline lacks what others have.

        Raises:
            UserError: the base shapes are those of another architecture.
        """
        if self.base is None or not getattr(module, "is_whole", True):
            return
        own = {kind_of(name) for name, _ in module.named_parameters()}
        if beyond := [name for name in self.base.shapes if kind_of(name) not in own]:
            raise UserError(
                f"{self.base.source}: has '{beyond[0]}', and this model has not: the base model is another architecture; {REMEDY}"
            )

    def _growths_of(self, parameters: Mapping[str, nn.Parameter], module: nn.Module) -> dict[str, Growth]:
        return {} if self.base is None else dict(self._growths(self.base, parameters, module))

    @staticmethod
    def _growths(
        base: BaseShapes, parameters: Mapping[str, nn.Parameter], module: nn.Module
    ) -> Iterator[tuple[str, Growth]]:
        linear = {layer.weight for layer in module.modules() if isinstance(layer, nn.Linear)}
        for name, parameter in parameters.items():
            shape, dimension = global_shape(parameter), tag_of(parameter).fan_in
            was = base.shape(name, shape)
            if name in VOCABULARY and was[0] != shape[0]:
                raise UserError(
                    f"{base.source}: '{name}' has {was[0]} rows there and {shape[0]} in this model: muP compares models that "
                    f"differ in width, with one vocabulary; {REMEDY}"
                )
            if dimension is None and parameter in linear:
                dimension = 1
            ratios = [own / there for own, there in zip(shape, was, strict=True)]
            inputs = 1.0 if dimension is None else ratios.pop(dimension)
            yield name, Growth(inputs, math.prod(ratios))

    def initial_factors(
        self, module: nn.Module, parameters: Mapping[str, nn.Parameter] | None = None
    ) -> dict[str, float]:
        """Of the numbers that parameters begin with as their methods fill them.

        Args:
            module: a model, or a part of one.
            parameters: those of interest, by canonical name; None for all, as the module calls them.

        Raises:
            UserError: the base shapes are those of another architecture.
        """
        parameters = dict(module.named_parameters()) if parameters is None else parameters
        growths = self._growths_of(parameters, module)
        return {name: self._initial_factor(name, parameters[name], growth) for name, growth in growths.items()}

    def _initial_factor(self, name: str, parameter: nn.Parameter, growth: Growth) -> float:
        method, _, scaled = tag_of(parameter)
        if scaled:
            return 1.0
        if not isinstance(method, Named):
            return growth.initial
        assert self.base is not None
        shape = global_shape(parameter)
        as_base = method.scale(self.base.shape(name, shape), self._base_width)
        own = method.scale(shape, self.model.hidden_size)
        return growth.initial * as_base / own * self.settings.mup_init_scale

    def rate_factors(self, module: nn.Module, rules: Rules | None) -> dict[str, float]:
        """Of learning rates; where an optimizer has no rules, it is refused before a run begins."""
        return {} if rules is None else {name: growth.rate(rules) for name, growth in self.growths(module).items()}


def base_shapes(settings: MuPSettings) -> BaseShapes | None:
    """The base shapes that settings give; None without muP, and where they are yet to be written.

    Raises:
        UserError: they are missing, or not in the form of such.
    """
    if not settings.use_mup or settings.save_base_shapes:
        return None
    if settings.base_shapes is not None:
        return BaseShapes.of(settings.base_shapes)
    if settings.base_shapes_file is None:
        raise UserError("use_mup: the shapes of the base model are not given; set base_shapes_file")
    return BaseShapes.read(settings.base_shapes_file)

"""From token ids to hidden states."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from neox_core.config import ModelSettings, SoftPromptOptions
from neox_core.model.dropout import HiddenDropout, dropped
from neox_core.model.init import initialiser, tag
from neox_core.model.positions import Positions
from neox_core.model.soft_prompt import SoftPrompt
from neox_core.parallel import Axis, Stage, StepRandom, TensorParallel, copied_parameter, cut, evenly, global_shape


class Embedding(nn.Module):
    """Token embedding, plus what the positions add, with dropout; it holds the soft prompt too, which the model puts in.

    Args:
        model: the settings.
        vocabulary: rows of the embedding.
        positions: of the model.
        random: seeds dropout.
        factor: of the output.
        positions_factor: of what the positions add.
        tensor: the ranks over which the vocabulary is cut.
        context: the ranks over which samples are cut.
    """

    def __init__(
        self,
        model: ModelSettings,
        vocabulary: int,
        positions: Positions,
        random: StepRandom,
        *,
        factor: float = 1.0,
        positions_factor: float = 1.0,
        tensor: TensorParallel | None = None,
        context: Axis | None = None,
    ) -> None:
        super().__init__()
        self.context = context or Axis()
        self.tensor = tensor or TensorParallel()
        self.weight = vocabulary_rows(model, vocabulary, self.tensor)
        self.positions = positions
        prompt = SoftPromptOptions.of(model.soft_prompt_tuning)
        self.soft_prompt = None if prompt is None else SoftPrompt(prompt, model.hidden_size)
        self.dropout, self.random = model.hidden_dropout, random
        self.factor, self.positions_factor = factor, positions_factor

    def forward(self, tokens: Tensor, positions: Tensor) -> Tensor:
        """tokens [batch, seq] int64, positions [batch or 1, seq] -> [batch, seq, hidden]."""
        hidden = self.look_up(tokens)
        added = self.positions.embed(positions)
        if added is not None:
            hidden = hidden + scaled(added, self.positions_factor).to(hidden.dtype)
        if self.dropout and self.training:
            self.random.begin_layer(-1)
            hidden = dropped(hidden, HiddenDropout(TensorParallel(), self.context).draw(hidden, self.dropout))
        return scaled(hidden, self.factor)

    def look_up(self, tokens: Tensor) -> Tensor:
        """Each token's vector, to which every rank adds those of its part of the vocabulary."""
        if not self.tensor.is_on:
            return functional.embedding(tokens, self.weight)
        (own,) = evenly(global_shape(self.weight)[0], self.tensor.axis)
        absent = (tokens < own.start) | (tokens >= own.stop)
        vectors = functional.embedding((tokens - own.start).masked_fill(absent, 0), self.weight)
        return self.tensor.sum(vectors.masked_fill(absent[..., None], 0.0))

    def reduce_to_copies(self, stage: Stage, *, tied: bool) -> None:
        """Forget what no layer of a stage asks for; what other stages have as well is said to be a copy.

        Args:
            stage: of a pipeline; the first is asked for everything.
            tied: whether the head has the weights of this embedding.
        """
        if not stage.is_first:
            _forget(self.soft_prompt)
        if not stage.is_first and not self.positions.in_layers:
            _forget(self.positions)
        if not stage.is_first and not (tied and stage.is_last):
            self.register_parameter("weight", None)
        elif tied and (stage.is_first or stage.is_last):
            copied_parameter(self.weight, (0, stage.count - 1), stage.index)
        if self.positions.in_layers:
            for parameter in self.positions.parameters():
                copied_parameter(parameter, range(stage.count), stage.index)


def vocabulary_rows(model: ModelSettings, vocabulary: int, tensor: TensorParallel) -> nn.Parameter:
    """A vector for each token id, [this rank's part of the vocabulary, hidden]."""
    pieces = evenly(vocabulary, tensor.axis)
    rows = nn.Parameter(torch.empty(pieces[0].size, model.hidden_size))
    if tensor.is_on:
        cut(rows, 0, vocabulary, pieces)
    return tag(rows, initialiser(model, "input"))


def _forget(module: nn.Module | None) -> None:
    """Leave a module without its parameters."""
    for part in () if module is None else module.modules():
        for name, _ in [*part.named_parameters(recurse=False)]:
            part.register_parameter(name, None)


def scaled(tensor: Tensor, factor: float) -> Tensor:
    """The tensor times a factor; itself where that is 1."""
    return tensor if factor == 1 else tensor * factor

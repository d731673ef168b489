"""What each part of a model needs: its beginning, one layer of each kind, and its end with the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from neox_commands.plan_shapes import without_numbers
from neox_commands.plan_storages import LiveStorages
from neox_commands.plan_traffic import Traffic, counted, taken
from neox_core.config import (
    DataSettings,
    ModelSettings,
    ParallelismSettings,
    Resolved,
    SoftPromptOptions,
    TrainingSettings,
)
from neox_core.errors import UserError
from neox_core.model import Batch, LanguageModel, Objective
from neox_core.model.block import Carry
from neox_core.parallel import Mesh, Stage, sum_partial_gradients
from neox_core.plugins import PluginManager

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
"""What each number format is called by torch."""

LABELS = {"labels": torch.int64, "loss_mask": torch.float32}
"""Fields of a batch that can be made up: [batch, seq]."""


@dataclass(frozen=True, slots=True)
class Need:
    """What a part needs for one micro-batch.

    Args:
        kept: bytes from the forward to the backward pass, of what comes out too, without what goes in.
        working: the most bytes beyond these in either pass.
        traffic: by axis, of both passes.
    """

    kept: int
    working: int
    traffic: Mapping[str, Traffic] = field(default_factory=dict)


class Part(NamedTuple):
    """What is run.

    Args:
        model: the part of it.
        given: tensors that go in.
        forward: gives the results from which a backward pass begins.
    """

    model: LanguageModel
    given: tuple[Tensor | None, ...]
    forward: Callable[[], list[Tensor]]


class Pieces:
    """Parts of a model on one rank, which are run once each.

    Args:
        resolved: the run's settings, in which nothing is compiled or moved to the host.
        plugins: where parts are looked up.
        mesh: the rank's, without groups.
    """

    def __init__(self, resolved: Resolved, plugins: PluginManager, mesh: Mesh) -> None:
        self._resolved, self._plugins, self._mesh = resolved, plugins, counted(mesh)
        self._found: dict[Any, Need] = {}
        data = resolved[DataSettings]
        self._documents, self._positions = data.reset_attention_mask, data.reset_position_ids
        self._length = resolved[ModelSettings].seq_length // mesh.context.size

    def begin(self) -> Need:
        """The embedding."""

        def part() -> Part:
            model, batch = self._model(Stage(range(0), 0, 3)), self._batch()
            return Part(model, batch, lambda: _differentiable(model.begin(*batch)))

        return self._need("begin", part)

    def layers(self, group: range) -> Need:
        """Layers that are run together, of which one is like another where settings have the same parts for them."""
        resolved = self._resolved
        kind = tuple((resolved.layers[layer], resolved.mixtures[layer]) for layer in group)

        def part() -> Part:
            model, carry = self._model(Stage(group, 1, 3)), self.carry()
            return Part(model, carry, lambda: _differentiable(model.run(carry)))

        return self._need(kind, part)

    def end(self) -> Need:
        """The last norm, the head and the loss."""
        resolved, last = self._resolved, self._resolved[ModelSettings].num_layers
        name = resolved[TrainingSettings].train_impl
        objective: Objective = self._plugins.make("objective", name, resolved)
        if lacking := sorted(set(objective.batch_fields) - {"tokens", *LABELS}):
            raise UserError(f"train_impl: '{name}' reads '{lacking[0]}', of which a plan does not know how large it is")

        def part() -> Part:
            model = self._model(Stage(range(last, last), 2, 3))
            carry, batch = self.carry(), self._labels()

            def loss() -> list[Tensor]:
                head = model.end(carry)
                return [objective.loss(head, batch).loss + head.aux]

            return Part(model, (*carry, *batch.values()), loss)

        return self._need("end", part)

    def carry(self) -> Carry:
        """What comes to a layer."""
        tensor = 1 if not self._cuts_tokens else self._mesh.tensor.size
        prompt = self._prompt
        shape = (
            self._resolved.batch.micro,
            (self._length + prompt) // tensor,
            self._resolved[ModelSettings].hidden_size,
        )
        hidden = torch.empty(shape, dtype=DTYPES[self._resolved.precision], requires_grad=True)
        _, positions, documents = self._batch(prompt)
        return hidden, positions, documents, torch.zeros((), dtype=torch.float32)

    def carried(self) -> int:
        """Bytes of what one stage gives the next for a micro-batch."""
        with without_numbers(self._resolved.world.device):
            return sum(part.numel() * part.itemsize for part in self.carry() if part is not None)

    @property
    def tokens(self) -> int:
        """Tokens of a sample that go through layers on this rank, where they are not cut over tensor-parallel ranks."""
        return self._length + self._prompt

    def hidden(self) -> int:
        """Bytes of the hidden states between two layers."""
        with without_numbers(self._resolved.world.device):
            hidden, *_ = self.carry()
            return hidden.numel() * hidden.itemsize

    def returned(self) -> int:
        """Bytes of the gradients that come back for it."""
        mixtures = any(self._resolved.mixtures)
        with without_numbers(self._resolved.world.device):
            hidden, _, _, aux = self.carry()
            return hidden.numel() * hidden.itemsize + (aux.numel() * aux.itemsize if mixtures else 0)

    @property
    def _cuts_tokens(self) -> bool:
        return self._resolved[ParallelismSettings].sequence_parallel

    @property
    def _prompt(self) -> int:
        prompt = SoftPromptOptions.of(self._resolved[ModelSettings].soft_prompt_tuning)
        return 0 if prompt is None else prompt.num_tokens

    def _batch(self, further: int = 0) -> tuple[Tensor, Tensor, Tensor | None]:
        """Tokens, positions and documents."""
        micro, length = self._resolved.batch.micro, self._length + further
        tokens = torch.empty((micro, length), dtype=torch.int64)
        positions = torch.empty((micro if self._positions else 1, length), dtype=torch.int64)
        return tokens, positions, torch.empty_like(tokens) if self._documents else None

    def _labels(self) -> Batch:
        tokens = self._batch()[0]
        return {"tokens": tokens} | {name: torch.empty_like(tokens, dtype=dtype) for name, dtype in LABELS.items()}

    def _model(self, stage: Stage) -> LanguageModel:
        model = LanguageModel(self._resolved, self._plugins, self._mesh, stage)
        cast(model, DTYPES[self._resolved.precision])
        sum_partial_gradients(model, self._mesh.tensor)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.grad = torch.empty_like(parameter)
        return model.train()

    def _need(self, kind: Any, make: Callable[[], Part]) -> Need:
        """That of a part of a kind, which is made where nothing like it was run before."""
        if kind not in self._found:
            with without_numbers(self._resolved.world.device):
                self._found[kind] = self._measure(make())
        return self._found[kind]

    def _measure(self, part: Part) -> Need:
        parameters = [*part.model.parameters()]
        there = [*parameters, *part.model.buffers(), *part.given, *(parameter.grad for parameter in parameters)]
        taken(self._mesh)
        with LiveStorages(tensor for tensor in there if tensor is not None) as storages:
            outputs = part.forward()
            kept, forwards = storages.live, storages.most
            torch.autograd.backward(outputs, [torch.empty_like(output) for output in outputs])
            backwards = storages.most
        return Need(kept, max(forwards, backwards) - kept, taken(self._mesh))


def _differentiable(carry: Carry) -> list[Tensor]:
    return [part for part in carry if part is not None and part.requires_grad]


def cast(model: nn.Module, dtype: torch.dtype) -> None:
    """Give a model another number format where it is to have one, parameter by parameter: torch does not do it to fake ones."""
    for module in model.modules():
        for name, buffer in module.named_buffers(recurse=False):
            if buffer.is_floating_point():
                setattr(module, name, buffer.to(dtype))
        for name, parameter in module.named_parameters(recurse=False):
            kept = getattr(parameter, "keeps_float32", False)
            made = nn.Parameter(torch.empty_like(parameter, dtype=None if kept else dtype), parameter.requires_grad)
            vars(made).update(vars(parameter))
            module.register_parameter(name, made)

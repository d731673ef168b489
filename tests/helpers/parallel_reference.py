"""Training by a plain torch loop in one process, without DeepSpeed and without our engine: what every topology has to come to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from parallel_cells import STEPS
from torch import Tensor, nn
from training_models import VOCABULARY, resolve

from neox_core.config import ModelSettings, OptimizerSettings, Resolved
from neox_core.model import Batch, LanguageModel
from neox_core.plugins import PluginManager
from neox_core.training.batches import Batches
from neox_core.training.parameter_groups import groups_of

END_OF_DOCUMENT = 0


class DocumentSamples:
    """Samples of a few documents each; tokens that end one are frequent, so that masks differ from sample to sample."""

    names = frozenset({"text", "document"})

    def __init__(self, length: int, count: int = 128) -> None:
        random = np.random.default_rng(0)
        ends = random.random((count, length + 1)) < random.choice([0.05, 0.4], (count, 1))
        self._tokens = np.where(ends, END_OF_DOCUMENT, random.integers(1, VOCABULARY, ends.shape))
        self._documents = np.cumsum(ends, 1) - ends

    def __len__(self) -> int:
        return len(self._tokens)

    @property
    def windows(self) -> int:
        return len(self)

    def __getitem__(self, number: int) -> dict[str, np.ndarray]:
        return {"text": self._tokens[number], "document": self._documents[number]}

    def sources(self, number: int) -> dict[str, list]:
        return {}


def batches(resolved: Resolved, data_rank: int, fields: tuple[str, ...]) -> Batches:
    """The micro-batches of a data-parallel rank; there is no loss where a document ends."""
    samples = DocumentSamples(resolved[ModelSettings].seq_length)
    return Batches(samples, resolved, data_rank, fields, END_OF_DOCUMENT)


def rate(step: int) -> float:
    """Of a step; it falls, so that each step differs."""
    return 0.01 / (1 + step)


class Curve(NamedTuple):
    """What a run comes to.

    Args:
        losses: of each step.
        norms: of the gradient, before it is clipped.
        weights: after the last step, global and in float32, by canonical name.
        beginning: those before the first one.
        moments: Adam's first ones after the first step, which are its gradient but for a factor.
    """

    losses: list[float]
    norms: list[float]
    weights: dict[str, Tensor]
    beginning: dict[str, Tensor]
    moments: dict[str, Tensor]


class PlainLoop:
    """AdamW of torch on gradients that autograd adds up over all micro-batches of a step, in the order of their samples.

    In bfloat16 the model computes with weights that are rounded from float32 originals after each step, and gradients are added up in
    bfloat16: so does DeepSpeed, whose ZeRO keeps gradients in the number format of the model, each micro-batch's divided by their
    number first.
    """

    def __init__(self, **changes: Any) -> None:
        self.resolved, self.plugins = resolve(1, **changes)
        self.objective = self.plugins.make("objective", self.resolved.all_values()["train_impl"], self.resolved)
        self.model = LanguageModel(self.resolved, self.plugins)
        if self.resolved.precision == "bf16":
            self.model.bfloat16()
        self.parameters = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        self.originals = {name: p.detach().float().clone() for name, p in self.parameters.items()}
        self.optimizer = adamw(self.model, self.resolved, self.plugins, self.originals)

    def run(self, steps: int = STEPS) -> Curve:
        """Some steps."""
        beginning = self.weights()
        data = iter(batches(self.resolved, 0, self.objective.batch_fields))
        first = self.step(data, 0)
        moments = {name: self.optimizer.state[p]["exp_avg"].clone() for name, p in self.originals.items()}
        losses, norms = zip(first, *(self.step(data, number) for number in range(1, steps)), strict=True)
        return Curve([*losses], [*norms], self.weights(), beginning, moments)

    def step(self, data: Iterator[Batch], number: int) -> tuple[float, float]:
        """Loss and gradient norm of a step."""
        self.model.train()
        taken = [next(data) for _ in range(self.resolved.batch.accumulation)]
        loss = sum(
            self.backward(batch, share, number, place) for place, (batch, share) in enumerate(self.shares(taken))
        )
        for name, original in self.originals.items():
            original.grad, self.parameters[name].grad = self.parameters[name].grad.float(), None
        norm = nn.utils.get_total_norm([p.grad.double() for p in self.originals.values()])
        if clipping := self.resolved[OptimizerSettings].gradient_clipping:
            nn.utils.clip_grads_with_norm_(self.originals.values(), clipping, norm.float())
        for group in self.optimizer.param_groups:
            group["lr"] = rate(number) * group.get("lr_scale", 1.0)
        self.optimizer.step()
        with torch.no_grad():
            for name, original in self.originals.items():
                self.parameters[name].copy_(original)
        return loss, float(norm)

    def shares(self, taken: list[Batch]) -> list[tuple[Batch, float]]:
        """What each micro-batch counts; all together 1."""
        if self.resolved.all_values()["loss_normalisation"] == "micro_batch":
            return [(batch, 1 / len(taken)) for batch in taken]
        weights = [float(batch["loss_mask"].sum()) for batch in taken]
        return [(batch, weight / sum(weights)) for batch, weight in zip(taken, weights, strict=True)]

    def backward(self, batch: Batch, share: float, step: int, micro_batch: int) -> float:
        """What a micro-batch adds to the loss of a step."""
        self.model.random.step, self.model.random.micro_batch = step, micro_batch
        head = self.model(batch["tokens"], batch.get("positions"), batch.get("documents"))
        loss = self.objective.loss(head, batch).loss
        (loss * share + head.aux / self.resolved.batch.accumulation).backward()
        return float(loss.detach()) * share

    def weights(self) -> dict[str, Tensor]:
        """A copy of all weights: of what is trained the float32 originals."""
        frozen = {name: p.detach().float() for name, p in self.model.named_parameters()}
        return {name: value.clone() for name, value in (frozen | self.originals).items()}


def adamw(
    model: LanguageModel, resolved: Resolved, plugins: PluginManager, originals: dict[str, Tensor]
) -> torch.optim.Optimizer:
    """Over the originals of what is trained, with the weight decay and the rate of each group."""
    params = resolved.optimizer.params
    groups = [
        {**group, "params": [originals[name] for name in group["names"]]}
        for group in groups_of(model, resolved, plugins)
    ]
    return torch.optim.AdamW(groups, lr=params["lr"], betas=params["betas"], eps=params.get("eps", 1e-8))

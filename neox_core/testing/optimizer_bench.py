"""An optimizer over a small language model, for checks of what it does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from neox_core.config import NeoXArgs, World
from neox_core.model import Batch, LanguageModel, Objective
from neox_core.parallel import Fragment, ShardSpec, generator
from neox_core.plugins import Optimizer, PluginManager
from neox_core.training.engine import bare_optimizer
from neox_core.training.fragments import state_fragment
from neox_core.training.parameter_groups import parameter_groups

SETTINGS: dict[str, Any] = {
    "num_layers": 1,
    "hidden_size": 64,  # wide enough for optimizers that treat large parameters in another way
    "num_attention_heads": 4,
    "seq_length": 8,
    "max_position_embeddings": 8,
    "pos_emb": "none",
    "vocab_size": 32,
    "make_vocab_size_divisible_by": 1,
    "train_iters": 1,
    "train_batch_size": 1,
}
RATE = 0.01
"""Learning rate of steps, unless the options say one."""


@dataclass(frozen=True, slots=True)
class Bench:
    """An optimizer and what to run it with.

    Args:
        plugins: where it is looked up.
        name: of the optimizer.
        params: options that all checks are run with.
    """

    plugins: PluginManager
    name: str
    params: Mapping[str, Any] = field(default_factory=dict)

    @property
    def component(self) -> Optimizer:
        """The descriptor."""
        component = self.plugins.find("optimizer", self.name).component
        assert isinstance(component, Optimizer)
        return component

    @property
    def rate(self) -> float:
        """The learning rate of steps."""
        return float(self.params.get("lr", RATE))

    def optimizer(self, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
        """The optimizer over groups, as a run makes it."""
        return bare_optimizer(self.plugins, self.name, {"lr": self.rate, **self.params}, groups)

    def trainee(self, weight_decay: float = 0.1) -> Trainee:
        """A small model with the optimizer, the same each time."""
        resolved = NeoXArgs.from_dict(SETTINGS, plugins=self.plugins).resolve(World.local())
        model = LanguageModel(resolved, self.plugins)
        parameters = dict(model.named_parameters())
        groups = parameter_groups(parameters, weight_decay)
        objective = self.plugins.make("objective", "normal", resolved)
        return Trainee(model, objective, parameters, self.optimizer(groups), self.rate)


@dataclass(slots=True)
class Trainee:
    """A model with its optimizer."""

    model: LanguageModel
    objective: Objective
    parameters: dict[str, nn.Parameter]
    optimizer: torch.optim.Optimizer
    rate: float

    def loss(self) -> Tensor:
        """Of one batch that is always the same."""
        tokens = torch.randint(32, (4, 9), generator=generator(0, "tokens"))
        batch: Batch = {"tokens": tokens[:, :-1], "labels": tokens[:, 1:], "loss_mask": torch.ones(4, 8)}
        loss: Tensor = self.objective.loss(self.model(batch["tokens"]), batch).loss
        return loss

    def learn(self, steps: int) -> None:
        """So many steps on that batch."""
        for _ in range(steps):
            self.optimizer.zero_grad()
            torch.autograd.backward(self.loss())
            self.step(self.rate)

    def drift(self, steps: int, first: int = 0) -> None:
        """So many steps with random gradients, which differ in each step; `first` is the number of the first."""
        for step in range(first, first + steps):
            for name, parameter in self.parameters.items():
                parameter.grad = torch.randn(parameter.shape, generator=generator(0, name, step))
            self.step(self.rate / (1 + step))

    def step(self, rate: float) -> None:
        """Step at a rate, as a run does."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        self.optimizer.step()

    def weights(self) -> dict[str, Tensor]:
        """A copy."""
        return {name: parameter.detach().clone() for name, parameter in self.parameters.items()}

    def state(self) -> dict[str, dict[str, Any]]:
        """What the optimizer keeps of each parameter, by name."""
        return {name: self.optimizer.state[p] for name, p in self.parameters.items() if p in self.optimizer.state}

    def fragments(self) -> dict[tuple[str, str], Fragment]:
        """State as checkpoints have it, by name and role."""
        return {
            (name, role): state_fragment(ShardSpec.complete(name, tuple(p.shape)), role, value, (0, p.numel()))
            for name, p in self.parameters.items()
            for role, value in self.optimizer.state.get(p, {}).items()
        }


def same(one: Mapping[Any, Tensor], other: Mapping[Any, Tensor]) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)

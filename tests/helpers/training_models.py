"""Tiny models, their settings, and made-up samples, for tests that take steps."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from neox_core.checkpoint import TorchGroup, save
from neox_core.config import NeoXArgs, Resolved, World
from neox_core.model import LanguageModel, LayerContext, Positions
from neox_core.model.tables import make
from neox_core.plugins import PluginManager, Switches
from neox_core.training.batches import Batches
from neox_core.training.engine import Engine, StepResult

VOCABULARY = 61
SEQ_LENGTH = 12
SETTINGS: dict[str, Any] = {
    "num_layers": 2,
    "hidden_size": 16,
    "num_attention_heads": 4,
    "seq_length": SEQ_LENGTH,
    "max_position_embeddings": 64,
    "pos_emb": "rotary",
    "no_weight_tying": True,
    "vocab_size": VOCABULARY,
    "make_vocab_size_divisible_by": 8,
    "init_method_std": 0.2,
    "train_iters": 8,
    "train_batch_size": 4,
    "data_path": "made-up",
    "optimizer": {"type": "adamw", "params": {"lr": 0.01, "betas": [0.9, 0.95]}},
    "gradient_clipping": 0.0,
    "eval_iters": 0,
    "loggers": [],
}


@cache
def plugins() -> PluginManager:
    """All of ours, and those of `training_plugin`."""
    return PluginManager(Switches(modules=("training_plugin",)))


def resolve(ranks: int = 1, **changes: Any) -> tuple[Resolved, PluginManager]:
    manager = plugins()
    return NeoXArgs.from_dict({**SETTINGS, **changes}, plugins=manager).resolve(World.local(ranks)), manager


def model(dtype: torch.dtype = torch.float32, **changes: Any) -> LanguageModel:
    """A model in evaluation mode."""
    return LanguageModel(*resolve(**changes)).to(dtype).eval()


def context(layer: int = 0, **changes: Any) -> LayerContext:
    """What a part of a layer is made from."""
    resolved, manager = resolve(**changes)
    made = LayerContext(layer, resolved, Positions(None), manager)  # type: ignore[arg-type]
    positions = make("position", made.model.pos_emb, manager, made.model)
    return LayerContext(layer, resolved, positions, manager)


def tokens(batch: int = 2, length: int = SEQ_LENGTH, seed: int = 0) -> torch.Tensor:
    return torch.randint(VOCABULARY, (batch, length), generator=torch.Generator().manual_seed(seed))


class Samples:
    """A dataset of random samples; as long as nobody needs more."""

    names = frozenset({"text"})

    def __init__(self, count: int = 4096, length: int = SEQ_LENGTH) -> None:
        self._samples = np.random.default_rng(0).integers(0, VOCABULARY, (count, length + 1))

    def __len__(self) -> int:
        return len(self._samples)

    @property
    def windows(self) -> int:
        return len(self)

    def __getitem__(self, number: int) -> dict[str, np.ndarray]:
        return {"text": self._samples[number]}

    def sources(self, number: int) -> dict[str, list]:
        return {}


class Bench:
    """An engine on this rank with data to train on; a step's rate falls so that each step differs."""

    def __init__(self, **changes: Any) -> None:
        self.resolved, self.plugins = resolve(dist.get_world_size(), **changes)
        torch.manual_seed(0)
        objective = self.plugins.make("objective", self.resolved.all_values()["train_impl"], self.resolved)
        self.engine = Engine(self.resolved, self.plugins, objective)
        self.batches = Batches(Samples(), self.resolved, self.engine.mesh.data.rank, ("labels", "loss_mask"), None)
        self.steps = 0

    def go_to(self, step: int) -> None:
        """As if so many steps had been taken."""
        self.steps = step
        self.batches.seek(step * self.resolved.batch.total)

    def step(self) -> StepResult:
        result = self.engine.train_step(self.batches, step=self.steps, learning_rate=0.01 / (1 + self.steps))
        self.steps += 1
        return result

    def train(self, steps: int) -> list[StepResult]:
        return [self.step() for _ in range(steps)]

    def save(self, directory: Path) -> Path:
        """The checkpoint of this moment."""
        return save(
            directory,
            iteration=self.steps,
            fragments=self.engine.fragments(),
            state=self.engine.state(),
            files={"settings.yml": ""},
            random_state=None,
            group=TorchGroup(),
            topology=self.engine.mesh.topology,
        )

    @property
    def parameters(self) -> dict[str, torch.nn.Parameter]:
        return dict(self.engine.model.named_parameters())

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Of all parameters as the model has them; those that ZeRO 3 cuts are empty when they are not used."""
        return {name: tuple(getattr(p, "ds_shape", p.shape)) for name, p in self.parameters.items()}

    def state(self) -> dict[str, torch.Tensor]:
        """A copy of every weight that computes, with ZeRO 3 of this rank's piece, and of everything that a checkpoint keeps of it."""
        kept = {f"{f.name} {f.role} {f.range}": f.tensor.clone() for f in self.engine.fragments()}
        computing = {name: getattr(parameter, "ds_tensor", parameter) for name, parameter in self.parameters.items()}
        return kept | {name: weight.detach().clone() for name, weight in computing.items()}


def same(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    """Bit for bit."""
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)

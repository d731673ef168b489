"""Optimizers with their schedules in NeMo's vocabulary."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from neox_core import Config
from neox_core.errors import Origin
from neox_recipes.part import Meaning, Part, Said


@dataclass(frozen=True, kw_only=True)
class AdamConfig(Part):
    """Adam with decoupled decay of weights.

    Args:
        lr: the rate at the end of the warm-up.
        weight_decay: decay of weights; biases and norms are exempt.
        adam_beta1: decay of the mean of gradients.
        adam_beta2: decay of the mean of their squares.
        adam_eps: added to the root.
        clip_grad: the largest norm of the gradient.
        use_distributed_optimizer: whether the optimizer's state is cut over the data-parallel ranks.
    """

    lr: float = 1e-4
    weight_decay: float = 0.1
    adam_beta1: float = 0.9
    adam_beta2: float = 0.95
    adam_eps: float = 1e-5
    clip_grad: float = 1.0
    use_distributed_optimizer: bool = True

    meanings: ClassVar[Mapping[str, Meaning]] = {
        "lr": Meaning(("optimizer.params.lr",)),
        "weight_decay": Meaning(("weight_decay",)),
        "adam_beta1": Meaning(("optimizer.params.betas",), lambda adam: adam.betas, "the first of the two"),
        "adam_beta2": Meaning(("optimizer.params.betas",), lambda adam: adam.betas, "the second"),
        "adam_eps": Meaning(("optimizer.params.eps",)),
        "clip_grad": Meaning(("gradient_clipping",)),
        "use_distributed_optimizer": Meaning(
            ("zero_optimization.stage",), lambda adam: 1 if adam.use_distributed_optimizer else 0, "1 or 0"
        ),
    }

    @property
    def betas(self) -> list[float]:
        """Both decays."""
        return [self.adam_beta1, self.adam_beta2]

    def said(self) -> Iterator[Said]:
        """The kind of the optimizer, and the fields."""
        yield Said("optimizer.type", "Adam", Origin(source=type(self).__qualname__))
        yield from super().said()


@dataclass(frozen=True, kw_only=True)
class CosineAnnealing(Part):
    """A rise to the peak, half a cosine down to the least rate, and that to the end.

    Args:
        warmup_steps: steps over which the rate rises.
        constant_steps: steps at the end with the least rate.
        min_lr: the least rate.
    """

    warmup_steps: int = 2000
    constant_steps: int = 0
    min_lr: float = 1e-5

    meanings: ClassVar[Mapping[str, Meaning]] = {
        "warmup_steps": Meaning(words="`warmup`: as a share of lr_decay_iters"),
        "constant_steps": Meaning(words="`lr_decay_iters`: max_steps without these"),
        "min_lr": Meaning(("min_lr",)),
    }

    def over(self, max_steps: int) -> Iterator[Said]:
        """The schedule of a run of so many steps; where it ends within the warm-up, the rate rises to the end."""
        decay = max(max_steps - self.constant_steps, self.warmup_steps, 1)
        yield Said("lr_decay_style", "cosine", Origin(source=type(self).__qualname__))
        yield Said("lr_decay_iters", decay, self.origin("constant_steps"))
        yield Said("warmup", self.warmup_steps / decay, self.origin("warmup_steps"))


@dataclass(frozen=True, kw_only=True)
class OptimizerBundle(Part):
    """An optimizer and the schedule of its rate."""

    config: AdamConfig = field(default_factory=AdamConfig)
    lr_scheduler: CosineAnnealing = field(default_factory=CosineAnnealing)


def adam_with_cosine_annealing(
    *,
    max_lr: float = 1e-4,
    min_lr: float | None = None,
    warmup_steps: int = 2000,
    constant_steps: int = 0,
    adam_beta1: float = 0.9,
    adam_beta2: float = 0.95,
    weight_decay: float = 0.1,
    clip_grad: float = 1.0,
) -> Config[OptimizerBundle]:
    """Adam whose state is cut over the data-parallel ranks, with a warm-up and half a cosine.

    Args:
        max_lr: the rate at the end of the warm-up.
        min_lr: the least rate; None: a tenth of `max_lr`.
        warmup_steps: steps over which the rate rises.
        constant_steps: steps at the end with the least rate.
        adam_beta1: decay of the mean of gradients.
        adam_beta2: decay of the mean of their squares.
        weight_decay: decay of weights.
        clip_grad: the largest norm of the gradient.
    """
    adam = Config(
        AdamConfig,
        lr=max_lr,
        weight_decay=weight_decay,
        adam_beta1=adam_beta1,
        adam_beta2=adam_beta2,
        clip_grad=clip_grad,
    )
    least = round(max_lr / 10, 15) if min_lr is None else min_lr  # 3e-05, not 2.9999999999999997e-05
    schedule = Config(CosineAnnealing, warmup_steps=warmup_steps, constant_steps=constant_steps, min_lr=least)
    return Config(OptimizerBundle, config=adam, lr_scheduler=schedule)


distributed_fused_adam_with_cosine_annealing = adam_with_cosine_annealing
"""NeMo's name for it."""

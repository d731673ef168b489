"""Pre-training from parts in NeMo's vocabulary."""

from __future__ import annotations

from itertools import chain
from typing import Any

from neox_core import trains
from neox_core.config import Entry
from neox_core.errors import Origin
from neox_recipes.data import DataModule
from neox_recipes.logs import Log, Resume
from neox_recipes.models import GPTModel
from neox_recipes.optimizers import OptimizerBundle
from neox_recipes.part import Part, Said, entries
from neox_recipes.trainer import Trainer


@trains
def pretrain(
    model: GPTModel,
    data: DataModule,
    trainer: Trainer,
    optim: OptimizerBundle,
    *,
    log: Log | None = None,
    resume: Resume | None = None,
    **settings: Any,
) -> list[Entry]:
    """Train a model from its beginning.

    Args:
        model: the architecture.
        data: the samples.
        trainer: machines, parallelism, steps and evaluation.
        optim: the optimizer and its schedule.
        log: what the run writes; None: nothing but its records.
        resume: what it begins from; None: its newest checkpoint, where there is one.
        settings: keys of the flat settings, in place of what the parts say.
    """
    log, resume = log or Log(), resume or Resume()
    parts: tuple[Part, ...] = (model, data, trainer, optim, log, resume)
    of_several = [*optim.lr_scheduler.over(trainer.max_steps), *resume.within(log)]
    given = [Said(key, value, Origin(source="pretrain")) for key, value in settings.items()]
    return entries(chain(*(part.said() for part in parts), of_several, given))

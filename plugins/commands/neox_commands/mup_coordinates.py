"""The coordinate check (Yang et al., "Tensor Programs V", 2022, appendix D.1): activations of models of several widths in a few steps.

With muP neither the activations nor what training changes of them depend on the width. In the standard parametrisation the
changes grow with it, until a rate that suits a narrow model makes a wide one diverge.
"""

from __future__ import annotations

import math
import statistics
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from neox_commands.mup_widths import WITHOUT, at_width, resolved_from
from neox_core.config import (
    LossSettings,
    MixtureSettings,
    ModelSettings,
    NeoXArgs,
    OptimizerSettings,
    Resolved,
    TrainingSettings,
)
from neox_core.config.groups import CORE_GROUPS, CompatibilitySettings, MuPSettings, PluginSettings
from neox_core.errors import UserError
from neox_core.model import Batch, LanguageModel, Objective
from neox_core.plugins import PluginManager
from neox_core.training.engine import make_optimizer
from neox_core.training.mup import base_shapes_of, optimizer_problems
from neox_core.training.parameter_groups import groups_of

KINDS = ("embedding", "attention", "mlp", "residual", "logits")
"""What is measured, each averaged over all layers that have it."""

HEEDED = {
    ModelSettings,
    MixtureSettings,
    MuPSettings,
    TrainingSettings,
    LossSettings,
    OptimizerSettings,
    PluginSettings,
    CompatibilitySettings,
}
"""Groups of the core that say what model is trained, and how; the others say where."""

SAMPLES, LENGTH, VOCABULARY = 4, 32, 16
"""Size of the batch, which is made up: samples, tokens of each, and how many tokens there are.

They are few, so that each is met often: hidden states of different tokens are almost orthogonal, the more so the wider they are,
and in a narrow model what is left of the one in the other would add up to as much as what is learned.
"""

WITHIN = 0.2
"""What is flat: no width is further than this from the mean of all."""


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Activations of one width: their mean absolute size, and that of their change since step 0, after 0, 1, 2, ... steps."""

    width: int
    sizes: Mapping[str, Sequence[float]]
    changes: Mapping[str, Sequence[float]]


@dataclass(frozen=True, slots=True)
class Check:
    """How one quantity depends on the width.

    Args:
        name: of the activation, with "change of" before it.
        values: at each width, after the last step.
        exponent: of the power of the width that they grow with.
        spread: how far the furthest is from the geometric mean, as a share.
    """

    name: str
    values: tuple[float, ...]
    exponent: float
    spread: float

    @property
    def is_flat(self) -> bool:
        """Whether the width makes no difference."""
        return self.spread <= WITHIN


def checks(found: Sequence[Coordinates]) -> list[Check]:
    """The verdict on every quantity that does not depend on the width with muP.

    The size of the logits is none of them: with tied weights they begin as large as an untrained embedding makes them, which
    vanishes with the width.
    """
    kinds = [kind for kind in KINDS if kind in found[0].sizes]
    widths = [one.width for one in found]
    sizes = [_check(kind, widths, [one.sizes[kind][-1] for one in found]) for kind in kinds if kind != "logits"]
    changes = [_check(f"change of {kind}", widths, [one.changes[kind][-1] for one in found]) for kind in kinds]
    return [*sizes, *changes]


def _check(name: str, widths: Sequence[int], values: Sequence[float]) -> Check:
    if not all(math.isfinite(value) and value > 0 for value in values):
        return Check(name, tuple(values), math.nan, math.inf)
    logs = [math.log(value) for value in values]
    mean = statistics.fmean(logs)
    slope = statistics.linear_regression([math.log(width) for width in widths], logs).slope
    return Check(name, tuple(values), slope, math.exp(max(abs(log - mean) for log in logs)) - 1)


# Measuring


def measure(args: NeoXArgs, widths: Sequence[int], steps: int, *, mup: bool, seeds: int) -> list[Coordinates]:
    """Activations at each width; the narrowest is the base model.

    Args:
        args: the settings, of which everything but the width is kept that says what is trained.
        widths: of the residual stream.
        steps: of the optimizer, at its peak rate, each on the same batch.
        mup: whether with muP, or in the standard parametrisation.
        seeds: models of which the mean is taken.

    Raises:
        UserError: a width does not suit the settings; the optimizer has no rules of muP, or the objective needs more than tokens.
    """
    plugins = args.plugins
    assert plugins is not None
    bare = NeoXArgs.from_dict(_of_one_process(args), plugins=plugins)
    base = base_shapes_of(resolved_from(at_width(bare, min(widths)), plugins), plugins)
    further = {"use_mup": True, "base_shapes": base.to_dict()} if mup else {}
    runs = [
        [resolved_from({**at_width(bare, width), **further, "seed": seed + 1}, plugins) for seed in range(seeds)]
        for width in widths
    ]
    for problem in optimizer_problems(runs[0][0], plugins):
        raise UserError(f"optimizer: {problem.message}; {problem.remedy}, for which this check has --standard")
    return [_mean([_train(resolved, plugins, steps) for resolved in of_width]) for of_width in runs]


def _of_one_process(args: NeoXArgs) -> dict[str, Any]:
    """The settings without what concerns other processes, number formats, data and files."""
    owners = args.ownership.keys
    foreign = set(CORE_GROUPS) - HEEDED
    kept = {key: value for key, value in args.to_dict().items() if owners[key].group not in foreign}
    length = min(args.seq_length, LENGTH)
    return {
        **kept,
        **WITHOUT,
        "coord_check": False,
        "seq_length": length,
        "vocab_size": VOCABULARY,
        "make_vocab_size_divisible_by": 1,
        "train_batch_size": SAMPLES,
        "train_iters": 1,
        "train_epochs": None,
        "mock_data": True,
        "hidden_dropout": 0.0,
        "attention_dropout": 0.0,
        "soft_prompt_tuning": None,
    }


def _train(resolved: Resolved, plugins: PluginManager, steps: int) -> Coordinates:
    """Take steps on one batch, and look at the activations before each and after the last."""
    model = LanguageModel(resolved, plugins)
    if model.head.weight is not None:
        nn.init.zeros_(model.head.weight)  # as the paper advises: see docs/mup.md
    objective: Objective = plugins.make("objective", resolved[TrainingSettings].train_impl, resolved)
    batch = made_up_batch(resolved[ModelSettings].seq_length, objective)
    optimizer = make_optimizer(resolved, plugins, groups_of(model, resolved, plugins))
    for group in optimizer.param_groups:
        group["lr"] = resolved.optimizer.lr * group.get("lr_scale", 1.0)
    sizes, changes = defaultdict(list), defaultdict(list)
    first: dict[str, list[Tensor]] = {}
    for step in range(steps + 1):
        found = activations(model, batch)
        first = first or found
        for kind, tensors in found.items():
            sizes[kind].append(_size(tensors))
            changes[kind].append(_size([now - then for now, then in zip(tensors, first[kind], strict=True)]))
        if step < steps:
            optimizer.zero_grad()
            head = model(batch["tokens"])
            (objective.loss(head, batch).loss + head.aux).backward()
            optimizer.step()
    return Coordinates(resolved[ModelSettings].hidden_size, sizes, changes)


def made_up_batch(length: int, objective: Objective) -> Batch:
    """Random tokens, the same for every width.

    Raises:
        UserError: the objective needs something else.
    """
    tokens = torch.randint(VOCABULARY, (SAMPLES, length + 1), generator=torch.Generator().manual_seed(0))
    batch = {
        "tokens": tokens[:, :-1],
        "labels": tokens[:, 1:],
        "loss_mask": torch.ones(SAMPLES, length),
    }
    if lacking := sorted(set(objective.batch_fields) - batch.keys()):
        raise UserError(f"train_impl: needs '{lacking[0]}', which made-up tokens do not have; set train_impl: normal")
    return batch


@torch.no_grad()
def activations(model: LanguageModel, batch: Batch) -> dict[str, list[Tensor]]:
    """What each kind comes to in each layer."""
    found: dict[str, list[Tensor]] = defaultdict(list)
    hooks = [module.register_forward_hook(_keep(found[kind])) for kind, module in _measured(model)]
    found["logits"].append(model(batch["tokens"]).logits())
    for hook in hooks:
        hook.remove()
    return dict(found)


def _measured(model: LanguageModel) -> Iterator[tuple[str, nn.Module]]:
    """The modules whose outputs are measured; a mixer that is the whole layer is measured as the residual stream."""
    yield "embedding", model.embedding
    for layer in model.layers:
        for kind in ("attention", "mlp"):
            if hasattr(layer, kind):
                yield kind, getattr(layer, kind)
        yield "residual", layer


def _keep(found: list[Tensor]) -> Callable[[nn.Module, Any, Any], None]:
    """A hook that keeps what a module gives: a tensor, or the first of several."""

    def hook(module: nn.Module, given: Any, output: Any) -> None:
        found.append(cast("Tensor", output[0] if isinstance(output, tuple) else output))

    return hook


def _size(tensors: Sequence[Tensor]) -> float:
    return statistics.fmean(float(tensor.abs().mean()) for tensor in tensors)


def _mean(found: Sequence[Coordinates]) -> Coordinates:
    """The mean over models of one width."""

    def mean(of: Sequence[Mapping[str, Sequence[float]]]) -> dict[str, list[float]]:
        return {kind: [statistics.fmean(at) for at in zip(*(one[kind] for one in of), strict=True)] for kind in of[0]}

    return Coordinates(found[0].width, mean([one.sizes for one in found]), mean([one.changes for one in found]))

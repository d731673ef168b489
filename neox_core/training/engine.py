"""The training engine: a model, an objective and an optimizer, run by DeepSpeed."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

import torch
from pydantic import ValidationError
from torch import Tensor, nn

from neox_core.checkpoint import Reader, TensorSource, load_fragments
from neox_core.config import DataSettings, LossSettings, ModelSettings, OptimizerSettings, Resolved, TrainingSettings
from neox_core.config.deepspeed_json import engine_json
from neox_core.config.plain import shown
from neox_core.errors import UserError
from neox_core.launch import Breadcrumbs
from neox_core.model import Batch, LanguageModel, LossOutput, Objective, WeighingObjective
from neox_core.model.soft_prompt import SOFT_PROMPT
from neox_core.model.stages import stage_of
from neox_core.parallel import Fragment, Mesh, SequenceLayout, local_part
from neox_core.plugins import Optimizer, PluginManager
from neox_core.training.averages import Averages, MetricNames
from neox_core.training.clip_norm import mark as mark_counts
from neox_core.training.deepspeed.core import Observer
from neox_core.training.deepspeed.disks import prepared
from neox_core.training.deepspeed.making import Cutter, adapted, import_deepspeed, make_core
from neox_core.training.deepspeed.mpu import ModelParallelUnit
from neox_core.training.initial_weights import WeightsReport, update_from_checkpoint
from neox_core.training.loss_scale import LOSS_SCALE
from neox_core.training.non_finite import Search, described
from neox_core.training.notice import NOTHING, Notice
from neox_core.training.optimizer_resuming import check_same_state
from neox_core.training.parameter_groups import groups_of
from neox_core.training.passes import Begin, Passes, Phase, PlainPasses, Share
from neox_core.training.pipeline import PipelinePasses, StageModule, unused_parameter
from neox_core.training.stage_costs import measured_costs
from neox_core.training.weights_of_use import moves_others, weights_of_use
from neox_core.training.whole_model import WholeModel
from neox_core.training.whole_parameters import WholeParameters

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class StepResult:
    """One optimizer step, the same on every rank.

    Args:
        loss: mean over micro-batches and ranks, of which each counts as `loss_normalisation` says.
        grad_norm: of the averaged gradient, before clipping.
        applied: whether the optimizer was stepped.
        skip_reason: why not.
        metrics: the objective's further metrics, averaged likewise.
        notice: what all ranks have told.
        loss_scale: in fp16, the factor of this step's loss.
    """

    loss: float
    grad_norm: float
    applied: bool
    skip_reason: str | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    notice: Notice = NOTHING
    loss_scale: float | None = None


class TrainingModule(nn.Module):
    """Model and objective as the one module that DeepSpeed runs."""

    def __init__(self, model: LanguageModel, objective: Objective) -> None:
        super().__init__()
        self.model = model
        self._objective = objective

    def forward(self, batch: Batch, share: Tensor | float | None = 1.0) -> tuple[Tensor, LossOutput] | Tensor:
        """The loss to minimise, of which auxiliary losses are a part, and what the objective gave, to be recorded.

        Args:
            batch: a micro-batch.
            share: what the objective's own loss counts, where 1 is the mean of all micro-batches; None: there is to be no loss, and
                logits are given in its place.
        """
        head = self.model(batch["tokens"], batch.get("positions"), batch.get("documents"))
        if share is None:
            logits: Tensor = head.logits()
            return logits
        output: LossOutput = self._objective.loss(head, batch)
        return output.loss * share + head.aux, output


class Engine:
    """Takes training steps and evaluates; knows where weights and optimizer state are.

    The process group must exist. Every rank must be given the same settings. `mark` is told when a phase of the start is over,
    `crumbs` what is being done.
    """

    def __init__(
        self,
        resolved: Resolved,
        plugins: PluginManager,
        objective: Objective,
        mark: Callable[[str], None] = lambda phase: None,
        crumbs: Breadcrumbs | None = None,
    ) -> None:
        self.crumbs = crumbs or Breadcrumbs()
        deepspeed = import_deepspeed(resolved.world.device)
        self.device = torch.device(resolved.world.device)
        self.accumulation = resolved.batch.accumulation
        self._weigh = weighing(resolved, objective)
        self._weigh_part = weighing_parts(resolved, objective)
        self._takes_first = takes_samples_first(resolved)
        self.mesh = Mesh.of(resolved.topology, resolved.world.device)
        mark("engine")
        measure = partial(measured_costs, resolved, plugins, self.mesh, self.device)
        stage = stage_of(resolved, plugins, self.mesh.pipe, measure)
        config = prepared(engine_json(resolved))
        with refusals_told(resolved):
            cutter = Cutter(deepspeed, config, self.mesh) if config["zero_optimization"]["stage"] == 3 else None
        self.model = LanguageModel(resolved, plugins, self.mesh, stage, cutter).to(self.device)
        self.whole = WholeModel.of(self.model, self.mesh.pipe, resolved[ModelSettings].seq_length)
        mark("model")
        parameters = dict(self.model.named_parameters())
        module = TrainingModule(self.model, objective) if self.model.is_whole else StageModule(self.model, objective)
        groups = groups_of(self.model, resolved, plugins) or unused_parameter(module)
        self._optimizer = make_optimizer(resolved, plugins, groups)
        if cutter is not None:
            cutter.hand_over()
        with refusals_told(resolved), adapted(deepspeed):
            self._deepspeed = self._started(deepspeed, module, config)
        clipping = resolved[OptimizerSettings].gradient_clipping
        as_counted = mark_counts(parameters, resolved)
        self._core = make_core(self._deepspeed, parameters, clipping, self.mesh, as_counted=as_counted)
        self._passes: Passes = PlainPasses(self._deepspeed, self.accumulation)
        if not self.model.is_whole:
            self._passes = PipelinePasses(self._deepspeed, self.mesh.pipe)
        self._names = {kind: MetricNames(self.mesh.pipe, self.device) for kind in ("training", "evaluation")}
        mark("engine")

    def _started(self, deepspeed: Any, module: nn.Module, config: dict[str, Any]) -> Any:
        """DeepSpeed's engine."""
        if self.model.is_whole:
            mpu = ModelParallelUnit(self.mesh)
            return deepspeed.initialize(model=module, optimizer=self._optimizer, config=config, mpu=mpu)[0]
        from neox_core.training.deepspeed.pipeline import StageEngine

        return StageEngine(self.mesh, module, self._optimizer, config, self.crumbs)

    def train_step(
        self,
        batches: Iterator[Batch],
        *,
        step: int,
        learning_rate: float,
        notice: Notice = NOTHING,
        observe: Observer | None = None,
    ) -> StepResult:
        """One optimizer step over the next micro-batches.

        Args:
            batches: this rank's micro-batches.
            step: number of steps before this one; seeds dropout.
            learning_rate: rate of this step.
            notice: what to tell all ranks with the step's own communication.
            observe: shown the gradients, if the step is applied.
        """
        self._deepspeed.train()
        for group in self._deepspeed.optimizer.param_groups:
            group["lr"] = learning_rate * group.get("lr_scale", 1.0)
        sums = Averages(self.device, self._names["training"])

        def begin(phase: Phase, micro_batch: int) -> None:
            self.crumbs.at(phase, step + 1, micro_batch + 1)
            # Counted in the order of the samples, so that they meet the same dropout whatever the number of ranks.
            self.model.random.step = step
            self.model.random.micro_batch = micro_batch * self.mesh.data.size + self.mesh.data.rank

        taken: list[tuple[Batch, Share]] = []
        self._passes.train(kept(self._shares(batches, step), taken), begin, sums.add)
        self.crumbs.at("the optimizer", step + 1)
        norm, applied = self._core.step(observe)
        self.crumbs.at("the mean loss of all ranks", step + 1)
        means, told = sums.over_ranks(notice)
        scale = self._core.loss_scale
        factor = None if scale is None else scale.value
        consequence = "" if scale is None else scale.after(overflow=not applied)
        reason = None
        if not applied:
            reason = self._culprit(taken, begin) if scale is None else f"the gradient is not finite{consequence}"
        return StepResult(means.pop("loss"), norm, applied, reason, means, told, factor)

    def _culprit(self, taken: Sequence[tuple[Batch, Share]], begin: Begin) -> str:
        """What was not finite, and where: the passes of a step that was not taken are done again."""
        search = Search(self.model, self.mesh)

        def begin_again(phase: Phase, micro_batch: int) -> None:
            begin(phase, micro_batch)
            search.begin(phase, micro_batch)

        with search.looking():
            self._passes.train(taken, begin_again, search.look_at_loss)
        self._core.step(drop=True)
        return described(search.first())

    def _shares(self, batches: Iterator[Batch], step: int) -> Iterable[tuple[Batch, Tensor | float]]:
        """The next micro-batches, each with what its loss counts; 1 is the mean over those of all ranks."""
        numbers = self.crumbs.through("data", range(self.accumulation), step + 1)
        one_by_one = (self._moved(next(batches)) for _ in numbers)
        if self._weigh is None:
            taken = list(one_by_one) if self._takes_first else one_by_one
            return ((batch, self._share(batch)) for batch in taken)
        taken = list(one_by_one)
        weights = torch.stack([self._weigh(batch) for batch in taken]).double()
        total = self.mesh.replicas.sum(weights.sum())
        count = self.accumulation * self.mesh.replicas.size
        shares = torch.where(total > 0, weights * count / total, 0.0).float()
        return zip(taken, shares.unbind(), strict=True)

    def _share(self, batch: Batch) -> Tensor | float:
        """What this rank's tokens count of a micro-batch that context-parallel ranks share; 1 is the mean over these ranks."""
        context = self.mesh.context
        if self._weigh_part is None:
            return 1.0
        weight = self._weigh_part(batch).double()
        total = context.sum(weight.clone())
        return torch.where(total > 0, weight * context.size / total, 0.0).float()

    @torch.no_grad()
    def evaluate(self, batches: Iterator[Batch], count: int) -> dict[str, float]:
        """Mean `loss` and metrics over the next `count` batches of every rank, weighed as in training, without dropout."""
        self._deepspeed.eval()
        sums = Averages(self.device, self._names["evaluation"])

        def record(batch: Batch, output: LossOutput) -> None:
            sums.add(output, self._share(batch) if self._weigh is None else output.weight)

        with weights_of_use(self._optimizer, self._core.optimized(), self._core.refresh):
            numbers = range(count) if self._takes_first else itertools.count()
            taken = (self._moved(next(batches)) for _ in self.crumbs.through("evaluation", numbers))
            self._passes.evaluate(list(taken) if self._takes_first else taken, count, record)
        return sums.over_ranks()[0]

    def logits(self, batch: Batch) -> Tensor:
        """Those of a batch without dropout, [batch, seq, padded vocabulary]; of its own tokens where a rank has a part of them.

        Stages of a pipeline, tensor-parallel and context-parallel ranks have to give the same batch.
        """
        self._deepspeed.eval()
        with weights_of_use(self._optimizer, self._core.optimized(), self._core.refresh):
            return self._passes.logits(self._moved(batch))

    def fragments(self) -> Iterable[Fragment]:
        """What this rank has to save: authoritative weights ("weight") and optimizer state, by canonical name."""
        yield from self._core.fragments()
        yield from self._core.rank_fragments()

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to keep beside the fragments, as plain data."""
        return {} if self._core.loss_scale is None else {LOSS_SCALE: self._core.loss_scale.state()}

    def wanted(self, reader: Reader, *, optimizer: bool = True) -> list[Fragment]:
        """Where weights and, if wanted, optimizer state of a checkpoint go, all of which is there and undamaged; nothing is loaded.

        Raises:
            UserError: some of what this rank needs is not, which other ranks need not see.
        """
        # Before the first step that is applied an optimizer may have no state to save.
        begun = reader.state.get("applied", reader.manifest.iteration) > 0
        wanted = list(self._core.targets() if begun and optimizer else self._core.weight_targets())
        check_same_state(reader, wanted)
        for fragment in wanted:
            reader.verify(fragment.spec, fragment.role, fragment.range)
        if optimizer and reader.topology == self.mesh.topology:
            reader.verify_shard(self.mesh.rank)  # what of it is this rank's alone, is known once the rest is loaded
        return wanted

    def load_fragments(
        self, reader: Reader, *, optimizer: bool = True, wanted: Iterable[Fragment] | None = None
    ) -> None:
        """Take weights and, if wanted, optimizer state from a checkpoint, whatever topology or ZeRO stage wrote it.

        Args:
            reader: the checkpoint.
            optimizer: whether its state is wanted.
            wanted: what `wanted` gave, if it was asked.
        """
        wanted = self.wanted(reader, optimizer=optimizer) if wanted is None else wanted
        load_fragments(reader, wanted)
        own = list(self._core.rank_fragments())
        for fragment in own:
            fragment.tensor.zero_()
        if optimizer and reader.topology == self.mesh.topology:
            load_fragments(reader, (part for part in own if part.role in reader.roles(part.name)))
        self._core.refresh()
        if optimizer and self._core.loss_scale is not None:
            self._core.loss_scale.load(reader.state.get(LOSS_SCALE, {}))

    def update_from_checkpoint(self, source: TensorSource, skip: Iterable[str]) -> WeightsReport:
        """Take weights alone from a checkpoint, of a model that may be another in part; see `update_from_checkpoint`."""
        report = update_from_checkpoint(self._core.weight_targets(), source, skip, self.whole.shapes)
        self._core.refresh()
        return report

    @torch.no_grad()
    def begin_prompt(self, tokens: Sequence[int]) -> None:
        """Let the soft prompt begin with the embeddings of tokens, repeated or cut to its length."""
        repeated = itertools.islice(itertools.cycle(tokens), self.model.prompt_length)
        if self.model.stage.is_first:
            with self._core.gathered(self.model.embedding.weight):
                rows = self.model.embedding.look_up(torch.tensor(list(repeated), device=self.device)).reshape(-1)
        for fragment in self._core.weight_targets():
            if fragment.name == SOFT_PROMPT:
                start, stop = fragment.range
                fragment.tensor.copy_(rows[start:stop])
        self._core.refresh()

    @torch.no_grad()
    def load_weights(self, weights: Mapping[str, Tensor]) -> None:
        """Take weights from memory, global ones by canonical name; the optimizer's state stays as it is.

        Raises:
            UserError: one of the model's weights is not there, or has another shape.
        """
        for held in self._core.held:
            if held.name not in weights:
                raise UserError(f"the model's weight '{held.name}' is not among those to load")
            if weights[held.name].shape != held.spec.global_shape:
                shapes = f"{tuple(weights[held.name].shape)}, in this model {held.spec.global_shape}"
                raise UserError(f"the weight '{held.name}' to load has the shape {shapes}")
        for fragment in self._core.weight_targets():
            start, stop = fragment.range
            fragment.tensor.copy_(local_part(weights[fragment.name], fragment.spec).reshape(-1)[start:stop])
        self._core.refresh()

    def _moved(self, batch: Batch) -> Batch:
        """On the device, with this rank's tokens of what has some for each token."""
        length = batch["tokens"].shape[1]
        layout = SequenceLayout(self.mesh.context, length)
        moved = {name: tensor.to(self.device, non_blocking=True) for name, tensor in batch.items()}
        return {name: layout.part(value) if value.shape[1:2] == (length,) else value for name, value in moved.items()}


def takes_samples_first(resolved: Resolved) -> bool:
    """Whether samples are taken before the passes begin: stages that share what a server sends wait for each other to take it."""
    return resolved.topology.pipe > 1 and resolved[DataSettings].dataset_impl == "online"


def kept(items: Iterable[T], taken: list[T]) -> Iterator[T]:
    """The same items, which are added to a list as they are taken."""
    for item in items:
        taken.append(item)
        yield item


def weighing(resolved: Resolved, objective: Objective) -> Callable[[Batch], Tensor] | None:
    """What weighs micro-batches against each other; None where all weigh the same.

    Raises:
        UserError: they are to be weighed, and the objective cannot tell their weights.
    """
    if resolved[LossSettings].loss_normalisation == "micro_batch":
        return None
    if not isinstance(objective, WeighingObjective):
        raise UserError(
            f"loss_normalisation: global_tokens needs to know what a batch weighs before the forward pass, and "
            f"{_without_weight(resolved, objective)}; set loss_normalisation: micro_batch"
        )
    return objective.weight


def weighing_parts(resolved: Resolved, objective: Objective) -> Callable[[Batch], Tensor] | None:
    """What weighs the parts of a micro-batch that context-parallel ranks have; None where one rank has all of it.

    Raises:
        UserError: the objective cannot tell what a part weighs.
    """
    ranks = resolved.topology.context
    if ranks == 1:
        return None
    if not isinstance(objective, WeighingObjective):
        raise UserError(
            f"context_parallel_size: {ranks} ranks have parts of each sample that must be weighed, and "
            f"{_without_weight(resolved, objective)}; set context_parallel_size: 1"
        )
    return objective.weight


def _without_weight(resolved: Resolved, objective: Objective) -> str:
    return f"train_impl '{resolved[TrainingSettings].train_impl}' ({type(objective).__name__}) has no method `weight`"


@contextmanager
def refusals_told(resolved: Resolved) -> Iterator[None]:
    """Within the block, what DeepSpeed refuses of its configuration is an error of the settings."""
    try:
        yield
    except ValidationError as error:
        raise UserError(refusal(error, resolved.deepspeed)) from error


def refusal(error: ValidationError, config: Mapping[str, Any]) -> str:
    """What DeepSpeed refuses of its configuration: each place with its value, and why."""
    wrong = []
    for detail in error.errors():
        inner = tuple(map(str, detail["loc"]))  # as a model within the configuration has it
        places = (inner, *((key, *inner) for key in config))
        place = next((place for place in places if _value_at(config, place) == detail["input"]), inner)
        wrong.append(f"{'.'.join(place) or error.title}: {shown(detail['input'])} ({detail['msg']})")
    return f"DeepSpeed refuses {'; '.join(wrong)}"


def _value_at(config: Mapping[str, Any], place: Sequence[str]) -> Any:
    """What is at a place of nested mappings; `...`, which no file holds, where that is nowhere."""
    value: Any = config
    for name in place:
        value = value.get(name, ...) if isinstance(value, Mapping) else ...
    return value


def make_optimizer(resolved: Resolved, plugins: PluginManager, groups: list[dict[str, Any]]) -> torch.optim.Optimizer:
    """The optimizer that the settings name, over parameter groups; where parameters are cut, one that lets it see them whole."""
    name = resolved.optimizer.name
    optimizer = bare_optimizer(plugins, name, resolved.optimizer.params, groups)
    component = plugins.find("optimizer", name).component
    cut = resolved.deepspeed["zero_optimization"]["stage"] > 0 or resolved.topology.tensor > 1
    whole = isinstance(component, Optimizer) and component.whole
    if cut and whole and moves_others(optimizer):
        raise UserError(
            f"optimizer: {name} needs whole parameters and moves other weights than are used, which does not go "
            "together with ZeRO and model_parallel_size; set zero_optimization.stage: 0, precision: fp32 and model_parallel_size: 1"
        )
    return WholeParameters(optimizer) if cut and whole else optimizer


def bare_optimizer(
    plugins: PluginManager, name: str, params: Mapping[str, Any], groups: list[dict[str, Any]]
) -> torch.optim.Optimizer:
    """An optimizer as its plugin makes it.

    Args:
        plugins: where it is looked up.
        name: of the optimizer.
        params: its options, which are validated.
        groups: parameter groups, see `neox_core.plugins.Optimizer`.
    """
    offer = plugins.find("optimizer", name)
    options: Any = dict(params)
    if offer.component.params is not None:
        options = plugins.load(offer, offer.component.params).model_validate(options)
    optimizer: torch.optim.Optimizer = plugins.load(offer, offer.component.factory)(groups, options)
    return optimizer

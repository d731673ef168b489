"""`train_data_stages`: weights of the training files that change in the course of training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from neox_core.config.data_rules import weighs
from neox_core.config.plain import shown
from neox_core.config.validation import allowed
from neox_core.config.world import World
from neox_core.errors import Problem, did_you_mean

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

KEY = "train_data_stages"


class WeightStage(BaseModel):
    """Weights of the training files for some time.

    Args:
        weights: one for each training file.
        until: the last step for which they hold; none in the last stage.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False, defer_build=True)

    weights: list[float]
    until: int | None = Field(None, gt=0)


def weight_stages(given: Iterable[Mapping[str, Any]] | None) -> tuple[WeightStage, ...]:
    """The stages that `train_data_stages` describes.

    Raises:
        ValidationError: it describes none.
    """
    return tuple(WeightStage.model_validate(dict(stage)) for stage in given or ())


def stages_are_described(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """Names and values are right, each stage has a weight for each file and ends later than the one before, the last never."""
    given = args.train_data_stages
    if given is None:
        return
    wrong = [problem for number, stage in enumerate(given, start=1) for problem in _mistakes(number, stage)]
    yield from wrong
    for other in ("train_data_weights", "weight_by_num_documents"):
        if getattr(args, other):
            message = f"{other} and {KEY} both say how much there is of each file"
            yield Problem(keys=(KEY, other), message=message, remedy="keep one of the two")
    if not wrong:
        files = args.pos_train_data_paths if args.dataset_impl == "pairwise" else args.train_data_paths
        yield from _misfits(weight_stages(given), len(files or ()))


def _mistakes(number: int, stage: Mapping[str, Any]) -> Iterator[Problem]:
    """What is wrong with one stage by itself."""
    try:
        WeightStage.model_validate(dict(stage))
    except ValidationError as error:
        for name in dict.fromkeys(str(detail["loc"][0]) for detail in error.errors()):
            if name not in WeightStage.model_fields:
                yield _problem(f"stage {number} has no {name!r}", did_you_mean(name, list(WeightStage.model_fields)))
            else:
                found = f"{shown(stage[name])} is not" if name in stage else "is missing; it is"
                yield _problem(f"stage {number}: {name} {found} {allowed(WeightStage, name)}")


def _misfits(stages: tuple[WeightStage, ...], files: int) -> Iterator[Problem]:
    """What is wrong with the stages together."""
    ends = [stage.until for stage in stages]
    inner = [end for end in ends[:-1] if end is not None]
    if not stages or ends[-1] is not None or len(inner) != len(ends) - 1 or inner != sorted(set(inner)):
        remedy = "give each but the last an `until`, later than that of the stage before, and the last none"
        yield _problem(f"the stages end after the steps {shown(ends)}", remedy)
    for number, stage in enumerate(stages, start=1):
        if len(stage.weights) != files:
            yield _problem(
                f"stage {number} has {len(stage.weights)} weights for {files} training files", "give one for each"
            )
        elif stage.weights and not weighs(stage.weights):
            message = (
                f"stage {number} has the weights {shown(stage.weights)}, of which one is negative, or all are 0, or whose sum is too "
                "large"
            )
            yield _problem(message, "a file that is not to be used has weight 0")


def _problem(message: str, remedy: str | None = None) -> Problem:
    return Problem(keys=(KEY,), message=message, remedy=remedy)

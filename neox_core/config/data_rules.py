"""Rules about the data and where files are: named once, by names that are some, in shares that add up to something."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from neox_core.config.groups import DataSettings, LabelSettings, PairSettings
from neox_core.config.plain import shown
from neox_core.config.split import parse_split
from neox_core.config.world import World
from neox_core.errors import Problem

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

_PATHS = ("data_path", "data_cache_path", "save", "load")
_LISTS = tuple(
    key
    for group in (DataSettings, LabelSettings, PairSettings)
    for key in group.model_fields
    if key.endswith("_data_paths")
)


def data_is_named_once(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """One file that is cut, files for each part, or none and samples that are computed."""
    lists = [key for key in _LISTS if "label" not in key and "reward" not in key]
    parts = [key for key in lists if getattr(args, key)]
    if args.data_path is not None and parts:
        yield Problem(
            keys=("data_path", *parts),
            message=f"data_path and {', '.join(parts)} are both given",
            remedy="data_path is cut by `split`; use that or the lists",
        )
    if args.mock_data:
        given = [key for key in ("data_path", *parts) if getattr(args, key)]
        if given:
            message = (
                f"{', '.join(given)} {'is' if len(given) == 1 else 'are'} given, and mock_data takes the place of files"
            )
            yield Problem(keys=("mock_data", *given), message=message, remedy="keep one of the two")
    elif args.dataset_impl == "pairwise" and not args.pos_train_data_paths:
        yield Problem(
            keys=("pos_train_data_paths",),
            message="no training data is given",
            remedy="add `pos_train_data_paths: [PREFIX]` and `neg_train_data_paths: [PREFIX]`",
            limitation=True,
        )
    elif args.dataset_impl == "gpt2" and args.data_path is None and not args.train_data_paths:
        yield Problem(
            keys=("train_data_paths", "data_path"),
            message="no training data is given",
            remedy="add `data_path: PREFIX`, or `train_data_paths: [PREFIX]`, which `neox data prepare` makes; or `mock_data: true`",
            limitation=True,
        )


def paths_are_not_empty(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """An empty text names no file and no directory."""
    for key in _PATHS:
        if getattr(args, key) == "":
            yield Problem(keys=(key,), message="'' is no path", remedy="write null, or leave it out")
    for key in _LISTS:
        if "" in (paths := getattr(args, key) or []):
            yield Problem(keys=(key,), message=f"{shown(paths)} has an empty path", remedy="remove it")


def weights_weigh(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """As many weights as files; none is negative, and their sum is some."""
    for part in ("train", "valid", "test"):
        listed = f"pos_{part}_data_paths" if args.dataset_impl == "pairwise" else f"{part}_data_paths"
        key, paths = f"{part}_data_weights", getattr(args, listed) or []
        weights = getattr(args, key)
        if weights is None:
            continue
        if len(weights) != len(paths):
            yield Problem(
                keys=(key, listed),
                message=f"{len(weights)} weights for {len(paths)} paths",
                remedy="give one weight for each path",
            )
        elif weights and not weighs(weights):
            message = f"{shown(weights)} are weights of which one is negative, or all are 0, or whose sum is too large"
            yield Problem(keys=(key,), message=message, remedy="write null for equal ones")


def weighs(weights: list[float]) -> bool:
    """Whether finite weights are shares of something."""
    return min(weights) >= 0 and 0 < sum(weights) < float("inf")


def split_is_read(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """The text says shares of documents."""
    try:
        parse_split(args.split)
    except ValueError as error:
        yield Problem(keys=("split",), message=f"{args.split!r} is no split", remedy=str(error))


DATA_RULES = (data_is_named_once, paths_are_not_empty, weights_weigh, split_is_read)

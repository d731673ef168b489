"""Rules about how samples are made: what goes with what, and as many files of the one as of the other."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from neox_core.config.plain import shown
from neox_core.config.topology import Topology
from neox_core.config.weight_stages import stages_are_described
from neox_core.config.world import World
from neox_core.errors import Problem

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

PARTS = ("train", "valid", "test")


def companions_belong_to_files(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """Labels, rewards and bad answers are given file by file."""
    for part in PARTS:
        base, good = f"{part}_data_paths", f"pos_{part}_data_paths"
        for key, of in (
            (f"{part}_label_data_paths", base),
            (f"{part}_reward_data_paths", base),
            (f"neg_{part}_data_paths", good),
            (f"pos_{part}_label_data_paths", good),
            (f"neg_{part}_label_data_paths", good),
        ):
            given, files = getattr(args, key), getattr(args, of) or []
            if given and len(given) != len(files):
                message = f"{_counted(len(given), 'file', 'files')} for the {len(files)} of {of}"
                yield Problem(keys=(key, of), message=message, remedy="give one for each, in the same order")
        labels = [f"{side}_{part}_label_data_paths" for side in ("pos", "neg")]
        if getattr(args, good) and not getattr(args, f"neg_{part}_data_paths"):
            yield Problem(
                keys=(f"neg_{part}_data_paths", good),
                message=f"{good} is given without bad answers",
                remedy=f"give neg_{part}_data_paths",
            )
        if bool(getattr(args, labels[0])) != bool(getattr(args, labels[1])):
            message = "only one side of the pairs has labels"
            yield Problem(keys=tuple(labels), message=message, remedy="give labels for both, or for none")


def _counted(count: int, one: str, several: str) -> str:
    return f"{count} {one if count == 1 else several}"


def files_suit_samples(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """Text is made of text files and pairs of pairs; files that are named beside a server are not read, as in GPT-NeoX."""
    pairs = [
        key for part in PARTS for key in (f"pos_{part}_data_paths", f"neg_{part}_data_paths") if getattr(args, key)
    ]
    texts = [key for part in PARTS if getattr(args, key := f"{part}_data_paths")]
    texts += ["data_path"] if args.data_path is not None else []
    wrong = {"gpt2": pairs, "pairwise": texts, "online": []}[args.dataset_impl]
    if wrong:
        message = (
            f"{', '.join(wrong)} {'is' if len(wrong) == 1 else 'are'} given, and dataset_impl is {args.dataset_impl}"
        )
        remedy = {
            "gpt2": "set dataset_impl: pairwise for pairs of a good and a bad answer",
            "pairwise": "pairs are given by pos_train_data_paths and neg_train_data_paths",
        }[args.dataset_impl]
        yield Problem(keys=("dataset_impl", *wrong), message=message, remedy=remedy)
    if args.mock_data and args.dataset_impl != "gpt2":
        message = f"computed samples are text, and dataset_impl is {args.dataset_impl}"
        yield Problem(keys=("mock_data", "dataset_impl"), message=message, remedy="keep one of the two")


def pairs_are_whole(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """Pairs are whole documents, which must not be cut in different places."""
    if args.dataset_impl == "pairwise" and args.pack_impl == "packed":
        message = "packed cuts documents, and pairs consist of whole ones"
        remedy = "set pack_impl: unpacked or pack_until_overflow"
        yield Problem(keys=("pack_impl", "dataset_impl"), message=message, remedy=remedy)


def epochs_see_all_alike(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """A run that is so many epochs long sees every sample of text files as often as any other."""
    if args.train_epochs is None:
        return
    weights = args.train_data_weights
    needs: list[tuple[bool, str, str, str]] = [
        (args.pack_impl != "packed", "pack_impl", f"is {args.pack_impl}", "needs packed"),
        (args.dataset_impl != "gpt2", "dataset_impl", f"is {args.dataset_impl}", "needs gpt2"),
        (args.mock_data, "mock_data", "makes samples without end", "counts those of files"),
        (args.weight_by_num_documents, "weight_by_num_documents", "is true", "takes every sample alike"),
        (args.train_data_stages is not None, "train_data_stages", "is given", "takes every sample alike"),
        (
            any(weight != 1 for weight in weights or ()),
            "train_data_weights",
            f"is {shown(weights)}",
            "takes every sample alike",
        ),
    ]
    for wrong, key, what, why in needs:
        if wrong:
            message = f"{key} {what}, and train_epochs {why}"
            yield Problem(keys=("train_epochs", key), message=message, remedy=f"remove {key}, or give train_iters")


def servers_suit_ranks(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """Each data-parallel rank has a server of its own, or all have the same."""
    ranks, rest = divmod(world.size, Topology.of(args, data=1).size)
    if args.dataset_impl != "online" or rest:  # a rest is reported where the batch is resolved
        return
    for key in ("online_dataserver_ips", "online_dataserver_ports"):
        value = getattr(args, key)
        if isinstance(value, list) and len(value) != ranks:
            yield Problem(
                keys=(key,),
                message=f"{shown(value)} has {_counted(len(value), 'entry', 'entries')} for "
                + _counted(ranks, "data-parallel rank", "data-parallel ranks"),
                remedy="give one for each rank, or a single one for all",
                limitation=True,
            )


SAMPLE_RULES = (
    companions_belong_to_files,
    files_suit_samples,
    pairs_are_whole,
    epochs_see_all_alike,
    servers_suit_ranks,
    stages_are_described,
)

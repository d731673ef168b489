"""Rules over several settings, each a small function that yields problems; all of them are checked before any is reported."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from neox_core.config.architecture import expand_attention
from neox_core.config.deepspeed_names import DEEPSPEED_NAMES, GPT_NEOX_NAMES
from neox_core.config.world import World
from neox_core.errors import Notice, Problem, SettingsError, nearest

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

DEFAULT_LR = 0.001
"""Learning rate where `optimizer` gives none."""

HEADLESS = frozenset({"mamba"})
"""Mixers of GPT-NeoX that have no heads; it lets `num_attention_heads` be anything with them."""

Rule = Callable[["NeoXArgs", World], Iterable[Problem]]


def heads_divide_width(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """Each head gets the same share of the residual stream."""
    if args.hidden_size % args.num_attention_heads and not _is_headless(args):
        yield Problem(
            keys=("hidden_size", "num_attention_heads"),
            message=f"hidden_size {args.hidden_size} is not a multiple of num_attention_heads {args.num_attention_heads}",
            remedy=f"use a multiple of {args.num_attention_heads}, such as "
            f"{-(-args.hidden_size // args.num_attention_heads) * args.num_attention_heads}",
        )
    kv_heads = args.num_kv_heads or args.num_attention_heads
    if args.num_attention_heads % kv_heads:
        yield Problem(
            keys=("num_attention_heads", "num_kv_heads"),
            message=f"num_attention_heads {args.num_attention_heads} is not a multiple of num_kv_heads {kv_heads}",
            remedy="each key/value head serves the same number of query heads",
        )


def _is_headless(args: NeoXArgs) -> bool:
    """Whether no layer has heads."""
    try:
        return HEADLESS.issuperset(expand_attention(args.attention_config, args.num_layers))
    except SettingsError:  # reported where layers are resolved
        return False


def rotary_turns_pairs(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """Rotary positions turn the leading dimensions of a head in pairs."""
    heads = args.num_attention_heads
    if args.pos_emb.casefold() != "rotary" or args.hidden_size % heads:
        return
    head_dim = args.hidden_size // heads
    rotated = int(head_dim * args.rotary_pct)
    if rotated == 0 or rotated % 2:
        pairs = max(rotated // 2, 1)
        share = min(math.ceil(2 * pairs / head_dim * 10_000) / 10_000, 1.0)
        yield Problem(
            keys=("rotary_pct", "hidden_size", "num_attention_heads"),
            message=f"rotary_pct {args.rotary_pct} turns {rotated} of the {head_dim} dimensions of a head (hidden_size "
            f"{args.hidden_size} / num_attention_heads {heads}), which is not an even number > 0",
            remedy=f"rotary_pct: {share} turns {2 * pairs}" if head_dim > 1 else "use fewer heads",
        )


def positions_cover_samples(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """A sample has no more tokens than there are positions."""
    if args.max_position_embeddings < args.seq_length:
        yield Problem(
            keys=("max_position_embeddings", "seq_length"),
            message=f"max_position_embeddings {args.max_position_embeddings} is less than seq_length {args.seq_length}",
            remedy="raise the one or lower the other",
        )


def rates_are_ordered(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """The learning rate does not fall below its lower bound."""
    params = (args.optimizer or {}).get("params")
    lr = params.get("lr", DEFAULT_LR) if isinstance(params, dict) else DEFAULT_LR
    if isinstance(lr, int | float) and args.min_lr > lr:
        yield Problem(
            keys=("min_lr", "optimizer"),
            message=f"min_lr {args.min_lr} is more than optimizer.params.lr {lr}",
            remedy="lower min_lr",
        )


def length_is_given_once(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """A run is so many steps or so many epochs long."""
    keys = ("train_iters", "train_epochs")
    if args.train_iters is None and args.train_epochs is None:
        yield Problem(keys=keys, message="the length of the run is not given", remedy="give one of them")
    if args.train_iters is not None and args.train_epochs is not None:
        message = f"train_iters {args.train_iters} and train_epochs {args.train_epochs} are both given"
        yield Problem(keys=keys, message=message, remedy="keep one of them")


def checkpoints_are_spaced(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """A number of steps between checkpoints, or, on a log scale, what their step is multiplied by."""
    factor = args.checkpoint_factor
    if factor is None:
        return
    if args.checkpoint_scale == "log" and factor <= 1:
        yield Problem(
            keys=("checkpoint_factor", "checkpoint_scale"),
            message=f"{factor} is not > 1, as checkpoint_scale: log needs",
            remedy="checkpoint_factor: 2 saves after steps 1, 2, 4, 8, ...",
        )
    if args.checkpoint_scale == "linear" and not isinstance(factor, int):
        yield Problem(
            keys=("checkpoint_factor", "checkpoint_scale"),
            message=f"{factor} is not a whole number of steps",
            remedy="round it, or set checkpoint_scale: log",
        )


def data_is_named_once(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """Either one file that is cut, or files for each part; as many weights as files."""
    parts = [key for key in ("train_data_paths", "valid_data_paths", "test_data_paths") if getattr(args, key)]
    if args.data_path is not None and parts:
        yield Problem(
            keys=("data_path", *parts),
            message=f"data_path and {', '.join(parts)} are both given",
            remedy="data_path is cut by `split`; use that or the lists",
        )
    if args.data_path is None and not args.train_data_paths:
        yield Problem(
            keys=("train_data_paths", "data_path"),
            message="no training data is given",
            remedy="add `data_path: PREFIX`, or `train_data_paths: [PREFIX]`; `neox data prepare` makes such files",
            limitation=True,
        )
    for part in ("train", "valid", "test"):
        paths, weights = getattr(args, f"{part}_data_paths") or [], getattr(args, f"{part}_data_weights")
        if weights is not None and len(weights) != len(paths):
            yield Problem(
                keys=(f"{part}_data_weights", f"{part}_data_paths"),
                message=f"{len(weights)} weights for {len(paths)} paths",
                remedy="give one weight for each path",
            )


def parallelism_is_available(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """What this version can cut."""
    for key in ("pipe_parallel_size", "model_parallel_size"):
        if getattr(args, key) > 1:
            yield Problem(
                keys=(key,),
                message=f"{getattr(args, key)}: this version trains with data parallelism only",
                remedy=f"set {key}: 1",
                limitation=True,
            )


def zero_has_a_stage(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """ZeRO's dictionary says its stage: one of 0 to 3, or those that DeepSpeed's autotuner is to try."""
    if args.zero_optimization is None:
        return
    stage = args.zero_optimization.get("stage")
    keys = ("zero_optimization",)
    if args.autotuning is not None and (stage == "all" or isinstance(stage, list)):
        yield Problem(
            keys=("autotuning", "zero_optimization"),
            message=f"stage {stage!r} is for DeepSpeed's autotuner, which this version does not run",
            remedy="give one stage",
            limitation=True,
        )
    elif isinstance(stage, bool) or not isinstance(stage, int) or stage not in range(4):
        missing = "has no stage" if stage is None else f"stage {stage!r} is not one of 0, 1, 2, 3"
        yield Problem(keys=keys, message=missing, remedy="add a stage, such as stage: 1")
    elif stage > 1:
        message = f"stage {stage}: this version has stages 0 and 1"
        yield Problem(keys=keys, message=message, remedy="set stage: 1", limitation=True)


def pending_keys_are_told(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """What would change the numbers computed is not left out in silence."""
    for key, value in _pending(args):
        if args.ownership.keys[key].changes == "numerics":
            yield Problem(
                keys=(key,),
                message=f"{value!r}: this version does not have it yet",
                remedy="remove it to train without",
                limitation=True,
            )


def _pending(args: NeoXArgs) -> Iterator[tuple[str, Any]]:
    """Keys that are given, differ from their default and are not heeded by this version."""
    for key, value in args.to_dict().items():
        known = args.ownership.keys[key]
        if known.pending and value != known.default:
            yield key, value


def precision_is_available(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """DeepSpeed has no fp16 on CPUs."""
    if (args.precision == "fp16" or (args.fp16 or {}).get("enabled")) and world.device == "cpu":
        yield Problem(
            keys=("precision" if args.precision else "fp16",),
            message="fp16 cannot be trained on a CPU: DeepSpeed refuses it",
            remedy="use precision: bfloat16 or fp32, such as `neox train ... precision=bfloat16 fp16=null`",
            limitation=True,
        )


def deepspeed_knows_the_names(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """DeepSpeed has each option of the dictionaries that are handed to it."""
    for key, names in DEEPSPEED_NAMES.items():
        given = set(getattr(args, key) or {}) - GPT_NEOX_NAMES.get(key, frozenset())
        for name in sorted(given - names):
            close = nearest(name, names)
            yield Problem(
                keys=(key,),
                message=f"{name!r} is not an option of DeepSpeed's {key}",
                remedy=f"did you mean '{close}'?" if close else "remove it",
            )


def fp16_is_fp16(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """The fp16 dictionary is of no other number format."""
    kind = (args.fp16 or {}).get("type", "fp16")
    if kind not in ("fp16", "bfloat16"):
        remedy = "write `precision`: fp32, fp16 or bfloat16"
        yield Problem(keys=("fp16",), message=f"type: {kind!r} is not 'fp16'", remedy=remedy)


def overflow_is_checked(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """A step whose gradient is not finite is skipped, in bfloat16 too; with ZeRO 1 its norm tells."""
    for key, name in (("bf16", "check_grad_overflow"), ("zero_optimization", "compute_grad_norm")):
        checked = (getattr(args, key) or {}).get(name, True)
        if checked is not True:
            yield Problem(
                keys=(key,),
                message=f"{name}: {checked!r} would let steps with gradients that are not finite spoil the weights",
                remedy="leave it out; max_skipped_steps says when a run gives up",
            )


RULES: tuple[Rule, ...] = (
    heads_divide_width,
    rotary_turns_pairs,
    positions_cover_samples,
    rates_are_ordered,
    length_is_given_once,
    checkpoints_are_spaced,
    data_is_named_once,
    parallelism_is_available,
    zero_has_a_stage,
    precision_is_available,
    deepspeed_knows_the_names,
    fp16_is_fp16,
    overflow_is_checked,
    pending_keys_are_told,
)

# What is only told

NoticeRule = Callable[["NeoXArgs", World], Iterable[Notice]]


def pending_keys_without_numbers(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """Keys that this version does not heed, and without which the same numbers are computed."""
    for key, _ in _pending(args):
        if args.ownership.keys[key].changes != "numerics":
            yield Notice(keys=(key,), message="has no effect in this version")


def saving_has_a_place(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """Wishes about checkpoints need a directory."""
    for key in ("checkpoint_factor", "extra_save_iters", "keep_last_n_checkpoints"):
        if key in args and getattr(args, key) is not None and args.save is None:
            yield Notice(keys=(key,), message="has no effect without save: DIRECTORY")


def backend_fits_the_device(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """nccl is for GPUs."""
    if args.distributed_backend == "nccl" and "distributed_backend" in args and world.device == "cpu":
        yield Notice(keys=("distributed_backend",), message="there is no GPU here: gloo in place of nccl")


def bfloat16_has_no_loss_scale(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """Some files for GPT-NeoX have fp16's options in the bf16 dictionary."""
    names = sorted((set(args.bf16 or {}) & GPT_NEOX_NAMES["bf16"]) - {"bf16"})
    if names:
        yield Notice(keys=("bf16",), message=f"{', '.join(names)}: no effect, as bfloat16 needs no loss scale")


NOTICES: tuple[NoticeRule, ...] = (
    pending_keys_without_numbers,
    saving_has_a_place,
    backend_fits_the_device,
    bfloat16_has_no_loss_scale,
)

"""Rules over several settings, each a small function that yields problems; all of them are checked before any is reported."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any

from neox_core.config.architecture import expand_attention, left_out
from neox_core.config.combinations import ways_go_together
from neox_core.config.data_rules import DATA_RULES
from neox_core.config.deepspeed_rules import DEEPSPEED_NOTICES, DEEPSPEED_RULES
from neox_core.config.groups import MeasureSettings
from neox_core.config.groups.fusions import FUSED, FusionSettings
from neox_core.config.keys import Key
from neox_core.config.mup_rules import MUP_NOTICES, MUP_RULES
from neox_core.config.optimizer_choice import optimizer_choice
from neox_core.config.plain import shown
from neox_core.config.precision import precisions_asked_for
from neox_core.config.sample_rules import SAMPLE_RULES
from neox_core.config.schedule_rules import SCHEDULE_NOTICES, SCHEDULE_RULES
from neox_core.config.soft_prompts import prompt_length, soft_prompt_is_described
from neox_core.config.world import World
from neox_core.errors import Notice, Problem, SettingsError

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

HEADLESS = frozenset({"mamba"})
"""Mixers of GPT-NeoX that have no heads; it lets `num_attention_heads` be anything with them."""

NOISE_SCALE = {name: field for name, field in MeasureSettings.model_fields.items() if name.startswith("gradient_noise")}
"""Keys that say how the noise scale is measured."""

Rule = Callable[["NeoXArgs", World], Iterable[Problem]]
NoticeRule = Callable[["NeoXArgs", World], Iterable[Notice]]


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
        turned = max(rotated // 2 * 2, 2)
        yield Problem(
            keys=("rotary_pct", "hidden_size", "num_attention_heads"),
            message=f"rotary_pct {args.rotary_pct} turns {rotated} of the {head_dim} dimensions of a head (hidden_size "
            f"{args.hidden_size} / num_attention_heads {heads}), which is not an even number > 0",
            remedy=f"rotary_pct: {_share(turned, head_dim)} turns {turned}" if head_dim > 1 else "use fewer heads",
        )


def _share(turned: int, head_dim: int) -> float:
    """A short number of which `int(head_dim * share)` is `turned`."""
    scale = max(10_000, 10 * head_dim)
    least = math.ceil(turned * scale / head_dim)
    share = least / scale
    return share if int(head_dim * share) == turned else (least + 1) / scale  # 100 * 0.58 is less than 58


def positions_cover_samples(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """A sample has no more tokens than there are positions."""
    if args.max_position_embeddings < args.seq_length:
        yield Problem(
            keys=("max_position_embeddings", "seq_length"),
            message=f"max_position_embeddings {args.max_position_embeddings} is less than seq_length {args.seq_length}",
            remedy="raise the one or lower the other",
        )


def learned_positions_suffice(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """The table has a row for each position of a sample, and for what comes before it."""
    offset, prompt = args.opt_pos_emb_offset, prompt_length(args.soft_prompt_tuning)
    rows = offset + prompt + args.seq_length
    if args.pos_emb.casefold() == "learned" and args.seq_length <= args.max_position_embeddings < rows:
        before = {"opt_pos_emb_offset": f"opt_pos_emb_offset {offset}" if offset else ""}
        before["soft_prompt_tuning"] = f"a prompt of {prompt}" if prompt else ""
        before = {key: words for key, words in before.items() if words}
        yield Problem(
            keys=(*before, "seq_length", "max_position_embeddings"),
            message=f"{', '.join(before.values())} and seq_length {args.seq_length} come to {rows} learned positions, "
            f"max_position_embeddings is {args.max_position_embeddings}",
            remedy=f"lower seq_length, or set max_position_embeddings: {rows}",
        )


def sines_and_cosines_pair(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """Sinusoidal positions have a sine and a cosine of each frequency."""
    if args.pos_emb.casefold() == "sinusoidal" and args.hidden_size % 2:
        message = f"pos_emb: sinusoidal needs an even hidden_size, {args.hidden_size} is odd"
        yield Problem(keys=("hidden_size", "pos_emb"), message=message, remedy="use an even one, or other positions")


def distances_have_classes(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """Half of the classes of relative positions are single distances; the others need some room beyond."""
    single = args.rpe_num_buckets // 2
    if args.pos_emb.casefold() == "rpe" and args.rpe_max_distance <= single:
        yield Problem(
            keys=("rpe_max_distance", "rpe_num_buckets"),
            message=f"rpe_max_distance {args.rpe_max_distance} is not more than the {single} distances that have a class of their "
            f"own (half of rpe_num_buckets {args.rpe_num_buckets}), so that none are left for the other classes",
            remedy=f"raise rpe_max_distance ({4 * args.rpe_num_buckets} is usual for as many), or lower rpe_num_buckets",
        )


def half_losses_need_halves(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """Losses are computed from fp16 logits only where the model computes such."""
    if args.fp16_lm_cross_entropy and "fp16" not in precisions_asked_for(args):
        message = "true needs a model whose logits are fp16"
        yield Problem(keys=("fp16_lm_cross_entropy",), message=message, remedy="remove it, or set precision: fp16")


def rates_are_ordered(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """The learning rate does not fall below its lower bound."""
    try:
        lr = optimizer_choice(args).lr
    except SettingsError:  # refused by itself
        return
    if lr < args.min_lr:
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
    if args.checkpoint_scale == "linear" and not float(factor).is_integer():
        yield Problem(
            keys=("checkpoint_factor", "checkpoint_scale"),
            message=f"{factor} is not a whole number of steps",
            remedy="round it, or set checkpoint_scale: log",
        )


def whole_numbers_fit(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """No machine counts as far."""
    for key, value in args.to_dict().items():
        if any(isinstance(item, int) and abs(item) >= 2**63 for item in _leaves(value)):
            yield Problem(keys=(key,), message="has a whole number of more than 63 bits", remedy="give a smaller one")


def _leaves(value: Any) -> Iterator[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    if inner is None:
        yield value
        return
    for item in inner:
        yield from _leaves(item)


def tensor_ranks_share_heads(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """Each tensor-parallel rank has the same number of query heads, and key/value heads of its own or one with neighbours."""
    ranks, heads = args.model_parallel_size, args.num_attention_heads
    if ranks <= 1 or _is_headless(args):
        return
    if heads % ranks:
        yield Problem(
            keys=("num_attention_heads", "model_parallel_size"),
            message=f"num_attention_heads {heads} is not a multiple of model_parallel_size {ranks}",
            remedy="use a divisor of the heads, so that each rank has as many",
        )
    shared = args.num_kv_heads or heads
    if shared != heads and shared % ranks and ranks % shared:
        yield Problem(
            keys=("num_kv_heads", "model_parallel_size"),
            message=f"num_kv_heads {shared} is neither a multiple nor a divisor of model_parallel_size {ranks}",
            remedy="use a number of ranks that is one of them",
        )


def tensor_ranks_share_tokens(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """With sequence parallelism each tensor-parallel rank has the same number of tokens."""
    ranks, length = args.model_parallel_size, args.seq_length
    if ranks <= 1 or not args.sequence_parallel:
        return
    prompt = prompt_length(args.soft_prompt_tuning)
    for tokens in {length, length + prompt}:
        if tokens % ranks:
            added = f" and a prompt of {prompt}" if tokens != length else ""
            yield Problem(
                keys=("seq_length", "model_parallel_size", "sequence_parallel"),
                message=f"seq_length {length}{added} cannot be cut over model_parallel_size {ranks} ranks by tokens",
                remedy="use a multiple, or sequence_parallel: false",
            )


def context_ranks_share_tokens(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """Each context-parallel rank has an early and a late chunk of the same size of every sample."""
    ranks, length = args.context_parallel_size, args.seq_length
    cut = args.model_parallel_size if args.sequence_parallel else 1
    unit = ranks * math.lcm(2, max(cut, 1))
    if ranks > 1 and length % unit:
        yield Problem(
            keys=("seq_length", "context_parallel_size"),
            message=f"seq_length {length} is not a multiple of {unit}: each of context_parallel_size {ranks} ranks has an early and a "
            "late chunk of a sample" + (", whose tokens tensor-parallel ranks share" if cut > 1 else ""),
            remedy=f"use seq_length {max(length // unit, 1) * unit}",
        )


def pending_keys_are_told(args: NeoXArgs, world: World) -> Iterator[Problem]:
    """What would change the numbers computed is not left out in silence."""
    for key, value in _pending(args):
        if is_essential(args.ownership.keys[key]):
            yield Problem(
                keys=(key,),
                message=f"{shown(value)}: this version does not have it yet",
                remedy="remove it to train without",
                limitation=True,
            )


def is_essential(key: Key) -> bool:
    """Whether a run without a pending key would be another one."""
    return key.changes == "numerics" or key.pending == "refused"


def _pending(args: NeoXArgs) -> Iterator[tuple[str, Any]]:
    """Keys that are given, ask for something else than their default and are not heeded by this version."""
    for key, value in args.to_dict().items():
        known = args.ownership.keys[key]
        if known.pending and not known.is_default(value):
            yield key, value


RULES: tuple[Rule, ...] = (
    heads_divide_width,
    rotary_turns_pairs,
    positions_cover_samples,
    learned_positions_suffice,
    sines_and_cosines_pair,
    distances_have_classes,
    soft_prompt_is_described,
    half_losses_need_halves,
    rates_are_ordered,
    *SCHEDULE_RULES,
    length_is_given_once,
    checkpoints_are_spaced,
    *DATA_RULES,
    *SAMPLE_RULES,
    *MUP_RULES,
    ways_go_together,
    tensor_ranks_share_heads,
    tensor_ranks_share_tokens,
    context_ranks_share_tokens,
    pending_keys_are_told,
    *DEEPSPEED_RULES,
)

# What is only told


def pending_keys_without_numbers(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """Keys that this version does not heed, and without which the same numbers are computed."""
    for key, _ in _pending(args):
        if not is_essential(args.ownership.keys[key]):
            yield Notice(keys=(key,), message="has no effect in this version")


def fused_kernels_are_torchs(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """One sentence for all switches of GPT-NeoX's fused kernels, of which its files have several."""
    on = tuple(key for key in FusionSettings.model_fields if getattr(args, key))
    if on:
        yield Notice(keys=on, message=f"{'has' if len(on) == 1 else 'have'} no effect: {FUSED}")


def saving_has_a_place(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """Wishes about checkpoints need a directory."""
    for key in ("checkpoint_factor", "extra_save_iters", "keep_last_n_checkpoints", "s3_path"):
        if key in args and getattr(args, key) is not None and args.save is None:
            yield Notice(keys=(key,), message="has no effect without save: DIRECTORY")


def tokens_are_cut_over_ranks(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """Sequence parallelism is between tensor-parallel ranks."""
    if args.sequence_parallel and args.model_parallel_size <= 1:
        yield Notice(keys=("sequence_parallel",), message="has no effect without model_parallel_size > 1")


def noise_scale_is_measured(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """How it is measured matters where it is."""
    given = tuple(key for key in NOISE_SCALE if key in args and getattr(args, key) != NOISE_SCALE[key].default)
    if given and not args.log_gradient_noise_scale:
        have = "has" if len(given) == 1 else "have"
        yield Notice(keys=given, message=f"{have} no effect without log_gradient_noise_scale: true")


def backend_fits_the_device(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """nccl is for GPUs."""
    if args.distributed_backend == "nccl" and "distributed_backend" in args and world.device == "cpu":
        yield Notice(keys=("distributed_backend",), message="there is no GPU here: gloo in place of nccl")


def every_layer_is_meant(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """A pattern that is repeated for all layers leaves no room for those before and after it."""
    for pattern in left_out(args.attention_config or []):
        message = f'{pattern!r} is not used: the pattern with "all" makes up every layer, as in GPT-NeoX'
        yield Notice(keys=("attention_config",), message=message)


def bias_copies_are_told(args: NeoXArgs, world: World) -> Iterator[Notice]:
    """Biases that move faster than other weights are no matter of course."""
    copies = args.row_parallel_bias_copies
    if copies is None or copies == 1:
        return
    if not args.gpt_j_residual:
        yield Notice(keys=("row_parallel_bias_copies",), message="has no effect without gpt_j_residual: true")
        return
    message = (
        f"biases of the attention's output and the MLP's are trained at {copies} times the learning rate, as by GPT-NeoX on {copies} "
        "tensor-parallel ranks; 1 ends that"
    )
    yield Notice(keys=("row_parallel_bias_copies",), message=message)


NOTICES: tuple[NoticeRule, ...] = (
    bias_copies_are_told,
    pending_keys_without_numbers,
    fused_kernels_are_torchs,
    *SCHEDULE_NOTICES,
    every_layer_is_meant,
    saving_has_a_place,
    noise_scale_is_measured,
    tokens_are_cut_over_ranks,
    backend_fits_the_device,
    *MUP_NOTICES,
    *DEEPSPEED_NOTICES,
)

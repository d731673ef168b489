"""Rules over several keys of RWKV; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterator

from neox_attention.layer_names import mixer_names
from neox_core.config import NeoXArgs
from neox_core.errors import Problem


def problems(args: NeoXArgs) -> Iterator[Problem]:
    """Each tensor-parallel rank has a head of time mixing, and some of the width of channel mixing."""
    ranks = args.model_parallel_size
    if ranks <= 1 or "rwkv" not in mixer_names(args.attention_config):
        return
    width = args.dim_att or args.hidden_size
    heads = width // args.head_size if args.head_size else args.num_attention_heads
    if 0 < heads < ranks:
        yield Problem(
            keys=("head_size" if args.head_size else "num_attention_heads", "model_parallel_size"),
            message=f"{heads} heads of rwkv's time mixing (of width {width}) are fewer than model_parallel_size {ranks} ranks",
            remedy=f"set model_parallel_size: {heads} or less, or give rwkv more heads",
        )
    if args.ffn_dim and args.ffn_dim < ranks:
        yield Problem(
            keys=("ffn_dim", "model_parallel_size"),
            message=f"{args.ffn_dim} channels of rwkv's channel mixing are fewer than model_parallel_size {ranks} ranks",
            remedy=f"set model_parallel_size: {args.ffn_dim} or less, or a larger ffn_dim",
        )

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
    given = {key: value for key in ("ffn_dim", "intermediate_size") if (value := getattr(args, key))}
    for key, inner in [*given.items()][:1]:
        if inner < ranks:
            yield Problem(
                keys=(key, "model_parallel_size"),
                message=f"{inner} channels of rwkv's channel mixing are fewer than model_parallel_size {ranks} ranks",
                remedy=f"set model_parallel_size: {inner} or less, or a larger {key}",
            )

"""Rules of mixers that work where the tokens of a sample are cut over ranks; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterator

from neox_attention.layer_names import mixer_names
from neox_core.config import NeoXArgs
from neox_core.errors import Problem


def problems(args: NeoXArgs) -> Iterator[Problem]:
    """A ring drops no weights; Ulysses has heads for every rank."""
    ranks = args.context_parallel_size
    if ranks == 1:
        return
    used = set(mixer_names(args.attention_config))
    if "ring" in used and args.attention_dropout > 0:
        yield Problem(
            keys=("context_parallel_size", "attention_dropout"),
            message=f"ring cannot drop attention weights over {ranks} ranks, and attention_dropout is {args.attention_dropout}",
            remedy="use ulysses in attention_config, or attention_dropout: 0",
        )
    heads = args.num_attention_heads // max(args.model_parallel_size, 1)
    if "ulysses" in used and heads % ranks:
        yield Problem(
            keys=("context_parallel_size", "num_attention_heads"),
            message=f"ulysses cannot deal the {heads} heads of a tensor-parallel rank to {ranks} ranks",
            remedy="use ring in attention_config, or a context_parallel_size that divides them",
        )

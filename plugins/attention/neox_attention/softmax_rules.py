"""Rules over several keys of softmax attention; nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterator

from neox_core.config import NeoXArgs
from neox_core.errors import Problem


def problems(args: NeoXArgs) -> Iterator[Problem]:
    """FlexAttention has no dropout."""
    if args.attention_implementation == "flex" and args.attention_dropout > 0:
        yield Problem(
            keys=("attention_implementation", "attention_dropout"),
            message=f"flex cannot drop attention weights, and attention_dropout is {args.attention_dropout}",
            remedy="set attention_implementation to auto, sdpa or eager, or attention_dropout to 0",
        )

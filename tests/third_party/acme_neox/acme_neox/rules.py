"""Rules over several keys."""

from __future__ import annotations

from collections.abc import Iterator

from neox_core.config import NeoXArgs
from neox_core.errors import Problem


def problems(args: NeoXArgs) -> Iterator[Problem]:
    """The heads of the moving average share the width evenly."""
    if args.hidden_size % args.acme_ema_heads:
        yield Problem(
            keys=("acme_ema_heads", "hidden_size"),
            message=f"hidden_size {args.hidden_size} is not a multiple of acme_ema_heads {args.acme_ema_heads}",
            remedy="use a number of heads that divides the width",
        )

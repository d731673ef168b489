"""Rules over several keys of mixtures."""

from __future__ import annotations

from collections.abc import Iterator

from neox_core.config import NeoXArgs
from neox_core.errors import Problem


def problems(args: NeoXArgs) -> Iterator[Problem]:
    """A token has no more experts than there are."""
    if args.moe_top_k > args.moe_num_experts:
        yield Problem(
            keys=("moe_top_k", "moe_num_experts"),
            message=f"moe_top_k {args.moe_top_k} is more than moe_num_experts {args.moe_num_experts}",
            remedy="lower the one or raise the other",
        )
    if args.moe_type == "torch" and args.moe_num_experts > 1 and args.moe_router_type == "sinkhorn":
        yield Problem(
            keys=("moe_router_type", "moe_num_experts"),
            message="sinkhorn, GPT-NeoX's default: this version does not have it yet",
            remedy="write moe_router_type: topk for the likeliest experts",
            limitation=True,
        )

"""Rules over several keys with gMLP and aMLP."""

from __future__ import annotations

from collections.abc import Iterator

from neox_attention.layer_names import mixer_names
from neox_core.config import NeoXArgs
from neox_core.errors import Problem


def problems(args: NeoXArgs) -> Iterator[Problem]:
    """They have weights for `seq_length` positions, of which a soft prompt would leave none over in a sample."""
    used = sorted({"gmlp", "amlp"} & set(mixer_names(args.attention_config)))
    if used and (args.soft_prompt_tuning or {}).get("enabled"):
        yield Problem(
            keys=("soft_prompt_tuning", "attention_config"),
            message=f"{' and '.join(used)} have weights for seq_length {args.seq_length} positions, and a prompt takes some of them",
            remedy="tune a prompt for a model with other mixers",
        )

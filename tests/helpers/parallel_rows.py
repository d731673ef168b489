"""Ways to train beyond the matrix, each with what one process is given and how it is cut."""

from __future__ import annotations

from typing import Any, NamedTuple

from mup_models import base_shapes
from parallel_cells import Cell, computed

PROMPT = {"soft_prompt_tuning": {"enabled": True, "num_tokens": 4, "init_range": 0.3}}
MIXTURE = {"moe_num_experts": 4, "moe_type": "torch", "moe_router_type": "topk", "moe_loss_coeff": 0.1}
SMOOTH = {"label_smoothing": 0.1, "logit_z_loss": 0.01}
TOKENS = {"loss_normalisation": "global_tokens"}
WIDER = {"hidden_size": 32, "num_attention_heads": 8, "num_kv_heads": 8}


def mixers(*names: str) -> dict[str, Any]:
    """One for each layer."""
    return {"attention_config": [[[*names], "all"]], "num_layers": max(len(names), 2), "pos_emb": "none"}


def with_mup(**changes: Any) -> dict[str, Any]:
    """A model twice as wide as its base model."""
    alike = {**computed(Cell()), "pos_emb": "rotary", **changes}
    narrow = {key: value for key, value in alike.items() if key not in WIDER}
    return {**changes, **WIDER, "use_mup": True, "base_shapes": base_shapes(**narrow)}


class Row(NamedTuple):
    """One of them.

    Args:
        ranks: number of processes.
        cut: settings that cut the run.
        given: settings that one process is given too.
    """

    ranks: int
    cut: dict[str, Any]
    given: dict[str, Any]

    @property
    def alone(self) -> dict[str, Any]:
        """The settings of one process."""
        return {**computed(Cell()), "pos_emb": "rotary", **self.given}


def zero(stage: int) -> dict[str, Any]:
    return {"zero_optimization": {"stage": stage}}


TP, PP, CP = ({f"{axis}_parallel_size": 2} for axis in ("model", "pipe", "context"))
SP = {**TP, "sequence_parallel": True}
RING, ULYSSES = ({"attention_config": [[[name], "all"]]} for name in ("ring", "ulysses"))

ROWS = {
    "rwkv-pp2": Row(2, PP, mixers("rwkv")),
    "rwkv-tp2-pp2": Row(4, {**TP, **PP}, mixers("rwkv")),
    "mamba-tp2": Row(2, TP, mixers("mamba")),
    "mamba-dp2-tp2-zero3": Row(4, {**TP, **zero(3)}, mixers("mamba")),
    "mamba-global-rwkv-pp2": Row(2, PP, mixers("mamba", "global", "rwkv")),
    "prompt-tp2": Row(2, SP, PROMPT),
    "prompt-pp2": Row(2, PP, PROMPT),
    "prompt-dp2-zero3": Row(2, zero(3), PROMPT),
    "mup-tp2-pp2": Row(4, {**TP, **PP}, with_mup()),
    "mup-dp2-tp2-zero2": Row(4, {**TP, **zero(2)}, with_mup(no_weight_tying=False)),
    "mixture-tp2": Row(2, SP, MIXTURE),
    "mixture-dp2-pp2": Row(4, PP, MIXTURE),
    "mixture-dp2-zero3": Row(2, zero(3), MIXTURE),
    "tokens-dp2-tp2": Row(4, TP, TOKENS),
    "tokens-tp2-pp2": Row(4, {**TP, **PP}, TOKENS),
    "tokens-dp2-cp2": Row(4, {**CP, **ULYSSES}, TOKENS),
    "smooth-tp2-pp2": Row(4, {**SP, **PP}, SMOOTH),
    "smooth-tp2-cp2": Row(4, {**SP, **CP, **RING}, SMOOTH),
    "tp4": Row(4, {"model_parallel_size": 4, "sequence_parallel": True}, {"num_kv_heads": 2}),
    "pp4": Row(4, {"pipe_parallel_size": 4}, {"num_layers": 6, "no_weight_tying": False}),
    "cp4": Row(4, {"context_parallel_size": 4, **RING}, {"reset_attention_mask": True}),
    "dp4-zero3": Row(4, zero(3), {"train_batch_size": 16}),
    "pp2-dropped-attention": Row(2, PP, {"attention_dropout": 0.1, "checkpoint_activations": True}),
    "tp2-dropped-attention": Row(2, SP, {"attention_dropout": 0.1}),
}
"""By name."""

"""Keys of mixtures of experts beyond those that the core reads."""

from typing import Literal

from neox_core.config import Settings, setting


class MoESettings(Settings, group="moe"):
    """How tokens are given to experts, and experts to ranks."""

    # Routing

    moe_top_k: int = setting(1, "Experts of each token", from_checkpoint="match", origin="gpt-neox", ge=1)
    moe_router_type: Literal["sinkhorn", "topk"] = setting(
        "sinkhorn",
        "How experts are chosen: the likeliest, or balanced by Sinkhorn's algorithm while training",
        from_checkpoint="take",
        origin="gpt-neox",
    )
    moe_jitter_eps: float | None = setting(
        None,
        "The router's inputs are multiplied by random factors in [1 - eps, 1 + eps]",
        origin="gpt-neox",
        pending=True,
        ge=0,
    )
    moe_loss_coeff: float = setting(0.1, "Weight of the load-balancing loss", origin="gpt-neox", ge=0)
    moe_lbl_in_fp32: bool = setting(
        False,
        "Compute the load-balancing loss in fp32",
        origin="gpt-neox",
        changes="nothing",
        unused="it always is",
    )

    # Capacity

    moe_token_dropping: bool = setting(
        False, "Experts leave out tokens beyond their capacity", origin="gpt-neox", pending=True
    )
    moe_train_capacity_factor: float = setting(
        1.0, "Capacity of an expert while training, in even shares of the tokens", origin="gpt-neox", pending=True, gt=0
    )
    moe_eval_capacity_factor: float = setting(1.0, "The same while evaluating", origin="gpt-neox", pending=True, gt=0)
    moe_min_capacity: int = setting(4, "Least capacity of an expert, in tokens", origin="gpt-neox", pending=True, ge=0)

    # Experts

    moe_glu: bool = setting(False, "Gated experts", from_checkpoint="match", origin="gpt-neox", pending=True)
    moe_use_residual: bool | None = setting(
        None,
        "A dense MLP beside the experts; none: as the implementation does by itself",
        from_checkpoint="match",
        origin="gpt-neox",
        pending=True,
    )

    # Ranks

    moe_expert_parallel_size: int = setting(
        1,
        "Ranks over which the experts of a layer are dealt",
        origin="gpt-neox",
        changes="speed",
        pending=True,
        aliases=("expert_parallel_size",),
        ge=1,
    )
    enable_expert_tensor_parallelism: bool = setting(
        False, "Cut experts over tensor-parallel ranks too", origin="gpt-neox", changes="speed", pending=True
    )
    create_moe_param_group: bool = setting(
        True,
        "Parameter groups of the optimizer for experts",
        origin="gpt-neox",
        changes="nothing",
        unused="experts get groups of their own where they need them",
    )
    use_tutel: bool = setting(
        False, "Tutel's kernels", origin="gpt-neox", changes="nothing", unused="neox does not use Tutel"
    )

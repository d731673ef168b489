"""Keys of REINFORCE."""

from typing import Literal

from neox_core.config import Settings, setting


class ReinforceSettings(Settings, group="reinforce"):
    """REINFORCE (Williams, 1992; Ahmadian et al., 2024) on answers that a server makes."""

    kl_div_beta: float = setting(
        0.1,
        "Weight of the distance to the reference model; 0: no reference model",
        origin="gpt-neox",
        pending=True,
        ge=0,
    )
    kl_impl: Literal["abs", "mse", "kl", "full"] = setting(
        "mse",
        "That distance, from the difference of the log-probabilities of a token: absolute, half its square, itself; "
        "full: the divergence over the vocabulary",
        origin="gpt-neox",
        pending=True,
    )
    fp32_reinforce: bool = setting(True, "Log-probabilities in fp32", origin="gpt-neox", pending=True)
    serve_model_weights: bool = setting(
        False, "Offer the weights to the server that makes answers", origin="gpt-neox", changes="nothing", pending=True
    )
    weight_server_port: int | list[int] = setting(
        6000,
        "Port at which weights are offered, or one for each rank",
        origin="gpt-neox",
        changes="nothing",
        unused="weights are offered at 6000 plus the rank",
    )

"""What is measured of a run beside its loss."""

from neox_core.config.settings import Settings, setting


class MeasureSettings(Settings, group="measures"):
    """What is measured beside the loss, for the loggers."""

    peak_theoretical_tflops: float | None = setting(
        None,
        "Peak speed of a device in 10^12 operations a second, of which the utilisation is a share; none: it is not told",
        origin="gpt-neox",
        changes="nothing",
        pending=True,
        gt=0,
    )
    log_param_norm: bool = setting(False, "Norm of each parameter", origin="gpt-neox", changes="nothing", pending=True)
    log_grad_norm: bool = setting(
        False, "Norm of each parameter's gradient", origin="gpt-neox", changes="nothing", pending=True
    )
    log_grad_pct_zeros: bool = setting(
        False,
        "Share of zeros in each parameter's gradient, in per cent",
        origin="gpt-neox",
        changes="nothing",
        pending=True,
    )
    log_optimizer_states: bool = setting(
        False, "Norms of the optimizer's state", origin="gpt-neox", changes="nothing", pending=True
    )
    log_gradient_noise_scale: bool = setting(
        False,
        "Gradient noise scale, which tells how large a batch is of use (McCandlish et al., 2018)",
        origin="gpt-neox",
        changes="nothing",
        pending=True,
    )
    gradient_noise_scale_n_batches: int = setting(
        5,
        "Batches in the larger of the two that the noise scale compares",
        origin="gpt-neox",
        changes="nothing",
        pending=True,
        ge=2,
    )
    gradient_noise_scale_cpu_offload: bool = setting(
        False,
        "Keep the gradients for the noise scale in the host's memory",
        origin="gpt-neox",
        changes="speed",
        pending=True,
    )

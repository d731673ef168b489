"""What is measured of a run beside its loss."""

from neox_core.config.settings import Settings, setting


class MeasureSettings(Settings, group="measures"):
    """What is measured beside the loss, for the loggers."""

    peak_theoretical_tflops: float | None = setting(
        None,
        "Peak speed of a device (of a rank, on CPUs) in 10^12 operations a second, of which the utilisation is a share; none: "
        "the console measures it",
        origin="gpt-neox",
        changes="nothing",
        gt=0,
    )
    log_param_norm: bool = setting(
        False, "Norm of each parameter, every `log_interval` steps", origin="gpt-neox", changes="nothing"
    )
    log_grad_norm: bool = setting(
        False,
        "Norm of each parameter's gradient before clipping, every `log_interval` steps",
        origin="gpt-neox",
        changes="nothing",
    )
    log_grad_pct_zeros: bool = setting(
        False,
        "Share of zeros in each parameter's gradient, in per cent, every `log_interval` steps",
        origin="gpt-neox",
        changes="nothing",
    )
    log_optimizer_states: bool = setting(
        False,
        "Norms of the optimizer's state of each parameter, every `log_interval` steps",
        origin="gpt-neox",
        changes="nothing",
    )
    log_gradient_noise_scale: bool = setting(
        False,
        "Gradient noise scale, which tells how large a batch is of use (McCandlish et al., 2018)",
        origin="gpt-neox",
        changes="nothing",
    )
    gradient_noise_scale_n_batches: int = setting(
        5,
        "Batches in the larger of the two that the noise scale compares",
        origin="gpt-neox",
        changes="nothing",
        ge=2,
    )
    gradient_noise_scale_cpu_offload: bool = setting(
        False,
        "Keep the gradients for the noise scale in the host's memory",
        origin="gpt-neox",
        changes="speed",
    )

"""Kernels of the packages mamba-ssm and causal-conv1d, which compute on CUDA what `mamba_scan` does. They are installed apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, cast

from neox_attention.settings.mamba import MambaSettings
from neox_core.config import Device
from neox_core.errors import UserError

Kernel = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class MambaKernels:
    """Those that a run uses; None where plain torch does it.

    They know neither documents nor what came before, so they are for whole sequences of one document.

    Args:
        inner: convolution, projections and scan (`mamba_inner_func_fusion`).
        scan: the selective scan (`mamba_selective_scan_fusion`).
        convolution: the convolution and what follows it, silu (`mamba_causal_conv_fusion`).
    """

    inner: Kernel | None = None
    scan: Kernel | None = None
    convolution: Kernel | None = None

    @classmethod
    def chosen(cls, settings: MambaSettings, device: Device) -> MambaKernels:
        """Those that the settings ask for; on a CPU none.

        Raises:
            UserError: one is not there.
        """
        if device != "cuda":
            return cls()
        interface = "mamba_ssm.ops.selective_scan_interface"
        inner, scan, convolution = None, None, None
        if settings.mamba_inner_func_fusion:
            inner = _kernel("mamba_inner_func_fusion", "mamba-ssm", interface, "mamba_inner_fn")
        if settings.mamba_selective_scan_fusion:
            scan = _kernel("mamba_selective_scan_fusion", "mamba-ssm", interface, "selective_scan_fn")
        if settings.mamba_causal_conv_fusion:
            convolution = _kernel("mamba_causal_conv_fusion", "causal-conv1d", "causal_conv1d", "causal_conv1d_fn")
        return cls(inner, scan, convolution)


NO_KERNELS = MambaKernels()
"""Plain torch."""


def _kernel(key: str, package: str, module: str, name: str) -> Kernel:
    try:
        return cast("Kernel", getattr(import_module(module), name))
    except ImportError as error:
        raise UserError(
            f"{key}: true needs the package {package}, which is not there ({error}): pip install {package}, or set {key} "
            "to false, which computes the same in plain torch"
        ) from error

"""Numbers as people read them: short, of a steady width, and never an exception for nan or infinity."""

from __future__ import annotations

import math


def count(value: float) -> str:
    """`value` with three significant digits and a suffix for its thousands: 512, 12.3k, 1.20M, 300B."""
    digits, suffix = _scaled(value, ("", "k", "M", "B", "T"))
    return digits + suffix


def amount(value: float, unit: str) -> str:
    """`value` with three significant digits and a decimal prefix to its unit: 95.3 GFLOP/s."""
    digits, prefix = _scaled(value, ("", "k", "M", "G", "T", "P", "E"))
    return f"{digits} {prefix}{unit}"


def size(value: float) -> str:
    """So many bytes in the units in which `neox checkpoint` and `neox plan` tell sizes: 11.44 MiB."""
    unit, name = next(
        ((2**power, name) for power, name in ((30, "GiB"), (20, "MiB")) if value >= 2**power), (2**10, "KiB")
    )
    return f"{value / unit:.2f} {name}"


def real(value: float) -> str:
    """A loss or another metric: four decimals, or an exponent where those would show nothing or too much."""
    if value == 0 or not math.isfinite(value) or 1e-3 <= abs(value) < 1e5:
        return f"{value:.4f}"
    return f"{value:.3e}"


def percentage(share: float) -> str:
    """A share of one as a whole percentage; `?` when unknown."""
    return f"{share:.0%}" if math.isfinite(share) else "?"


def duration(seconds: float) -> str:
    """Minutes and seconds, with hours and days where there are any: 0:07, 1:23:45, 3d 04:05:06; `?` when unknown."""
    if not math.isfinite(seconds):
        return "?"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    days, hour = divmod(hours, 24)
    if days:
        return f"{days}d {hour:02}:{minute:02}:{second:02}"
    return f"{hour}:{minute:02}:{second:02}" if hour else f"{minute}:{second:02}"


def _scaled(value: float, prefixes: tuple[str, ...]) -> tuple[str, str]:
    """Three significant digits of `value`, and the prefix that stands for the thousands taken out of it."""
    if not math.isfinite(value):
        return str(value), ""
    scaled = float(f"{value:.3g}")  # rounded before a prefix is chosen: 999,999 is 1.00M, not 1000k
    power = 0
    while abs(scaled) >= 1000 and power < len(prefixes) - 1:
        scaled /= 1000
        power += 1
    if power == 0:
        return f"{scaled:g}", prefixes[0]
    return (f"{scaled:,.0f}" if abs(scaled) >= 1000 else f"{scaled:#.3g}".rstrip(".")), prefixes[power]

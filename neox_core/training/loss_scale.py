"""The factor of the loss in fp16: raised while gradients are finite, lowered when they are not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from neox_core.errors import UserError

LOSS_SCALE = "loss_scale"
"""Where a checkpoint's state has the factor."""


class LossScale:
    """A scaler of DeepSpeed, which is told of a step when the step is over.

    DeepSpeed itself tells it within the step, before it divides the gradients by the factor: of a step after which the factor is
    doubled it uses half the gradient.

    Args:
        scaler: DeepSpeed's LossScaler, whose factor is fixed, or DynamicLossScaler. Each rank has its own, and tells it the same.
    """

    def __init__(self, scaler: Any) -> None:
        self._scaler = scaler

    @property
    def value(self) -> float:
        """The factor of the next step's loss."""
        return float(self._scaler.cur_scale)

    def after(self, *, overflow: bool) -> str:
        """Follow a step whose gradient was finite, or not; what there is to say of it then.

        Raises:
            UserError: the factor would have to be lowered below `min_loss_scale`.
        """
        before, patient = self.value, self._is_patient()
        if overflow and self._scaler.dynamic and before <= self._scaler.min_scale and not patient:
            raise UserError(
                f"fp16: the gradient is not finite at the smallest loss scale (min_loss_scale: {shown(before)}); lower the learning "
                "rate, check the data, or resume from an earlier checkpoint, perhaps in bfloat16"
            )
        if self._scaler.dynamic:
            self._scaler.update_scale(overflow)
        if not overflow:
            return ""
        fixed = "" if self._scaler.dynamic else "fixed "
        return f" at the {fixed}loss scale {shown(before)}{self._consequence(patient)}"

    def _is_patient(self) -> bool:
        """Whether another overflow leaves the factor as it is."""
        return bool(self._scaler.dynamic and self._scaler.delayed_shift > 1 and self._scaler.cur_hysteresis > 1)

    def _consequence(self, patient: bool) -> str:
        if not self._scaler.dynamic:
            return ""
        if not patient:
            return f", which is lowered to {shown(self.value)}"
        left = self._scaler.cur_hysteresis
        return f", which is lowered if that happens {'once' if left == 1 else f'{left} times'} more"

    def state(self) -> dict[str, float]:
        """Plain numbers for a checkpoint; none of a fixed factor."""
        scaler = self._scaler
        if not scaler.dynamic:
            return {}
        good_steps = scaler.cur_iter - scaler.last_overflow_iter - 1
        return {"scale": self.value, "good_steps": good_steps, "hysteresis": scaler.cur_hysteresis}

    def load(self, state: Mapping[str, float]) -> None:
        """Go on from such a state; a fixed factor stays as it is."""
        if self._scaler.dynamic and state:
            self._scaler.cur_scale = float(state["scale"])
            self._scaler.cur_iter, self._scaler.last_overflow_iter = int(state["good_steps"]), -1
            self._scaler.cur_hysteresis = int(state["hysteresis"])


def shown(factor: float) -> str:
    """A factor as people read it: 65,536."""
    return f"{factor:,.15g}"

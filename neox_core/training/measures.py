"""What is measured of a run beside its loss: norms by parameter, zeros in gradients, the gradient's noise scale."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import torch

from neox_core.config import LoggingSettings, MeasureSettings, Resolved
from neox_core.parallel import Fragment
from neox_core.training.noise_scale import NoiseScale
from neox_core.training.parameter_sums import ParameterSums, sum_of_squares

ZEROS = "pct_grad_zeros"
"""The measure that is a share and not a norm."""

NOISE_SCALE = "noise_scale"
"""Where a checkpoint's state has what the noise scale remembers."""


class Measures:
    """Looks at the gradients of a step, and after it at weights and optimizer state; all ranks get the same numbers.

    Norms are measured in the first and the last step of training and every `log_interval` steps, the noise scale in each step. What
    the settings do not ask for costs nothing. Names of measures are those of GPT-NeoX.

    Args:
        resolved: the settings.
        names: canonical names of the model's parameters, in the same order on all ranks.
        device: where sums over ranks are made.
    """

    def __init__(self, resolved: Resolved, names: Sequence[str], device: torch.device) -> None:
        self._settings = resolved[MeasureSettings]
        self._interval, self._ends = resolved[LoggingSettings].log_interval, (1, resolved.train_iters)
        self._sums = ParameterSums(names, device)
        self._shown = True
        self._noise = None
        if self._settings.log_gradient_noise_scale:
            offload = self._settings.gradient_noise_scale_cpu_offload
            buffers = torch.device("cpu") if offload else None
            batches = self._settings.gradient_noise_scale_n_batches
            self._noise = NoiseScale(resolved.batch.total, batches, device, buffers)

    @property
    def noise_scale(self) -> float | None:
        """In samples; None where it is not measured, or not known yet."""
        return self._noise.value if self._noise is not None and self._shown else None

    def observer(self, iteration: int) -> Callable[[Iterable[Fragment]], None] | None:
        """What is to be shown the gradients of a step, all at once or some at a time; None where nothing is measured of them.

        Args:
            iteration: number of the step, from 1.
        """
        due = self._is_due(iteration)
        looks: list[Callable[[Fragment], None]] = []
        if self._noise is not None:
            looks.append(self._noise.add)
        if due and self._settings.log_grad_norm:
            looks.append(partial(self._add_norm, "gradient_norms"))
        if due and self._settings.log_grad_pct_zeros:
            looks.append(self._add_zeros)
        self._shown = False

        def observe(gradients: Iterable[Fragment]) -> None:
            self._shown = True
            for gradient in gradients:
                for look in looks:
                    look(gradient)

        return observe if looks else None

    def after(self, iteration: int, applied: bool, fragments: Callable[[], Iterable[Fragment]]) -> dict[str, float]:
        """What was measured in a step, by the names that loggers have it under; every rank has to call it.

        Args:
            iteration: number of the step, from 1.
            applied: whether the optimizer was stepped.
            fragments: gives this rank's part of the weights and of the optimizer's state.
        """
        if self._noise is not None and applied and self._shown:
            self._noise.end_step()
        if not self._is_due(iteration):
            return {}
        if self._settings.log_param_norm or self._settings.log_optimizer_states:
            for fragment in fragments():
                self._add_kept(fragment)
        return {f"{measure}/{name}": measured(measure, *sums) for (measure, name), sums in self._sums.take().items()}

    def _add_kept(self, fragment: Fragment) -> None:
        if fragment.role == "weight":
            if self._settings.log_param_norm:
                self._add_norm("parameter_norms", fragment)
        elif self._settings.log_optimizer_states and not fragment.scalar:
            self._add_norm(f"optimizer_state_norms/{fragment.role}", fragment)

    def _add_norm(self, measure: str, fragment: Fragment) -> None:
        self._sums.add(measure, fragment, sum_of_squares(fragment.tensor))

    def _add_zeros(self, gradient: Fragment) -> None:
        self._sums.add(ZEROS, gradient, (gradient.tensor == 0).sum().double())

    def _is_due(self, iteration: int) -> bool:
        """Whether norms that are asked for are measured in a step."""
        asked = self._settings
        norms = asked.log_param_norm or asked.log_grad_norm or asked.log_grad_pct_zeros or asked.log_optimizer_states
        return norms and (iteration % self._interval == 0 or iteration in self._ends)

    def state(self) -> dict[str, Any]:
        """Plain data for a checkpoint."""
        return {} if self._noise is None else {NOISE_SCALE: self._noise.state()}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from a checkpoint's state; one that knows nothing of the noise scale lets it begin anew."""
        if self._noise is not None and NOISE_SCALE in state:
            self._noise.load(state[NOISE_SCALE])


def measured(measure: str, total: float, size: int) -> float:
    """A share in per cent from a count of elements; a norm from a sum of their squares."""
    return 100 * total / size if measure == ZEROS else math.sqrt(total)

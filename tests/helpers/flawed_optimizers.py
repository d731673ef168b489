"""A plugin with a sound optimizer, and with others that each break one promise."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from neox_core.plugins import Component, Optimizer


def neox_components() -> Iterable[Component]:
    return [
        Optimizer(
            name=name,
            summary=name,
            factory=f"flawed_optimizers:{name}",
            state={"momentum": "element", "count": "scalar"},
        )
        for name in FLAWS
    ]


FLAWS = {
    "sound": None,
    "climbing": "learns",
    "random": "repeats_itself",
    "restless": "stands_still_at_rate_zero",
    "greedy": "leaves_alone_what_has_no_gradient",
    "nameless": "keeps_names_with_parameters",
    "level": "heeds_rates_of_groups",
    "undecaying": "heeds_weight_decay_of_groups",
    "secretive": "declares_its_state",
    "counting": "declares_its_state",
    "amnesiac": "goes_on_from_what_torch_saved",
    "hesitant": "goes_on_from_what_checkpoints_keep",
    "leaky": "gives_weights_of_use",
    "normed": "does_the_same_on_flat_pieces",
}
"""Name -> the check that has to notice."""


def __getattr__(name: str) -> Any:
    """The factory of a name, as long as nothing needs torch before."""
    if name not in FLAWS:
        raise AttributeError(name)
    return lambda groups, params: _make(name, groups, params)


def _make(flaw: str, groups: list[dict[str, Any]], params: dict[str, Any]) -> Any:
    import torch

    class Momentum(torch.optim.Optimizer):
        def __init__(self) -> None:
            given = groups
            if flaw == "nameless":
                given = [{**group, "names": group["names"][::-1]} for group in groups]
            super().__init__(given, {"lr": params["lr"]})
            self.hidden: dict[Any, Any] = {}

        @torch.no_grad()
        def step(self, closure: Any = None) -> None:
            for group in self.param_groups:
                rate = self.param_groups[-1]["lr"] if flaw == "level" else group["lr"]
                for parameter in group["params"]:
                    if parameter.grad is not None or flaw == "greedy":
                        self.move(parameter, rate, 0.0 if flaw == "undecaying" else group["weight_decay"])

        def move(self, parameter: Any, rate: float, decay: float) -> None:
            if flaw == "hesitant" and rate == 0:
                return
            state = self.hidden.setdefault(parameter, {}) if flaw == "amnesiac" else self.state[parameter]
            if not state:
                state["momentum"] = torch.zeros_like(parameter)
                state["count"] = 0 if flaw == "counting" else torch.zeros(())
                if flaw == "secretive":
                    state["secret"] = torch.zeros(())
            state["count"] += 1
            gradient = torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
            state["momentum"].lerp_(gradient, 0.5)
            update = state["momentum"] + decay * parameter
            if flaw == "normed":
                update = update / update.norm().clamp(min=1e-3)
            if flaw == "random":
                update = update + 1e-3 * torch.rand(()) * gradient
            parameter.sub_(update, alpha=-rate if flaw == "climbing" else rate)
            if flaw == "restless":
                parameter.add_(gradient, alpha=1e-3)

    if flaw == "leaky":
        Momentum.weight_of_use = lambda self, parameter: parameter.detach()  # type: ignore[attr-defined]
    return Momentum()

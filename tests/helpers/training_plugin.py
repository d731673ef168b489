"""A plugin with objectives that tests train on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from neox_core.plugins import Component, Objective, Optimizer

POISONED: set[int] = set()
"""Forward passes in training, from 0, whose loss `poisoned` makes NaN on this rank."""


def neox_components() -> Iterable[Component]:
    return [
        Objective(name="metered", summary="with metrics", factory="training_plugin:metered"),
        Objective(name="poisoned", summary="not always finite", factory="training_plugin:poisoned"),
        Objective(name="graded", summary="reads rewards", factory="training_plugin:graded"),
        Optimizer(name="averaging", summary="of whole parameters", factory="training_plugin:averaging", whole=True),
        Objective(name="marked", summary="reads marks", factory="training_plugin:marked"),
        Objective(name="rewarding", summary="high scores", factory="training_plugin:Rewarding", head="reward"),
    ]


def averaging(groups: Any, params: Any) -> Any:
    """Would need whole parameters, and weights of use."""
    import torch

    class Averaging(torch.optim.SGD):
        def weight_of_use(self, parameter: Any) -> Any:
            return parameter.detach().clone()

    return Averaging(groups, lr=params["lr"])


def metered(resolved: Any) -> Any:
    import torch
    import torch.distributed as dist
    from neox_objectives.next_token import NextToken

    from neox_core.model import LossOutput

    class Metered(NextToken):
        def loss(self, head: Any, batch: Any) -> LossOutput:
            output = super().loss(head, batch)
            metrics = {"rank": torch.tensor(float(dist.get_rank())), "first": batch["tokens"][0, 0].float()}
            return LossOutput(output.loss, output.weight, metrics)

    return Metered(resolved)


def graded(resolved: Any) -> Any:
    from neox_objectives.next_token import NextToken

    class Graded(NextToken):
        batch_fields = (*NextToken.batch_fields, "rewards", "raw_rewards")

    return Graded(resolved)


def marked(resolved: Any) -> Any:
    from neox_objectives.next_token import NextToken

    from neox_core.model import LossOutput

    class Marked(NextToken):
        """Each sample's loss counts as much as its mark, which comes with the batch."""

        batch_fields = (*NextToken.batch_fields, "marks")

        def loss(self, head: Any, batch: Any) -> LossOutput:
            losses = head.token_losses(batch["labels"]).mean(1) * batch["marks"]
            return LossOutput(losses.mean(), losses.new_tensor(len(losses)), {"mark": batch["marks"].mean()})

    return Marked(resolved)


def poisoned(resolved: Any) -> Any:
    import torch
    from neox_objectives.next_token import NextToken

    from neox_core.model import LossOutput

    class Poisoned(NextToken):
        passes = 0

        def loss(self, head: Any, batch: Any) -> LossOutput:
            output = super().loss(head, batch)
            factor = 1.0
            if torch.is_grad_enabled():
                factor = float("nan") if self.passes in POISONED else 1.0
                self.passes += 1
            return LossOutput(output.loss * factor, output.weight)

    return Poisoned(resolved)


class Rewarding:
    """The last token's score is to be high. It does not say what a batch weighs."""

    batch_fields: tuple[str, ...] = ()

    def __init__(self, resolved: Any) -> None:
        pass

    def loss(self, head: Any, batch: Any) -> Any:
        from neox_core.model import LossOutput

        scores = head.scores()[:, -1]
        return LossOutput((1 + (-scores).exp()).log().mean(), scores.new_tensor(len(scores)))

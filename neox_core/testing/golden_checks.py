"""What of a recorded run is compared with the same run here."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import repeat

from neox_core.errors import UserError
from neox_core.testing.fixture import FinalParameter
from neox_core.testing.golden_replica import Replica, weights_of
from neox_core.testing.recorded import absolute_error, array_digest, relative_error
from neox_core.testing.weights import global_weights


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison: the largest error found, or the number of differences, and what is allowed."""

    name: str
    error: float
    tolerance: float

    @property
    def passed(self) -> bool:
        """Whether the error is within tolerance; a NaN is not."""
        return self.error <= self.tolerance


def token_files(replica: Replica) -> Iterator[Check]:
    """That the run reads what was read then, and begins with the same row."""
    different = replica.files.differences()
    row = replica.fixture.tokens_row0
    if row is not None:
        different += replica.first_batch()["tokens"][0].tolist() != row
    yield Check("token files that differ", different, 0)


def logits(replica: Replica) -> Iterator[Check]:
    """Logits of the first batch before any step."""
    recorded = replica.fixture.logits
    if recorded is None:
        return
    found = replica.engine.logits(replica.first_batch()).float()
    first_entries = [entry for row in recorded.row0_every16_first8 for entry in row]
    errors = [
        absolute_error(found[0, ::16, :8].flatten().tolist(), first_entries),
        absolute_error(found[0].logsumexp(-1).tolist(), recorded.logsumexp_row0),
        absolute_error([float(found.mean()), float(found.std())], [recorded.mean, recorded.std]),
    ]
    yield Check("logits", max(errors) if list(found.shape) == recorded.shape else math.inf, 2e-5)


def evaluation(replica: Replica) -> Iterator[Check]:
    """Loss of the first batch before any step, dropout off."""
    wanted = replica.fixture.eval_loss
    if wanted is not None:
        found = replica.engine.evaluate(repeat(replica.first_batch()), 1)["loss"]
        yield Check("eval loss", relative_error([found], [wanted]), 2e-5)


def batches(replica: Replica) -> Iterator[Check]:
    """Every micro-batch: tokens, labels and loss mask."""
    different = 0
    for wanted, found in zip(replica.fixture.batches, replica.recorded_batches(), strict=False):
        same = (
            array_digest(found["tokens"].numpy()) == wanted.tokens
            and array_digest(found["labels"].numpy()) == wanted.labels
            and float(found["loss_mask"].sum()) == wanted.mask_sum
        )
        different += not same
    yield Check("batches that differ", different, 0)


def training(replica: Replica) -> Iterator[Check]:
    """Losses, learning rates and gradient norms of all recorded steps."""
    replica.train()
    fixture = replica.fixture
    yield Check("losses", relative_error(replica.losses, fixture.losses), 2e-5)
    if fixture.lrs is not None:
        yield Check("learning rates", absolute_error(replica.rates, fixture.lrs), 1e-9)
    if fixture.grad_norms is not None:
        yield Check("gradient norms", relative_error(replica.norms, fixture.grad_norms), 1e-3)


def final_parameters(replica: Replica) -> Iterator[Check]:
    """L2 norm and first values of each parameter after the last step, the values as a share of its root mean square.

    The key part of a query-key-value bias has a gradient of zero, so that Adam normalises rounding noise there: left out, as is what
    GPT-NeoX has and never uses, which is what it was at the beginning.
    """
    found = replica.converter.write(global_weights(replica.engine))
    recorded = {
        name: entry
        for name, entry in replica.fixture.final_params.items()
        if name in found and not name.endswith("query_key_value.bias") and not _is_unused(replica, name, entry)
    }
    if recorded:
        norms = {name: float(found[name].double().norm()) for name in recorded}
        wanted = [entry.l2 for entry in recorded.values()]
        yield Check("final parameters", relative_error(list(norms.values()), wanted), 1e-3)
        errors = [
            absolute_error(found[name].flatten()[: len(entry.first4)].tolist(), entry.first4)
            * found[name].numel() ** 0.5
            / norms[name]
            for name, entry in recorded.items()
        ]
        yield Check("their first values", max(errors, default=0.0), 1e-2)


def _is_unused(replica: Replica, name: str, entry: FinalParameter) -> bool:
    """Whether a parameter is what it was at the beginning, and is none that a model here is made of."""
    weights = weights_of(replica.fixture)
    first = weights.pop(name)
    if relative_error([float(first.double().norm())], [entry.l2]) > 1e-7:
        return False
    try:
        replica.converter.read(weights)
    except UserError:
        return False
    return True


CHECKS: tuple[Callable[[Replica], Iterator[Check]], ...] = (
    token_files,
    logits,
    evaluation,
    batches,
    training,
    final_parameters,
)

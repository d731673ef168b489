"""What a model gives for tokens that are always the same: stored with a checkpoint, and compared once that is loaded."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from typing import Any

import torch
from torch import Tensor

from neox_core.checkpoint import Reader
from neox_core.config import ModelSettings, Resolved
from neox_core.errors import UserError
from neox_core.model import Batch
from neox_core.parallel import SequenceLayout
from neox_core.training.engine import Engine

FILE = "outputs.json"
"""Its name in a checkpoint."""

EVERY, FIRST = 16, 8
"""Of each so many-th position, so many logits are stored."""

ALLOWED = {"fp32": 1e-4, "bf16": 5e-2, "fp16": 5e-2}
"""By which share outputs may differ, for other ranks and devices round in another order; weights that are wrong make a larger one."""


@dataclass(frozen=True, slots=True)
class OutputRecord:
    """Outputs for one sample, of which every rank has all.

    Args:
        precision: in which they were computed.
        logsumexp: of the logits of each position.
        logits: the first of every so many-th position.
    """

    precision: str
    logsumexp: list[float]
    logits: list[list[float]]

    @classmethod
    def of(cls, engine: Engine, resolved: Resolved) -> OutputRecord:
        """Those of a model; every rank has to call it."""
        batch = _sample(resolved)
        given = engine.logits(batch)[0].float()
        sums, first = torch.logsumexp(given, -1), given[:, :FIRST]
        layout = SequenceLayout(engine.mesh.context, batch["tokens"].shape[1])
        if layout.axis.size > 1:
            sums, first = layout.join(sums, 0), layout.join(first, 0)
        return cls(resolved.precision, sums.tolist(), first[::EVERY].tolist())

    def to_json(self) -> str:
        """Plain text for a checkpoint."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, reader: Reader) -> OutputRecord | None:
        """That of a checkpoint, if it has one."""
        if FILE not in reader.manifest.files:
            return None
        content: dict[str, Any] = json.loads(reader.file(FILE))
        return cls(**content)

    def compare(self, now: OutputRecord, checkpoint: str) -> None:
        """Hold what a loaded model gives against this.

        Raises:
            UserError: it is something else.
        """
        allowed = max(ALLOWED[self.precision], ALLOWED[now.precision])
        place, difference = _largest(self.logsumexp, now.logsumexp)
        of_logits = _largest(list(chain(*self.logits)), list(chain(*now.logits)))[1]
        if not max(difference, of_logits) <= allowed:  # a NaN is no agreement
            raise UserError(
                f"{checkpoint}: the model gives other outputs than when it was saved: by {difference:.2g} at position {place}, "
                f"logits by {of_logits:.2g} (allowed: {allowed:g}). Settings, plugins or software differ; its environment.json says "
                "what it was saved with. checkpoint_validation_with_forward_pass: false goes on all the same"
            )


def _sample(resolved: Resolved) -> Batch:
    """[1, seq] tokens, the same for the same settings."""
    among = resolved.vocabulary or resolved.padded_vocab_size or 2
    length = resolved[ModelSettings].seq_length
    return {"tokens": torch.randint(among, (1, length), generator=torch.Generator().manual_seed(0))}


def _largest(one: Sequence[float], other: Sequence[float]) -> tuple[int, float]:
    """Where two sequences differ most, and by which share of what is there, or of 1 where that is less."""
    if len(one) != len(other):
        return 0, float("inf")
    before, now = torch.tensor(one, dtype=torch.float64), torch.tensor(other, dtype=torch.float64)
    shares: Tensor = (before - now).abs() / before.abs().clamp(min=1.0)
    if not shares.numel():
        return 0, 0.0
    place = int(shares.argmax())
    return place, float(shares[place])

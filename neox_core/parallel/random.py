"""Random numbers that do not depend on the topology: each use has a seed made of the run's seed and the name of the use."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch


def derive_seed(*parts: int | str) -> int:
    """A 63-bit seed from a sequence of numbers and names; the same on every machine."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") >> 1


def generator(*parts: int | str) -> torch.Generator:
    """A CPU generator for one named use."""
    return torch.Generator().manual_seed(derive_seed(*parts))


@dataclass(slots=True)
class StepRandom:
    """Seeds dropout by (seed, step, micro-batch, layer), so that no generator state has to be saved.

    The engine sets `step` and `micro_batch`, which counts the micro-batches of all ranks in a step; each layer calls `begin_layer`
    before it drops anything.
    """

    seed: int
    step: int = 0
    micro_batch: int = 0

    def begin_layer(self, layer: int) -> None:
        """Seed the default generators of the CPU and of this rank's GPU for what follows in this layer.

        `torch.manual_seed` would do so for every device there may be, which takes a hundred times as long.
        """
        seed = derive_seed(self.seed, "dropout", self.step, self.micro_batch, layer)
        torch.default_generator.manual_seed(seed)
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.manual_seed(seed)

"""What a Mamba block remembers while generating."""

from __future__ import annotations

import torch
from torch import Tensor


class MambaCache:
    """The last inputs of the convolution, the state of the scan, and the documents that they are of.

    Args:
        window: [batch, taps - 1, width], zeros at the beginning.
        state: [batch, width, states], likewise.
    """

    def __init__(self, window: Tensor, state: Tensor) -> None:
        self.window, self.state = window, state
        self.documents: Tensor | None = None

    def extend(self, inputs: Tensor, documents: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """What is remembered and new inputs [batch, seq, width], one after the other, with the document of each; keeps the last ones.

        As in all caches, tokens that came without documents are of document 0.
        """
        kept = self.window.shape[1]
        window = torch.cat((self.window, inputs), 1)
        self.window = window[:, -kept:].clone()  # a view would keep all of a prompt in memory
        if documents is None and self.documents is None:
            return window, None
        new = torch.zeros(inputs.shape[:2], dtype=torch.int64, device=inputs.device) if documents is None else documents
        numbers = torch.cat((new.new_zeros(len(new), kept) if self.documents is None else self.documents, new), 1)
        self.documents = numbers[:, -kept:]
        return window, numbers

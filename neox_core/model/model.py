"""The language model: embedding, blocks, norm, head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from neox_core.config import ModelSettings, Resolved, TrainingSettings
from neox_core.errors import UserError
from neox_core.model.block import Block, Carry, WholeBlock, make_block
from neox_core.model.embedding import Embedding
from neox_core.model.head import Head, HeadOutput
from neox_core.model.init import initialise
from neox_core.model.mixer import LayerCache, LayerContext
from neox_core.model.tables import make
from neox_core.parallel import StepRandom
from neox_core.plugins import PluginManager


class LanguageModel(nn.Module):
    """An autoregressive model as a list of layers. Names of its parameters are the canonical names.

    Args:
        resolved: the run's settings; the padded vocabulary must be known.
        plugins: where mixers and other parts are looked up.

    Raises:
        UserError: the vocabulary is not known, or a part cannot be had.
    """

    def __init__(self, resolved: Resolved, plugins: PluginManager) -> None:
        super().__init__()
        model, vocabulary = resolved[ModelSettings], resolved.padded_vocab_size
        if vocabulary is None:
            raise UserError("the vocabulary is not known: set vocab_file to a tokenizer, or vocab_size")
        self.random = StepRandom(resolved[TrainingSettings].seed)
        positions = make("position", model.pos_emb, plugins, model)
        self.embedding = Embedding(model, vocabulary, positions, self.random)
        contexts = [LayerContext(layer, resolved, positions, plugins) for layer in range(model.num_layers)]
        self.layers = nn.ModuleList(make_block(context) for context in contexts)
        self.drops = model.hidden_dropout > 0 or model.attention_dropout > 0
        self.norm = make("norm", model.norm, plugins, model.hidden_size, model)
        self.head = Head(model, vocabulary)
        initialise(self.named_parameters(), resolved[TrainingSettings].seed)

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor | None = None,
        documents: Tensor | None = None,
        caches: Sequence[LayerCache] | None = None,
    ) -> HeadOutput:
        """Run the model.

        Args:
            tokens: [batch, seq] int64.
            positions: [batch or 1, seq]; None counts from 0.
            documents: [batch, seq] document of each token; None for one document.
            caches: one for each layer, from `new_caches`; None while training.
        """
        if positions is None:
            positions = torch.arange(tokens.shape[1], device=tokens.device)[None]
        hidden = self.embedding(tokens, positions)
        carry: Carry = (hidden, positions, documents, torch.zeros((), dtype=torch.float32, device=hidden.device))
        for index in range(len(self.layers)):
            carry = self._layer(index, carry, None if caches is None else caches[index])
        hidden, _, _, aux = carry
        output: HeadOutput = self.head(self.norm(hidden), aux, self.embedding.weight)
        return output

    def _layer(self, index: int, carry: Carry, cache: LayerCache | None) -> Carry:
        """One layer. Random numbers are seeded here, outside of what may be compiled."""
        if self.training and self.drops:
            self.random.begin_layer(index)
        further: Carry = self.layers[index](carry, cache)
        return further

    def new_caches(self, batch: int, length: int) -> list[LayerCache]:
        """Empty caches of all layers for generating up to `length` tokens of `batch` sequences.

        Raises:
            UserError: a layer's mixer has no cache.
        """
        mixers = [cast("Block | WholeBlock", block).mixer for block in self.layers]
        for layer, mixer in enumerate(mixers):
            if not hasattr(mixer, "new_cache"):
                raise UserError(f"attention of layer {layer} ({type(mixer).__name__}) cannot generate: it has no cache")
        return [mixer.new_cache(batch, length) for mixer in mixers]

    def num_parameters(self) -> int:
        """Number of distinct parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    def flops_per_token(self, seq_length: int) -> float:
        """Floating-point operations of a forward and backward pass for one token.

        6 for each weight that multiplies (all but the embedding's rows that are looked up) and 12 x layers x width x sequence for
        attention scores and values, as counted by Chowdhery et al., "PaLM", 2022, appendix B.
        """
        looked_up = [self.embedding.weight, *self.embedding.positions.parameters()]
        tied = self.head.weight is None
        weights = self.num_parameters() - sum(parameter.numel() for parameter in looked_up)
        weights += self.embedding.weight.numel() if tied else 0
        return 6.0 * weights + 12.0 * len(self.layers) * self.embedding.weight.shape[1] * seq_length

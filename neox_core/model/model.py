"""The language model: embedding, blocks, norm, head."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import partial
from typing import Self, cast

import torch
from torch import Tensor, nn

from neox_core.config import ActivationCheckpointingSettings, ModelSettings, Resolved, TrainingSettings
from neox_core.config.groups import CompilationSettings
from neox_core.errors import UserError
from neox_core.model.block import Block, Carry, WholeBlock, make_block
from neox_core.model.compilation import compile_layer
from neox_core.model.embedding import Embedding
from neox_core.model.head import Head, HeadOutput
from neox_core.model.init import initialise
from neox_core.model.mixer import LayerCache, LayerContext
from neox_core.model.mup import MuP
from neox_core.model.operations import flops_per_token
from neox_core.model.recomputation import Recomputation
from neox_core.model.tables import make
from neox_core.parallel import (
    Mesh,
    SequenceLayout,
    Stage,
    StepRandom,
    global_shape,
    is_copy,
    sum_partial_gradients,
    with_partial_gradient,
)
from neox_core.plugins import PluginManager

Finish = Callable[[Iterable[nn.Parameter]], None]
"""Given the parameters of a part of a model when they have their values; may store them elsewhere, but leaves them their shapes."""


class Caches(list[LayerCache]):
    """What all layers remember while generating, and whether that is something already."""

    is_empty = True


class LanguageModel(nn.Module):
    """An autoregressive model as a list of layers, or those that a stage of a pipeline has. Names of its parameters are the canonical
    names, on every stage.

    A stage takes the carry from the one before and gives it to the next: `begin` makes it of tokens on the first, `run` takes it
    through the layers, `end` makes the output of it on the last. With a soft prompt, all parameters but the prompt are frozen.

    Args:
        resolved: the run's settings; the padded vocabulary must be known.
        plugins: where mixers and other parts are looked up.
        mesh: this rank's place among all, which decides what part of the parameters it has; None: one rank has all.
        stage: which of the layers there are; None for all.
        finish: called with the parameters of each part (embedding, layer, norm, head) before the next one is made.

    Raises:
        UserError: the vocabulary is not known, or a part cannot be had.
    """

    norm: nn.Module
    head: Head

    def __init__(
        self,
        resolved: Resolved,
        plugins: PluginManager,
        mesh: Mesh | None = None,
        stage: Stage | None = None,
        finish: Finish | None = None,
    ) -> None:
        super().__init__()
        model, vocabulary = resolved[ModelSettings], resolved.padded_vocab_size
        if vocabulary is None:
            raise UserError("the vocabulary is not known: set vocab_file to a tokenizer, or vocab_size")
        self.mesh = mesh or Mesh.solo()
        self.stage = stage or Stage(range(model.num_layers))
        self.random = StepRandom(resolved[TrainingSettings].seed)
        self.mup = MuP.of(resolved)
        positions = make("position", model.pos_emb, plugins, model)
        self.max_position_embeddings = model.max_position_embeddings
        contexts = [LayerContext(layer, resolved, positions, plugins, self.mesh) for layer in range(model.num_layers)]
        self.tensor = contexts[0].tensor
        self.embedding = Embedding(
            model,
            vocabulary,
            positions,
            self.random,
            factor=self.mup.embedding,
            positions_factor=self.mup.positions,
            tensor=self.tensor,
            context=self.mesh.context,
        )
        if not self.is_whole:
            self.embedding.reduce_to_copies(self.stage, tied=is_tied(resolved))
        fill = Filling(self, resolved[TrainingSettings].seed, finish)
        fill("embedding")
        self.layers = nn.ModuleList()
        for layer in self.stage.layers:
            self.layers.add_module(str(layer), make_block(contexts[layer]))
            fill(f"layers.{layer}")
        self.drops = model.hidden_dropout > 0 or model.attention_dropout > 0
        if self.stage.is_last:
            self.norm = contexts[0].norm(model.hidden_size)
            fill("norm")
            self.head = Head(model, vocabulary, resolved.head, factor=self.mup.output, tensor=self.tensor)
            fill("head")
        self.mup.check(self)
        self.recompute = Recomputation(
            resolved[ActivationCheckpointingSettings],
            attention_drops=model.attention_dropout > 0,
            compiled=resolved[CompilationSettings].torch_compile,
            tensor=self.tensor,
        )
        for block in self.layers:
            compile_layer(block, resolved, self.recompute)
        if self.embedding.soft_prompt is not None:
            self.requires_grad_(False)
            self.embedding.soft_prompt.requires_grad_(True)
        if positions.has_bias and self.tensor.is_on:
            for parameter in positions.parameters():
                with_partial_gradient(parameter)  # each rank has biases of its heads
        sum_partial_gradients(self, self.mesh.tensor)

    def forward(
        self,
        tokens: Tensor,
        positions: Tensor | None = None,
        documents: Tensor | None = None,
        caches: Caches | None = None,
    ) -> HeadOutput:
        """Run the model, which must be whole.

        Args:
            tokens: [batch, seq] int64; with context parallelism this rank's, as all other fields.
            positions: [batch or 1, seq]; None counts from 0.
            documents: [batch, seq] document of each token; None for one document.
            caches: from `new_caches`; None while training. A soft prompt is put in by the first call, which has to reach into the
                last document of each sequence.
        """
        begins = caches is None or caches.is_empty
        if caches is not None:
            caches.is_empty = False
        carry = self.begin(tokens, positions, documents, prompted=begins)
        return self.end(self.run(carry, caches), prompted=begins)

    def begin(
        self, tokens: Tensor, positions: Tensor | None = None, documents: Tensor | None = None, *, prompted: bool = True
    ) -> Carry:
        """What goes into the first layer; on the first stage. With `prompted` a soft prompt is put in."""
        if positions is None:
            layout = SequenceLayout.of_part(self.mesh.context, tokens.shape[1])
            positions = layout.places(device=tokens.device)[None]
        positions = positions + self.prompt_length
        hidden = self.embedding(tokens, positions)
        if prompted and self.embedding.soft_prompt is not None:
            hidden, positions, documents = self.embedding.soft_prompt(hidden, positions, documents)
        hidden = self.tensor.own_tokens(hidden)
        return hidden, positions, documents, torch.zeros((), dtype=torch.float32, device=hidden.device)

    def run(self, carry: Carry, caches: Caches | None = None) -> Carry:
        """What comes out of the stage's last layer."""
        if caches is None and self.training and self.recompute.enabled and torch.is_grad_enabled():
            return self._recomputed(carry)
        for place, index in enumerate(self.stage.layers):
            carry = self._layer(index, carry, None if caches is None else caches[place], self.random)
        return carry

    def end(self, carry: Carry, *, prompted: bool = True) -> HeadOutput:
        """The model's output; on the last stage. `prompted` is as `begin` had it."""
        hidden, _, documents, aux = carry
        hidden = self.norm(hidden)
        if prompted and self.embedding.soft_prompt is not None:
            without = self.embedding.soft_prompt.remove(self.tensor.all_tokens(hidden), documents)
            hidden = self.tensor.own_tokens(without)
        # Looked at only where it is used: ZeRO 3 gathers a weight that is.
        hidden, weight = self.head(hidden, self.embedding.weight if self.head.is_tied else None)
        return HeadOutput(hidden, weight, aux, self.training, self.tensor, self.head.vocabulary)

    def _recomputed(self, carry: Carry) -> Carry:
        """All layers, which are computed again in the backward pass: with the random numbers of this place, wherever the engine is."""
        place = replace(self.random)

        def run(group: range, carry: Carry) -> Carry:
            for index in group:
                carry = self._layer(index, carry, None, place)
            return carry

        for group in self.recompute.groups(self.stage.layers):
            carry = self.recompute(partial(run, group), carry)
        return carry

    def _layer(self, index: int, carry: Carry, cache: LayerCache | None, random: StepRandom) -> Carry:
        """One layer. Random numbers are seeded here, outside of what may be compiled."""
        if self.training and self.drops:
            random.begin_layer(index)
        layer = self.layers.get_submodule(str(index))
        # `forward` is the layer as it was before it was compiled: with a cache lengths vary from call to call.
        further: Carry = layer(carry) if cache is None else layer.forward(carry, cache)
        return further

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """What `to`, `bfloat16`, `cuda` and the like come to; parameters that are marked `keeps_float32` are not made narrower."""
        kept = [(p, p.data) for p in self.parameters() if getattr(p, "keeps_float32", False)]
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for parameter, values in kept:
            if parameter.dtype in {torch.float16, torch.bfloat16}:
                parameter.data = values.to(parameter.device, torch.float32)
        return self

    def new_caches(self, batch: int, length: int) -> Caches:
        """Empty caches of all layers for generating up to `length` tokens of `batch` sequences, beside a soft prompt.

        Raises:
            UserError: a layer's mixer has no cache, or there are not so many positions.
        """
        longest = self.embedding.positions.longest
        if longest is not None and self.prompt_length + length > longest:
            raise UserError(
                f"max_position_embeddings: the model has learned {longest} positions, and "
                f"{self.prompt_length + length} tokens are asked for; generate fewer, or shorten the prompt"
            )
        mixers = [cast("Block | WholeBlock", block).mixer for block in self.layers]
        for layer, mixer in enumerate(mixers):
            if not hasattr(mixer, "new_cache"):
                raise UserError(f"attention of layer {layer} ({type(mixer).__name__}) cannot generate: it has no cache")
        return Caches(mixer.new_cache(batch, self.prompt_length + length) for mixer in mixers)

    @property
    def is_whole(self) -> bool:
        """Whether it has all layers, rather than those of a stage."""
        return self.stage.is_whole

    @property
    def prompt_length(self) -> int:
        """Places that a soft prompt takes before every sequence."""
        return 0 if self.embedding.soft_prompt is None else self.embedding.soft_prompt.length

    @property
    def context_length(self) -> int:
        """Tokens that a sequence can have: as many as there are positions, less those that are not used or a soft prompt's."""
        return (self.embedding.positions.longest or self.max_position_embeddings) - self.prompt_length

    def num_parameters(self) -> int:
        """Number of distinct parameters; of stages, those that they answer for."""
        return sum(math.prod(global_shape(parameter)) for parameter in self.parameters() if not is_copy(parameter))

    def flops_per_token(self, seq_length: int) -> float:
        """Floating-point operations of a forward and backward pass for one token of a sequence.

        6 for each weight that multiplies (all but the embedding's rows, which are looked up), and what mixers say of themselves;
        full attention counts 12 x width x sequence a layer. So count Chowdhery et al., "PaLM", 2022, appendix B. Weights that are
        frozen count as if they were trained.
        """
        parts = sum(flops_per_token(block, seq_length) for block in self.layers)
        if not self.stage.is_last:
            return parts
        parts += flops_per_token(self.norm, seq_length) + flops_per_token(self.head, seq_length)
        tied = self.head.weight is None
        return parts + (6.0 * math.prod(global_shape(self.embedding.weight)) if tied else 0.0)


class Filling:
    """Gives the parameters of one part of a model after the other their values.

    Args:
        model: to which parts are added.
        seed: the run's.
        finish: told of each part's parameters then.
    """

    def __init__(self, model: LanguageModel, seed: int, finish: Finish | None) -> None:
        self._model, self._seed, self._finish = model, seed, finish
        self._filled: set[nn.Parameter] = set()

    def __call__(self, name: str) -> None:
        """The part of this name, without what it shares with earlier ones."""
        part = self._model.get_submodule(name)
        named = ((f"{name}.{inner}", parameter) for inner, parameter in part.named_parameters())
        own = {inner: parameter for inner, parameter in named if parameter not in self._filled}
        self._filled.update(own.values())
        initialise(own.items(), self._seed, self._model.mup.initial_factors(part, own))
        if self._finish is not None:
            self._finish(own.values())


def is_tied(resolved: Resolved) -> bool:
    """Whether the head has the embedding's weights."""
    return resolved.head == "logits" and not resolved[ModelSettings].no_weight_tying

"""The contract of a sequence mixer (attention and everything that takes its place), and what one is made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from torch import Tensor, nn

from neox_core.config import ModelSettings, ParallelismSettings, Resolved
from neox_core.model.activations import Activation, Gated, gelu
from neox_core.model.dropout import HiddenDropout
from neox_core.model.init import Role, begin, initialiser
from neox_core.model.mup import MuP
from neox_core.model.norms import Size, cut_channels, cut_norm
from neox_core.model.positions import Positions
from neox_core.model.tables import make
from neox_core.parallel import ColumnLinear, Mesh, Piece, RowLinear, TensorParallel, evenly, with_partial_gradient
from neox_core.plugins import PluginManager

LinearCut = Literal["columns", "rows"]

LayerCache = Any
"""What one layer remembers between calls while generating; opaque to everyone but the mixer that made it."""


@dataclass(frozen=True, slots=True)
class LayerContext:
    """What a part of a layer is made from.

    Args:
        layer: index of the block, from 0.
        resolved: the run's settings; `model` is its model group.
        positions: the model's positions, shared by all layers.
        plugins: where further parts are looked up.
        mesh: this rank's place among all; one rank by itself where nothing is cut.
    """

    layer: int
    resolved: Resolved
    positions: Positions
    plugins: PluginManager
    mesh: Mesh = field(default_factory=Mesh.solo)

    @property
    def model(self) -> ModelSettings:
        """The architecture."""
        return self.resolved[ModelSettings]

    @property
    def tensor(self) -> TensorParallel:
        """The ranks that share the work on a layer."""
        settings = self.resolved[ParallelismSettings]
        return TensorParallel(self.mesh.tensor, settings.sequence_parallel, settings.fp32_allreduce)

    @property
    def dropout(self) -> HiddenDropout:
        """That of hidden states."""
        return HiddenDropout(self.tensor, self.mesh.context)

    def linear(
        self,
        inputs: int,
        outputs: int,
        *,
        bias: bool,
        role: Role,
        parts: int = 1,
        cut: LinearCut | None = None,
        pieces: Sequence[Piece] | None = None,
        inside: bool = False,
    ) -> nn.Linear:
        """A linear layer, initialised as the settings say for its role.

        Args:
            inputs: width of what it is given; of a layer cut by rows that of all ranks together.
            outputs: width of what it gives; of a layer cut by columns likewise.
            bias: whether it has one.
            role: whether it reads from the residual stream or writes to it.
            parts: of how many it is one, see `initialiser`.
            cut: over the tensor-parallel ranks: by "columns", where each rank computes some outputs; by "rows", where each has some
                inputs. None: every rank has all of it.
            pieces: which columns or rows are this rank's; None: an even share.
            inside: of a layer that is cut and lies between others: columns of what has entered by `tensor.enter` or comes out of
                such rows, or rows whose sums all ranks need, each to compute its own part with.
        """
        if cut is None or not self.tensor.is_on:
            layer = nn.Linear(inputs, outputs, bias=bias)
        else:
            kind = ColumnLinear if cut == "columns" else RowLinear
            layer = kind(inputs, outputs, bias=bias, parallel=self.tensor, pieces=pieces, inside=inside)
        return begin(layer, initialiser(self.model, role, parts))

    def attention_scale(self, head_size: int, base_head_size: int | None = None) -> float | None:
        """What products of queries and keys are multiplied by; None for 1 / sqrt(head_size).

        With muP scores fall with the size of a head rather than with its root (Yang et al., 2022, definition 4.1).

        Args:
            head_size: of the mixer's heads.
            base_head_size: of the same heads in muP's base model; None: as the base shapes say.
        """
        return MuP.of(self.resolved).attention(head_size, base_head_size)

    def activation(self) -> Activation | Gated:
        """The activation that the settings name; `bias_gelu_fusion` makes gelu that of GPT-NeoX's fused kernel."""
        name = self.model.activation
        if name.casefold() == "gelu" and self.model.bias_gelu_fusion:
            return gelu(approximate=True)
        activation: Activation | Gated = make("activation", name, self.plugins)
        return activation

    def norm(self, size: Size, name: str | None = None) -> nn.Module:
        """A normalisation of hidden states of this size between the parallel layers; the settings name it unless `name` does."""
        norm: nn.Module = make("norm", name or self.model.norm, self.plugins, size, self.model)
        if self.tensor.cuts_tokens:
            for parameter in norm.parameters():
                with_partial_gradient(parameter)
        return norm

    def channel_norm(self, width: int) -> nn.Module:
        """The same of hidden states within the parallel layers, [..., this rank's even share of `width` channels]."""
        if not self.tensor.is_on:
            return self.norm(width)
        (own,) = evenly(width, self.tensor.axis)
        norm: nn.Module = make("norm", self.model.norm, self.plugins, own.size, self.model)
        if not isinstance(norm, nn.LayerNorm):
            norm = make("norm", self.model.norm, self.plugins, width, self.model)
        return cut_channels(norm, width, self.tensor)

    def head_norm(self, heads: int, head_dim: int, pieces: Sequence[Piece]) -> nn.Module:
        """The same for queries or keys, [..., this rank's heads, head_dim]; each head has weights of its own.

        Args:
            heads: of all ranks.
            head_dim: width of a head.
            pieces: which heads are this rank's.
        """
        own = sum(piece.size for piece in pieces)
        norm: nn.Module = make("norm", self.model.norm, self.plugins, (own, head_dim), self.model)
        return cut_norm(norm, heads, pieces, self.tensor) if self.tensor.is_on else norm


class Mixer(Protocol):
    """A `torch.nn.Module` that lets tokens of a sequence see earlier ones. It makes its own masks; none is passed in.

    - Nothing depends on later tokens. Batch and sequence may have any size, and dtype and device those of its weights.
    - In a block (`replaces="core"`) it gets what the block has normed, and the block adds what it gives to the residual stream;
      `attention_dropout` is the mixer's affair. In place of a block (`replaces="block"`) it gets the residual stream and gives
      the next one: norms, residual connection and `hidden_dropout` are its affair too.
    - Weights made by `LayerContext.linear` and `LayerContext.norm`, or tagged by `neox_core.model.tag`, begin as functions of
      `seed` and their names; all others keep what the module gave them. Those with `no_weight_decay = True` do not decay;
      those with `keeps_float32 = True` stay in float32 in a model of another number format. One with `row_parts = [sizes]` is
      several matrices, whose rows take turns in pieces of these sizes, whatever part of them a rank has; an optimizer for matrices
      takes them apart.
    - muP scales weights by their shapes: a parameter that multiplies and is not a torch.nn.Linear's says by `tag` which dimension
      is summed over, and products of queries and keys are multiplied by `LayerContext.attention_scale`.
    - It may use `LayerContext.positions`, which it does not own: keep them where `torch.nn.Module` does not look, in a list.
    - Random numbers are torch's own, so that a layer can be computed again.
    - Where `supports` has TP, it has a part of the heads or channels on each tensor-parallel rank: `LayerContext.linear` cuts
      matrices, `neox_core.parallel.cut` says it of other weights, `with_partial_gradient` of those that are not cut and meet what
      differs from rank to rank. With SP too, `x` and what it gives are this rank's tokens; `positions` and `documents` are those
      of all tokens, which layers cut by columns, or `LayerContext.tensor.enter`, gather. `LayerContext.dropout` drops the
      same units of hidden states on any number of ranks.
    - A property `last`, the layer cut by rows that makes what it gives, lets a block with `gpt_j_residual` add up that and the
      MLP's before ranks communicate.
    - What it computes counts as 6 operations a token for each of its weights, forwards and backwards, unless it has a method
      `flops_per_token(length) -> float` that says better; see `neox_core.model.flops_per_token`.

    `neox_core.testing.mixers` checks what it computes.
    """

    def __call__(self, x: Tensor, *, positions: Tensor, documents: Tensor | None, cache: LayerCache | None) -> Tensor:
        """Mix.

        Args:
            x: [batch, seq, hidden].
            positions: [batch or 1, seq] int64, the position of each token in its document, from 0.
            documents: [batch, seq] int64, a number for each document, whose tokens are neighbours and see nothing of others; None
                for one document, of number 0. Shorter sequences of a batch are padded on the left, the padding being a document.
            cache: what `new_cache` gave, updated in place: tokens come after those of earlier calls, one or several at a time, and
                see them where they are of the same document. None: the sequence is all there is.

        Returns:
            [batch, seq, hidden].
        """

    def new_cache(self, batch: int, length: int) -> LayerCache:
        """An empty cache for up to `length` tokens of `batch` sequences. A mixer without this method trains, and cannot generate."""

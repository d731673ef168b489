"""The weights of LLaMA as Meta names and lays them out, and of Mistral, which has the same."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from torch import Tensor

from neox_converters.attention_rows import AttentionRows
from neox_converters.mapping import MappedConverter, Rule, renamed
from neox_converters.mup_factors import foldable, folded
from neox_converters.needs import ATTENTION, Need, check
from neox_core.config import ModelSettings, Resolved

ROTARY = "rope.freqs"
"""Frequencies, which some files have and which are computed: those of all layers, and, in LLaMA's first release, of each."""

NEEDS = (
    *ATTENTION,
    Need("norm", ("rmsnorm", "te_rmsnorm")),
    Need("activation", ("swiglu",)),
    Need("gpt_j_residual", (False,)),
    Need("rotary_pct", (1,)),
    Need("use_bias_in_attn_linear", (False,)),
    Need("use_bias_in_mlp", (False,)),
)


class RawConverter(MappedConverter):
    """A converter between our weights and those of one release.

    Their rotation pairs neighbours of a head, ours its halves: rows of queries and keys change places.

    Raises:
        SettingsError: the release's program cannot express the architecture.
    """

    def __init__(self, family: str, resolved: Resolved, needs: Sequence[Need]) -> None:
        check(family, resolved, needs)
        self._factors = foldable(family, resolved)
        self._tied = not resolved[ModelSettings].no_weight_tying
        of_layers = (f"layers.{layer}.attention.inner_attention.{ROTARY}" for layer in range(len(resolved.layers)))
        super().__init__(family, self._all_rules(resolved), unused=(ROTARY, *of_layers))

    def _all_rules(self, resolved: Resolved) -> Iterator[Rule]:
        yield folded("tok_embeddings.weight", "embedding.weight", self._factors.embedding)
        if not self._tied:
            yield folded("output.weight", "head.weight", self._factors.head)
        for layer in range(len(resolved.layers)):
            yield from _layer(resolved[ModelSettings], f"layers.{layer}")
        yield renamed("norm.weight", "norm.weight")


def llama(resolved: Resolved) -> RawConverter:
    """Meta's."""
    return RawConverter("Meta's LLaMA", resolved, (*NEEDS, Need("sliding_window_width", (None,))))


def mistral(resolved: Resolved) -> RawConverter:
    """Mistral's, which may have a window."""
    return RawConverter("Mistral's release", resolved, NEEDS)


def _layer(model: ModelSettings, name: str) -> Iterator[Rule]:
    """The weights of a layer, of which both begin with the same."""
    rows = TurnedRows(AttentionRows.of(model))
    apart = tuple(f"{name}.attention.{part}.weight" for part in ("wq", "wk", "wv"))
    yield Rule(apart, (f"{name}.attention.query_key_value.weight",), rows.together, rows.apart)
    for theirs, ours in {
        "attention.wo": "attention.output",
        "feed_forward.w1": "mlp.gate",
        "feed_forward.w2": "mlp.down",
        "feed_forward.w3": "mlp.up",
        "attention_norm": "attention_norm",
        "ffn_norm": "mlp_norm",
    }.items():
        yield renamed(f"{name}.{theirs}.weight", f"{name}.{ours}.weight")


@dataclass(frozen=True, slots=True)
class TurnedRows:
    """Queries and keys, of which rows 2i and 2i + 1 of a head turn together in theirs, and i and i + half in ours."""

    rows: AttentionRows

    def together(self, parts: Sequence[Tensor]) -> list[Tensor]:
        """Theirs, queries, keys and values -> ours."""
        query, key, value = parts
        halves = [self._pairs(part, heads).transpose(1, 2) for part, heads in self._turned(query, key)]
        return self.rows.together([*(half.reshape_as(part) for half, part in zip(halves, parts, strict=False)), value])

    def apart(self, ours: Sequence[Tensor]) -> list[Tensor]:
        """Ours -> theirs."""
        query, key, value = self.rows.apart(ours)
        half = self.rows.head_dim // 2
        turned = [
            part.view(heads, 2, half, *part.shape[1:]).transpose(1, 2) for part, heads in self._turned(query, key)
        ]
        return [*(one.reshape_as(part) for one, part in zip(turned, (query, key), strict=True)), value]

    def _turned(self, query: Tensor, key: Tensor) -> list[tuple[Tensor, int]]:
        return [(query, self.rows.heads), (key, self.rows.kv_heads)]

    def _pairs(self, part: Tensor, heads: int) -> Tensor:
        return part.view(heads, self.rows.head_dim // 2, 2, *part.shape[1:])

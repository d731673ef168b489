"""What tensors say of an architecture: their widths, and which of them there are."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from neox_converters.gpt_neox_files.cuts import Shape
from neox_converters.gpt_neox_files.eras import is_early
from neox_converters.gpt_neox_files.order import layer_of
from neox_core.checkpoint import LazyTensors
from neox_core.config import GATED, ModelSettings
from neox_core.config.architecture import resolve_mlp_width
from neox_core.config.plain import shown
from neox_core.errors import SettingsError, UserError

_MODEL = ModelSettings.model_fields
_EMBEDDING = "sequential.0.word_embeddings.weight"
_BLOCK_MIXERS = {"mixer": "mamba", "sgu": "gmlp", "att": "rwkv"}
"""Mixers in place of a block, by the module that only they have."""


class Mlp(NamedTuple):
    """Sizes of the MLPs' two linear layers.

    Args:
        rows: of the first.
        columns: of the second.
    """

    rows: int
    columns: int

    @property
    def gated(self) -> bool:
        """Whether the first one has two halves."""
        return self.rows == 2 * self.columns


class Sizes:
    """What the tensors of one tensor-parallel rank say.

    Args:
        path: of the checkpoint, for messages.
        weights: of the rank, under the names of its files.
        ranks: how many there are.
    """

    def __init__(self, path: Path, weights: LazyTensors, ranks: int) -> None:
        self._path, self._weights, self._ranks = path, weights, ranks
        if _EMBEDDING not in weights:
            raise UserError(
                f"{path} has no weight '{_EMBEDDING}', with which every model of GPT-NeoX begins: the file that has it is missing"
            )
        self.rows = self._shape(_EMBEDDING)[0] * ranks
        self.hidden = self._shape(_EMBEDDING)[1]
        self.layers = self._count_layers()

    def shape(self, settings: Mapping[str, Any]) -> Shape:
        """What decides how ranks share weights.

        Raises:
            UserError: nothing says how many heads there are.
        """
        heads = settings.get("num_attention_heads")
        if heads is None:
            raise UserError(f"{self._path} does not say num_attention_heads: give it, or the YAML files of the run")
        head_dim = self.hidden // heads
        mlp = self.mlp()
        return Shape(
            heads=heads,
            kv_heads=self._kv_heads(heads, head_dim),
            head_dim=head_dim,
            gated=mlp is not None and mlp.gated,
            parallel=bool(settings.get("gpt_j_residual")),
        )

    def mlp(self) -> Mlp | None:
        """Of the first block that has one."""
        first = self._find(r"mlp\.(linear1\.weight|dense_h_to_4h\.weight|fc1_weight)")
        second = self._find(r"mlp\.(linear2\.weight|dense_4h_to_h\.weight|fc2_weight|w2\.weight)")
        if second is None:
            return None
        columns = second[1] * self._ranks
        if first is None:  # of llama, in two matrices
            return Mlp(2 * columns, columns)
        return Mlp(first[0] * self._ranks, columns)

    def settings(self, given: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
        """The given settings, completed by what the tensors say.

        Raises:
            UserError: they disagree; all disagreements are named.
        """
        completed, wrong = dict(given), list[str]()
        for key, seen in self._seen(shape, given).items():
            if key not in given:
                if seen != _MODEL[key].default and (key, seen) != ("num_kv_heads", shape.heads):
                    completed[key] = seen
            elif _folded(given[key]) != _folded(seen) and not (
                key == "num_kv_heads" and given[key] is None and seen == shape.heads
            ):
                wrong.append(f"{key} is {shown(given[key])} in the settings, and {shown(seen)} by its tensors")
        wrong += self._fit_mlp(completed)
        wrong += self._fit_vocabulary(completed)
        if wrong:
            raise UserError(
                f"{self._path} is not of these settings: {'; '.join(wrong)}. Give those that it was trained with, or leave out what "
                "the tensors say"
            )
        return completed

    def _seen(self, shape: Shape, given: Mapping[str, Any]) -> dict[str, Any]:
        """Keys whose values can be seen."""
        seen: dict[str, Any] = {"num_layers": self.layers, "hidden_size": self.hidden}
        if (table := self._find(r"position_embeddings\.weight")) is not None:
            seen |= {
                "pos_emb": "learned",
                "max_position_embeddings": table[0] - int(given.get("opt_pos_emb_offset") or 0),
            }
        seen |= {"no_weight_tying": self._find(r"(final|rm)_linear\.weight") is not None}
        if self._find(r"rm_linear\.weight") is not None:
            del seen["no_weight_tying"]
        if self._find(r"attention\.(query_key_value|qkv)\.weight") is not None:
            seen["num_kv_heads"] = shape.kv_heads
            seen["use_bias_in_attn_linear"] = self._find(r"attention\.(dense|proj)\.bias") is not None
            seen["use_qk_layernorm"] = (
                given.get("use_qk_layernorm", False) or self._find(r"attention\.qk_layernorm\..*") is not None
            )
        if self.mlp() is not None and self._find(r"mlp\.(experts|router)\..*") is None:
            seen["use_bias_in_mlp"] = self._find(r"mlp\.(linear2\.bias|dense_4h_to_h\.bias|fc2_bias)") is not None
        seen |= self._seen_norm() | self._seen_positions(shape, given) | self._seen_mixers(given)
        return seen

    def _seen_norm(self) -> dict[str, Any]:
        norm = r"(input_layernorm|norm)"
        for pattern, name in (
            (rf"{norm}\.norm\.bias", "te_layernorm"),
            (rf"{norm}\.norm\.weight", "te_rmsnorm"),
            (rf"{norm}\.scale", "rmsnorm"),
            (rf"{norm}\.g", "scalenorm"),
            (rf"{norm}\.weight", "layernorm"),
        ):
            if self._find(pattern) is not None:
                return {"norm": name}
        return {"norm": "non_parametric_layernorm"}

    def _seen_positions(self, shape: Shape, given: Mapping[str, Any]) -> dict[str, Any]:
        if (frequencies := self._find(r"attention\.rotary_emb\.inv_freq")) is not None:
            share = given.get("rotary_pct")
            if not isinstance(share, int | float) or int(shape.head_dim * share) != 2 * frequencies[0]:
                share = 2 * frequencies[0] / shape.head_dim
            return {"pos_emb": "rotary", "rotary_pct": share}
        if self._find(r"attention\.alibi_embed\.slopes") is not None:
            return {"pos_emb": "alibi"}
        if (table := self._find(r"attention\.rpe\.weight")) is not None:
            return {"pos_emb": "rpe", "rpe_num_buckets": table[0]}
        return {}

    def _seen_mixers(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Of mixers in place of a block, where nothing says which layers have them."""
        if "attention_config" in given:
            return {}
        names = ["global"] * self.layers
        for name in self._weights:
            module = name.split(".")[2]
            if module in _BLOCK_MIXERS:
                names[layer_of(name) - 2] = _BLOCK_MIXERS[module]
            if name.split(".")[2:4] == ["sgu", "attn"]:
                names[layer_of(name) - 2] = "amlp"
        return {} if set(names) == {"global"} else {"attention_config": names}

    def _fit_mlp(self, settings: dict[str, Any]) -> Iterator[str]:
        """Make the settings come to the width inside the MLP, if they do not say it."""
        mlp = self.mlp()
        if mlp is None:
            return
        activation = str(settings.get("activation", _MODEL["activation"].default))
        gated = activation.casefold() in GATED
        if gated != mlp.gated:
            has = "two halves" if mlp.gated else "no halves"
            yield f"activation {activation} is {'gated' if gated else 'not gated'}, and the first linear layer of its MLPs has {has}"
            return
        sizes = ("intermediate_size", "expansion_factor", "mlp_multiple_of")
        try:
            width = resolve_mlp_width(
                ModelSettings.model_construct(**{key: settings.get(key, _MODEL[key].default) for key in _MODEL})
            )
        except SettingsError:
            width = 0
        if width == mlp.columns:
            return
        said = {key: settings[key] for key in sizes if settings.get(key) is not None}
        if said and not is_early(self._weights.keys()):
            words = ", ".join(f"{key} {shown(value)}" for key, value in said.items())
            yield f"{words} comes to a width of {width} inside the MLP, and it is {mlp.columns} by its tensors"
            return
        for key in sizes:
            settings.pop(key, None)
        settings["intermediate_size"] = mlp.columns * (3 if gated else 1)

    def _fit_vocabulary(self, settings: dict[str, Any]) -> Iterator[str]:
        """Make the settings come to the rows of the embedding."""
        multiple = settings.get("make_vocab_size_divisible_by", _MODEL["make_vocab_size_divisible_by"].default)
        said = settings.get("vocab_size")
        if said is not None and said != self.rows:
            unit = multiple * self._ranks
            if -(-said // unit) * unit != self.rows:
                yield f"vocab_size {said} makes {-(-said // unit) * unit} rows of the embedding, and there are {self.rows}"
                return
        settings["vocab_size"] = self.rows
        if self.rows % multiple:
            settings["make_vocab_size_divisible_by"] = 1

    def _count_layers(self) -> int:
        """Blocks are layers 2 and on; after a layer without weights come the final norm and, where there is one, the head."""
        ends = re.compile(r"norm\.\w+(\.\w+)?|(final|rm)_linear\.\w+")
        within: dict[int, list[str]] = {}
        for name in self._weights:
            within.setdefault(layer_of(name), []).append(name.split(".", 2)[2])
        blocks = sorted(layer for layer, names in within.items() if layer >= 2 and not all(map(ends.fullmatch, names)))
        expected = list(range(2, 2 + len(blocks)))
        if blocks != expected:
            absent = min(set(expected) - set(blocks))
            raise UserError(
                f"{self._path} has weights of layer {max(blocks)} and none of layer {absent}: "
                f"layer_{absent:02d}-model_*-model_states.pt, or what it held, is missing"
            )
        if not blocks:
            raise UserError(f"{self._path} has weights of no transformer block (layers 2 and on): files are missing")
        after = [layer for layer in within if layer > max(blocks)]
        if after and min(after) not in (max(blocks) + 2, max(blocks) + 3):  # a norm may have no weights
            raise UserError(
                f"{self._path} ends with layer {min(after)} after {max(blocks)}, where the final norm of {len(blocks)} blocks would "
                f"be layer {max(blocks) + 2}: files of some layers are missing"
            )
        return len(blocks)

    def _kv_heads(self, heads: int, head_dim: int) -> int:
        rows = self._find(r"attention\.(query_key_value|qkv)\.weight")
        return heads if rows is None else (rows[0] * self._ranks - heads * head_dim) // (2 * head_dim)

    def _find(self, pattern: str) -> tuple[int, ...] | None:
        """The shape, on its rank, of the first weight whose name within its layer is such."""
        matches: Callable[[str], Any] = re.compile(pattern).fullmatch
        return next((self._shape(name) for name in self._weights if matches(name.split(".", 2)[2])), None)

    def _shape(self, name: str) -> tuple[int, ...]:
        return tuple(self._weights.meta(name).shape)


def _folded(value: Any) -> Any:
    return value.casefold() if isinstance(value, str) else value

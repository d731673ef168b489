"""Settings that the tensors of a release show."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from neox_converters.described import Described
from neox_converters.hugging_face.configuration import PRECISIONS
from neox_converters.raw_releases.shards import EMBEDDING
from neox_core.checkpoint import LazyTensors
from neox_core.errors import UserError


def measure(path: Path, params: Described, tensors: LazyTensors) -> dict[str, Any]:
    """Numbers of layers and heads, widths, and the rows of the embedding; held against params.json where that says them too.

    Raises:
        UserError: params.json says otherwise, or heads are of another width than dim / n_heads.
    """
    rows, hidden = shape(path, tensors, EMBEDDING)
    layers = len({name.split(".")[1] for name in tensors if name.startswith("layers.")})
    width = shape(path, tensors, "layers.0.feed_forward.w1.weight")[0]
    heads = params.whole("n_heads")
    queries, keys = (shape(path, tensors, f"layers.0.attention.{name}.weight")[0] for name in ("wq", "wk"))
    head = hidden // heads
    if queries != hidden or hidden % heads or keys % head or params.get("head_dim", head) != head:
        raise UserError(
            f"{path}: {heads} heads have {queries} rows of queries and {keys} of keys, and in neox each is dim / n_heads, "
            f"{hidden / heads:g}, wide; choose a model of which that holds"
        )
    found = {"dim": hidden, "n_layers": layers, "hidden_dim": width, "n_kv_heads": keys // head, "vocab_size": rows}
    wrong = [
        f"{key}: {params.get(key)} is {value} by the tensors"
        for key, value in found.items()
        if key in params
        and params.get(key) not in (value, -1)  # LLaMA's first params.json leave the vocabulary to the tokenizer
    ]
    if wrong:
        raise UserError(f"{params.path}: {'; '.join(wrong)}: mend it, or get all files of the release")
    return {
        "num_layers": layers,
        "hidden_size": hidden,
        "num_attention_heads": heads,
        "num_kv_heads": keys // head,
        "intermediate_size": 3 * width,
        "vocab_size": rows,
        "no_weight_tying": "output.weight" in tensors,
        **precision(str(tensors.meta(EMBEDDING).dtype).removeprefix("torch.")),
    }


def precision(dtype: str) -> dict[str, str]:
    """The setting for weights of a type, where there is one."""
    return {"precision": PRECISIONS[dtype]} if dtype in PRECISIONS else {}


def shape(path: Path, tensors: LazyTensors, name: str) -> tuple[int, int]:
    """Rows and columns of a weight.

    Raises:
        UserError: it is not there, or no matrix.
    """
    if name not in tensors or tensors.meta(name).dim() != 2:
        raise UserError(f"{path}: there is no matrix '{name}' among the weights; get all files of the release")
    rows, columns = tensors.meta(name).shape
    return rows, columns

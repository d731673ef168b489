"""Row-parallel biases of parallel blocks, of which a run of GPT-NeoX trains a copy on each tensor-parallel rank and adds them up.

Every copy has the same gradient, so that the sum of n copies moves n times as far in a step, whatever the optimizer. Here there is one
bias, whose learning rate is that many times as large: it goes on as it began at any topology.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from neox_core.config import Resolved
from neox_core.config.compatibility import reproduces
from neox_core.errors import UserError
from neox_core.training.load_choice import Tell

KEY = "row_parallel_bias_copies"

_ROW_PARALLEL_BIAS = re.compile(r"layers\.\d+\.(attention\.output|mlp\.down)\.bias")


def is_row_parallel_bias(name: str) -> bool:
    """Whether a parameter, by its canonical name, is added to a sum over tensor-parallel ranks."""
    return _ROW_PARALLEL_BIAS.fullmatch(name) is not None


def rates_of_copies(names: Iterable[str], resolved: Resolved) -> dict[str, float]:
    """Factors of learning rates by name, where they are not 1."""
    copies = resolved.bias_copies
    return {} if copies == 1 else {name: float(copies) for name in names if is_row_parallel_bias(name)}


def saved_copies(saved: Mapping[str, Any]) -> int:
    """As how many copies a run with these keys trained."""
    if not saved.get("gpt_j_residual"):
        return 1
    tensor = saved.get("model_parallel_size") or 1
    return int(saved.get(KEY) or (tensor if reproduces(saved.get("compat"), "bias-copies") else 1))


def check_same_copies(path: Path, saved: Mapping[str, Any], resolved: Resolved, notice: Tell) -> None:
    """Compare as how many copies biases were trained until a checkpoint, and are from then on; a change that is given is told.

    Args:
        path: the checkpoint.
        saved: the keys that were given when it was saved.
        resolved: the run that goes on from it.
        notice: is told of a change.

    Raises:
        UserError: they differ, and nothing says that they shall.
    """
    before, now = saved_copies(saved), resolved.bias_copies
    if before == now:
        return
    if resolved.values.get(KEY) is None:
        raise UserError(
            f"{path} was saved with {KEY}: {before}, and these settings come to {now}: write {KEY}: {before} to go on as it began, or "
            f"{KEY}: {now} for another learning rate of these biases"
        )
    notice(f"{KEY}: {now} from here on; {path} was saved with {before}")

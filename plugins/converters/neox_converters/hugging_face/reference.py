"""transformers as the judge of what was written."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from neox_core.errors import UserError


def logits(path: Path, tokens: Tensor) -> tuple[str, Tensor] | None:
    """What the installed transformers computes of a directory, and its version; None where it is not installed.

    Args:
        path: a directory.
        tokens: [batch, seq].

    Returns:
        Its name, and logits [batch, seq, vocabulary] in float32.

    Raises:
        UserError: it cannot load the directory, or does not find all of the weights there.
    """
    if importlib.util.find_spec("transformers") is None:
        return None
    transformers: Any = importlib.import_module("transformers")
    try:
        with _quiet(transformers.utils.logging):
            model, found = transformers.AutoModelForCausalLM.from_pretrained(
                path, dtype=torch.float32, local_files_only=True, output_loading_info=True
            )
    except (ValueError, OSError, RuntimeError, KeyError) as error:
        raise UserError(f"{path}: transformers {transformers.__version__} cannot load it: {error}") from error
    lost = [f"{what}: {sorted(map(str, names))[:3]}" for what, names in found.items() if names]
    if lost:
        raise UserError(f"{path}: transformers {transformers.__version__} finds other weights there: {'; '.join(lost)}")
    with torch.inference_mode():
        computed: Tensor = model.eval()(tokens, use_cache=False).logits
    return f"transformers {transformers.__version__}", computed.float()


@contextmanager
def _quiet(logging: Any) -> Iterator[None]:
    """Without bars and remarks on standard error, where a verb tells what it has to tell."""
    bars, verbosity = logging.is_progress_bar_enabled(), logging.get_verbosity()
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()

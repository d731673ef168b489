"""A plugin for `neox train` that takes a bare step of the run's model after each step of the loop, and writes how long both took.

They are in the run's directory, in the file FILE.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

FILE = "bare_steps.json"
SECONDS: dict[str, list[float]] = {"loop": [], "bare": []}
SKIPPED = 2
"""First steps, which are slower."""

_state: dict[str, Any] = {}


def neox_step_end(run: Any, step: Any) -> None:
    """Note the loop's step, take a bare one."""
    now = time.perf_counter()
    if "step" not in _state:
        _state["step"] = _bare_step(run)
    if step.iteration > SKIPPED:
        SECONDS["loop"].append(now - _state["begun"])
    begun = time.perf_counter()
    _state["step"]()
    if step.iteration > SKIPPED:
        SECONDS["bare"].append(time.perf_counter() - begun)
    _state["begun"] = time.perf_counter()


def neox_train_end(run: Any, error: Any) -> None:
    """Write them."""
    (run.directory / FILE).write_text(json.dumps(SECONDS))


def _bare_step(run: Any) -> Any:
    import torch

    sys.path.insert(0, str(Path(__file__).parent))  # a plugin that is a file has no neighbours
    from contenders import our_loss, training_step

    from neox_core.config import ModelSettings
    from neox_core.model import LanguageModel
    from neox_core.plugins import PluginManager

    model = LanguageModel(run.resolved, PluginManager()).train()
    shape = (run.resolved.batch.micro, run.resolved[ModelSettings].seq_length)
    tokens = torch.randint(run.resolved.vocabulary, shape)
    return training_step(model, our_loss, tokens)

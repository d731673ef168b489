"""The state of every random generator of this process, as plain data that survives JSON exactly."""

from __future__ import annotations

import base64
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch


def capture() -> dict[str, Any]:
    """The state of Python's, NumPy's and torch's global generators, and of the current CUDA device's where there is one."""
    state = {
        "python": random.getstate(),
        "numpy": _numpy_state(),
        "torch": _encode(torch.get_rng_state()),
    }
    if torch.cuda.is_available():
        state["cuda"] = _encode(torch.cuda.get_rng_state())
    return state


def restore(state: Mapping[str, Any]) -> None:
    """Put the generators in a state that `capture` returned, before or after JSON.

    A CUDA state is left alone on a machine without CUDA, and the CUDA generator where the state has none.
    """
    version, internal, gauss_next = state["python"]
    random.setstate((version, tuple(internal), gauss_next))
    np.random.set_state(state["numpy"])
    torch.set_rng_state(_decode(state["torch"]))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(_decode(state["cuda"]))


def _numpy_state() -> dict[str, Any]:
    state = np.random.get_state(legacy=False)
    generator = state["state"]
    return {**state, "state": {**generator, "key": generator["key"].tolist()}}


def _encode(state: torch.Tensor) -> str:
    return base64.b64encode(state.numpy().tobytes()).decode()


def _decode(text: str) -> torch.Tensor:
    return torch.frombuffer(bytearray(base64.b64decode(text)), dtype=torch.uint8)

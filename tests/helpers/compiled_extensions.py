"""Extensions of DeepSpeed that tests use: to compile one takes minutes, which are left to the whole run."""

from __future__ import annotations

from whole_matrix import WHOLE

from neox_core.training.extensions import came_with_deepspeed, is_built


def why_not(name: str, lack: str | None) -> str | None:
    """Why tests do without one, or None.

    Args:
        name: of the extension.
        lack: what this machine lacks to compile it.
    """
    if lack is not None or WHOLE or came_with_deepspeed(name) or is_built(name):
        return lack
    return f"DeepSpeed's {name} is not compiled in this environment; NEOX_TEST_ALL=1 does it"

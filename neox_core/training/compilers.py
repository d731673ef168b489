"""What torch.compile needs of a machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from importlib.util import find_spec

from neox_core.config import Resolved
from neox_core.config.groups import CompilationSettings
from neox_core.errors import Problem


def compiler_problems(resolved: Resolved) -> Iterator[Problem]:
    """A problem where layers are to be compiled and this machine has no compiler."""
    if not resolved[CompilationSettings].torch_compile:
        return
    if resolved.world.device == "cpu":
        compiler = os.environ.get("CXX", "g++")
        missing = None if shutil.which(compiler) else f"a C++ compiler, and there is no {compiler}"
        remedy = "install g++, or set the variable CXX to another one"
    else:
        missing = None if find_spec("triton") else "triton, which is not installed"
        remedy = "pip install triton"
    if missing is not None:
        yield Problem(
            keys=("torch_compile",),
            message=f"needs {missing}",
            remedy=f"{remedy}; or remove the key to train without",
            origin=resolved.origin("torch_compile"),
            limitation=True,
        )

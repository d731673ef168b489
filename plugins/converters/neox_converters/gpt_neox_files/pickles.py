"""One file of torch.save, in memory maps, of which nothing is executed.

Beside tensors and plain data GPT-NeoX and DeepSpeed store a few objects. Stand-ins take their places: those whose content is wanted
keep it as attributes, the others forget it. Any other class or function that a file names is refused.
"""

from __future__ import annotations

import pickle
import re
import zipfile
from pathlib import Path
from typing import Any

import torch
from torch.serialization import safe_globals

from neox_converters.archives import verify_archive
from neox_core.errors import UserError


class Kept:
    """An object of which only the attributes are wanted."""

    def __init__(self, *values: Any) -> None:
        self.values = values

    def get(self, name: str, default: Any = None) -> Any:
        """One of them."""
        return vars(self).get(name, default)


class Forgotten:
    """An object of which nothing is wanted."""

    def __init__(self, *values: Any) -> None:
        """Take what it is made with, and keep none of it."""

    def __setstate__(self, state: Any) -> None:
        """Take its state, and keep none of it."""


_KEPT = (
    "deepspeed.runtime.fp16.loss_scaler.LossScaler",
    "deepspeed.runtime.fp16.loss_scaler.DynamicLossScaler",
    "deepspeed.utils.tensor_fragment.fragment_address",
    "deepspeed.runtime.zero.config.ZeroStageEnum",
)
_FORGOTTEN = (
    "_io.BytesIO",
    "argparse.Namespace",
    "deepspeed.runtime.fp16.loss_scaler.LossScaleProfile",
    "deepspeed.runtime.zero.offload_config.OffloadDeviceEnum",
    "numpy.core.multiarray._reconstruct",
    "numpy._core.multiarray._reconstruct",
    "numpy.core.multiarray.scalar",
    "numpy._core.multiarray.scalar",
    "numpy.ndarray",
    "numpy.dtype",
    "pathlib.PosixPath",
)
STAND_INS: list[Any] = [*((Kept, name) for name in _KEPT), *((Forgotten, name) for name in _FORGOTTEN)]

_REFUSED = re.compile(r"GLOBAL (\S+) was not an allowed global")


def open_file(path: Path) -> Any:
    """What a file holds; its tensors lie in memory maps of it.

    Raises:
        UserError: it is absent or damaged, or names a class or function that is not known to be harmless.
    """
    whole = _is_whole_archive(path)
    verify_archive(path, "data.pkl")  # a name that has changed would be taken for somebody's code
    try:
        with safe_globals(STAND_INS):
            return torch.load(path, map_location="cpu", mmap=whole, weights_only=True)
    except pickle.UnpicklingError as error:
        refused = _REFUSED.search(str(error))
        if refused is None:
            raise _damaged(path) from error
        raise UserError(
            f"{path} names {refused[1]}, which is neither a tensor nor plain data, nor known to be harmless: it is not read, since "
            "that might execute what somebody has put there. Load it where you trust it, and save it again without that object"
        ) from error
    except Exception as error:  # bytes that are no pickle any more raise anything
        raise _damaged(path) from error


def _is_whole_archive(path: Path) -> bool:
    """Whether it is an archive, which can be mapped, and not one of the older kind.

    Raises:
        UserError: there is no file, or an archive that is cut off.
    """
    try:
        if zipfile.is_zipfile(path):
            return True
        with path.open("rb") as stream:
            beginning = stream.read(4)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except zipfile.BadZipFile as error:
        raise _damaged(path) from error
    if beginning in (b"PK\x03\x04", b""):
        raise _damaged(path)
    return False


def _damaged(path: Path) -> UserError:
    return UserError(
        f"{path} is damaged: it ends too early, or is no file of torch.save. Fetch it again from where it came from"
    )

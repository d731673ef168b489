"""Bytes that a live engine holds, and bytes that ranks send each other: counted, not calculated."""

from __future__ import annotations

import gc
from collections import Counter
from collections.abc import Iterable, Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

OPAQUE = (ModuleType, type, dist.ProcessGroup, str, bytes, int, float)


def reachable(root: Any) -> Iterator[Tensor]:
    """Tensors that can be reached from an object, gradients too; what modules and classes hold is left out."""
    seen: set[int] = set()
    waiting = [root]
    while waiting:
        found = waiting.pop()
        if id(found) in seen or isinstance(found, OPAQUE):
            continue
        seen.add(id(found))
        if isinstance(found, Tensor):
            yield found
            waiting += [] if found.grad is None else [found.grad]
            waiting += vars(found).values()
        elif isinstance(found, FunctionType):
            waiting += [cell.cell_contents for cell in found.__closure__ or () if _is_filled(cell)]
        elif isinstance(found, MethodType):
            waiting.append(found.__self__)
        else:
            waiting += [inner for inner in gc.get_referents(found) if not isinstance(inner, OPAQUE)]


def _is_filled(cell: Any) -> bool:
    try:
        return cell.cell_contents is not cell
    except ValueError:
        return False


def size_of(tensors: Iterable[Tensor], beside: Iterable[Tensor] = ()) -> int:
    """Bytes of the storages of tensors, each once, that are not also those of others."""
    known = {key(tensor) for tensor in beside}
    return sum({key(tensor): tensor.untyped_storage().nbytes() for tensor in tensors if key(tensor) not in known and not tensor.is_meta}.values())


def key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


class Sent(TorchDispatchMode):
    """Counts what collectives are given, whoever asks for them: bytes of whole tensors by the collective and the group's size."""

    KINDS = {
        "allreduce_": "all_reduce",
        "_allgather_base_": "all_gather",
        "allgather_": "all_gather",
        "allgather_into_tensor_coalesced_": "all_gather",
        "_reduce_scatter_base_": "reduce_scatter",
        "reduce_scatter_": "reduce_scatter",
        "reduce_scatter_tensor_coalesced_": "reduce_scatter",
        "alltoall_base_": "all_to_all",
        "reduce_": "reduce",
        "broadcast_": "broadcast",
        "send": "send",
    }
    """By torch's operators; what is gathered, and what is scattered, is in the larger of their tensors."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: Counter[tuple[str, tuple[int, ...]]] = Counter()
        self.unknown: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func.namespace == "c10d":
            self._count(func._opname if hasattr(func, "_opname") else func.__name__, args)
        return func(*args, **(kwargs or {}))

    def _count(self, name: str, args: Any) -> None:
        name = name.split(".", maxsplit=1)[0]
        kind = self.KINDS.get(name)
        if kind is None:
            self.unknown[name] += 1
            return
        group = next(dist.ProcessGroup.unbox(arg) for arg in args if isinstance(arg, torch.ScriptObject) and "ProcessGroup" in str(arg._type()))
        lists = [torch.utils._pytree.tree_leaves(arg) for arg in args]
        sizes = [sum(leaf.numel() * leaf.itemsize for leaf in leaves if isinstance(leaf, Tensor)) for leaves in lists]
        self.bytes[kind, tuple(dist.get_process_group_ranks(group))] += max(sizes)

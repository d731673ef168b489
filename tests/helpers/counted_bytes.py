"""Bytes that a live engine holds, and bytes that ranks send each other: counted, not calculated."""

from __future__ import annotations

import gc
import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from types import FunctionType, MethodType, ModuleType
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from training_models import SETTINGS, Bench, plugins

from neox_core.config import NeoXArgs, World
from neox_core.parallel import Mesh

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
    counted = [tensor for tensor in tensors if key(tensor) not in known and not tensor.is_meta]
    return sum({key(tensor): tensor.untyped_storage().nbytes() for tensor in counted}.values())


def key(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


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
"""Collectives by torch's operators; what is gathered, and what is scattered, is in the larger of their tensors."""


class Sent(TorchDispatchMode):
    """Counts what collectives are given, whoever asks for them: bytes of whole tensors by the collective and the group's ranks."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes: Counter[tuple[str, tuple[int, ...]]] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kind = KINDS.get(func.__name__.partition(".")[0]) if func.namespace == "c10d" else None
        parts = [[leaf for leaf in tree_leaves(arg) if isinstance(leaf, Tensor)] for arg in args]
        pickled = any(leaf.dtype == torch.uint8 for leaves in parts for leaf in leaves)
        if kind is not None and not pickled:
            ranks = tuple(dist.get_process_group_ranks(_group_of(args)))
            self.bytes[kind, ranks] += max(sum(leaf.numel() * leaf.itemsize for leaf in leaves) for leaves in parts)
        return func(*args, **(kwargs or {}))


def _group_of(args: Any) -> dist.ProcessGroup:
    handles = (arg for arg in args if isinstance(arg, torch.ScriptObject))
    return dist.ProcessGroup.unbox(next(arg for arg in handles if "ProcessGroup" in str(arg._type())))


class Saved:
    """Follows what autograd keeps for backward passes within the block: the most bytes at once, without parameters and batches."""

    def __init__(self, parameters: list[Tensor]) -> None:
        self._parameters = parameters
        self._holders: Counter[int] = Counter()
        self.live = self.most = 0
        self._hooks = torch.autograd.graph.saved_tensors_hooks(self._pack, lambda held: held.tensor)

    def __enter__(self) -> Saved:
        self._hooks.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._hooks.__exit__(*error)

    def _pack(self, tensor: Tensor) -> Any:
        held = _Held(tensor)
        # Where they are: ZeRO 3 gathers them anew.
        if tensor.is_floating_point() and key(tensor) not in {key(parameter) for parameter in self._parameters}:
            self.hold(tensor, held)
        return held

    def hold(self, tensor: Tensor, holder: Any) -> None:
        """Count a tensor for as long as something is alive."""
        address, size = key(tensor), tensor.untyped_storage().nbytes()
        self._holders[address] += 1
        if self._holders[address] == 1:
            self.live += size
            self.most = max(self.most, self.live)
        weakref.finalize(holder, self._drop, address, size)

    def _drop(self, address: int, size: int) -> None:
        self._holders[address] -= 1
        if not self._holders[address]:
            self.live -= size


class _Held:
    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor


def counted(**changes: Any) -> dict[str, Any]:
    """What a rank holds after two steps, and what it keeps and sends in the third."""
    bench = Bench(**changes)
    bench.train(2)
    engine = bench.engine
    gc.collect()
    weights = list(engine.model.parameters())
    found: dict[str, Any] = {"weights": size_of(weights), "lasting": size_of(reachable(engine)), "gradients": 0}
    hooks = [weight.register_post_accumulate_grad_hook(lambda _: _note(found, weights)) for weight in weights]
    step = engine._core.step

    def held_before(*args: Any, **kwargs: Any) -> Any:
        gc.collect()
        found["before"] = size_of(reachable(engine))
        return step(*args, **kwargs)

    engine._core.step = held_before
    with Sent() as sent, Saved(weights) as saved:
        run = engine.model.run
        engine.model.run = lambda *given: _held(saved, run(*given))
        bench.step()
        del engine.model.run
    for hook in hooks:
        hook.remove()
    engine._core.step = step
    parts = sum(part.tensor.numel() * part.tensor.itemsize for part in engine.fragments())
    return found | {"activations": saved.most, "sent": dict(sent.bytes), "saved": parts}


def _held(saved: Saved, carry: Any) -> Any:
    """What a stage of a pipeline gives is kept until its backward pass, though autograd does not need it."""
    saved.hold(carry[0], carry[0])
    return carry


def _note(found: dict[str, Any], weights: list[Tensor]) -> None:
    """Gradients that are there now, where they are more than before."""
    places = (getattr(weight, place, None) for weight in weights for place in ("grad", "grad_accum"))
    found["gradients"] = max(found["gradients"], size_of(part for part in places if part is not None))


def planned(**changes: Any) -> dict[str, Any]:
    """The same from a plan of this rank."""
    from neox_commands.plan_run import plan_run

    ranks = dist.get_world_size()
    args = NeoXArgs.from_dict({**SETTINGS, **changes}, plugins=plugins())
    resolved = args.resolve(World.local(ranks))
    plan, mesh = plan_run(args, resolved, plugins()), Mesh.without_groups(resolved.topology, dist.get_rank())
    stage = plan.stages[mesh.pipe.rank]
    states = stage.states
    axes = {"tensor": mesh.tensor, "context": mesh.context, "pipe": mesh.pipe, "replicas": mesh.replicas}
    return {
        "weights": states.weights,
        "gradients": states.gradients,
        "lasting": states.weights + states.master + states.optimizer,
        "buffers": states.buffers,
        "activations": stage.activations,
        "saved": stage.saved,
        "checkpoint": plan.checkpoint,
        "sent": {
            (kind, axes[axis].ranks): size for axis, kinds in stage.traffic.items() for kind, size in kinds.items()
        },
    }


def both(**changes: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    return planned(**changes), counted(**changes)

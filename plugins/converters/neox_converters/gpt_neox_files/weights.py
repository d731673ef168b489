"""The weights of all tensor-parallel ranks, as they lie in files, and as whole tensors under today's names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

from torch import Tensor

from neox_converters.gpt_neox_files.cuts import Cut, Shape, joined
from neox_converters.gpt_neox_files.eras import Made
from neox_converters.gpt_neox_files.layout import Layout
from neox_converters.gpt_neox_files.pickles import open_file
from neox_core.checkpoint import HeldTensors, LazyTensors
from neox_core.errors import UserError


def read_ranks(layout: Layout) -> list[LazyTensors]:
    """The weights of each tensor-parallel rank, in memory maps: `sequential.{layer}.…` as its files call them, in their order.

    Raises:
        UserError: a file is damaged, or is not of the same model as the first one.
    """
    ranks = [dict(_tensors(layout, rank)) for rank in range(layout.tensor_ranks)]
    for rank, tensors in enumerate(ranks):
        if different := sorted(tensors.keys() ^ ranks[0].keys()):
            raise UserError(
                f"{layout.path}: tensor-parallel rank {rank} and rank 0 do not have the same weights ('{different[0]}' is in one of "
                "them); files of different runs lie there together"
            )
    return [HeldTensors(tensors) for tensors in ranks]


def _tensors(layout: Layout, rank: int) -> Iterator[tuple[str, Tensor]]:
    for prefix, content in _contents(layout, rank):
        for name, value in content.items():
            if isinstance(value, Tensor):
                yield prefix + name, value


def _contents(layout: Layout, rank: int) -> Iterator[tuple[str, Mapping[str, object]]]:
    if not layout.in_layers:
        path = layout.states[rank]
        module = open_file(path).get("module")
        if not isinstance(module, Mapping):
            raise UserError(
                f"{path} has no weights, and there are no files layer_*-model_*-model_states.pt beside it, which had them; fetch those"
            )
        yield "", {name.removeprefix("module."): value for name, value in module.items()}
        return
    for layer in sorted(layout.layers):
        path = layout.layers[layer][rank]
        content = open_file(path)
        if not isinstance(content, Mapping):
            raise UserError(f"{path} does not hold the weights of a layer, but {type(content).__name__}")
        yield f"sequential.{layer}.", content


class WholeWeights(LazyTensors):
    """Whole tensors under today's names, each joined when it is asked for.

    Args:
        ranks: what each tensor-parallel rank has.
        made: what each name of today is made of.
        shape: of the architecture.
        cut_of: how a tensor is shared.
    """

    def __init__(
        self,
        ranks: Sequence[LazyTensors],
        made: Mapping[str, Made],
        shape: Shape,
        cut_of: Callable[[str, Shape], Cut],
    ) -> None:
        self._ranks, self._made, self._shape, self._cut_of = ranks, made, shape, cut_of

    def meta(self, name: str) -> Tensor:
        """Shape and type of one."""
        return self._joined(name, lambda rank, stored: rank.meta(stored))

    def __getitem__(self, name: str) -> Tensor:
        return self._joined(name, lambda rank, stored: rank[stored])

    def __iter__(self) -> Iterator[str]:
        return iter(self._made)

    def __len__(self) -> int:
        return len(self._made)

    def _joined(self, name: str, taken: Callable[[LazyTensors, str], Tensor]) -> Tensor:
        made = self._made[name]
        stored = [[taken(rank, stored) for stored in made.names] for rank in self._ranks]
        try:
            parts = [made.step(given) for given in stored]
        except RuntimeError as error:
            shapes = ", ".join(f"'{n}' {tuple(t.shape)}" for n, t in zip(made.names, stored[0], strict=True))
            raise UserError(f"{shapes}: not the shape of this architecture ({error})") from error
        return joined(name, parts, self._cut_of(name, self._shape))


def parameters(names: Iterable[str]) -> list[str]:
    """Those that an optimizer may have: all but tables that are computed."""
    return [name for name in names if not name.endswith(_COMPUTED)]


_COMPUTED = ("inv_freq", ".slopes", "_extra_state", "_cached", "attention.bias", "attention.masked_bias")

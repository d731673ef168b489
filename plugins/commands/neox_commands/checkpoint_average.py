"""`neox checkpoint average`: the mean of the weights of several checkpoints."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neox_commands.json_text import add_json, json_text
from neox_commands.sizes import in_words
from neox_core.checkpoint.layout import INDEX, STATE, checkpoints
from neox_core.cli.words import checkpoint_here, directory_to_write, positive
from neox_core.config.parser import RaisingParser
from neox_core.errors import UserError
from neox_core.plugins import CommandContext

if TYPE_CHECKING:
    import torch

    from neox_core.checkpoint import Reader
    from neox_core.parallel import Range, ShardSpec


def parser() -> RaisingParser:
    """The command line."""
    command = RaisingParser(
        prog="neox checkpoint average",
        description="Write the mean of the weights of several checkpoints of one model, to be evaluated, used, or begun with "
        "(`initial_ckpt_path`). It is computed in float64; settings and tokenizer are those of the last one. It has no state of the "
        "optimizer.",
    )
    command.add_argument(
        "sources",
        nargs="+",
        type=checkpoint_here,
        metavar="FROM",
        help="checkpoints, or, with --last, one directory of them",
    )
    command.add_argument("--to", type=directory_to_write, required=True, metavar="TO", help="directory for the new one")
    command.add_argument("--last", type=positive, metavar="N", help="the newest N of the directory")
    weighing = command.add_mutually_exclusive_group()
    weighing.add_argument(
        "--weights", type=_numbers, metavar="A,B,...", help="what each counts; they are divided by their sum"
    )
    weighing.add_argument(
        "--decay", type=float, metavar="D", help="each counts D times as much as the next one: an exponential average"
    )
    add_json(command)
    return command


def _numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def main(argv: list[str], context: CommandContext) -> int:
    """Write it, and say where.

    Raises:
        UserError: there are fewer than two, they are not of one model, or one is damaged.
    """
    options = parser().parse(argv)
    from neox_core.checkpoint import Manifest, Reader, write_checkpoint
    from neox_core.training.initial import complete_checkpoint
    from neox_core.training.lock import DirectoryLock

    paths = _newest(options.sources, options.last) if options.last else options.sources
    readers = [Reader(complete_checkpoint(path)) for path in paths]
    factors = _factors(options, len(readers))
    check_alike(readers)
    last = readers[-1]
    files = {
        name: last.file(name)
        for name in last.manifest.files
        if "/" not in name and name not in (INDEX, STATE, "outputs.json")
    }
    with DirectoryLock(options.to):
        path = write_checkpoint(
            options.to, Average(last.path, readers, factors), iteration=last.iteration, state=last.state, files=files
        )
    found: dict[str, Any] = {
        "path": str(path),
        "of": [{"path": str(reader.path), "counts": factor} for reader, factor in zip(readers, factors, strict=True)],
        "bytes": Manifest.read(path).size,
    }
    lines = [f"{entry['counts']:.4f}  {entry['path']}" for entry in found["of"]]
    print(json_text(found) if options.json else "\n".join([*lines, f"{path}: {in_words(found['bytes'])}"]))
    return 0


def _newest(sources: Sequence[Path], count: int) -> list[Path]:
    if len(sources) != 1:
        raise UserError(f"--last is about one directory of checkpoints, and {len(sources)} are given")
    found = list(checkpoints(sources[0]).values())
    if len(found) < count:
        raise UserError(f"--last {count}: {sources[0]} holds {len(found)} complete checkpoints")
    return found[-count:]


def _factors(options: Any, count: int) -> list[float]:
    """What each counts; together 1."""
    if count < 2:
        raise UserError("an average is of two checkpoints at least; give more of them, or --last N for a directory")
    decay = 1.0 if options.decay is None else options.decay
    given = options.weights or [decay ** (count - 1 - place) for place in range(count)]
    if len(given) != count:
        raise UserError(f"--weights: {len(given)} numbers for {count} checkpoints; give one for each")
    if not (all(0 <= number < math.inf for number in given) and sum(given) > 0):
        raise UserError(
            f"--{'weights' if options.weights else 'decay'}: give finite numbers that are not negative, nor all 0"
        )
    return [number / sum(given) for number in given]


def check_alike(readers: Sequence[Reader]) -> None:
    """Whether checkpoints have the same tensors.

    Raises:
        UserError: one differs from the last.
    """
    last = readers[-1]
    for reader in readers[:-1]:
        for name in dict.fromkeys([*last.names, *reader.names]):
            shapes = [list(one.shape(name)) if name in one.names else "none" for one in (reader, last)]
            if shapes[0] != shapes[1]:
                raise UserError(
                    f"{reader.path} is not of the model that {last.path} is of: {name} has shape {shapes[0]} there and {shapes[1]} "
                    "here; average checkpoints of one run, or of runs of one model"
                )


@dataclass(frozen=True, slots=True)
class Average:
    """The mean of weights, as a `TensorSource`.

    Args:
        path: of the last checkpoint.
        readers: the checkpoints.
        factors: what each counts; together 1.
    """

    path: Path
    readers: Sequence[Reader]
    factors: Sequence[float]

    @property
    def names(self) -> tuple[str, ...]:
        """Canonical names of the parameters."""
        return self.readers[-1].names

    def roles(self, name: str) -> tuple[str, ...]:
        """There are weights alone."""
        return ("weight",)

    def shape(self, name: str, role: str = "weight") -> tuple[int, ...]:
        """That of all of them."""
        return self.readers[-1].shape(name, role)

    def dtype(self, name: str, role: str) -> torch.dtype:
        """That of the last one."""
        return self.readers[-1].dtype(name, role)

    def is_scalar(self, name: str, role: str) -> bool:
        """No weight is one for a whole tensor."""
        return False

    def whole(self, name: str, role: str = "weight") -> torch.Tensor:
        """The mean of a tensor."""
        from neox_core.parallel import ShardSpec

        spec = ShardSpec.complete(name, self.shape(name))
        return self.read(spec, role, (0, spec.local_size)).view(spec.global_shape)

    def verify(self, spec: ShardSpec, role: str, range: Range) -> None:
        """Raise what `read` would."""
        for reader in self.readers:
            reader.verify(spec, role, range)

    def read(self, spec: ShardSpec, role: str, range: Range, out: torch.Tensor | None = None) -> torch.Tensor:
        """The mean of some elements."""
        total = sum(self._parts(spec, role, range))
        mean = total.to(self.dtype(spec.name, role))  # type: ignore[union-attr]
        return mean if out is None else out.copy_(mean)

    def _parts(self, spec: ShardSpec, role: str, range: Range) -> Iterator[torch.Tensor]:
        for reader, factor in zip(self.readers, self.factors, strict=True):
            yield reader.read(spec, role, range).double().mul_(factor)

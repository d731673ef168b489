"""Which rank a process is, from the variables that a launcher, SLURM or MPI set for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from neox_core.errors import UserError


@dataclass(frozen=True, slots=True)
class Place:
    """A process among all of a run, and among those on its host."""

    local_rank: int
    rank: int
    world_size: int

    @classmethod
    def from_launcher(cls, environ: Mapping[str, str]) -> Self:
        """As DeepSpeed's launcher and torchrun say it; a process that none of them started is alone.

        Raises:
            UserError: a variable is no number, or no number of ranks.
        """
        return cls(*(_number(environ.get(name, default), name) for name, default in _LAUNCHER.items()))

    @classmethod
    def from_slurm(cls, environ: Mapping[str, str]) -> Self:
        """As srun says it.

        Raises:
            UserError: srun did not start this process, or a variable is no number.
        """
        tasks = ["SLURM_NTASKS"] if "SLURM_NTASKS" in environ else ["SLURM_NNODES", "SLURM_NTASKS_PER_NODE"]
        names = ["SLURM_LOCALID", "SLURM_PROCID", *tasks]
        local_rank, rank, size, *each = _numbers(environ, names, "deepspeed_slurm", "srun")
        return cls(local_rank, rank, size * (each[0] if each else 1))

    @classmethod
    def from_mpi(cls, environ: Mapping[str, str]) -> Self:
        """As OpenMPI, MVAPICH, or MPICH and Intel MPI say it.

        Raises:
            UserError: mpirun did not start this process, or a variable is no number.
        """
        names = next((names for names in _MPI if names[1] in environ), _MPI[0])
        return cls(*_numbers(environ, names, "deepspeed_mpi", "mpirun"))

    def environment(self) -> dict[str, str]:
        """The variables that torch.distributed reads."""
        values = (self.local_rank, self.rank, self.world_size)
        return {name: str(value) for name, value in zip(_LAUNCHER, values, strict=True)}


_LAUNCHER = {"LOCAL_RANK": "0", "RANK": "0", "WORLD_SIZE": "1"}
_MPI = (
    ("OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("MV2_COMM_WORLD_LOCAL_RANK", "MV2_COMM_WORLD_RANK", "MV2_COMM_WORLD_SIZE"),
    ("MPI_LOCALRANKID", "PMI_RANK", "PMI_SIZE"),
)

_COUNTS = {"WORLD_SIZE", "SLURM_NTASKS", "SLURM_NNODES", "SLURM_NTASKS_PER_NODE", *(size for *_, size in _MPI)}
"""Variables that say how many there are, rather than which one."""


def _numbers(environ: Mapping[str, str], names: Sequence[str], key: str, starter: str) -> list[int]:
    missing = [name for name in names if name not in environ]
    if missing:
        raise UserError(
            f"{key}: {', '.join(missing)} not set: {starter} did not start this process; start it by {starter}, or "
            f"leave {key} out"
        )
    return [_number(environ[name], name) for name in names]


def _number(text: str, name: str) -> int:
    least = 1 if name in _COUNTS else 0
    if not text.isdecimal() or int(text) < least:
        raise UserError(f"{name}: {text!r} is not a whole number >= {least}; it is set by whatever starts the ranks")
    return int(text)

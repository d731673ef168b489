"""Keys of MPI."""

from neox_core.config import Settings, setting


class MPISettings(Settings, group="mpi"):
    """Jobs of MPI."""

    deepspeed_mpi: bool = setting(
        False, "Take ranks and sizes from MPI's environment", origin="gpt-neox", changes="nothing", pending="refused"
    )

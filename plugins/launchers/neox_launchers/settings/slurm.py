"""Keys of SLURM."""

from neox_core.config import Settings, setting


class SlurmSettings(Settings, group="slurm"):
    """Jobs of SLURM."""

    deepspeed_slurm: bool = setting(
        False, "Take ranks and sizes from SLURM's environment", origin="gpt-neox", changes="nothing", pending="refused"
    )
    account: str | None = setting(
        None, "Account to which srun books the job", origin="gpt-neox", changes="nothing", pending=True
    )
    comment: str | None = setting(
        None,
        "Comment that srun gives the job",
        origin="gpt-neox",
        changes="nothing",
        pending=True,
        aliases=("slurm_comment",),
    )

"""Keys of DeepSpeed's launcher beyond those that every launcher reads."""

from typing import Any, Literal

from neox_core.config import Settings, setting


def _option(default: Any, description: str, **further: Any) -> Any:
    return setting(default, description, origin="deepspeed-launcher", changes="nothing", **{"pending": True, **further})


class DeepSpeedLauncherSettings(Settings, group="deepspeed_launcher"):
    """Options of DeepSpeed's launcher."""

    # Hosts

    force_multi: bool = _option(False, "Start as on several hosts where there is one")
    no_ssh: bool = _option(False, "Start this host's ranks only; the others are started by hand")
    no_ssh_check: bool = _option(False, "Do not try ssh to the first host before")
    ssh_port: int | None = _option(None, "Port of ssh; none: its own", gt=0, le=65535)
    node_rank: int = _option(-1, "Number of this host, with no_ssh; -1: none", ge=-1)
    launcher_args: str = _option("", "Further arguments of pdsh, mpirun or srun, as one text")

    # Ranks

    venv_script: str | None = _option(None, "Script that activates the virtual environment on each host")
    bind_cores_to_rank: bool = _option(False, "Give each rank cores of its own")
    bind_core_list: str | None = _option(None, "Cores to give out, as in `0,2-5`; none: all")
    no_local_rank: bool = _option(False, "Start the script without `--local_rank`")
    no_python: bool = _option(False, "Start the script itself, not Python with it")
    launcher_module: bool = _option(False, "The script is the name of a module (the launcher's option `--module`)")
    autotuning_run: Literal["tune", "run"] | None = _option(
        None,
        "Search for fast settings, and then train with them (run) or not (the launcher's option `--autotuning`)",
        pending="refused",
    )

    # What is told

    enable_each_rank_log: str | None = _option(None, "Directory for the output of each rank; none: it is not kept")
    save_pid: bool = _option(False, "Write the launcher's process id to `/tmp/PID.ds`")
    launcher_log_level: Literal["debug", "info", "warning", "error", "critical"] = _option(
        "info", "Least level of what the launcher tells (its option `--log_level`)"
    )
    launcher_quiet: bool = _option(False, "Tell errors only (the launcher's option `--quiet`)")

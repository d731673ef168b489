"""The options of DeepSpeed's launcher, from the settings."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from neox_core.errors import Notice, Problem, SettingsError, did_you_mean

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs

DEEPSPEED_LAUNCHERS = ("pdsh", "openmpi", "mpich", "impi", "mvapich", "slurm")
"""What DeepSpeed's launcher starts ranks on several hosts with."""


@dataclass(frozen=True, slots=True)
class RunnerOption:
    """An option, and the key that sets it.

    Args:
        name: of the option, and of the key where that has no other.
        left_out: values of the key for which the option is left out: DeepSpeed's default, and what it does not know.
        key: of another name.
    """

    name: str
    left_out: tuple[Any, ...] = (None, False)
    key: str | None = None


RUNNER_OPTIONS = (
    RunnerOption("autotuning", key="autotuning_run"),
    RunnerOption("hostfile"),
    RunnerOption("include"),
    RunnerOption("exclude"),
    RunnerOption("num_nodes", (-1,)),
    RunnerOption("num_gpus"),
    RunnerOption("master_port", (29500, 0)),
    RunnerOption("master_addr"),
    RunnerOption("launcher", ("pdsh", "local")),
    RunnerOption("force_multi"),
    RunnerOption("no_ssh_check"),
    RunnerOption("launcher_args", ("",)),
    RunnerOption("no_ssh"),
    RunnerOption("ssh_port"),
    RunnerOption("node_rank", (-1,)),
    RunnerOption("venv_script"),
    RunnerOption("bind_cores_to_rank"),
    RunnerOption("bind_core_list"),
    RunnerOption("no_local_rank"),
    RunnerOption("no_python"),
    RunnerOption("module", key="launcher_module"),
    RunnerOption("enable_each_rank_log"),
    RunnerOption("save_pid"),
    RunnerOption("log_level", ("info",), key="launcher_log_level"),
    RunnerOption("quiet", key="launcher_quiet"),
)
"""In the order in which they are given: those that GPT-NeoX has, in its order, then DeepSpeed's others."""

SRUN_OPTIONS = ("comment", "account")
"""Options of srun, which are keys of the same names."""

_OF_THE_ENVIRONMENT = {"DLTS_HOSTFILE": "hostfile", "MASTER_ADDR": "master_addr"}


def runner_options(args: NeoXArgs, environ: Mapping[str, str]) -> list[str]:
    """The options that differ from DeepSpeed's defaults, in the order of `RUNNER_OPTIONS`, then those of the environment.

    SLURM's `comment` and `account` are further arguments of srun. `num_gpus` is left out where `include` or `exclude` choose
    among the slots, as `runner_notices` tells.

    Raises:
        SettingsError: what DeepSpeed's launcher cannot do.
    """
    values = {option.name: _value(args, option) for option in RUNNER_OPTIONS}
    if problems := _problems(args, values):
        raise SettingsError(problems)
    if args.get("deepspeed_slurm") or args.get("deepspeed_mpi"):
        values["force_multi"] = True
    if values["launcher"] == "slurm":
        values["launcher_args"] = _srun_arguments(args, values["launcher_args"])
    if _slots_are_chosen(args):
        values["num_gpus"] = None
    values_of_environment = {
        name: environ[variable] for variable, name in _OF_THE_ENVIRONMENT.items() if variable in environ
    }
    return [
        word
        for given in (values, values_of_environment)
        for name, value in given.items()
        for word in _words(name, value)
    ]


def runner_notices(args: NeoXArgs) -> list[Notice]:
    """What should be told of settings that DeepSpeed's launcher does not heed."""
    if args.num_gpus is None or not _slots_are_chosen(args):
        return []
    message = "is left out: include and exclude choose among the slots"
    return [Notice(keys=("num_gpus",), message=message, origin=args.origin("num_gpus"))]


def _slots_are_chosen(args: NeoXArgs) -> bool:
    return bool(args.include or args.exclude)


def _value(args: NeoXArgs, option: RunnerOption) -> Any:
    value = args.get(option.key or option.name)
    return None if value in option.left_out else value


def _words(name: str, value: Any) -> list[str]:
    if value is None:
        return []
    if value is True:
        return [f"--{name}"]
    text = str(value)
    return [f"--{name}={text}"] if text.startswith("-") else [f"--{name}", text]  # a value that looks like an option


def _srun_arguments(args: NeoXArgs, given: str | None) -> str | None:
    own = [word for key in SRUN_OPTIONS if (value := args.get(key)) for word in (f"--{key}", str(value))]
    return " ".join(part for part in (given, shlex.join(own)) if part) or None


def _problems(args: NeoXArgs, values: Mapping[str, Any]) -> list[Problem]:
    problems = []
    launcher, filters = values["launcher"], [name for name in ("include", "exclude") if values[name]]
    if launcher is not None and launcher not in DEEPSPEED_LAUNCHERS:
        message = f"{launcher!r} is not known to DeepSpeed's launcher"
        remedy = did_you_mean(launcher, DEEPSPEED_LAUNCHERS)
        problems.append(Problem(keys=("launcher",), message=message, remedy=remedy, origin=args.origin("launcher")))
    if len(filters) == 2:
        message = f"{values['include']!r} and {values['exclude']!r} exclude each other"
        places = tuple(place for name in filters if (place := args.origin(name)))
        remedy = "give one of them"
        problems.append(
            Problem(keys=tuple(filters), message=message, remedy=remedy, origin=places[0], others=places[1:])
        )
    if filters and values["num_nodes"] is not None:
        message = "DeepSpeed's launcher takes one or the other"
        remedy = f"name the hosts in {filters[0]} and remove num_nodes"
        keys = ("num_nodes", *filters)
        problems.append(Problem(keys=keys, message=message, remedy=remedy, origin=args.origin("num_nodes")))
    return problems

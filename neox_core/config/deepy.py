"""GPT-NeoX's way from deepy.py's command line through DeepSpeed's launcher to the ranks, for programs that go it themselves.

deepy.py reads its command line (`consume_deepy_args`) and gives DeepSpeed's launcher one of its own (`get_deepspeed_main_args`), on
whose end each rank finds the settings (`consume_neox_args`). These are the functions behind the methods of `NeoXArgs`.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import string
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neox_core.config.args import NeoXArgs
from neox_core.config.command_line import Parser, read_settings
from neox_core.config.compatibility import reproduces
from neox_core.config.entries import entries_of, overlaid, plugins_for
from neox_core.config.host_filters import select
from neox_core.config.hostfile import read_hostfile
from neox_core.config.parser import RaisingParser
from neox_core.config.place import Place
from neox_core.config.runner_options import runner_options
from neox_core.config.world import Device, Host, World
from neox_core.errors import UserError

if TYPE_CHECKING:
    from neox_core.plugins import Switches

LONGEST_ARGUMENT = 128 * 1024 - 1
"""Bytes that Linux takes as one argument, without the one that ends it."""

AUTOTUNED = (
    "train_batch_size",
    "train_micro_batch_size_per_gpu",
    "gradient_accumulation_steps",
    "zero_optimization",
    "autotuning",
)
"""The keys that DeepSpeed's autotuning tries values of, and hands to the ranks in its own configuration."""

# deepy.py's command line


def consume_deepy_args(
    cls: type[NeoXArgs],
    input_args: Sequence[str] | None = None,
    *,
    prog: str | None = None,
    switches: Switches | None = None,
) -> NeoXArgs:
    """The settings that deepy.py's command line names; the script is their attribute `user_script`.

    Args:
        cls: the class to make.
        input_args: `SCRIPT [-d DIR] FILE... [KEY=VALUE...] [flags]`; None: this process's own.
        prog: what the command is called in messages; None: as this process is.
        switches: which plugins are let in; None: as the environment says.

    Raises:
        UserError: there is no such script or file, the command line is none, or the settings are wrong.
    """
    parser = Parser(prog or Path(sys.argv[0]).name, "Start a script on every rank, with the settings of some files.")
    parser.add_argument("user_script", metavar="SCRIPT", help="what each rank runs")
    parser.add_argument("words", nargs="+", metavar="FILE | KEY=VALUE", help="configuration files, and overrides")
    options = parser.parse(input_args)
    _, entries = read_settings(options.words, options)
    args = cls(entries.values(), plugins_for(entries, switches))
    searched = args.get("launcher_module") or args.get("no_python")  # on a path, by its name
    if not searched and not Path(options.user_script).is_file():
        raise UserError(f"{options.user_script}: there is no such script; the first word is what each rank runs")
    if args.get("use_wandb"):
        args.wandb_group = _group_of_its_own(args)
    args.user_script = options.user_script
    return args


def _group_of_its_own(args: NeoXArgs) -> str:
    """The group of this run alone in Weights & Biases: what was given, and a random suffix."""
    suffixes = 2 if reproduces(args.compat, "wandb-suffix-twice") else 1
    letters = string.ascii_lowercase + string.digits
    drawn = ["".join(secrets.choice(letters) for _ in range(8)) for _ in range(suffixes)]
    return "_".join([*([args.wandb_group] if args.wandb_group else []), *drawn])


# DeepSpeed's command line


def get_deepspeed_main_args(args: NeoXArgs) -> list[str]:
    """The words for `deepspeed.launcher.runner.main`: its options, the script, and the settings for each rank.

    `DLTS_HOSTFILE` and `MASTER_ADDR` of the environment come after the settings, and so win. With `autotuning_run`, DeepSpeed's
    configuration is written to `ds_config.json` in the working directory, where autotuning wants it.

    Args:
        args: what `consume_deepy_args` gave. Its `world`, where there is one, is what DeepSpeed's configuration is made for.

    Raises:
        UserError: there is no `user_script`, DeepSpeed's launcher cannot do what the settings say, or they are too long.
    """
    script = args.user_script
    if script is None:
        raise UserError("user_script: not set; it is the program that each rank runs: `args.user_script = 'train.py'`")
    handed_over = _argument({**args.to_dict(), "user_script": script})
    return [
        *runner_options(args, os.environ),
        script,
        "--deepspeed_config",
        _deepspeed_config(args),
        "--megatron_config",
        handed_over,
    ]


def _deepspeed_config(args: NeoXArgs) -> str:
    config = dict(args.resolve(_world(args)).deepspeed)
    if args.get("autotuning_run") is None:
        return _argument(config)
    file = Path("ds_config.json").absolute()
    if Place.from_launcher(os.environ).rank == 0:
        file.write_text(json.dumps(config), encoding="utf-8")
    return str(file)


def _world(args: NeoXArgs) -> World:
    """The ranks that DeepSpeed's launcher will start, as far as the hostfile and the settings tell it."""
    device: Device = args.device or "cpu"
    if args.world is not None or args.global_num_gpus is not None:
        return args.world or World.local(args.global_num_gpus, device)
    hostfile = os.environ.get("DLTS_HOSTFILE", args.hostfile)
    if hostfile is None or not Path(hostfile).is_file():  # then the launcher has this machine alone
        return World.local(_local_ranks(args), device)
    pool = select(read_hostfile(Path(hostfile)), include=args.include, exclude=args.exclude)
    slots = None if args.include or args.exclude else args.num_gpus
    hosts = tuple(Host(name, slots or len(there)) for name, there in pool.items())
    return World(hosts if args.num_nodes < 1 else hosts[: args.num_nodes], device)


def _local_ranks(args: NeoXArgs) -> int:
    """Ranks where no hostfile says how many slots there are: those that `include` names, or `num_gpus` without the excluded."""
    named = [part.partition(":")[2].split(",") for part in (args.include or args.exclude or "").split("@")]
    number = sum(len(slots) for slots in named if slots != [""])
    on_each: int = args.num_gpus or 1
    if args.include:
        return number or on_each
    return max(on_each - number, 1) * max(int(args.num_nodes), 1)


def _argument(values: Mapping[str, Any]) -> str:
    """The values as one word that no shell touches.

    Raises:
        UserError: it is longer than the system passes on.
    """
    text = base64.urlsafe_b64encode(json.dumps(values).encode()).decode()
    if len(text) > LONGEST_ARGUMENT:
        sizes = {key: len(json.dumps(value)) for key, value in values.items()}
        longest = max(sizes, key=sizes.__getitem__)
        raise UserError(
            f"the settings are {len(text)} bytes long as an argument of the ranks, of at most {LONGEST_ARGUMENT} that the system "
            f"passes on; the longest is {longest} ({sizes[longest]} bytes): shorten it"
        )
    return text


# A rank's command line


def consume_neox_args(
    cls: type[NeoXArgs], overwrite_values: Mapping[str, Any] | None = None, input_args: Sequence[str] | None = None
) -> NeoXArgs:
    """The settings that a rank was started with. Its `local_rank`, `rank` and `world_size` are attributes of them.

    Args:
        cls: the class to make.
        overwrite_values: keys that replace those handed over, and those that autotuning tries.
        input_args: words that hold what `get_deepspeed_main_args` gave, and may hold others; None: this process's own.

    Raises:
        UserError: nothing was handed over, or it makes no sense.
    """
    parser = RaisingParser(allow_abbrev=False, add_help=False)
    parser.add_argument("--megatron_config")
    parser.add_argument("--deepspeed_config")
    options, _ = parser.parse_known_args(input_args)
    if options.megatron_config is None:
        raise UserError("--megatron_config is missing: start this program on its ranks by `neox deepy SCRIPT FILE...`")
    values = _decoded(options.megatron_config, "--megatron_config")
    script = values.pop("user_script", None)
    entries = entries_of(values, "handed over")
    if values.get("autotuning_run") is not None and options.deepspeed_config is not None:
        tried = _decoded(options.deepspeed_config, "--deepspeed_config")
        trial = {key: tried[key] for key in AUTOTUNED if key in tried}
        entries = overlaid(entries, entries_of(trial, "DeepSpeed's autotuning", overrides=True))
    entries = overlaid(entries, entries_of(overwrite_values or {}, "overwrite_values", overrides=True))
    args = cls(entries.values(), plugins_for(entries))
    args.user_script = script
    _set_place(args, find_place(args, os.environ))
    return args


def configure_distributed_args(args: NeoXArgs) -> None:
    """Tell the settings which rank this process is, and torch.distributed too where SLURM or MPI says it.

    `RANK`, `LOCAL_RANK` and `WORLD_SIZE` are set then; `MASTER_ADDR` and `MASTER_PORT` are for the job's script to export.

    Raises:
        UserError: SLURM or MPI should say it (`deepspeed_slurm`, `deepspeed_mpi`) and does not.
    """
    place = find_place(args, os.environ)
    if place != Place.from_launcher(os.environ):
        os.environ.update(place.environment())
    _set_place(args, place)


def find_place(args: NeoXArgs, environ: Mapping[str, str]) -> Place:
    """Which rank a process with this environment is: by SLURM or MPI where the settings say so, else by its launcher.

    Raises:
        UserError: they do not say it.
    """
    if args.get("deepspeed_slurm"):
        return Place.from_slurm(environ)
    if args.get("deepspeed_mpi"):
        return Place.from_mpi(environ)
    return Place.from_launcher(environ)


def _set_place(args: NeoXArgs, place: Place) -> None:
    """Facts of this process, not settings: they are neither handed on nor saved."""
    vars(args).update(local_rank=place.local_rank, rank=place.rank)
    args.world = World.local(place.world_size, args.device or "cpu")


def _decoded(text: str, name: str) -> dict[str, Any]:
    try:
        values = json.loads(base64.urlsafe_b64decode(text))
    except ValueError as error:
        raise UserError(
            f"{name}: {text[:40]!r} is not JSON in base64 ({error}); it is made by NeoXArgs.get_deepspeed_main_args"
        ) from error
    if not isinstance(values, dict):
        raise UserError(
            f"{name}: holds {type(values).__name__} instead of keys with values; it is made by NeoXArgs.get_deepspeed_main_args"
        )
    return values

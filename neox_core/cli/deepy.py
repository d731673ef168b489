"""`neox deepy`: GPT-NeoX's entry point, for command lines and scripts that were written for it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import redirect_stdout, suppress
from copy import copy
from pathlib import Path
from typing import NoReturn

from neox_core.cli.main import find_command, load_main
from neox_core.cli.train import main as train
from neox_core.config import NeoXArgs, World
from neox_core.config.command_line import Parser, read_settings
from neox_core.config.deepy import consume_deepy_args, get_deepspeed_main_args
from neox_core.config.entries import plugins_for
from neox_core.config.host_filters import select
from neox_core.config.runner_options import runner_notices
from neox_core.errors import UserError
from neox_core.launch import is_this_machine, local_slots
from neox_core.plugins import CommandContext, PluginManager, Switches
from neox_core.training.machines import default_address, find_world, port
from neox_core.training.start import notice

DESCRIPTION = """GPT-NeoX's entry point. SCRIPT is train.py, generate.py or eval.py, which stand for the verbs of neox; any other
file, and one written with its directory (./train.py), is a program of your own that DeepSpeed's launcher starts on each rank."""

GENERATING = {
    "iteration": "--iteration",
    "maximum_tokens": "--maximum-tokens",
    "num_samples": "--num-samples",
    "temperature": "--temperature",
    "top_k": "--top-k",
    "top_p": "--top-p",
    "seed": "--seed",
}
"""Settings that `neox generate` takes as options."""


def main(argv: list[str], context: CommandContext) -> int:
    """Run what SCRIPT stands for; returns its exit code."""
    if argv and argv[0] in NAMED:
        return NAMED[argv[0]](argv[1:], context)
    parser = Parser(prog="neox deepy", description=DESCRIPTION)
    parser.add_argument("script", metavar="SCRIPT", help="train.py, generate.py, eval.py, or a program of your own")
    parser.add_argument(
        "words", nargs="*", default=[], metavar="FILE | KEY=VALUE", help="configuration files, and overrides"
    )
    options, _ = parser.parse_known_intermixed_args(argv)
    if options.script not in NAMED:
        return launch(argv, context)
    rest = list(argv)
    rest.remove(options.script)
    return NAMED[options.script](rest, context)


# The scripts of GPT-NeoX


def evaluate(argv: list[str], context: CommandContext) -> int:
    """Hand the command line to the verb `eval`."""
    hint = "`neox train` tells the loss on held-out data (eval_interval, eval_iters)"
    return offered("eval", context.plugins, hint)(argv, context)


def generate(argv: list[str], context: CommandContext) -> int:
    """Run the verb `generate` as the settings say."""
    parser = Parser(prog="neox deepy generate.py", description="Let a trained model write.")
    parser.add_argument("words", nargs="+", metavar="FILE | KEY=VALUE", help="configuration files, and overrides")
    options = parser.parse(argv)
    _, entries = read_settings(options.words, options)
    plugins = plugins_for(entries, context.switches)
    verb = offered("generate", plugins, "install a plugin that generates, or do not switch it off")
    args = NeoXArgs(entries.values(), plugins)
    words = generate_words(args)
    if "sample_output_file" not in args:
        return verb(words, context)
    return write_output(Path(args.sample_output_file), lambda: verb(words, context))


def write_output(path: Path, run: Callable[[], int]) -> int:
    """Put what a function prints into a file, once it has returned 0; before, and otherwise, the file is left as it is."""
    beginning = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with beginning.open("x", encoding="utf-8") as file, redirect_stdout(file):
            code = run()
        if code == 0:
            beginning.replace(path)
    finally:
        beginning.unlink(missing_ok=True)
    return code


def generate_words(args: NeoXArgs) -> list[str]:
    """The command line of `neox generate` that does what the settings say.

    Raises:
        UserError: they ask for something else, or do not name a checkpoint.
    """
    if args.load is None:
        raise UserError("load: not set; it is the directory of the checkpoints to generate from")
    kind = args.get("text_gen_type") or ("unconditional" if args.get("sample_input_file") is None else "input-file")
    if kind not in ("unconditional", "input-file"):
        raise UserError(f"text_gen_type: {kind} is not there; use `neox generate {args.load} --prompt TEXT`")
    values = {option: args.get(key) for key, option in GENERATING.items()}
    words = [args.load, *(f"{option}={value}" for option, value in values.items() if value is not None)]
    return words if kind == "unconditional" else [*words, *(f"--prompt={prompt}" for prompt in read_prompts(args))]


def read_prompts(args: NeoXArgs) -> list[str]:
    """The prompts of `sample_input_file`, without blank ones.

    Raises:
        UserError: it has none, or is not named.
    """
    file = args.get("sample_input_file")
    if file is None:
        raise UserError(
            "sample_input_file: not set; with text_gen_type input-file it is the file with the prompts (-i)"
        )
    text = Path(file).read_text(encoding="utf-8")
    prompts = [prompt.strip() for prompt in text.split(args.prompt_end)]
    if not any(prompts):
        raise UserError(f"sample_input_file: {file} has no prompt; write one on each line")
    return [prompt for prompt in prompts if prompt]


def offered(name: str, plugins: PluginManager, hint: str) -> Callable[[list[str], CommandContext], int]:
    """The function of a verb that a plugin offers.

    Raises:
        UserError: none does, or it is broken.
    """
    if name not in {command.name for command in plugins.commands()}:
        raise UserError(f"{name}.py: no plugin here offers the verb `{name}` (`neox plugins` lists them); {hint}")
    return load_main(find_command(name, plugins))


NAMED = {"train.py": train, "generate.py": generate, "eval.py": evaluate}
"""What the names of GPT-NeoX's own scripts stand for."""


# A script of the user's own


def launch(argv: list[str], context: CommandContext) -> int:
    """Let DeepSpeed's launcher start the script on each rank, which finds the settings by `NeoXArgs.consume_neox_args`."""
    args = consume_deepy_args(NeoXArgs, argv, prog="neox deepy", switches=context.switches)
    args.world = world = launched_world(args)
    hand_on(context.switches)
    if world.device == "cpu":
        # Where there is no GPU, DeepSpeed counts NUMA nodes, unless it is told how many ranks there is room for.
        os.environ.setdefault("DS_ACCELERATOR", "cpu")
        os.environ.setdefault("LOCAL_SIZE", str(local_slots("cpu")))
    words = [*local_options(args, world), *get_deepspeed_main_args(args)]
    args.print()
    sys.stdout.flush()
    for told in (*args.notices, *runner_notices(args)):
        notice(str(told))
    return run_launcher(words)


def launched_world(args: NeoXArgs) -> World:
    """The ranks that DeepSpeed's launcher starts: on all slots that `include` or `exclude` leave, whatever `num_gpus` says.

    Raises:
        SettingsError: the settings ask for hosts, slots or a device that are not there.
    """
    if not (args.include or args.exclude):
        return find_world(args)
    chosen = copy(args)
    chosen.num_gpus = None
    world = find_world(chosen)
    if world.device == "cpu" and args.exclude and not os.environ.get("DLTS_HOSTFILE", args.hostfile):
        # Without a hostfile neox has one rank on a CPU unless told otherwise, the launcher one for each core.
        left = select({"localhost": tuple(range(local_slots("cpu")))}, include=None, exclude=args.exclude)
        return World.local(len(left["localhost"]), "cpu")
    return world


def hand_on(switches: Switches) -> None:
    """Let the ranks have the same plugins, by the environment.

    Raises:
        UserError: one is a file or a module that only this process knows.
    """
    if switches.modules:
        raise UserError(
            f"-p {switches.modules[0]}: does not reach the ranks of a program of your own; install it as a plugin"
        )
    if switches.disable:
        os.environ["NEOX_DISABLE_PLUGINS"] = ",".join(switches.disable)


def local_options(args: NeoXArgs, world: World) -> list[str]:
    """What DeepSpeed's launcher need not find out by ssh, or finds otherwise than we do, where all ranks are on this machine.

    They stand before those of the settings, which therefore win.
    """
    many = any(args.get(key) for key in ("force_multi", "deepspeed_slurm", "deepspeed_mpi"))
    if many or len(world.hosts) > 1 or not is_this_machine(world.hosts[0].name):
        return []
    words = ["--no_ssh_check", "--master_addr", default_address(world), "--master_port", str(port(args, world))]
    chosen = args.include or args.exclude or args.hostfile or "DLTS_HOSTFILE" in os.environ
    return words if chosen else [*words, "--num_gpus", str(world.size)]


def run_launcher(words: list[str]) -> int:
    """Run DeepSpeed's launcher, and leave nothing of what it has started; returns its exit code.

    Raises:
        UserError: it refuses the settings.
    """
    from deepspeed.launcher import runner

    before = signal.signal(signal.SIGTERM, _leave)
    try:
        runner.main(words)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except (ValueError, RuntimeError, subprocess.SubprocessError) as error:
        raise UserError(f"DeepSpeed's launcher: {error}") from error
    finally:
        signal.signal(signal.SIGTERM, before)
        _end_children()
    return 0


def _leave(number: int, frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _end_children(grace: float = 40.0) -> None:
    """End what this process has started; DeepSpeed's launcher gives the ranks 30 seconds of the `grace`."""
    import psutil  # type: ignore[import-untyped]

    itself = psutil.Process()
    tree = itself.children(recursive=True)
    for child in itself.children():
        with suppress(psutil.NoSuchProcess):
            child.terminate()
    _, left = psutil.wait_procs(tree, timeout=grace)
    for process in left:
        with suppress(psutil.NoSuchProcess):
            process.kill()

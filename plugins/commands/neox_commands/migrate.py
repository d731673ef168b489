"""`neox migrate`: a run of GPT-NeoX becomes one of neox: its settings, weights, optimizer state, steps and place in the data."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from neox_commands.json_text import add_json, json_text
from neox_commands.migrate_keys import fates
from neox_commands.migrate_report import AddedKey, Report, StateFate, lines
from neox_commands.steps import at_step
from neox_core.checkpoint.family import Family, ForeignCheckpoint
from neox_core.checkpoint.layout import PLUGINS, checkpoints
from neox_core.cli.choice import chosen_plugins
from neox_core.cli.given import read_given
from neox_core.cli.words import checkpoint_here, directory_to_write, not_negative
from neox_core.config import Entry, ModelSettings, NeoXArgs, Ownership, Resolved, World, dump_yaml, read_entries
from neox_core.config.command_line import Parser, with_flags
from neox_core.config.compatibility import GPT_NEOX
from neox_core.config.entries import entries_of, overlaid
from neox_core.config.foreign import is_ours
from neox_core.config.presets import CHECKPOINT_SETTINGS, LATEST, is_readable
from neox_core.config.reading import Reading, read
from neox_core.config.topology import on_one_rank
from neox_core.errors import Notice, Problem, UserError
from neox_core.files import whole_directory, write_file
from neox_core.plugins import CommandContext, Converter, Optimizer, PluginManager
from neox_core.training.loss_scale import LOSS_SCALE

if TYPE_CHECKING:
    from neox_core.checkpoint import WholeTensors

FAMILY = "gpt-neox"
CONFIG, CHECKPOINTS = "config.yml", "checkpoints"
"""Names within OUT."""

STEP = "iteration"
"""The key that says which checkpoint to load."""

OF_MACHINES = ("num_gpus", "num_nodes", "hostfile")
"""Keys about the machines of a run, of which a checkpoint that is made here knows nothing."""


def parser() -> Parser:
    """The command line."""
    command = Parser(
        "neox migrate",
        "Make a run of GPT-NeoX one of neox. OUT, which must not be there yet, gets config.yml to go on with (`neox train "
        "OUT/config.yml`), checkpoints, and a report of what became of each key and of each kind of state.",
        without=("iteration",),
    )
    command.usage = "neox migrate [OPTIONS] [CONFIGS...] CHECKPOINT OUT"
    command.add_argument(
        "words",
        nargs="+",
        metavar="CONFIGS... CHECKPOINT OUT",
        help="the YAML files of the run, and overrides (none: the copies that lie beside the checkpoint); a directory of checkpoints, "
        "of which the one that `latest` names or the newest is meant, or one of its global_step...; the directory to write",
    )
    command.add_argument(
        "--iteration", type=not_negative, metavar="N", help="step of the checkpoint to take from a directory"
    )
    command.add_argument("--no-optimizer", action="store_true", help="leave the optimizer's state out: it begins anew")
    command.add_argument(
        "--mended", action="store_true", help="without `compat: gpt-neox`: GPT-NeoX's defects are mended"
    )
    add_json(command)
    command.add_allow()
    return command


def main(argv: list[str], context: CommandContext) -> int:
    """Migrate, and print the report."""
    options = parser().parse(argv)
    if not options.words[1:]:
        raise UserError(
            "neox migrate: needs a checkpoint and a directory to write: neox migrate CONFIGS... CHECKPOINT OUT"
        )
    *configs, checkpoint, out = options.words
    target = directory_to_write(out)
    _check_checkpoint(options.words, context.plugins)
    if target.exists():
        raise UserError(f"{target} is there already: choose a directory that is not")
    if configs:
        entries = read_given(configs, options, context).entries
    elif options.conf_dir is not None:
        raise UserError(f"--conf_dir {options.conf_dir}: name the files in it that are meant, before {checkpoint}")
    else:
        entries = with_flags(_beside(at_step(Path(checkpoint), options.iteration)), options, ())
    plugins = chosen_plugins(entries, context)
    wanted = Wanted(Path(checkpoint), target, options.iteration, options.no_optimizer, options.mended)
    report = Migration(entries, plugins, wanted).run()
    print(json_text(report.as_data()) if options.json else "\n".join(lines(report)))
    return 0


def _check_checkpoint(words: Sequence[str], plugins: PluginManager) -> None:
    """See that the last word but one is a checkpoint of GPT-NeoX, or a directory of some.

    Raises:
        UserError: it is something else: a checkpoint of neox, or one of the other words.
    """
    *configs, given, _ = words
    checkpoint = checkpoint_here(given)
    misplaced = [word for word in configs if Path(word).is_dir()] if not checkpoint.is_dir() else []
    if misplaced or is_readable(checkpoint):
        raise UserError(
            f"{given} is no directory of checkpoints, which comes before OUT at the end: {_in_order(words)}"
        )
    if checkpoint.exists() and _family(plugins).recognises(checkpoint):
        return
    if is_ours(checkpoint):
        raise UserError(
            f"{checkpoint} is of neox already: go on with it by load={checkpoint}, or begin a run with its settings by "
            f"--settings-from {checkpoint}"
        )
    raise UserError(
        f"{checkpoint} is no checkpoint of GPT-NeoX, nor does it hold some (global_step*/mp_rank_*_model_states.pt or "
        "layer_*-model_*-model_states.pt)"
    )


def _in_order(words: Sequence[str]) -> str:
    """The command line that was meant, where that can be told."""
    settings = [word for word in words if is_readable(Path(word)) or ("=" in word and not Path(word).exists())]
    directories = [word for word in words if Path(word).is_dir()]
    new = [word for word in words if word not in (*settings, *directories)]
    certain = len(directories) == len(new) == 1
    return f"neox migrate {shlex.join([*settings, *directories, *new]) if certain else 'CONFIGS... CHECKPOINT OUT'}"


def _family(plugins: PluginManager) -> Family:
    offer = plugins.find("converter", FAMILY)
    assert isinstance(offer.component, Converter)
    family: Family = plugins.load(offer, str(offer.component.directories))()
    return family


def _beside(checkpoint: Path) -> dict[str, Entry]:
    """The copies of its settings that GPT-NeoX keeps with a checkpoint: the one that is meant, or that `latest` names, or the newest.

    Raises:
        UserError: there are none.
    """
    from neox_core.checkpoint.layout import Condition

    latest = checkpoint / LATEST
    named = [checkpoint / latest.read_text(errors="replace").strip()] if latest.is_file() else []
    newest = [*checkpoints(checkpoint, Condition.GPT_NEOX).values()][-1:]
    places = [place / "configs" for place in (*(named or newest), checkpoint, checkpoint.parent)]
    for place in places:
        if place.is_dir() and (
            files := sorted(file for file in place.iterdir() if file.suffix in (".yml", ".yaml", ".json"))
        ):
            return read_entries(files)
    raise UserError(
        f"{checkpoint}: there is no directory configs in it or beside it: give the YAML files of the run before it"
    )


ADDED = {
    "load": "the checkpoint that was written",
    "load_required": "the run never begins anew where that is not found",
    "save": "where the run goes on saving",
    "compat": "the run goes on as it began, with GPT-NeoX's defects; --mended leaves it out",
    "clip_norm_blocks": "the run clips as it began, at any number of ranks",
    "row_parallel_bias_copies": "the run goes on as it began, at any number of ranks",
    "train_batch_size": "a step keeps its samples, at any number of ranks",
    "vocab_size": "rows of the embedding, so that they stay",
}
"""Why a key is added to those that were given."""


class Wanted(NamedTuple):
    """What a command line asks for.

    Args:
        checkpoint: a directory of checkpoints, or one of them.
        out: the directory to write.
        iteration: the step of the checkpoint to take of a directory; None: what the settings say, or the newest.
        anew: whether the optimizer begins anew.
        mended: whether GPT-NeoX's defects are mended.
    """

    checkpoint: Path
    out: Path
    iteration: int | None
    anew: bool
    mended: bool


class Migration:
    """One run's migration.

    Args:
        entries: its settings, as they were given.
        plugins: where keys and components are looked up.
        wanted: what is asked for.
    """

    def __init__(self, entries: Mapping[str, Entry], plugins: PluginManager, wanted: Wanted) -> None:
        self._entries, self._plugins, self._wanted, self._out = entries, plugins, wanted, wanted.out
        self._ownership = Ownership.of(plugins)
        self._reading: Reading = read(entries.values(), self._ownership, partial=True, variables=False)
        given = {key: entry.value for key, entry in self._reading.entries.items()}
        step = given.pop(STEP, None)
        place = at_step(wanted.checkpoint, wanted.iteration)
        place = at_step(place, step, STEP) if wanted.iteration is None else place
        self._foreign = self._opened(place, {**given, "no_load_optim": True} if wanted.anew else given)

    def _opened(self, checkpoint: Path, given: Mapping[str, Any]) -> ForeignCheckpoint:
        return _family(self._plugins).open(checkpoint, given)

    def run(self) -> Report:
        """Write all of it, or nothing.

        Raises:
            UserError: something cannot be carried over, or the file system refuses.
        """
        from neox_core.checkpoint.conversion import tensors_of, write_converted

        if self._foreign.progress is None:
            raise UserError(
                f"{self._foreign.path} has weights alone, and no state of a run to go on with: `neox convert` converts those"
            )
        self._foreign.verify()
        values = self._values()
        resolved = self._resolved(values)
        tensors = tensors_of(self._foreign, resolved)
        self._check_optimizer(resolved, tensors)
        files = self._files(values)
        report = self._report(values, resolved, tensors)
        with whole_directory(self._out) as place:
            write_converted(self._foreign, resolved, place / CHECKPOINTS, files)
            write_file(place / CONFIG, dump_yaml(values))
            write_file(place / "report.txt", "\n".join(lines(report)) + "\n")
            write_file(place / "report.json", json_text(report.as_data()) + "\n")
        return report

    def _values(self) -> dict[str, Any]:
        """The settings to go on with: those that were given, what the checkpoint adds, and where it lies."""
        keys = self._ownership.keys
        kept = {key: entry.value for key, entry in self._reading.entries.items() if keys[key].unused is None}
        kept.pop("gradient_accumulation_steps", None)
        added = {key: value for key, value in self._foreign.settings.items() if keys[key].unused is None}
        for key in self._overruled():
            kept.pop(key, None)
        directory = str(self._out / CHECKPOINTS)
        values = {**kept, **added, "load": directory, "load_required": True, "save": directory}
        for key in (STEP, "no_load_optim"):  # about how to begin, and the run goes on
            values.pop(key, None)
        if not self._wanted.mended:
            values.setdefault("compat", GPT_NEOX)
        return values

    def _overruled(self) -> list[str]:
        """Keys of the architecture in the place of which the checkpoint has others, by its tensors."""
        return [
            key
            for key in self._reading.entries
            if key in ModelSettings.model_fields
            and self._ownership.keys[key].unused is None
            and key not in self._foreign.settings
        ]

    def _resolved(self, values: Mapping[str, Any]) -> Resolved:
        """The settings on one rank, where the checkpoint is made; as many samples a step."""
        alone = {key: value for key, value in on_one_rank(values).items() if key not in OF_MACHINES}
        entries = entries_of(alone, f"checkpoint {self._foreign.path}")
        given = {
            key: entry for key, entry in self._reading.entries.items() if key in alone and alone[key] == entry.value
        }
        args = NeoXArgs(overlaid(entries, given).values(), self._plugins)
        return args.resolve(World.local(), self._foreign.vocabulary)

    def _check_optimizer(self, resolved: Resolved, tensors: WholeTensors) -> None:
        """See that the optimizer finds what it remembers."""
        component = self._plugins.find("optimizer", resolved.optimizer.name).component
        remembered = component.state if isinstance(component, Optimizer) else {}
        there = tensors.roles(tensors.names[0])
        missing = [role for role, shape in remembered.items() if role not in there and shape == "element"]
        if missing and not self._wanted.anew:
            raise UserError(
                f"{self._foreign.path} has no {' and '.join(missing)} that optimizer {resolved.optimizer.name} could go on with "
                f"(there is: {', '.join(there)}); --no-optimizer lets it begin anew"
            )

    def _files(self, values: Mapping[str, Any]) -> dict[str, str | bytes]:
        """Those of the checkpoint."""
        files: dict[str, str | bytes] = {
            CHECKPOINT_SETTINGS: dump_yaml(on_one_rank(values)),
            PLUGINS: json.dumps(self._plugins.manifest(), indent=1),
        }
        source = self._foreign.tokenizer
        return files if source is None else {**files, **source.stored()}

    def _report(self, values: Mapping[str, Any], resolved: Resolved, tensors: WholeTensors) -> Report:
        remarks: list[Notice | Problem] = [*self._reading.notices, *resolved.notices, *resolved.limitations]
        remarks += [Notice(keys=(key,), message="the tensors say otherwise") for key in self._overruled()]
        remarks.append(
            Notice(keys=(STEP,), message="chose the checkpoint that was read; the run goes on from its newest")
        )
        keys = fates(self._entries, self._reading, self._ownership, values, remarks)
        progress = self._foreign.progress or {}
        path = self._out / CHECKPOINTS / f"global_step{progress['iteration']}"
        added = [
            AddedKey(key, value, ADDED.get(key, "as its tensors and its state have it"))
            for key, value in values.items()
            if key not in self._reading.entries
        ]
        return Report(
            source=self._foreign.path,
            config=self._out / CONFIG,
            checkpoint=path,
            keys=keys,
            added=added,
            states=list(self._states(tensors, progress, values)),
        )

    def _states(
        self, tensors: WholeTensors, progress: Mapping[str, Any], values: Mapping[str, Any]
    ) -> Iterator[StateFate]:
        """What became of each kind of state."""
        roles, names = tensors.roles(tensors.names[0]), tensors.names
        numbers = {str(tensors.dtype(name, "weight")).removeprefix("torch.") for name in names}
        yield StateFate("weights", "kept", f"{len(names)} tensors, {' and '.join(sorted(numbers))}")
        moments = [role for role in roles if role != "weight"]
        yield (
            StateFate("optimizer state", "kept", f"{', '.join(moments)} of each")
            if moments
            else StateFate("optimizer state", "dropped", "the optimizer begins anew: start with no_load_optim=true")
        )
        copies = values.get("row_parallel_bias_copies", 1)
        if copies > 1:
            yield StateFate(
                "copies of row-parallel biases", "differs", f"one bias, their sum, which moves {copies} times as fast"
            )
        if "clip_norm_blocks" in values:
            yield StateFate(
                "norm for clipping", "differs", "norms and biases of later stages do not count in it, as they did not"
            )
        yield StateFate("steps", "kept", f"{progress['iteration']}, of which {progress['applied']} were applied")
        yield StateFate("schedule", "kept", f"after {progress['scheduled']} steps")
        yield StateFate("place in the data", "kept", f"after {progress['consumed_samples']} samples")
        scale = progress.get(LOSS_SCALE)
        if scale is not None:
            yield StateFate("loss scale", "kept", f"{scale['scale']:g}")
        yield StateFate(
            "states of random generators", "dropped", "dropout depends on seed and step here: others are drawn"
        )
        if self._foreign.tokenizer is not None:
            yield StateFate("tokenizer", "kept", "within the checkpoint")

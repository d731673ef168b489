"""What the launching process tells the ranks, and how they make sure that all of them understood the same.

The parent writes one file into the run's directory; rank 0 reads it and puts it into the rendezvous store, where the other ranks
find it, so that no disk has to be shared. Each rank resolves the settings by itself and states its fingerprint and its plugins
in the store; a rank that differs is named before any process group exists.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neox_core.config import Entry, Host, NeoXArgs, Resolved, World
from neox_core.errors import Origin, UserError, shortened
from neox_core.plugins import PluginManager, Switches

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

    from neox_core.launch import Rendezvous

FILE_NAME = "handover.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Handover:
    """One run as the parent knows it.

    Args:
        name: the run's name.
        run_dir: its directory.
        entries: the given settings with their origins.
        switches: which plugins are let in.
        world: hosts, slots and device.
        vocabulary: number of token ids, where something says it.
        padded_vocab_size: rows of the embedding, of which a checkpoint may have decided; None: as many as the settings make.
        epoch_samples: samples of the training data, where `train_epochs` says how long the run is.
        eod_token: id of the token that ends a document, where there is a tokenizer.
        prompt_tokens: tokens whose embeddings a soft prompt begins with, where it begins with a text.
        checkpoint: what to resume from.
        older: what to resume from instead should it be damaged, best first.
        damaged: later checkpoints, which are known to be.
        initial: what to begin with the weights of.
        away: the URL of each of these that is to be copied first, and where to.
        begun: when the command was given, in seconds since the epoch.
        launched: when the launcher was asked to start the ranks.
    """

    name: str
    run_dir: str
    entries: tuple[Entry, ...]
    switches: Switches
    world: World
    vocabulary: int | None
    eod_token: int | None
    checkpoint: str | None
    initial: str | None = None
    begun: float = 0.0
    launched: float = 0.0
    prompt_tokens: tuple[int, ...] = ()
    epoch_samples: int | None = None
    padded_vocab_size: int | None = None
    older: tuple[str, ...] = ()
    damaged: tuple[str, ...] = ()
    away: tuple[tuple[str, str], ...] = ()

    def to_json(self) -> str:
        """Plain text for the file and the store."""
        data = {
            "name": self.name,
            "run_dir": self.run_dir,
            "entries": [[entry.key, entry.value, entry.origin._asdict()] for entry in self.entries],
            "switches": self.switches.to_dict(),
            "world": asdict(self.world),
            "vocabulary": self.vocabulary,
            "eod_token": self.eod_token,
            "checkpoint": self.checkpoint,
            "initial": self.initial,
            "begun": self.begun,
            "launched": self.launched,
            "prompt_tokens": self.prompt_tokens,
            "epoch_samples": self.epoch_samples,
            "padded_vocab_size": self.padded_vocab_size,
            "older": self.older,
            "damaged": self.damaged,
            "away": self.away,
        }
        return json.dumps(data, indent=1)

    @classmethod
    def from_json(cls, text: str) -> Handover:
        """The inverse of `to_json`."""
        data = json.loads(text)
        world = data["world"]
        return cls(
            name=data["name"],
            run_dir=data["run_dir"],
            entries=tuple(Entry(key, value, Origin(**origin)) for key, value, origin in data["entries"]),
            switches=Switches.from_dict(data["switches"]),
            world=World(tuple(Host(**host) for host in world["hosts"]), world["device"]),
            vocabulary=data["vocabulary"],
            eod_token=data["eod_token"],
            checkpoint=data["checkpoint"],
            initial=data["initial"],
            begun=data["begun"],
            launched=data["launched"],
            prompt_tokens=tuple(data["prompt_tokens"]),
            epoch_samples=data["epoch_samples"],
            padded_vocab_size=data["padded_vocab_size"],
            older=tuple(data["older"]),
            damaged=tuple(data["damaged"]),
            away=tuple((url, path) for url, path in data["away"]),
        )

    def resolve(self) -> tuple[PluginManager, Resolved]:
        """The plugins and the settings, made again from what was handed over."""
        plugins = PluginManager(self.switches)
        resolved = NeoXArgs(self.entries, plugins).resolve(self.world, self.vocabulary, self.epoch_samples)
        rows = self.padded_vocab_size
        return plugins, resolved if rows is None else replace(resolved, padded_vocab_size=rows)


def receive(store: Store, place: Rendezvous, path: Path) -> Handover:
    """The handover of this run: from the file on rank 0, from the store elsewhere."""
    if place.rank == 0:
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(f"{path}: the run's handover cannot be read: {error.strerror}") from error
        store.set("handover", text)
        return Handover.from_json(text)
    return Handover.from_json(_told(store, "handover", 0))


def agree(store: Store, place: Rendezvous, mine: Mapping[str, Any]) -> None:
    """Compare what each rank resolved. Rank 0 does, so that each statement is read once; every rank ends alike.

    Raises:
        UserError: a rank differs from rank 0, which is named with its host and what differs; or a rank has not come this far in
            the time that the store waits.
    """
    store.set(f"statement/{place.rank}", json.dumps(mine, sort_keys=True))
    if place.rank == 0:
        store.set("difference", _difference(store, place.world_size))
    with suppress(RuntimeError):
        store.wait(["difference"])  # rank 0 may wait as long for another before it answers
    if difference := _told(store, "difference", 0):
        raise UserError(difference)


def _difference(store: Store, world_size: int) -> str:
    """Which rank differs from rank 0, or has not come; nothing where all agree."""
    try:
        statements = [json.loads(_told(store, f"statement/{rank}", rank)) for rank in range(world_size)]
    except UserError as error:
        return str(error)
    for rank, statement in enumerate(statements):
        for item, value in statement.items():
            if item != "host" and value != statements[0][item]:
                return (
                    f"rank {rank} on {statement['host']} differs from rank 0 on {statements[0]['host']} in its {item}: "
                    f"{_shortened(value)} instead of {_shortened(statements[0][item])}; install the same on every host"
                )
    return ""


def _told(store: Store, key: str, rank: int) -> str:
    """What a rank put into the store, once it is there."""
    try:
        return store.get(key).decode()
    except (
        RuntimeError
    ) as error:  # torch's errors of stores, which are not imported here: the parent does without torch
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"rank {rank} does not answer at the rendezvous ({reason}): it has ended, or is still starting; see its log"
        ) from error


def _shortened(value: object) -> str:
    return shortened(value if isinstance(value, str) else json.dumps(value), 300)

"""Checkpoints of any size for tests that copy them, and stores to copy them to."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from neox_core.checkpoint.manifest import Manifest
from neox_core.checkpoint.remote import Store, StoreOptions, open_store
from neox_core.config.topology import Topology
from neox_core.files import FileRecord
from neox_core.plugins import PluginManager

MIB = 1 << 20
PARTS = StoreOptions(part_size=5 * MIB, timeout=3.0)
"""The smallest parts that S3 takes, and little patience."""


def make_checkpoint(directory: Path, iteration: int, size: int, ranks: int = 1) -> Path:
    """A complete checkpoint whose shards are `size` random bytes each; `ranks` of them."""
    path = directory / f"global_step{iteration}"
    contents = {"state.json": b'{"consumed_samples": 8}', "settings.yml": b"num_layers: 2\n", "empty": b""}
    contents |= {f"shards/rank-{rank:05d}.safetensors": os.urandom(size) for rank in range(ranks)}
    contents |= {f"random/rank-{rank:05d}.json": b"{}" for rank in range(ranks)}
    files = {}
    for name, content in contents.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
        files[name] = FileRecord(len(content), hashlib.sha256(content).hexdigest())
    Manifest(iteration=iteration, topology=Topology(data=ranks), files=files).write(path)
    return path


def store_at(url: str, options: StoreOptions = PARTS) -> Store:
    """The store at a URL, by the installed plugins."""
    return open_store(url, PluginManager(), options)


def contents(directory: Path) -> dict[str, bytes]:
    """The files of a checkpoint."""
    return {
        path.relative_to(directory).as_posix(): path.read_bytes() for path in directory.rglob("*") if path.is_file()
    }

"""Checkpoints in stores that are not file systems: the contract of a store, copying there and back, and what lies there.

No torch is imported; names are imported when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neox_core.lazy import lazy_names

if TYPE_CHECKING:
    from neox_core.checkpoint.remote.finding import open_home as open_home, remote_checkpoint as remote_checkpoint
    from neox_core.checkpoint.remote.opening import open_store as open_store, store_name as store_name
    from neox_core.checkpoint.remote.parallel import in_parallel as in_parallel
    from neox_core.checkpoint.remote.places import (
        Facts as Facts,
        RemoteCheckpoint as RemoteCheckpoint,
        find_remote as find_remote,
        newest_first as newest_first,
    )
    from neox_core.checkpoint.remote.pulling import pull as pull
    from neox_core.checkpoint.remote.pushing import (
        OpenCheckpoint as OpenCheckpoint,
        Push as Push,
        prune_remote as prune_remote,
        push as push,
    )
    from neox_core.checkpoint.remote.ranges import steadily as steadily
    from neox_core.checkpoint.remote.source_file import SourceFile as SourceFile, Span as Span
    from neox_core.checkpoint.remote.store import (
        Given as Given,
        Store as Store,
        Stored as Stored,
        StoreError as StoreError,
        StoreOptions as StoreOptions,
    )
    from neox_core.checkpoint.remote.urls import (
        below as below,
        checked as checked,
        home_of as home_of,
        is_url as is_url,
        scheme_of as scheme_of,
    )

__getattr__ = lazy_names(
    __name__,
    {
        "finding": ("open_home", "remote_checkpoint"),
        "opening": ("open_store", "store_name"),
        "parallel": ("in_parallel",),
        "places": ("Facts", "RemoteCheckpoint", "find_remote", "newest_first"),
        "pulling": ("pull",),
        "pushing": ("OpenCheckpoint", "Push", "prune_remote", "push"),
        "ranges": ("steadily",),
        "source_file": ("SourceFile", "Span"),
        "store": ("Given", "Store", "Stored", "StoreError", "StoreOptions"),
        "urls": ("below", "checked", "home_of", "is_url", "scheme_of"),
    },
)

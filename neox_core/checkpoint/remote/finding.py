"""Which checkpoint a URL means: one, the newest of those beneath it, or of those in the only folder there that has some."""

from __future__ import annotations

from neox_core.checkpoint.layout import iteration_of
from neox_core.checkpoint.remote.opening import open_store
from neox_core.checkpoint.remote.places import RemoteCheckpoint, find_remote, folders, is_complete
from neox_core.checkpoint.remote.store import Store, StoreOptions
from neox_core.checkpoint.remote.urls import below, checked
from neox_core.errors import UserError
from neox_core.plugins import PluginManager


def open_home(url: str, plugins: PluginManager, options: StoreOptions | None = None) -> Store:
    """The store of a directory of checkpoints: at the URL, or, where nothing lies there, in the only folder beneath that has some.

    Raises:
        UserError: there are several such folders, or the store does not answer.
    """
    store = open_store(url, plugins, options)
    names = store.folders()
    if any(iteration_of(name) is not None for name in names):
        return store
    holding = [
        below(store.url, name) for name in names if any(iteration_of(each) is not None for each in store.folders(name))
    ]
    if len(holding) > 1:
        raise UserError(f"{store.url}: several folders there hold checkpoints; name one: {', '.join(holding)}")
    return open_store(holding[0], plugins, options) if holding else store


def remote_checkpoint(
    url: str, plugins: PluginManager, iteration: int | None = None, options: StoreOptions | None = None
) -> RemoteCheckpoint:
    """The checkpoint at a URL, or the newest complete one there, or that of an iteration.

    Raises:
        UserError: there is none.
    """
    url = checked(url)
    above, _, last = url.rpartition("/")
    if iteration_of(last) is not None:
        store = open_store(above, plugins, options)
        if is_complete(store, last):
            return RemoteCheckpoint(store, last)
        raise UserError(f"{url}: there is no complete checkpoint (no manifest.json); {_others(store)}")
    store = open_home(url, plugins, options)
    found = find_remote(store, iteration)
    if found is None:
        what = "no complete checkpoint" if iteration is None else f"no complete checkpoint of iteration {iteration}"
        raise UserError(f"{store.url}: there is {what}; {_others(store)}")
    return found


def _others(store: Store) -> str:
    names = [folder for folder in folders(store).values() if is_complete(store, folder)]
    return f"there is: {', '.join(names)}" if names else f"see what is there by `neox checkpoint ls {store.url}`"

"""Which plugin's store a URL means."""

from __future__ import annotations

from neox_core.checkpoint.remote.store import Store, StoreOptions
from neox_core.checkpoint.remote.urls import checked, scheme_of
from neox_core.errors import UserError
from neox_core.plugins import PluginManager, Store as StoreComponent


def store_name(url: str, plugins: PluginManager) -> str:
    """The name of the component that has what a URL begins with.

    Raises:
        UserError: there is none, or several; or the URL is none that may be used.
    """
    scheme, named, others = scheme_of(checked(url)), list[str](), list[str]()
    offered = plugins.names("store")
    for offer in plugins.offers("store"):
        component = offer.component
        if isinstance(component, StoreComponent) and component.name in offered:
            if scheme in component.schemes:
                named.append(component.name)
            elif not component.schemes:
                others.append(component.name)
    found = [*dict.fromkeys(named or others)]
    if not found:
        raise UserError(
            f"{url}: no plugin offers a store for {scheme}://; `neox plugins --kind store` lists what there is"
        )
    if len(found) > 1:
        raise UserError(
            f"{url}: several stores take {scheme}://: {', '.join(found)}; switch off all but one by "
            f"`plugin_disable: [store.{found[-1]}]`"
        )
    return found[0]


def open_store(url: str, plugins: PluginManager, options: StoreOptions | None = None) -> Store:
    """The store at a URL; nothing is sent yet.

    Raises:
        UserError: there is none for it, or a package that it needs is missing.
    """
    store: Store = plugins.make("store", store_name(url, plugins), checked(url), options or StoreOptions())
    return store

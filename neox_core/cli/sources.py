"""Where a command line takes settings from: a path, or the URL of a checkpoint, of which the small files are fetched."""

from __future__ import annotations

import argparse

from neox_core.checkpoint.remote import is_url
from neox_core.config import SettingsFrom
from neox_core.config.command_line import settings_from
from neox_core.plugins import PluginManager


def source_of(options: argparse.Namespace, plugins: PluginManager) -> SettingsFrom | None:
    """What `--settings-from` and its companions say; None where they are not given.

    Raises:
        UserError: they say how, and not from where; there is no checkpoint at the URL.
    """
    source = settings_from(options)
    if source is None or not is_url(options.settings_from):
        return source
    from neox_core.checkpoint.remote import Facts, remote_checkpoint

    options.fetched = Facts(remote_checkpoint(options.settings_from, plugins))  # as long as the command line
    return source._replace(path=options.fetched.path, name=None)

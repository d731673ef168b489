"""Whether the stores that a run's URLs are about can be had; nobody is asked over a network."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from neox_core.checkpoint.remote import checked, home_of, is_url, open_store, scheme_of
from neox_core.config import CheckpointSettings, Resolved
from neox_core.errors import Origin, Problem, UserError
from neox_core.plugins import PluginManager

LEAST_PART = 5 << 20
"""Bytes of a part that S3 takes."""

MOST_PART = 5 << 30
"""The same, of the largest."""


def store_problems(resolved: Resolved, plugins: PluginManager) -> Iterator[Problem]:
    """A problem for each URL that is none or that no store takes, and for a URL where only a directory will do."""
    settings = resolved[CheckpointSettings]
    for key in ("s3_path", "load", "initial_ckpt_path"):
        value = getattr(settings, key)
        if value is not None and (key == "s3_path" or is_url(value)):
            yield from _url_problems(key, value, resolved, plugins)
    if settings.save is not None and is_url(settings.save):
        scheme = settings.save.partition("://")[0]
        yield Problem(
            keys=("save",),
            message=f"{scheme}://... is a URL, and checkpoints are saved to a directory",
            remedy="save to a directory, and set s3_path to the URL: each checkpoint is copied there",
            origin=_without_text(resolved, "save"),
        )


def _url_problems(key: str, url: str, resolved: Resolved, plugins: PluginManager) -> Iterator[Problem]:
    settings = resolved[CheckpointSettings]
    try:
        checked(url)
    except UserError as error:
        yield Problem(keys=(key,), message=str(error), origin=_without_text(resolved, key))
        return
    try:
        open_store(url, plugins)
    except UserError as error:
        yield Problem(keys=(key,), message=str(error), origin=resolved.origin(key), limitation=True)
    if key != "s3_path":
        return
    size = settings.s3_chunk_size
    if scheme_of(url) in ("s3", "s3a") and not LEAST_PART <= size <= MOST_PART:
        limit, said, more = (LEAST_PART, "less", "least") if size < LEAST_PART else (MOST_PART, "more", "most")
        yield Problem(
            keys=("s3_chunk_size",),
            message=f"{size} is {said} than {limit}, the {more} that S3 takes as a part",
            remedy=f"use {limit} or {'more' if said == 'less' else 'less'}",
            origin=resolved.origin("s3_chunk_size"),
        )
    if settings.save is not None and not is_url(settings.save):
        yield from _home_problems(url, settings.save, resolved)
        yield from _mount_problems(url, resolved)


def _home_problems(url: str, save: str, resolved: Resolved) -> Iterator[Problem]:
    """A problem where copies would be in a folder, named like the last part of `save`, that no URL can name."""
    try:
        checked(home_of(url, save))
    except UserError:
        yield Problem(
            keys=("save",),
            message=f"copies are in a folder that is called like its last part, '{Path(save).name}', and a URL of a store has no ? "
            "and no #",
            remedy="save to a directory without these in its name",
            origin=resolved.origin("save"),
        )


def _mount_problems(url: str, resolved: Resolved) -> Iterator[Problem]:
    """A problem where copies would go to a directory that is not there: it may be on a disk that is not mounted."""
    directory = Path(url.partition("://")[2])
    if scheme_of(url) in ("file", "local") and not directory.is_dir():
        yield Problem(
            keys=("s3_path",),
            message=f"there is no directory {directory}",
            remedy="mount the disk that has it, or make it",
            origin=resolved.origin("s3_path"),
            limitation=True,
        )


def _without_text(resolved: Resolved, key: str) -> Origin | None:
    """Where a key is written, without the words themselves: there may be a secret among them."""
    origin = resolved.origin(key)
    return origin and origin._replace(source=origin.source.partition(" (")[0], text=None)

"""URLs of stores; costs nothing."""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

from neox_core.errors import UserError

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]+)://(?P<rest>.*)", re.DOTALL)


def is_url(text: str) -> bool:
    """Whether a text is the URL of a store, and not a path."""
    return _URL.fullmatch(text) is not None


def url_of(path: Path) -> str | None:
    """The URL that was taken for a path, in which two strokes are one; None: it was a path."""
    match = re.fullmatch(r"([A-Za-z][A-Za-z0-9+.-]+):/(.*)", str(path))
    if match is None:
        return None
    # Of `file:///tmp` three are one, as files have no host.
    return f"{match[1]}:{'///' if match[1].casefold() == 'file' else '//'}{match[2]}"


def pull_first(url: str) -> UserError:
    """That a checkpoint is wanted in a directory here, where a URL is given.

    Args:
        url: as it was written.
    """
    checked(url)  # whose sentences do not repeat what may be secret
    return UserError(
        f"{url} is a URL, and a directory here is wanted: copy it here by `neox checkpoint pull {shlex.quote(url)} DIR` first"
    )


def scheme_of(url: str) -> str:
    """What is before `://`, in lower case."""
    match = _URL.fullmatch(url)
    if match is None:
        raise UserError(f"{url}: is no URL; write it as s3://BUCKET/PREFIX")
    return match["scheme"].casefold()


def checked(url: str) -> str:
    """A URL as it is used, without a `/` at its end.

    Raises:
        UserError: it is none, or could hold a secret, which the sentence does not repeat: URLs go into logs and checkpoints.
    """
    scheme = scheme_of(url)
    rest = url.partition("://")[2]
    place = rest.partition("/")[0]
    for mark in "?#":
        if mark in rest:
            raise UserError(
                f"{scheme}://{place.rpartition('@')[2].partition(mark)[0]}/...: a URL of a store has no '{mark}'; give credentials "
                "and options in the environment, or in the files of the store's own tools"
            )
    if "@" in place and (":" in place or scheme in ("s3", "s3a")):
        raise UserError(
            f"{scheme}://...@{place.rpartition('@')[2]}: credentials do not belong into a URL, which is logged and saved; "
            "give them in the environment (for S3 AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE)"
        )
    stripped = rest.rstrip("/")
    if "//" in stripped.lstrip("/"):
        raise UserError(
            f"{url}: a folder has no name, and stores differ in what that means; write one '/' between folders"
        )
    if not stripped and scheme != "memory":
        raise UserError(f"{url}: names no place; write {scheme}://BUCKET/PREFIX")
    return f"{scheme}://{stripped}"


def below(url: str, name: str) -> str:
    """The URL of something beneath another one."""
    return f"{url}/{name}" if not url.endswith("/") else f"{url}{name}"


def home_of(url: str, save: str) -> str:
    """Where a run that copies checkpoints to `url` (`s3_path`) has them: in a folder that is called like the last part of `save`.

    So runs that differ in `save` keep apart, as with GPT-NeoX.
    """
    return below(checked(url), Path(os.path.abspath(save)).name)  # noqa: PTH100 - resolving would follow links

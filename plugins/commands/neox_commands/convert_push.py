"""`neox convert push`: upload a directory to a hub, as huggingface_hub does."""

from __future__ import annotations

import importlib
from contextlib import suppress
from pathlib import Path
from typing import Any

from neox_commands.json_text import add_json, json_text
from neox_commands.sizes import in_words
from neox_core.cli.words import checkpoint_here
from neox_core.config.parser import RaisingParser
from neox_core.errors import UserError
from neox_core.plugins import CommandContext

INSTALL = "pip install 'neox-toolkit[hub]'"


def parser() -> RaisingParser:
    """The command line."""
    command = RaisingParser(
        prog="neox convert push",
        description="Upload a directory, such as `neox convert` makes, to a repository of a hub: that of Hugging Face, or "
        "what HF_ENDPOINT names. The token is that of HF_TOKEN or of `hf auth login`.",
    )
    add = command.add_argument
    add("directory", metavar="DIR", type=checkpoint_here, help="all of its files are uploaded, but for hidden ones")
    add("repository", metavar="REPO", help="OWNER/NAME; it is made where there is none")
    add("--revision", metavar="BRANCH", help="a branch of it, which is made where there is none (its main one)")
    add("--private", action="store_true", help="make a repository that others cannot see")
    add("--message", metavar="TEXT", default="Upload of a checkpoint", help="of the commit")
    add_json(command)
    return command


def main(argv: list[str], context: CommandContext) -> int:
    """Upload it, and say where it is."""
    options = parser().parse(argv)
    files = uploaded_files(options.directory)
    address = push(
        options.directory, options.repository, options.revision, private=options.private, message=options.message
    )
    size = sum(file.stat().st_size for file in files)
    found = {"directory": str(options.directory), "files": len(files), "bytes": size, "commit": address}
    print(json_text(found) if options.json else f"{address}: {len(files)} files, {in_words(size)}")
    return 0


def uploaded_files(directory: Path) -> list[Path]:
    """What is uploaded.

    Raises:
        UserError: it is no directory, or there is nothing in it.
    """
    if not directory.is_dir():
        raise UserError(f"{directory} is no directory; give one that `neox convert` made")
    files = [path for path in sorted(directory.rglob("*")) if path.is_file() and not _is_hidden(path, directory)]
    if not files:
        raise UserError(f"{directory}: there is nothing in it; give a directory that `neox convert` made")
    return files


def push(directory: Path, repository: str, revision: str | None, *, private: bool, message: str) -> str:
    """Upload a directory in one commit.

    Returns:
        The address of the commit.

    Raises:
        UserError: huggingface_hub is not installed, or the hub refuses.
    """
    try:
        hub: Any = importlib.import_module("huggingface_hub")
    except ModuleNotFoundError as error:
        raise UserError(f"neox convert push needs the package huggingface_hub, which is missing: {INSTALL}") from error
    errors: Any = importlib.import_module("huggingface_hub.errors")
    importlib.import_module("huggingface_hub.utils").disable_progress_bars()
    interface = hub.HfApi(library_name="neox")
    try:
        interface.create_repo(repository, private=private, exist_ok=True)
        if private and not interface.model_info(repository).private:
            raise UserError(
                f"{repository}: --private, and others can see this repository, which is there already; make it private on the hub, or "
                "name another one"
            )
        if revision is not None:
            interface.create_branch(repository, branch=revision, exist_ok=True)
        commit = interface.upload_folder(
            repo_id=repository,
            folder_path=directory,
            revision=revision,
            commit_message=message,
            ignore_patterns=[".*", "**/.*"],
        )
    except (errors.HfHubHTTPError, errors.HFValidationError, *_no_contact(), OSError, ValueError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"{repository}: the hub at {interface.endpoint} refuses: {reason}") from error
    return str(commit.commit_url)


def _no_contact() -> tuple[type[Exception], ...]:
    """What huggingface_hub raises when nobody answers, beside what is an OSError: that of the package that it asks with."""
    found = []
    for package in ("httpx2", "httpx"):
        with suppress(ModuleNotFoundError):
            found.append(importlib.import_module(package).HTTPError)
    return tuple(found)


def _is_hidden(path: Path, directory: Path) -> bool:
    return any(part.startswith(".") for part in path.relative_to(directory).parts)

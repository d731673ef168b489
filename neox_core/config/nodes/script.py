"""Scripts: a file, or some lines, with what runs it, its arguments and its environment."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field
from pathlib import Path, PurePath
from typing import Any, Final

from neox_core.errors import UserError

SHELLS: Final = ("bash", "dash", "ksh", "sh", "zsh")
"""Entry points that take lines after `-c`, and then the name that the lines are run under."""

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


@dataclass(frozen=True)
class Script:
    """What runs as a process of its own: `Script("run.sh")`, `Script(inline="echo $1", args=["a"])`.

    Args:
        path: the file, or with `module` the dotted name of a module.
        inline: the lines themselves, instead of a file.
        args: its arguments, each a word as it is; nothing in it is special to a shell.
        env: variables for it, beside those that are there.
        entrypoint: what runs it, a command: `bash`, `python -u`.
        module: whether Python is to run `path` as a module (`-m`).
        metadata: anything else that whoever launches it should know.

    Raises:
        UserError: neither or both of `path` and `inline`, no entry point, a module without Python, or a name in `env` that is none.
    """

    path: str | Path = ""
    inline: str = ""
    args: list[str | int | float] = field(default_factory=list)
    env: dict[str, str | int | float] = field(default_factory=dict)
    entrypoint: str = "bash"
    module: bool = False
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if bool(self.path) is bool(self.inline):
            given = "both are given" if self.path else "neither is given"
            raise UserError(f"Script: {given}, path and inline; give the path of a file, or the lines themselves")
        if not self._words:
            raise UserError("Script: entrypoint is empty; give what runs the script, like bash or python")
        if self.module and (self.inline or not self._is_python):
            raise UserError(
                f"Script: module=True is for a module that Python runs, and this is "
                f"{'inline text' if self.inline else f'for {self.entrypoint!r}'}; "
                "give the module's name as path, and entrypoint='python'"
            )
        for name in self.env:
            if not _VARIABLE.fullmatch(name):
                raise UserError(
                    f"Script: env: {name!r} cannot be the name of a variable; that is letters, digits and underscores"
                )

    @property
    def name(self) -> str:
        """A short one: the last part of the path, or how the lines begin."""
        if self.path:
            return PurePath(self.path).name
        return re.sub(r"[^A-Za-z0-9]+", "_", self.inline.strip()[:10]).strip("_") or "script"

    def command(self, filename: str | Path | None = None) -> list[str]:
        """The words that run it, without its environment.

        Args:
            filename: where `write` put inline text; without it the text itself is among the words.

        Raises:
            UserError: the entry point is neither a shell nor Python, so that inline text needs a file.
        """
        args = [str(word) for word in self.args]
        if self.module:
            return [*self._words, "-m", str(self.path), *args]
        if self.path or filename is not None:
            return [*self._words, str(filename if self.inline else self.path), *args]
        if self._is_python:
            return [*self._words, "-c", self.inline, *args]
        if self._is_shell:
            return [*self._words, "-c", self.inline, *([self.name, *args] if args else [])]
        raise UserError(
            f"Script: how {self.entrypoint!r} takes inline text is not known; write it to a file, and give that to command()"
        )

    def line(self, filename: str | Path | None = None) -> str:
        """The same as a line for a shell, quoted, with its environment before it: `A=1 bash run.sh 'two words'`."""
        variables = [f"{name}={shlex.quote(str(value))}" for name, value in self.env.items()]
        return " ".join([*variables, shlex.join(self.command(filename))])

    def write(self, path: str | Path) -> None:
        """Write inline text to a file that can be run; what is there is replaced.

        Raises:
            UserError: there is no inline text, or the file cannot be written.
        """
        if not self.inline:
            raise UserError(f"Script: there is nothing to write, since {str(self.path)!r} is a file already")
        try:
            Path(path).write_text(self._text, encoding="utf-8")
            Path(path).chmod(0o755)
        except OSError as error:
            raise UserError(f"{path}: cannot be written: {error.strerror}") from error

    @property
    def _words(self) -> list[str]:
        try:
            return shlex.split(self.entrypoint)
        except ValueError as error:
            raise UserError(f"Script: entrypoint {self.entrypoint!r} is no command: {error}") from error

    @property
    def _is_shell(self) -> bool:
        return any(PurePath(word).name in SHELLS for word in self._words)

    @property
    def _is_python(self) -> bool:
        return any(PurePath(word).name.startswith("python") for word in self._words)

    @property
    def _text(self) -> str:
        """The lines, with one before them that says what runs them."""
        lines = self.inline.strip("\n") + "\n"
        several = "-S " if len(self._words) > 1 else ""
        return lines if lines.startswith("#!") else f"#!/usr/bin/env {several}{self.entrypoint.strip()}\n{lines}"

"""Words of a command line that change something: `key=value`, `a.b[0].c*=2`, `data=@file.yml:data`, `~key`.

Here is what they have in common, whatever they change; nothing heavy is imported for it.
"""

from __future__ import annotations

import re
from typing import NamedTuple, Self

from neox_core.config.nodes.given import Given, read
from neox_core.config.nodes.operators import WANTED
from neox_core.config.nodes.problems import NodeError
from neox_core.config.nodes.steps import Step, parse
from neox_core.errors import Origin, shortened

LONGEST = 203
"""Characters of a word that a message shows, the dots in place of the rest too."""


class Word(NamedTuple):
    """One override.

    Args:
        steps: the path of what changes.
        sign: `=`, one of the operators, or `~` for taking a value away, so that the default holds again.
        given: the value; null with `~`.
        text: as it was written.
    """

    steps: tuple[Step, ...]
    sign: str
    given: Given
    text: str

    @classmethod
    def parse(cls, word: str) -> Self:
        """The override that a word of a command line is.

        Raises:
            NodeError: it has no form that an override has, or its value is not YAML.
        """
        match = _WORD.fullmatch(word)
        if match is None or bool(match["unset"]) is bool(match["sign"]):
            raise NodeError(f"'{shortened(word, LONGEST)}': an override is written key=value, a.b[0].c=value or ~key")
        try:
            sign = match["sign"] or "~"
            if sign not in ("~", "=", *WANTED):
                raise NodeError(f"there is no operator {sign}; there are: = {' '.join(WANTED)}")
            steps = parse(match["path"].strip())
            if not steps:
                raise NodeError("nothing is named before the sign; write key=value, a.b[0].c=value or ~key")
            return cls(steps, sign, read(match["value"] or ""), word)
        except NodeError as error:
            raise _blamed(error, word) from error

    @property
    def origin(self) -> Origin:
        """The command line."""
        return Origin(source=f"command line ({self.text})")

    def blamed(self, error: NodeError) -> NodeError:
        """The same error, in a sentence that begins with the word."""
        return _blamed(error, self.text)


_WORD = re.compile(
    r"""
    (?P<unset> ~ )?
    (?P<path> (?: \[ (?: '(?:[^'\\]|\\.)*' | "(?:[^"\\]|\\.)*" | [^]'"]* ) ] | [^=[] )+? )
    (?: (?P<sign> [-+*/|%&^@<>!:]{0,2} = ) (?P<value> .* ) )?
    """,
    re.VERBOSE | re.DOTALL,
)


def _blamed(error: NodeError, word: str) -> NodeError:
    return type(error)(f"'{shortened(word, LONGEST)}': {error}")

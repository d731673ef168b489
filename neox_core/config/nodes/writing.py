"""Nodes as text: YAML, JSON and TOML that is read back to equal nodes, with the same sharing."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from neox_core.config.nodes.encoding import encoded
from neox_core.config.nodes.problems import NodeError
from neox_core.config.nodes.sharing import numbered
from neox_core.config.yaml_text import Dumper
from neox_core.files import write_file, write_new


def to_yaml(root: Any, path: str | Path | None = None, *, replace: bool = False) -> str:
    """YAML of a tree of nodes; what is shared has an anchor.

    Only what was given is written, not the defaults. A `Config(NeoXArgs)` becomes a plain file of settings.

    Args:
        root: a node, or a container of nodes.
        path: a file to write; None: none.
        replace: whether a file that exists is replaced.

    Raises:
        NodeError: a value that cannot be written, with its path.
        UserError: the file exists, or cannot be written.
    """
    text = _yaml(encoded(root), allow_unicode=True)
    if set("\x85\u2028\u2029") & set(text):  # a line ends there for YAML: they are kept by escapes alone
        text = _yaml(encoded(root), allow_unicode=False)
    return _written(text, path, replace)


def to_json(root: Any, path: str | Path | None = None, *, replace: bool = False) -> str:
    """JSON of a tree of nodes, as `to_yaml`; what is shared has a number."""
    text = json.dumps(numbered(encoded(root, infinities=False)), indent=2, ensure_ascii=False, allow_nan=False)
    return _written(_ODD.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n", path, replace)


def to_toml(root: Any, path: str | Path | None = None, *, replace: bool = False) -> str:
    """TOML of a node, as `to_yaml`; what is shared has a number.

    Raises:
        NodeError: also for None, which TOML does not have, and for a list.
    """
    import tomli_w  # which few need

    values = numbered(encoded(root, nulls=False))
    if not isinstance(values, dict):
        raise NodeError(f"a file in TOML is a mapping, and this is a {type(root).__name__}: write YAML or JSON")
    return _written(tomli_w.dumps(values), path, replace)


_ODD = re.compile("[\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff]")
"""Characters that JSON may have as they are, and YAML may not."""


class _Dumper(Dumper):
    """Writes lists and mappings that are used again as aliases, and text of several lines as such."""

    def ignore_aliases(self, data: Any) -> bool:
        """Whether a value that is there again is written in full."""
        return not isinstance(data, dict | list)


def _represent_text(dumper: _Dumper, text: str) -> yaml.ScalarNode:
    as_lines = "\n" in text and not text[0].isspace()
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if as_lines else None)


_Dumper.add_representer(str, _represent_text)


def _yaml(values: Any, allow_unicode: bool) -> str:
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=allow_unicode, width=120)


def _written(text: str, path: str | Path | None, replace: bool) -> str:
    if path is not None:
        write = write_file if replace else write_new
        write(Path(path), text)
    return text

"""The names in the text forms of nodes that are no arguments: `_target_`, `_tuple_` and the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TARGET: Final = "_target_"
"""The name of what a node makes."""
PARTIAL: Final = "_partial_"
"""Whether the node is a `Partial`; without a target, one that takes the class which the parameter is annotated with."""
CALL: Final = "_call_"
"""`false` for what `_target_` names itself: a class, a function, a member of an enum, a dtype."""
ARGS: Final = "_args_"
"""The arguments without a name."""
ITEMS: Final = "_items_"
"""A mapping as a list of its keys and values; beside a target, further arguments."""
PATH: Final = "_path_"
"""A `pathlib.Path`."""
TEXT: Final = "_text_"
"""Text where plain text would be read as something else."""
FLOAT: Final = "_float_"
"""`nan`, `inf` and `-inf`, which JSON has not."""
LIST: Final = "_list_"
"""A list that has a number."""
SEQUENCES: Final[Mapping[str, type]] = {LIST: list, "_tuple_": tuple, "_set_": set, "_frozenset_": frozenset}
"""What a list stands for."""
ID: Final = "_id_"
"""The number of what is used more than once, in JSON and TOML."""
SAME: Final = "_same_"
"""The number of what is used here again."""

NODE: Final = (TARGET, PARTIAL, CALL, ARGS)
"""Those that make a mapping a node, or a reference."""
VALUES: Final = (ITEMS, PATH, TEXT, FLOAT, *SEQUENCES)
"""Those that are all there is in a mapping, which stands for a value."""
KNOWN: Final = (*NODE, *VALUES, ID, SAME)

HINTS: Final[Mapping[str, str]] = {
    "_recursive_": "leave it out: what is within a node is always built",
    "_convert_": "leave it out: lists and mappings are always plain ones",
}
"""What to do about the names that Hydra has and we have not."""


def is_marker(key: object) -> bool:
    """Whether a key is no name of an argument: it begins and ends with an underscore."""
    return isinstance(key, str) and key.startswith("_") and key.endswith("_")

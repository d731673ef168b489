"""What is not to run while nodes are made."""

from __future__ import annotations


class Deferred:
    """A base of callables that become nodes where a function under `autoconvert` calls them, as classes do."""

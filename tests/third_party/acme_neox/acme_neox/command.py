"""The verb `neox acme`."""

from __future__ import annotations

from neox_core.plugins import CommandContext


def main(argv: list[str], context: CommandContext) -> int:
    """Print how many components of each kind there are."""
    for kind in context.plugins.kinds():
        print(kind, len(context.plugins.offers(kind)))
    return 0

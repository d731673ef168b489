"""A reference without its colon."""

from neox_core.plugins import Attention


def neox_components():
    return [Attention(name="colonless", summary="no colon", factory="broken_neox.nothing")]

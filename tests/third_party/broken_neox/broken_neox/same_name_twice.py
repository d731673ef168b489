"""One plugin that offers one name twice."""

from neox_core.plugins import Attention


def neox_components():
    return [Attention(name="twice", summary=summary, factory="broken_neox:nothing") for summary in ("one", "two")]

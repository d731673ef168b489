"""Names that others have too: `global` attention, acme's mixer, a norm of the core, acme's verb, and acme's key."""

from neox_core.plugins import Attention, Norm


def neox_components():
    return [
        Attention(name="global", summary="another one", factory="rival_neox:build"),
        Attention(name="ema", summary="another one", factory="rival_neox:build"),
        Norm(name="rmsnorm", summary="another one", factory="rival_neox:build"),
    ]


def neox_settings():
    return ["rival_settings:RivalSettings"]


def neox_commands(commands):
    commands.add("acme", "rival_neox:main", help="another one")


def build(*arguments):
    return "rival"

"""Groups with mistakes."""

from neox_core.config import Settings, setting


class NotAGroup:
    """No subclass of Settings."""


class Demanding(Settings, group="demanding"):
    """A key that every run would have to give."""

    broken_demand: int = setting(..., "A key without a default")


class WrongDefault(Settings, group="wrong_default"):
    """A default that its own range refuses."""

    broken_default: int = setting(0, "A number > 0", gt=0)

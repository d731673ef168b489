"""Keys of attention to what is near."""

from neox_core.config import Settings, setting


class WindowSettings(Settings, group="window"):
    """Attention to what is near."""

    sliding_window_width: int | None = setting(
        None,
        "Tokens before its own that a token sees; none: all",
        from_checkpoint="take",
        origin="gpt-neox",
        asks="sliding_window",
        gt=0,
    )

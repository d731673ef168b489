"""Keys of TensorBoard."""

from neox_core.config import Settings, setting


class TensorBoardSettings(Settings, group="tensorboard"):
    """TensorBoard event files."""

    tensorboard_dir: str | None = setting(
        None,
        "Directory for TensorBoard event files; each run writes to a folder of its name in it. None: no event files, "
        "or the run's own directory when `loggers` names tensorboard",
        origin="gpt-neox",
        changes="nothing",
    )

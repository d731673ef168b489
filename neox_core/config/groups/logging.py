"""What is told, and where a run's files are."""

from neox_core.config.settings import Settings, setting


class LoggingSettings(Settings, group="logging"):
    """What is told, and where a run's files are."""

    loggers: list[str] | None = setting(
        None, "Loggers by name; none: the default ones and those whose key is set", changes="nothing"
    )
    log_interval: int = setting(
        100,
        "Steps between lasting lines of the console, and between norms of parameters",
        origin="megatron",
        changes="nothing",
        gt=0,
    )
    log_dir: str | None = setting(
        None,
        "Directory for copies of what each host prints; none: no copies",
        origin="gpt-neox",
        changes="nothing",
    )
    run_name: str | None = setting(
        None, "Name of the run; none: that of the first configuration file", changes="nothing"
    )
    runs_dir: str = setting("runs", "Directory under which each run gets its own", changes="nothing")

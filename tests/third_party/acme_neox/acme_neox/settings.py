"""The keys that this distribution owns."""

from __future__ import annotations

from neox_core.config import Settings, setting


class MixerSettings(Settings, group="acme_mixer"):
    """The moving average."""

    acme_ema_heads: int = setting(2, "Heads, each with a decay of its own", from_checkpoint="match", gt=0)


class ObjectiveSettings(Settings, group="acme_objective"):
    """The penalty on logits."""

    acme_z_loss: float = setting(1e-3, "Weight of the squared log of the softmax's denominator", ge=0)


class LauncherSettings(Settings, group="acme_launcher"):
    """How ranks are started."""

    acme_environment: dict[str, str] = setting({}, "Variables that every rank gets")


class CSVSettings(Settings, group="acme_csv"):
    """The CSV file."""

    acme_csv: str | None = setting(None, "Name of the CSV file in the run's directory; none: no file")


class TraceSettings(Settings, group="acme_trace"):
    """What the lifecycle hooks leave behind."""

    acme_trace: str | None = setting(None, "File in the run's directory that tells what happened; none: no file")
    acme_tally: str | None = setting(None, "File that tells how many checkpoints were saved; none: no file")

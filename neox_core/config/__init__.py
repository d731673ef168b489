"""Settings: reading them, who owns which key, and resolving them to the value that a run uses.

Nothing here imports torch. Names are imported when they are first used, so that asking for `World` does not cost pydantic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neox_core.lazy import lazy_names

if TYPE_CHECKING:
    from neox_core.config.args import (
        NeoXArgs as NeoXArgs,
    )
    from neox_core.config.args import (
        read_entries as read_entries,
    )
    from neox_core.config.args import (
        switches_from as switches_from,
    )
    from neox_core.config.groups import (
        CORE_GROUPS as CORE_GROUPS,
    )
    from neox_core.config.groups import (
        BatchSettings as BatchSettings,
    )
    from neox_core.config.groups import (
        CheckpointSettings as CheckpointSettings,
    )
    from neox_core.config.groups import (
        DataSettings as DataSettings,
    )
    from neox_core.config.groups import (
        DeepSpeedSettings as DeepSpeedSettings,
    )
    from neox_core.config.groups import (
        LoggingSettings as LoggingSettings,
    )
    from neox_core.config.groups import (
        MixtureSettings as MixtureSettings,
    )
    from neox_core.config.groups import (
        ModelSettings as ModelSettings,
    )
    from neox_core.config.groups import (
        OptimizerSettings as OptimizerSettings,
    )
    from neox_core.config.groups import (
        ParallelismSettings as ParallelismSettings,
    )
    from neox_core.config.groups import (
        PluginSettings as PluginSettings,
    )
    from neox_core.config.groups import (
        PrecisionSettings as PrecisionSettings,
    )
    from neox_core.config.groups import (
        RunnerSettings as RunnerSettings,
    )
    from neox_core.config.groups import (
        ScheduleSettings as ScheduleSettings,
    )
    from neox_core.config.groups import (
        TokenizerSettings as TokenizerSettings,
    )
    from neox_core.config.groups import (
        TrainingSettings as TrainingSettings,
    )
    from neox_core.config.loading import Entry as Entry
    from neox_core.config.loading import dump_yaml as dump_yaml
    from neox_core.config.loading import read_file as read_file
    from neox_core.config.loading import read_text as read_text
    from neox_core.config.resolved import (
        Batch as Batch,
    )
    from neox_core.config.resolved import (
        OptimizerChoice as OptimizerChoice,
    )
    from neox_core.config.resolved import (
        Precision as Precision,
    )
    from neox_core.config.resolved import (
        Resolved as Resolved,
    )
    from neox_core.config.settings import Settings as Settings
    from neox_core.config.settings import setting as setting
    from neox_core.config.validation import allowed as allowed
    from neox_core.config.world import Device as Device
    from neox_core.config.world import Host as Host
    from neox_core.config.world import World as World

_WHERE = {
    "args": ("NeoXArgs", "read_entries", "switches_from"),
    "groups": (
        "CORE_GROUPS",
        "BatchSettings",
        "CheckpointSettings",
        "DataSettings",
        "DeepSpeedSettings",
        "LoggingSettings",
        "MixtureSettings",
        "ModelSettings",
        "OptimizerSettings",
        "ParallelismSettings",
        "PluginSettings",
        "PrecisionSettings",
        "RunnerSettings",
        "ScheduleSettings",
        "TokenizerSettings",
        "TrainingSettings",
    ),
    "loading": ("Entry", "dump_yaml", "read_file", "read_text"),
    "resolved": ("Batch", "OptimizerChoice", "Precision", "Resolved"),
    "settings": ("Settings", "setting"),
    "validation": ("allowed",),
    "world": ("Device", "Host", "World"),
}
__getattr__ = lazy_names(__name__, _WHERE)

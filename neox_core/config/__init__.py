"""Settings: reading them, who owns which key, and resolving them to the value that a run uses.

Nothing here imports torch. Names are imported when they are first used, so that asking for `World` does not cost pydantic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neox_core.lazy import lazy_names

if TYPE_CHECKING:
    from neox_core.config.args import NeoXArgs as NeoXArgs
    from neox_core.config.entries import read_entries as read_entries, switches_from as switches_from
    from neox_core.config.groups import (
        CORE_GROUPS as CORE_GROUPS,
        ActivationCheckpointingSettings as ActivationCheckpointingSettings,
        BatchSettings as BatchSettings,
        CheckpointSettings as CheckpointSettings,
        CompatibilitySettings as CompatibilitySettings,
        DataSettings as DataSettings,
        DeepSpeedSettings as DeepSpeedSettings,
        FusionSettings as FusionSettings,
        LabelSettings as LabelSettings,
        LoggingSettings as LoggingSettings,
        MeasureSettings as MeasureSettings,
        MixtureSettings as MixtureSettings,
        ModelSettings as ModelSettings,
        MuPSettings as MuPSettings,
        OnlineSettings as OnlineSettings,
        OptimizerSettings as OptimizerSettings,
        PairSettings as PairSettings,
        ParallelismSettings as ParallelismSettings,
        PluginSettings as PluginSettings,
        PrecisionSettings as PrecisionSettings,
        RetiredSettings as RetiredSettings,
        RunnerSettings as RunnerSettings,
        ScheduleSettings as ScheduleSettings,
        TokenizerSettings as TokenizerSettings,
        TrainingSettings as TrainingSettings,
    )
    from neox_core.config.keys import Key as Key
    from neox_core.config.loading import (
        Entry as Entry,
        merge as merge,
        read_file as read_file,
        read_text as read_text,
    )
    from neox_core.config.ownership import Ownership as Ownership
    from neox_core.config.resolved import (
        Batch as Batch,
        OptimizerChoice as OptimizerChoice,
        Precision as Precision,
        Resolved as Resolved,
    )
    from neox_core.config.settings import Settings as Settings, setting as setting
    from neox_core.config.validation import allowed as allowed
    from neox_core.config.world import Device as Device, Host as Host, World as World
    from neox_core.config.yaml_text import dump_yaml as dump_yaml

_WHERE = {
    "args": ("NeoXArgs",),
    "entries": (
        "read_entries",
        "switches_from",
    ),
    "groups": (
        "CORE_GROUPS",
        "ActivationCheckpointingSettings",
        "BatchSettings",
        "CheckpointSettings",
        "CompatibilitySettings",
        "DataSettings",
        "DeepSpeedSettings",
        "FusionSettings",
        "LabelSettings",
        "LoggingSettings",
        "MeasureSettings",
        "MixtureSettings",
        "ModelSettings",
        "MuPSettings",
        "OnlineSettings",
        "OptimizerSettings",
        "PairSettings",
        "ParallelismSettings",
        "PluginSettings",
        "PrecisionSettings",
        "RetiredSettings",
        "RunnerSettings",
        "ScheduleSettings",
        "TokenizerSettings",
        "TrainingSettings",
    ),
    "keys": ("Key",),
    "loading": (
        "Entry",
        "merge",
        "read_file",
        "read_text",
    ),
    "ownership": ("Ownership",),
    "resolved": (
        "Batch",
        "OptimizerChoice",
        "Precision",
        "Resolved",
    ),
    "settings": (
        "Settings",
        "setting",
    ),
    "validation": ("allowed",),
    "world": (
        "Device",
        "Host",
        "World",
    ),
    "yaml_text": ("dump_yaml",),
}
__getattr__ = lazy_names(__name__, _WHERE)

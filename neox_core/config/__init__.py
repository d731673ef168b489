"""Settings: reading them, who owns which key, and resolving them to the value that a run uses.

Nothing here imports torch. Names are imported when they are first used, so that asking for `World` does not cost pydantic.
Those that few need are in the modules: every group of the core is in `neox_core.config.groups`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from neox_core.lazy import lazy_names

if TYPE_CHECKING:
    from neox_core.config.architecture import GATED as GATED
    from neox_core.config.args import NeoXArgs as NeoXArgs
    from neox_core.config.entries import read_entries as read_entries
    from neox_core.config.entry import Entry as Entry
    from neox_core.config.from_checkpoint import (
        SettingsFrom as SettingsFrom,
        load_settings_from_checkpoint as load_settings_from_checkpoint,
    )
    from neox_core.config.groups import (
        CORE_GROUPS as CORE_GROUPS,
        ActivationCheckpointingSettings as ActivationCheckpointingSettings,
        CheckpointSettings as CheckpointSettings,
        DataSettings as DataSettings,
        DeepSpeedSettings as DeepSpeedSettings,
        LabelSettings as LabelSettings,
        LoggingSettings as LoggingSettings,
        LossSettings as LossSettings,
        MeasureSettings as MeasureSettings,
        MixtureSettings as MixtureSettings,
        ModelSettings as ModelSettings,
        OnlineSettings as OnlineSettings,
        OptimizerSettings as OptimizerSettings,
        PairSettings as PairSettings,
        ParallelismSettings as ParallelismSettings,
        PrecisionSettings as PrecisionSettings,
        RunnerSettings as RunnerSettings,
        ScheduleSettings as ScheduleSettings,
        TokenizerSettings as TokenizerSettings,
        TrainingSettings as TrainingSettings,
    )
    from neox_core.config.loading import read_text as read_text
    from neox_core.config.ownership import Ownership as Ownership
    from neox_core.config.resolved import Resolved as Resolved
    from neox_core.config.settings import Settings as Settings, setting as setting
    from neox_core.config.settings_report import SettingsReport as SettingsReport
    from neox_core.config.soft_prompts import SoftPromptOptions as SoftPromptOptions
    from neox_core.config.topology import AxisName as AxisName, Place as Place, Topology as Topology
    from neox_core.config.tracked import Tracked as Tracked, merge_hparams as merge_hparams
    from neox_core.config.validation import allowed as allowed
    from neox_core.config.world import Device as Device, Host as Host, World as World
    from neox_core.config.yaml_text import dump_yaml as dump_yaml

_WHERE = {
    "architecture": ("GATED",),
    "args": ("NeoXArgs",),
    "entries": ("read_entries",),
    "groups": (
        "CORE_GROUPS",
        "ActivationCheckpointingSettings",
        "CheckpointSettings",
        "DataSettings",
        "DeepSpeedSettings",
        "LabelSettings",
        "LoggingSettings",
        "LossSettings",
        "MeasureSettings",
        "MixtureSettings",
        "ModelSettings",
        "OnlineSettings",
        "OptimizerSettings",
        "PairSettings",
        "ParallelismSettings",
        "PrecisionSettings",
        "RunnerSettings",
        "ScheduleSettings",
        "TokenizerSettings",
        "TrainingSettings",
    ),
    "entry": ("Entry",),
    "from_checkpoint": ("SettingsFrom", "load_settings_from_checkpoint"),
    "loading": ("read_text",),
    "ownership": ("Ownership",),
    "resolved": ("Resolved",),
    "settings": ("Settings", "setting"),
    "settings_report": ("SettingsReport",),
    "soft_prompts": ("SoftPromptOptions",),
    "topology": ("AxisName", "Place", "Topology"),
    "tracked": ("Tracked", "merge_hparams"),
    "validation": ("allowed",),
    "world": ("Device", "Host", "World"),
    "yaml_text": ("dump_yaml",),
}
__getattr__ = lazy_names(__name__, _WHERE)

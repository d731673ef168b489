"""The core's own groups, each in its file. Plugins own the keys of what they configure."""

from __future__ import annotations

from neox_core.config.groups.activation_checkpointing import (
    ActivationCheckpointingSettings as ActivationCheckpointingSettings,
)
from neox_core.config.groups.batch import BatchSettings as BatchSettings
from neox_core.config.groups.checkpoint import CheckpointSettings as CheckpointSettings
from neox_core.config.groups.compatibility import CompatibilitySettings as CompatibilitySettings
from neox_core.config.groups.compilation import CompilationSettings as CompilationSettings
from neox_core.config.groups.data import DataSettings as DataSettings
from neox_core.config.groups.deepspeed import DeepSpeedSettings as DeepSpeedSettings
from neox_core.config.groups.fusions import FusionSettings as FusionSettings
from neox_core.config.groups.given_up import GivenUpSettings as GivenUpSettings
from neox_core.config.groups.labels import LabelSettings as LabelSettings
from neox_core.config.groups.logging import LoggingSettings as LoggingSettings
from neox_core.config.groups.loss import LossSettings as LossSettings
from neox_core.config.groups.measures import MeasureSettings as MeasureSettings
from neox_core.config.groups.mixture import MixtureSettings as MixtureSettings
from neox_core.config.groups.model import ModelSettings as ModelSettings
from neox_core.config.groups.mup import MuPSettings as MuPSettings
from neox_core.config.groups.online import OnlineSettings as OnlineSettings
from neox_core.config.groups.optimizer import OptimizerSettings as OptimizerSettings
from neox_core.config.groups.pairs import PairSettings as PairSettings
from neox_core.config.groups.parallelism import ParallelismSettings as ParallelismSettings
from neox_core.config.groups.plugins import PluginSettings as PluginSettings
from neox_core.config.groups.precision import PrecisionSettings as PrecisionSettings
from neox_core.config.groups.retired import RetiredSettings as RetiredSettings
from neox_core.config.groups.runner import RunnerSettings as RunnerSettings
from neox_core.config.groups.schedule import ScheduleSettings as ScheduleSettings
from neox_core.config.groups.tokenizer import TokenizerSettings as TokenizerSettings
from neox_core.config.groups.training import TrainingSettings as TrainingSettings
from neox_core.config.settings import Settings

CORE_GROUPS: tuple[type[Settings], ...] = (
    ModelSettings,
    MixtureSettings,
    FusionSettings,
    CompilationSettings,
    MuPSettings,
    TrainingSettings,
    LossSettings,
    DataSettings,
    LabelSettings,
    PairSettings,
    OnlineSettings,
    TokenizerSettings,
    ParallelismSettings,
    ActivationCheckpointingSettings,
    PrecisionSettings,
    OptimizerSettings,
    ScheduleSettings,
    BatchSettings,
    DeepSpeedSettings,
    CheckpointSettings,
    LoggingSettings,
    MeasureSettings,
    RunnerSettings,
    PluginSettings,
    CompatibilitySettings,
    RetiredSettings,
    GivenUpSettings,
)
"""In the order of the reference."""

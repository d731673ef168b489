"""Keys of the profilers of time and memory."""

from typing import Any

from neox_core.config import Settings, setting


def _option(default: Any, description: str, **further: Any) -> Any:
    return setting(default, description, origin="gpt-neox", changes="nothing", pending=True, **further)


class ProfilerSettings(Settings, group="profiler"):
    """Where time and memory go."""

    profile: bool = _option(False, "Profile some steps, with torch's profiler and for Nsight Systems")
    profile_step_start: int = _option(10, "Step before which profiling begins", ge=0)
    profile_step_stop: int = _option(12, "Step before which it ends", gt=0)
    memory_profiling: bool = _option(False, "Record what is allocated on the device")
    memory_profiling_path: str | None = _option(None, "File for the record")

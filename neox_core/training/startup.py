"""Where the time before the first loss goes."""

from __future__ import annotations

import json
import time

from neox_core.training.run import Run, Step

FILE_NAME = "startup.json"


class Startup:
    """Measures the phases of a start; takes part in the lifecycle hooks to write them down after the first step.

    Args:
        begun: when the command was given, in seconds since the epoch.
        launched: when the launcher was asked to start the ranks.
    """

    def __init__(self, begun: float, launched: float) -> None:
        self._last, self._begun = launched, begun
        self.phases = {"checks": launched - begun}
        self.mark("imports")

    def mark(self, phase: str) -> None:
        """The phase of this name ends now."""
        now = time.time()
        self.phases[phase] = self.phases.get(phase, 0.0) + now - self._last
        self._last = now

    def neox_step_end(self, run: Run, step: Step) -> None:
        """Write the phases, in seconds, after the first step."""
        if step.iteration != run.start_iteration + 1 or not run.is_main:
            return
        self.mark("first step")
        report = {"seconds_to_first_loss": time.time() - self._begun, "phases": self.phases}
        (run.directory / FILE_NAME).write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")

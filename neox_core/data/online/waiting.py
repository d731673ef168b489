"""Waiting for one thing until a deadline, with a word now and then."""

from __future__ import annotations

import time
from collections.abc import Callable

from neox_core.errors import UserError

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0


class Wait:
    """Waiting for `what`, from when this is made.

    Args:
        what: "localhost:10000 to make batch 3 of train", for sentences.
        timeout: seconds until it is given up.
        reminder: seconds between two words about it.
        tell: gets those.
    """

    def __init__(self, what: str, timeout: float, reminder: float, tell: Callable[[str], None]) -> None:
        self._what, self._timeout, self._reminder, self._tell = what, timeout, reminder, tell
        self._start = time.monotonic()
        self._told = self._start
        self._pause = FIRST_PAUSE
        self.reason = "there is no connection yet"
        """What there is to wait for just now, or what went wrong last."""

    def step(self) -> float:
        """Seconds (more than 0) that one may wait before asking this again; tells that it waits when that is due.

        Raises:
            UserError: the time is over.
        """
        now = time.monotonic()
        if (left := self._start + self._timeout - now) <= 0:
            raise UserError(
                f"Waited {self._timeout:g} s for {self._what}, in vain: {self.reason}. See that the server runs and can "
                "be reached at `online_dataserver_ips` and `online_dataserver_ports`, or raise `online_dataserver_timeout`."
            )
        if now >= self._told + self._reminder:
            self._told = now
            waited = f"for {now - self._start:.0f} s of {self._timeout:g}"
            self._tell(f"Waiting {waited} for {self._what}: {self.reason}.")
        return min(left, self._told + self._reminder - now)

    def pause(self, reason: str) -> None:
        """Wait a little before trying again what failed for `reason`; longer each time. Raises as `step` does."""
        self.reason = reason
        time.sleep(min(self._pause, self.step()))
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

"""The part of all ranks but 0: each copies its own files of the checkpoint that rank 0 names."""

from __future__ import annotations

from neox_core.checkpoint.layout import checkpoint_path
from neox_core.checkpoint.remote import OpenCheckpoint
from neox_core.errors import UserError
from neox_stores.copier import POLL, Copier
from neox_stores.marks import Mark

AHEAD = 2
"""So many of the newest are held open: rank 0 may have chosen either."""


class Follower(Copier):
    """Copies this rank's files, and says so to rank 0."""

    def _next(self) -> OpenCheckpoint | None:
        while (target := self._wait()) is not None:
            with self._news:
                self._forget_before(target)
                if target in self._held:
                    self._under_way = target
                    return self._held[target]
            self._open_again(target)
        return None

    def _wait(self) -> int | None:
        """What is to be copied now and is not done; None at the end."""
        with self._news:
            self._under_way = None
            while not self._ended:
                target = self._marks.going
                if target is not None and target not in self._copied and target not in self._failed:
                    return target
                self._news.wait(POLL)
        return None

    def _open_again(self, iteration: int) -> None:
        """Hold one that rank 0 has chosen though newer ones were offered since; rank 0 is told where it is gone."""
        try:
            opened = OpenCheckpoint(checkpoint_path(self._task.directory, iteration), wanted=self.is_mine)
        except UserError as error:
            with self._news:
                self._failed[iteration] = str(error)
            self._say(Mark(iteration, str(error)))
        else:
            with self._news:
                self._held[iteration] = opened

    def _copy(self, checkpoint: OpenCheckpoint) -> int:
        return self._push(checkpoint).files()

    def _settle(self, checkpoint: OpenCheckpoint, *, sent: int = 0, failed: str | None = None) -> None:
        self._say(Mark(checkpoint.iteration, failed))
        super()._settle(checkpoint, sent=sent, failed=failed)

    def _say(self, mark: Mark) -> None:
        try:
            self._marks.put(self._task.rank, mark)
        except UserError as error:
            self._warn_once(str(error))

    def _is_wanted(self, checkpoint: OpenCheckpoint) -> bool:
        return self._marks.target == checkpoint.iteration

    def _make_room(self) -> None:
        """Held is what rank 0 copies, and what it may copy next."""
        wanted = {self._under_way, self._marks.target, *sorted(self._held)[-AHEAD:]}
        for iteration in [*self._held]:
            if iteration not in wanted:
                self._drop(iteration)

    def _forget_before(self, target: int) -> None:
        """Rank 0 does not go back."""
        for iteration in [*self._held]:
            if iteration < target:
                self._drop(iteration)

    def _pending(self) -> bool:
        return bool(self._held) and not self._marks.ended

    def _tell_waiting(self, seconds: float) -> None:
        """Rank 0 says it."""

    def _report(self) -> None:
        """Rank 0 does."""

"""Rank 0's part: it says which checkpoint is copied, and completes it when the files of all ranks are there."""

from __future__ import annotations

import time

from neox_core.checkpoint.remote import Given, OpenCheckpoint, StoreError, below, prune_remote
from neox_core.errors import UserError
from neox_stores.copier import POLL, UNFINISHED, Copier, Task, logger
from neox_stores.marks import Mark

PATIENCE = 300.0
"""Seconds for which no other rank comes further with its files before a newer checkpoint is copied in place of this one."""


class Leader(Copier):
    """Copies its own files of a checkpoint, waits for the others', and writes the manifest."""

    def __init__(self, task: Task) -> None:
        super().__init__(task)
        self._marks.clear()

    def _next(self) -> OpenCheckpoint | None:
        with self._news:
            self._under_way = None
            self._news.wait_for(lambda: self._ended or bool(self._held))
            if self._ended:
                return None
            self._under_way = max(self._held)
            checkpoint = self._held[self._under_way]
        self._aim(checkpoint, go=False)  # so that no rank lets go of it
        return checkpoint

    def _aim(self, checkpoint: OpenCheckpoint, *, go: bool) -> None:
        if self._task.world_size > 1:
            try:
                self._marks.aim(checkpoint.iteration, go=go)
            except UserError as error:
                self._warn_once(str(error))

    def _copy(self, checkpoint: OpenCheckpoint) -> int:
        began, push = time.monotonic(), self._push(checkpoint)
        if push.check():
            return 0
        push.require_none_later()
        push.claim()
        self._aim(checkpoint, go=True)
        sent = push.files()
        self._await_others(checkpoint)
        push.commit()
        seconds = time.monotonic() - began
        logger.info("s3_path: %s is at %s (%.1f s)", checkpoint.folder, push.url, seconds)
        self._prune(checkpoint)
        return sent

    def _await_others(self, checkpoint: OpenCheckpoint) -> None:
        """Wait until all ranks' files are there.

        Raises:
            Given: the end came first.
            StoreError: a rank says that its own will not be there, or says nothing for long and there is something newer to do.
        """
        waiting, heard = set(range(1, self._task.world_size)), time.monotonic()
        marks: dict[int, Mark] = {}
        while waiting:
            for rank in sorted(waiting):
                mark = self._marks.of(rank, checkpoint.iteration)
                if mark is None or mark == marks.get(rank):
                    continue
                if mark.failed is not None:
                    raise StoreError(f"rank {rank}: {mark.failed}", lasting=True)
                marks[rank], heard = mark, time.monotonic()
                if mark.moves is None:
                    waiting.discard(rank)
            with self._news:
                if waiting and self._ended:
                    raise Given
                if waiting and max(self._held) > checkpoint.iteration and time.monotonic() - heard > PATIENCE:
                    ranks = ", ".join(map(str, sorted(waiting)))
                    raise StoreError(f"the files of rank {ranks} are not there, and a newer one waits", lasting=True)
                if waiting:
                    self._news.wait(POLL)

    def _prune(self, checkpoint: OpenCheckpoint) -> None:
        """Delete older ones in the store, as `keep_last_n_checkpoints` says."""
        if self._task.keep_last is None:
            return
        try:
            deleted = prune_remote(self._store, checkpoint.iteration, self._task.keep_last)
        except UserError as error:
            self._warn_once(f"keep_last_n_checkpoints: older ones cannot be deleted there: {error}")
        else:
            if deleted:
                logger.info("s3_path: deleted %s there", ", ".join(deleted))

    def _is_wanted(self, checkpoint: OpenCheckpoint) -> bool:
        with self._news:
            return max(self._held, default=-1) == checkpoint.iteration

    def _make_room(self) -> None:
        """Of those that wait the newest is copied."""
        newest = max(self._held)
        for iteration in [*self._held]:
            if iteration not in (newest, self._under_way):
                checkpoint = self._held[iteration]
                self._drop(iteration)
                self._failed[iteration] = (
                    f"it was passed over for global_step{newest}: the store is slower than the saves"
                )
                self._warn_once(f"{checkpoint.folder} is not copied: {self._failed[iteration]}")

    def _pending(self) -> bool:
        return bool(self._held)

    def _tell_waiting(self, seconds: float) -> None:
        names = ", ".join(self._held[iteration].folder for iteration in sorted(self._held))
        logger.info("s3_path: waiting for the copy of %s, %.0f seconds at most (remote_wait)", names, seconds)

    def _report(self) -> None:
        url = self._task.url
        for iteration in sorted(self._held):
            self._failed[iteration] = UNFINISHED
        if self._copied:
            logger.info("s3_path: the newest copy is %s", below(url, f"global_step{max(self._copied)}"))
        for iteration, reason in sorted(self._failed.items()):
            path = self._task.directory / f"global_step{iteration}"
            if path.is_dir() and iteration > max(self._copied, default=-1):
                logger.warning(
                    "s3_path: global_step%d is not complete there: %s. Later: neox checkpoint push %s %s",
                    *(iteration, reason, path, url),
                )
        self._end_marks()

    def _end_marks(self) -> None:
        if self._task.world_size > 1:
            try:
                self._marks.end()
            except UserError as error:
                logger.warning("s3_path: %s", error)

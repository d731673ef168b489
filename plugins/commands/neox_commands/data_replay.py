"""`neox data replay`: the batch of a step, made again and compared with what the run recorded."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from neox_core.plugins import CommandContext

if TYPE_CHECKING:
    from neox_commands.data_batches import RunBatches


def main(argv: list[str], context: CommandContext) -> int:
    """Print the digest of each rank's batch; exit code 1 where a run recorded another one."""
    from neox_commands.data_batches import RunBatches, step_parser

    options = step_parser(
        "replay", "Make the batch of a step again, print its sha256, and compare it with what the run recorded."
    ).parse(argv)
    run = RunBatches.of(options, context)
    position = run.position(options.step)
    rows = [replay(run, rank, options.step, position) for rank in run.ranks(options.rank)]
    if options.json:
        print(json.dumps({"step": options.step, "position": position, "ranks": rows}, indent=1))
    else:
        print(f"step {options.step}, from position {position}")
        for row in rows:
            print(f"  rank {row['rank']}: {row['sha256']}  {_verdict(row)}")
    return 1 if any(row["same"] is False for row in rows) else 0


def replay(run: RunBatches, rank: int, step: int, position: int) -> dict[str, Any]:
    """The digest of a rank's batch, the one that was recorded, and whether they are the same; None where nothing was."""
    entry = run.record(rank, step)
    found = run.digest(rank, position if entry is None else entry.position)
    known = None if entry is None else entry.sha256
    return {"rank": rank, "sha256": found, "recorded": known, "same": None if known is None else known == found}


def _verdict(row: dict[str, Any]) -> str:
    if row["same"] is None:
        return "(nothing recorded)"
    return "as recorded" if row["same"] else f"DIFFERS from what was recorded: {row['recorded']}"

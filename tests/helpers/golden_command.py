"""The golden runner's command line, with its output as values; what a rank of `Workers` is asked to do."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

from neox_core.config import Topology
from neox_core.testing import golden
from neox_core.testing.golden_checks import evaluation, logits
from neox_core.testing.golden_replica import Replica
from neox_core.testing.processes import solo_process_group


def command(*words: str) -> tuple[int, str, str]:
    """Exit code and output of the command, here."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = golden.main(list(words))
    return code, out.getvalue(), err.getvalue()


def with_one_weight_altered(path: Path) -> set[str]:
    """Names of the comparisons of logits and evaluation that fail when one entry of one weight is another."""
    with solo_process_group():
        replica = Replica.of(path, Topology())
        name, parameter = next(iter(replica.engine.model.named_parameters()))
        weights = replica.engine.model.state_dict()
        weights[name] = parameter.detach().clone()
        weights[name][replica.first_batch()["tokens"][0, 0], 3] += 0.01
        replica.engine.load_weights(weights)
        checks = [*logits(replica), *evaluation(replica)]
    return {check.name for check in checks if not check.passed}

"""`neox config schedule`: the learning rate over the steps of a run, in the terminal, and as SVG or CSV."""

from __future__ import annotations

import sys
from collections.abc import Iterable

from neox_core.cli.config.subject import look_at, parser, read
from neox_core.cli.config.values import inline
from neox_core.cli.plots import Plot, Series, for_stream, svg
from neox_core.cli.plots.axis import number
from neox_core.cli.report import print_notes
from neox_core.cli.tables import table
from neox_core.cli.words import file_to_write, positive, require_different, write_asked_for
from neox_core.config import Resolved
from neox_core.errors import UserError
from neox_core.plugins import CommandContext
from neox_core.training.schedule import Schedule, ScheduleTerms, make_schedule
from neox_core.training.schedule.deepspeed import scheduler_options


def main(argv: list[str], context: CommandContext) -> int:
    """Plot the rates that some settings come to.

    Raises:
        UserError: there are mistakes in them, or they do not say how many steps there are.
    """
    command = parser("schedule", "Plot the learning rate over the steps of a run.")
    command.add_argument("--svg", type=file_to_write, metavar="FILE", help="also write the plot as SVG")
    command.add_argument("--csv", type=file_to_write, metavar="FILE", help="also write steps and rates as CSV")
    command.add_argument(
        "--points", type=positive, default=1000, metavar="N", help="how many steps to look at (default: 1000)"
    )
    options = command.parse(argv)
    require_different({"--svg": options.svg, "--csv": options.csv})
    subject = look_at(read(options.words, options, context), options)
    resolved = subject.sound()
    print_notes([*subject.args.notices, *resolved.notices, *subject.limitations])
    if not resolved.train_iters:
        raise UserError("the length of the run in steps is not known; give train_iters, such as train_iters=1000")
    terms, schedule = ScheduleTerms.of(resolved), make_schedule(resolved, subject.plugins)
    shown = plot(terms, schedule, resolved.train_iters, options.points)
    (series,) = shown.series
    rows = (f"{step},{rate!r}\n" for step, rate in zip(series.xs, series.ys, strict=True))
    done = write_asked_for({options.svg: svg(shown), options.csv: "".join(["step,learning_rate\n", *rows])})
    texts = [for_stream(shown, sys.stdout), table(facts(terms, resolved)), rates(shown, terms, schedule), *done]
    print(*texts, sep="\n\n")
    return 0


def name_of(terms: ScheduleTerms) -> str:
    """What the schedule is called."""
    return str(terms.scheduler["type"]) if terms.scheduler is not None else terms.style


def plot(terms: ScheduleTerms, schedule: Schedule, train_iters: int, points: int) -> Plot:
    """The rates of evenly spaced steps, and of those at which something begins or ends."""
    gaps = max(points - 1, 1)
    spaced = (1 + round(place * (train_iters - 1) / gaps) for place in range(points))
    steps = sorted({*spaced, *landmarks(terms, train_iters)})
    line = Series("learning rate", steps, rates_of(schedule, steps))
    return Plot(f"Learning rate: {name_of(terms)}", "step", "learning rate", [line])


def rates_of(schedule: Schedule, steps: Iterable[int]) -> list[float]:
    """The rate of each step, which are counted from 1 as in a run's metrics."""
    return [schedule(step - 1) for step in steps]


def landmarks(terms: ScheduleTerms, train_iters: int) -> list[int]:
    """Steps of the run at which the rate has risen, begins to fall at last, or has fallen; the first one and the last one."""
    found = {1, train_iters}
    if terms.scheduler is None:
        end = terms.shape.end
        found |= {int(terms.shape.warmup) + 1, end + 1}
        found |= {int(end - terms.final) + 1} if terms.style == "wsd" else set()
    return sorted(step for step in found if 1 <= step <= train_iters)


def facts(terms: ScheduleTerms, resolved: Resolved) -> list[list[str]]:
    """Rows of what the schedule is made from."""
    shape, iterations = terms.shape, resolved.train_iters
    if terms.scheduler is not None:
        params = scheduler_options(terms.scheduler)
        return [["schedule", f"DeepSpeed's {name_of(terms)}"], *([name, inline(params[name])] for name in params)]
    rows = [
        ["schedule", f"{terms.style}, lr_semantics {terms.semantics}"],
        ["peak", number(shape.peak)],
        ["minimum", number(shape.minimum)],
        ["end of the warm-up", f"after {number(shape.warmup)} steps" if shape.warmup else "there is none"],
    ]
    if terms.style == "wsd":
        rows.append(["begin of the decay", f"after {number(shape.end - terms.final)} steps"])
    beyond = f"; the run ends after {iterations}" if shape.end != iterations else ""
    return [*rows, ["end of the decay", f"after {shape.end} steps{beyond}"]]


def rates(shown: Plot, terms: ScheduleTerms, schedule: Schedule) -> str:
    """A table of the rate at some steps: landmarks and round numbers."""
    (line,) = shown.series
    last = int(line.xs[-1])
    round_steps = (int(tick.value) for tick in shown.axes()[0].ticks(8))
    steps = sorted({*landmarks(terms, last), *(step for step in round_steps if 1 <= step <= last)})
    rows = zip(map(str, steps), map(number, rates_of(schedule, steps)), strict=True)
    return table([["step", "learning rate"], *rows])

"""The learning rate as a pure function of the number of steps that were applied."""

from neox_core.training.schedule.decays import DECAYS as DECAYS
from neox_core.training.schedule.deepspeed import scheduler_problems as scheduler_problems
from neox_core.training.schedule.making import (
    Schedule as Schedule,
    check_schedule as check_schedule,
    make_schedule as make_schedule,
    schedule_of as schedule_of,
)
from neox_core.training.schedule.terms import ScheduleShape as ScheduleShape, ScheduleTerms as ScheduleTerms

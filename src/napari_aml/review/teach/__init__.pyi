from .classroom import Change, Changes, Classroom, Taught, teach_steps
from .comparing import Comparison
from .fine_tune import (
    EpochDone,
    FineTuned,
    FineTuneError,
    FineTuneSettings,
    fine_tune_steps,
    read_result,
    write_job,
)
from .gathering import SlideCells, gather_steps
from .head import Head, choose_pull, fit_head, out_of_fold

__all__ = [
    "Change",
    "Changes",
    "Classroom",
    "Comparison",
    "EpochDone",
    "FineTuneError",
    "FineTuneSettings",
    "FineTuned",
    "Head",
    "SlideCells",
    "Taught",
    "choose_pull",
    "fine_tune_steps",
    "fit_head",
    "gather_steps",
    "out_of_fold",
    "read_result",
    "teach_steps",
    "write_job",
]

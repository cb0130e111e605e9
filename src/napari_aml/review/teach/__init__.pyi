from .classroom import Change, Changes, Classroom, Taught, teach_steps
from .head import Head, choose_pull, fit_head, out_of_fold

__all__ = [
    "Change",
    "Changes",
    "Classroom",
    "Head",
    "Taught",
    "choose_pull",
    "fit_head",
    "out_of_fold",
    "teach_steps",
]

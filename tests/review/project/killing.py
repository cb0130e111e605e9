"""Run as a script: writers that are killed at random moments. Prints what they had acknowledged, as JSON.

``python killing.py PROJECT KILLS SEED``: one process imports everything once and forks the writers, so that hundreds
of kills take seconds. A writer acknowledges a decision over a pipe only after `Record.record` has returned.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import sys
import time
from pathlib import Path

from napari_aml.review.decisions import Decision
from napari_aml.review.project.record import Record

assert "numpy" not in sys.modules


def write(folder: Path, acknowledge: int, who: str, seed: int) -> None:
    rng = random.Random(seed)
    record = Record(folder)
    # The log is folded into the record every few pages, so that kills meet that, too.
    record._db.execute("PRAGMA wal_autocheckpoint = 4")
    while True:
        many = rng.choice((1, 1, 1, 7))
        rows = record.record([
            Decision(f"cell-{rng.randrange(40)}", "S1", rng.choice(("MYO", "LYT", None)), who) for _ in range(many)
        ])  # fmt: skip
        os.write(acknowledge, b"".join(f"{d.seq} {d.id} {d.uid} {d.value} {d.reader}\n".encode() for d in rows))


def main(folder: Path, kills: int, seed: int) -> None:
    rng = random.Random(seed)
    said: list[list[str]] = []
    done = 0
    while done < kills:
        writers = []
        for who in ("ada", "ben")[: rng.choice((1, 1, 2))]:
            reading, writing = os.pipe()
            child = os.fork()
            if child == 0:
                os.close(reading)
                write(folder, writing, who, rng.randrange(1 << 30) + done)
                os._exit(0)
            os.close(writing)
            writers.append((child, reading))
        if rng.random() < 0.75:  # else the kill may meet the opening
            select.select([writers[-1][1]], [], [], 30)
        time.sleep(rng.uniform(0.0, 0.03))
        for child, reading in writers:
            os.kill(child, signal.SIGKILL)
            _, status = os.waitpid(child, 0)
            assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL, status
            with os.fdopen(reading, "rb") as stream:
                said += [line.split() for line in stream.read().decode().splitlines()]
            done += 1
    print(json.dumps({"kills": done, "said": said}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))

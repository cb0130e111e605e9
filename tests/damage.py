"""Damage to files, drawn by a number: cut short, overwritten, doubled, values of the wrong kind in the right place."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_WORDS = ["", "NaN", "-1", "1e400", "x", "\0", '"', ",", "null", "{}", "[]", "é", "1e30", "-0", "9" * 21, "inf", "true",
          "=1+1", "\t", " ", "\r", "\ufeff", "nan", "[[1,2],[3]]", '{"type":"x"}']  # fmt: skip
_VALUES = [None, "", -1, 0, 1e30, [], {}, "x", [None], True, [[1, 2], [3]], "NaN", float("nan"), 3.7, [-1] * 4, 10**20,
           {"a": 1}, "é\0"]  # fmt: skip
_TEXT = {".csv", ".tsv", ".txt", ".gct", ".gtf", ".tab", ".counts", ".sf", ".results", ".jsonl", ".toml"}
_JSON = {".json", ".geojson"}


def damage(path: Path, seed: int) -> None:
    """Damage a file in its place."""
    draw = random.Random(seed)
    data = path.read_bytes()
    if path.suffix in _JSON and draw.random() < 0.7:
        path.write_bytes(_wrong_values(json.loads(data), draw))
    elif path.suffix in _TEXT and draw.random() < 0.6:
        path.write_bytes(_wrong_word(data, draw))
    else:
        path.write_bytes(_bytes(data, draw))


def damage_one(folder: Path, seed: int, *suffixes: str) -> Path:
    """Damage one of the files of a folder, of some kinds or of any; return which."""
    files = sorted(p for p in folder.rglob("*") if p.is_file() and (not suffixes or p.suffix in suffixes))
    path = random.Random(~seed).choice(files)
    damage(path, seed)
    return path


def _bytes(data: bytes, draw: random.Random) -> bytes:
    start = draw.randrange(len(data))
    stop = min(len(data), start + draw.choice([1, 2, 5, 20, 200, 4000]))
    part = data[start:stop]
    between = [b"", part * 2, draw.randbytes(len(part)), part[::-1]][draw.randrange(4)]
    return data[:start] if draw.random() < 0.2 else data[:start] + between + data[stop:]


def _wrong_word(data: bytes, draw: random.Random) -> bytes:
    ends = [m.start() for m in re.finditer(rb"[,\t\n;= ]", data)]
    if len(ends) < 3:
        return _bytes(data, draw)
    at = draw.randrange(len(ends) - 1)
    return data[: ends[at] + 1] + draw.choice(_WORDS).encode() + data[ends[at + 1] :]


def _wrong_values(data: Any, draw: random.Random) -> bytes:
    for _ in range(draw.randrange(1, 3)):
        places = list(_places(data))
        if places:
            holder, key = draw.choice(places)
            if isinstance(holder, dict) and draw.random() < 0.25:
                del holder[key]
            else:
                holder[key] = draw.choice(_VALUES)
    return json.dumps(data if draw.random() < 0.97 else draw.choice(_VALUES)).encode()


def _places(data: Any) -> Iterator[tuple[Any, Any]]:
    entries = data.items() if isinstance(data, dict) else enumerate(data[:60]) if isinstance(data, list) else ()
    for key, value in list(entries):
        yield data, key
        yield from _places(value)

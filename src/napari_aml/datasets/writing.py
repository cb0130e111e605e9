"""Write a dataset: pictures are checked, hashed and copied byte for byte; nothing half-written is left behind."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from napari_aml._files import replacing_folder
from napari_aml.datasets.dataset import (
    CARD,
    COLUMNS,
    FORMAT,
    FORMAT_VERSION,
    MANIFEST,
    PATIENTS,
    PICTURES,
    Dataset,
    DatasetError,
)
from napari_aml.datasets.duplicates import (
    duplicate_groups,
    pairs_by_description,
    perceptual_hashes,
    turn_descriptions,
)
from napari_aml.datasets.leakage import LEVELS, leakage_of
from napari_aml.datasets.pictures import PictureError, decode, encode, reduced
from napari_aml.errors import OutputError
from napari_aml.progress import Progress, Steps, run
from napari_aml.provenance import now_utc

if TYPE_CHECKING:
    import pandas as pd

#: A picture's file, its bytes, or its pixels uint8 (h, w, 3).
Picture = Path | str | bytes | np.ndarray
Unreadable = Literal["skip", "refuse"]


def write_dataset(
    path: str | Path, table: pd.DataFrame, pictures: Iterable[Picture], meta: Mapping[str, Any], **options: Any
) -> Dataset:
    """Write a dataset and open it; `write_dataset_steps` driven to its end."""
    return run(write_dataset_steps(path, table, pictures, meta, **options))


def write_dataset_steps(
    path: str | Path,
    table: pd.DataFrame,
    pictures: Iterable[Picture],
    meta: Mapping[str, Any],
    *,
    patients: pd.DataFrame | None = None,
    unreadable: Unreadable = "skip",
    most_px: int | None = None,
    group_duplicates: bool = True,
) -> Steps[Dataset]:
    """Write a dataset.

    Parameters
    ----------
    path
        The folder; an earlier dataset there is replaced once the new one is complete.
    table
        One row a picture. Columns of `COLUMNS` that are absent are filled in; ``uid`` is made of the picture's hash
        where it is absent or empty, and never changed where it is given. Further columns are kept.
    pictures
        Aligned with the table.
    meta
        name, licence, source, tissue, stain, scanner, mapping …
    patients
        Written as ``patients.csv``.
    unreadable
        ``skip`` leaves pictures that cannot be read out and names them in the card; ``refuse`` stops.
    most_px
        Reduce larger pictures so that their longer side has this many pixels (they become PNG files).
    group_duplicates
        Fill ``group`` by perceptual hash where it is empty, so that copies of one cell are never parted.

    Raises
    ------
    DatasetError
        No pictures left, or something else than a dataset lies at `path`.
    PictureError
        An unreadable picture with ``unreadable="refuse"``.
    OutputError
        The folder cannot be written.
    """
    path = Path(path)
    _refuse_foreign(path)
    with replacing_folder(path, ours=(CARD, MANIFEST, PICTURES, PATIENTS)) as beside:
        written, skipped, repeated = yield from _copy_steps(
            beside, table, pictures, unreadable, most_px, group_duplicates
        )
        if not len(written):
            first = f" The first: {skipped[0]['reason']}" if skipped else ""
            raise DatasetError(f"No picture could be taken into the dataset '{path}'.{first}")
        # Codes other than a person's own do not change, so the card says what a split can promise.
        leakage = leakage_of(written)
        card = {
            "format": FORMAT, "format_version": FORMAT_VERSION, "name": path.name, **meta, "made": now_utc(),
            "pictures": len(written), "leakage": {"level": leakage.level, "text": leakage.text},
            "unreadable": skipped, "exact_copies_left_out": repeated,
        }  # fmt: skip
        (beside / CARD).write_text(json.dumps(card, indent=1, ensure_ascii=False) + "\n", "utf-8")
        _write_csv(written, beside / MANIFEST)
        if patients is not None:
            _write_csv(patients, beside / PATIENTS)
    return Dataset.open(path)


def _refuse_foreign(path: Path) -> None:
    if path.is_file():
        raise OutputError(path, "a file stands there.")
    if path.is_dir() and any(path.iterdir()) and not (path / CARD).is_file():
        raise DatasetError(
            f"The folder '{path}' holds something else than a dataset; it was left as it is.", "Choose another --out."
        )


def _copy_steps(
    folder: Path,
    table: pd.DataFrame,
    pictures: Iterable[Picture],
    unreadable: Unreadable,
    most_px: int | None,
    group_duplicates: bool,
) -> Steps[tuple[pd.DataFrame, list[dict[str, str]], list[dict[str, str]]]]:
    """Copy the pictures; return the finished table, what was skipped and which exact copies were left out."""
    filled = _filled(table)
    total, said = len(filled), time.monotonic()
    records = filled.to_dict("records")
    kept: list[dict[str, Any]] = []
    hashes: list[np.ndarray] = []
    described: list[np.ndarray] = []
    skipped: list[dict[str, str]] = []
    repeated: list[dict[str, str]] = []
    seen: dict[tuple[str, str], str] = {}
    taken: set[str] = set()
    yield Progress(0, total, "Copying pictures")
    for position, (record, picture) in enumerate(zip(records, pictures, strict=True)):
        name = str(picture) if isinstance(picture, Path | str) else str(record["picture"] or f"row {position + 1}")
        try:
            content, pixels, suffix = _read(picture, name, most_px)
        except PictureError as error:
            if unreadable == "refuse":
                raise
            skipped.append({"picture": Path(name).name, "reason": error.message})
            continue
        digest = sha256(content).hexdigest()
        # The same file twice under one class is one picture; under two classes it is a contradiction to be shown.
        if (digest, record["code"]) in seen and not record["uid"]:
            repeated.append({"picture": Path(name).name, "same_as": seen[digest, record["code"]]})
            continue
        uid = record["uid"] or _new_uid(digest, taken)
        seen.setdefault((digest, record["code"]), uid)
        taken.add(uid)
        where = f"{PICTURES}/{_safe(record['code'] or record['source_label'] or 'unlabelled')}/{_safe(uid)}{suffix}"
        target = folder / where
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
        record.update(uid=uid, picture=where, sha256=digest, **_scale(record, pixels.shape, most_px))
        kept.append(record)
        if group_duplicates:
            hashes.append(perceptual_hashes(pixels[None])[0])
            described.append(turn_descriptions(pixels[None])[0])
        if time.monotonic() - said > 0.2:
            said = time.monotonic()
            yield Progress(position + 1, total, f"Copied {len(kept)} of {total} pictures")
    import pandas as pd

    out = pd.DataFrame.from_records(kept, columns=list(filled.columns))
    if group_duplicates and len(out):
        yield Progress(total, total, "Looking for near-duplicates")
        out["group"] = _groups(out, np.stack(hashes), np.stack(described))
    return out, skipped, repeated


def _groups(table: pd.DataFrame, hashes: np.ndarray, described: np.ndarray) -> np.ndarray:
    """Name each row's near-duplicate group after its first member; what is given stays and joins.

    Where patients, slides or fields are known, these keep turned copies together already.
    """
    import pandas as pd

    given = table["group"].to_numpy(object)
    pairs = []
    for rows in pd.Series(np.arange(len(table))).groupby(given).indices.items():
        if rows[0] != "" and len(rows[1]) > 1:
            pairs.append(np.stack([np.full(len(rows[1]) - 1, rows[1][0]), rows[1][1:]], axis=1))
    loose = np.flatnonzero((table[list(LEVELS)] == "").all(axis=1))
    source, label = table["source"].to_numpy(str), table["source_label"].to_numpy(str)
    pairs.append(loose[pairs_by_description(described[loose], source[loose], label[loose])])
    number = duplicate_groups(hashes, extra=pairs)
    first = np.unique(number, return_index=True)[1]
    names = np.array([given[i] or f"near-{table['uid'].iat[i]}" for i in first], object)
    return names[number]


def _filled(table: pd.DataFrame) -> pd.DataFrame:
    out = table.copy()
    for name in COLUMNS:
        if name not in out:
            out[name] = np.nan if name in ("pixel_size_um", "crop_um", "age") else ""
    text = [c for c in COLUMNS if c not in ("pixel_size_um", "crop_um", "age")]
    out[text] = out[text].astype(object).where(out[text].notna(), "").map(str)
    return out[[*COLUMNS, *(c for c in out.columns if c not in COLUMNS)]]


def _read(picture: Picture, name: str, most_px: int | None) -> tuple[bytes, np.ndarray, str]:
    if isinstance(picture, np.ndarray):
        if picture.dtype != np.uint8 or picture.ndim != 3 or picture.shape[2] != 3 or not picture.size:
            raise PictureError(name, f"pixels should be uint8 (h, w, 3), not {picture.dtype} {picture.shape}")
        picture = picture if most_px is None else reduced(picture, most_px)
        return encode(picture), picture, ".png"
    if isinstance(picture, bytes):
        content, suffix = picture, ".img"
    else:
        try:
            content, suffix = Path(picture).read_bytes(), Path(picture).suffix.lower()
        except OSError as error:
            raise PictureError(name, error.strerror or str(error)) from error
    pixels = decode(content, name)
    if most_px is not None and max(pixels.shape[:2]) > most_px:
        pixels = reduced(pixels, most_px)
        return encode(pixels), pixels, ".png"
    return content, pixels, suffix


def _scale(record: dict[str, Any], shape: tuple[int, ...], most_px: int | None) -> dict[str, float]:
    """Field and µm/px of a picture as it is held: either follows from the other; neither is invented."""
    side, size, crop = max(shape[:2]), record["pixel_size_um"], record["crop_um"]
    size, crop = (float(v) if v not in ("", None) else float("nan") for v in (size, crop))
    if np.isnan(crop) and not np.isnan(size):
        crop = size * side
    elif not np.isnan(crop):
        size = crop / side
    return {"pixel_size_um": round(size, 6), "crop_um": round(crop, 4)}


def _new_uid(digest: str, taken: set[str]) -> str:
    uid, n = digest[:16], 1
    while uid in taken:
        n += 1
        uid = f"{digest[:16]}-{n}"
    return uid


def _safe(name: str) -> str:
    cleaned = "".join(c if c.isalnum() or c in "-_" else "_" for c in name).strip("_")
    return cleaned[:80] or "unnamed"


def _write_csv(table: pd.DataFrame, path: Path) -> None:
    texts = table.map(lambda v: f"'{v}" if isinstance(v, str) and v[:1] in ("=", "+", "-", "@", "\t") else v)
    texts.to_csv(path, index=False, encoding="utf-8", float_format="%.7g", lineterminator="\n")

"""Public sets, folders of one's own and the shipped sample become a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from napari_aml.datasets.dataset import Dataset
from napari_aml.datasets.layouts.cells import bloodmnist, folder, lmu, mll23, pbc, raabin
from napari_aml.datasets.layouts.found import Found, LayoutError
from napari_aml.datasets.layouts.mll import mll
from napari_aml.datasets.layouts.sample import sample
from napari_aml.datasets.mapping import Mapping, load_mapping
from napari_aml.datasets.writing import Unreadable, write_dataset_steps
from napari_aml.errors import InputError
from napari_aml.progress import Progress, Steps, run

#: Name on the command line → reader of the layout.
IMPORTERS: dict[str, Callable[[Path], Found]] = {
    "lmu": lmu, "mll": mll, "mll23": mll23, "pbc": pbc, "bloodmnist": bloodmnist, "raabin": raabin, "folder": folder,
    "sample": sample,
}  # fmt: skip


def import_dataset(name: str, path: str | Path, out: str | Path, **options: Any) -> Dataset:
    """Import a set; `import_dataset_steps` driven to its end."""
    return run(import_dataset_steps(name, path, out, **options))


def import_dataset_steps(
    name: str,
    path: str | Path,
    out: str | Path,
    *,
    mapping: str | Path | Mapping | None = None,
    pixel_size_um: float | None = None,
    unreadable: Unreadable = "skip",
    most_px: int | None = None,
) -> Steps[Dataset]:
    """Turn a set as it lies on disk into a dataset.

    Parameters
    ----------
    name
        A key of `IMPORTERS`.
    path
        Where the set lies; any folder above its class folders will do.
    out
        The dataset's folder.
    mapping
        A table from the set's labels to our codes; by default the shipped one of the same name.
    pixel_size_um
        µm per pixel of the pictures as they lie there; replaces what is known of the set.
    unreadable
        ``skip`` names and leaves out pictures that cannot be read, ``refuse`` stops at the first.
    most_px
        Reduce larger pictures to this side.

    Raises
    ------
    LayoutError
        When the folder is not laid out as that set.
    """
    if name not in IMPORTERS:
        raise InputError(f"There is no importer '{name}'.", f"Use one of {', '.join(IMPORTERS)}.")
    path = Path(path)
    if not path.exists():
        raise LayoutError(f"'{path}' does not exist.", "Give the folder where the set was unpacked.")
    if path.is_file() and name != "bloodmnist":
        raise LayoutError(f"'{path}' is a file; the set '{name}' is a folder.", "Unpack it and give the folder.")
    yield Progress(0, 0, "Looking for pictures")
    found = IMPORTERS[name](path)
    given = load_mapping("lmu" if name == "sample" else name) if mapping is None else mapping
    table = given if isinstance(given, Mapping) else load_mapping(given)
    notes = [*found.notes, *apply_mapping(found.rows, table, keep=name == "sample")]
    if pixel_size_um is not None:
        found.meta["pixel_size_from"] = "given by the person who imported it"
        for row in found.rows:
            row["pixel_size_um"], row["crop_um"] = pixel_size_um, float("nan")
    import pandas as pd

    manifest = pd.DataFrame.from_records(found.rows)
    for column in ("site", "scanner"):
        if column not in manifest:
            manifest[column] = ""
    manifest["scanner"] = manifest["scanner"].where(manifest["scanner"] != "", found.meta.get("scanner", ""))
    return (
        yield from write_dataset_steps(
            out, manifest, found.pictures, {**found.meta, "importer": name, "mapping": table.to_dict(), "notes": notes},
            patients=found.patients, unreadable=unreadable, most_px=most_px,
        )
    )  # fmt: skip


def apply_mapping(rows: list[dict[str, Any]], mapping: Mapping, keep: bool = False) -> list[str]:
    """Give each row its code in place; return the warnings, one a label that the table does not know.

    With `keep`, rows that have a code keep it.
    """
    unknown: Counter[str] = Counter()
    known = {label: mapping.code(label) for label in {row["source_label"] for row in rows}}
    for row in rows:
        if keep and row.get("code"):
            continue
        code = known[row["source_label"]]
        if code is None:
            unknown[row["source_label"]] += 1
        row["code"] = "UNK" if code is None else code
    return [
        f"The label '{label}' is not in the mapping {mapping.name} {mapping.version}: its {n} pictures became UNK."
        for label, n in sorted(unknown.items())
    ]

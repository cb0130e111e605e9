"""Tables as portals, spreadsheets and data frames export them: columns that are no samples, odd ids, headers, dates."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_aml.expression import CellValueError, ExpressionReadError, UnitsError, read_expression
from napari_aml.expression.genes import gene_book, resolve
from napari_aml.expression.grain import one_read
from napari_aml.expression.mangled import repair
from napari_aml.expression.units import judge

BOOK = gene_book()
ENTREZ = {symbol: number for number, symbol in reversed(BOOK.entrez.items())}
SYMBOLS = [s for s in sorted(ENTREZ) if len(BOOK.symbols[s]) == 1 and BOOK.length_of(s) > 0][3000:3400]
SAMPLES = ["p1", "p2", "p3"]


@pytest.fixture(scope="module")
def counts() -> pd.DataFrame:
    rng = np.random.default_rng(11)
    made = rng.negative_binomial(1, 0.002, (len(SYMBOLS), 3)) * (rng.random((len(SYMBOLS), 3)) < 0.8)
    return pd.DataFrame(made, index=pd.Index(SYMBOLS, name="gene"), columns=SAMPLES)


def same(matrix, counts: pd.DataFrame, genes: list[str] | None = None) -> None:
    assert matrix.samples == tuple(counts.columns) and list(matrix.genes) == (genes or list(counts.index))
    np.testing.assert_array_equal(matrix.values, counts.to_numpy().T.astype(np.float32))


def test_three_samples_whose_names_were_genes_once(tmp_path, counts):
    assert all(BOOK.symbol(name) for name in SAMPLES)
    for table, side in ((counts, "genes-in-rows"), (counts.T, "samples-in-rows")):
        matrix = read_expression(write(tmp_path / "a.tsv", table))
        same(matrix, counts)
        assert matrix.orientation.value == side


def write(path, table: pd.DataFrame, **settings) -> str:
    table.to_csv(path, sep="\t", **settings)
    return path


@pytest.mark.parametrize("kind", ["tsv", "parquet"])
def test_columns_that_describe_genes_are_no_samples(tmp_path, counts, kind):
    table = counts.rename_axis("Hugo_Symbol")
    table.insert(0, "Entrez_Gene_Id", [int(ENTREZ[s]) for s in SYMBOLS])  # cBioPortal
    table["n_exons"], table["Gene Length"], table["Start"] = 3, 900, np.arange(len(table))
    path = tmp_path / f"a.{kind}"
    write(path, table) if kind == "tsv" else table.reset_index().to_parquet(path)
    matrix = read_expression(path)
    same(matrix, counts)
    assert any("left out" in said and "'n_exons'" in said for said in matrix.evidence)
    assert (matrix.lengths == 900).all()


def test_results_of_a_test_between_groups_are_no_samples(tmp_path, counts):
    table = counts.copy()
    for place, name in enumerate(["baseMean", "log2FoldChange", "lfcSE", "stat", "pvalue", "padj"]):
        table.insert(place, name, np.linspace(-2, 2, len(table)))
    same(read_expression(write(tmp_path / "a.tsv", table)), counts)
    with pytest.raises(ExpressionReadError, match=r"test between groups \('baseMean', 'log2FoldChange'"):
        read_expression(write(tmp_path / "b.tsv", table.iloc[:, :6]))


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("quoting", [0, 2])
def test_row_numbers_are_no_entrez_numbers(tmp_path, counts, first, quoting):
    table = counts.reset_index().set_axis(range(first, first + len(counts)))
    same(read_expression(write(tmp_path / "a.tsv", table, quoting=quoting)), counts)


def test_a_symbol_that_is_empty_does_not_make_entrez_numbers_the_ids(tmp_path, counts):
    table = counts.reset_index(names="Hugo_Symbol")
    table.insert(1, "Entrez_Gene_Id", [int(ENTREZ[s]) for s in SYMBOLS])
    table.loc[[3, 5], "Hugo_Symbol"] = ""
    matrix = read_expression(write(tmp_path / "a.tsv", table, index=False))
    assert matrix.ids.value == "symbol" and len(matrix.genes) == len(SYMBOLS) - 2


def test_the_gene_GC_in_columns_is_a_gene(tmp_path, counts):
    table = counts.T.rename(columns={SYMBOLS[7]: "GC"}).rename_axis("sample")
    assert read_expression(write(tmp_path / "a.tsv", table)).genes[7] == "GC"


def test_an_index_of_entrez_numbers_in_parquet(tmp_path, counts):
    table = counts.set_axis([int(ENTREZ[s]) for s in SYMBOLS])
    table.to_parquet(tmp_path / "a.parquet")
    same(read_expression(tmp_path / "a.parquet"), counts)


def test_numbers_written_as_text_in_parquet_are_refused(tmp_path, counts):
    table = counts.reset_index()
    table["p2"] = (table["p2"] + 0.5).astype(str)
    table.to_parquet(tmp_path / "a.parquet")
    with pytest.raises(CellValueError, match="'p2' holds"):
        read_expression(tmp_path / "a.parquet")


@pytest.mark.parametrize(
    "form",
    ["{e}_{s}", "{s}_{e}", "{e}:{s}", "GRCh38_{e}", "{s} ({n})", "{s} ({e})", "{e}|{s}", "{n}"],
)
@pytest.mark.parametrize("wanted", [False, True])
def test_ids_that_are_put_together(tmp_path, counts, form, wanted):
    table = counts.set_axis([form.format(s=s, e=BOOK.symbols[s][0] + ".7", n=ENTREZ[s]) for s in SYMBOLS])
    path = write(tmp_path / "a.tsv", table)
    matrix = read_expression(path, genes=SYMBOLS if wanted else None)
    assert list(matrix.genes) == SYMBOLS
    np.testing.assert_array_equal(matrix.values, counts.to_numpy().T)


def test_dashes_that_r_made_points(tmp_path, counts):
    table = counts.rename(index={SYMBOLS[0]: "HLA-A", SYMBOLS[1]: "MT-CO1"})
    path = write(tmp_path / "a.tsv", table.rename(index={"HLA-A": "HLA.A", "MT-CO1": "MT.CO1"}).T)
    assert read_expression(path).genes[:2] == ("HLA-A", "MT-CO1")


def test_a_number_is_an_entrez_number_never_a_former_name():
    ids = ["52", "225", "3635", "7105", "4609"]
    assert resolve("a", ids).genes[:3] == ["ACP1", "ABCD2", "INPP5D"]


def test_without_a_header_no_gene_is_lost(tmp_path, counts):
    """HTSeq with a second attribute writes names between ids and counts."""
    table = counts[["p1"]].set_axis([BOOK.symbols[s][0] for s in SYMBOLS])
    table.insert(0, "name", SYMBOLS)
    matrix = read_expression(write(tmp_path / "p1.htseq.counts.txt", table, header=False))
    same(matrix, counts[["p1"]])
    named = write(tmp_path / "b.tsv", counts.set_axis(["1", "2", "3"], axis=1).rename_axis("ID"))
    same(read_expression(named), counts.set_axis(["1", "2", "3"], axis=1))  # ID was a gene's name once


def test_a_header_behind_a_hash_and_a_second_header(tmp_path, counts):
    path = tmp_path / "a.tsv"
    path.write_text("#" + counts.to_csv(sep="\t"))
    same(read_expression(path), counts)
    head, body = counts.rename_axis("Hybridization REF").to_csv(sep="\t").split("\n", 1)
    path.write_text(f"{head}\ngene_id\tnormalized_count\tnormalized_count\tnormalized_count\n{body}")
    matrix = read_expression(path)
    same(matrix, counts)
    assert any("second line" in said for said in matrix.evidence)


@pytest.mark.parametrize("header", [True, False])
def test_lines_that_end_with_a_delimiter_and_a_line_that_names_it(tmp_path, counts, header):
    first, *lines = counts.to_csv(sep=";").splitlines()
    path = tmp_path / "a.csv"
    path.write_text("\n".join(["sep=;", first + ";" * header, *(line + ";" for line in lines), ""]))
    matrix = read_expression(path)
    same(matrix, counts)
    assert not any("left out" in said for said in matrix.evidence)


def test_a_line_of_delimiters_alone_is_named(tmp_path, counts):
    path = tmp_path / "a.csv"
    path.write_text(counts.to_csv(sep=";") + ";;;\n")
    with pytest.raises(CellValueError, match="line 402 holds delimiters alone") as caught:
        read_expression(path)
    assert "Delete" in caught.value.hint


def test_a_series_of_geo_is_named(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text('!Series_title\t"x"\n!Series_status\t"y"\n')
    with pytest.raises(ExpressionReadError, match="GEO") as caught:
        read_expression(path)
    assert "supplementary" in caught.value.hint


def test_first_releases_of_htseq_counted_without_dashes(tmp_path, counts):
    path = tmp_path / "p1.txt"
    text = counts[["p1"]].to_csv(sep="\t", header=False)
    beside = {"no_feature": 9000, "ambiguous": 5, "too_low_aQual": 1, "not_aligned": 2, "alignment_not_unique": 3}
    path.write_text(text + "".join(f"{name}\t{reads}\n" for name, reads in beside.items()))
    matrix = read_expression(path)
    same(matrix, counts[["p1"]])
    assert matrix.library_sizes[0] == counts["p1"].sum()


def test_paths_of_alignments_become_names_of_samples(tmp_path, counts):
    names = ["/run/p1.sorted.bam", "./out/p2/Aligned.sortedByCoord.out.bam", "p3_Aligned.out.bam"]
    same(read_expression(write(tmp_path / "a.tsv", counts.set_axis(names, axis=1))), counts)
    names = ["/a/x.bam", "/b/x.bam", "/c/x.bam"]  # short names would be one
    assert read_expression(write(tmp_path / "a.tsv", counts.set_axis(names, axis=1))).samples == tuple(names)


def test_a_folder_says_which_strands_its_files_were_counted_by(tmp_path, counts):
    for place, name in enumerate(SAMPLES):
        table = pd.DataFrame({"all": counts[name], "forward": counts[name], "reverse": 0}, index=counts.index)
        table = table if place else table[["all", "reverse", "forward"]]
        text = "".join(f"{n}\t1\t1\t1\n" for n in ("N_unmapped", "N_multimapping", "N_noFeature", "N_ambiguous"))
        (tmp_path / f"{name}_ReadsPerGene.out.tab").write_text(text + table.to_csv(sep="\t", header=False))
    matrix = read_expression(tmp_path)
    same(matrix, counts)
    assert "The forward counts were taken: in 2 of 3 files." in matrix.evidence
    assert "The reverse counts were taken: in 1 of 3 files." in matrix.evidence


def test_gct_of_gtex_and_one_that_is_cut_short(tmp_path, counts):
    table = counts.copy()
    table.insert(0, "Description", SYMBOLS)
    table.insert(0, "Name", [BOOK.symbols[s][0] + ".3" for s in SYMBOLS])
    body = table.set_axis(range(len(table))).rename_axis("id").to_csv(sep="\t")
    path = tmp_path / "a.gct"
    path.write_text(f"#1.2\n{len(table)}\t3\n{body}")
    matrix = read_expression(path)
    same(matrix, counts)
    assert not matrix.warnings
    path.write_text(f"#1.2\n{len(table) + 8}\t3\n{body}")
    for genes in (None, SYMBOLS[:9]):
        assert any("promises 408 rows and it has 400" in said for said in read_expression(path, genes=genes).warnings)


@pytest.mark.parametrize("form", ["{m}/{d}/2023", "{d}/{m}/23", "{d:02d}.{m:02d}.2023", "2001-{m:02d}-{d:02d}T00:00:00",
                                  "2001/{m:02d}/{d:02d}"])  # fmt: skip
def test_dates_in_figures_are_read_the_way_that_all_are_genes(form):
    genes = {(3, 2): "MARCHF2", (9, 3): "SEPTIN3", (9, 11): "SEPTIN11", (3, 9): "MARCHF9", (12, 1): "DELEC1"}
    dates = [form.format(m=month, d=day) for month, day in genes]
    found, unclear = repair(["TP53", *dates])
    assert found == {place: gene for place, gene in enumerate(genes.values(), 1)} and not unclear


def test_dates_of_two_readings_are_left_alone(tmp_path, counts):
    assert repair(["3/9/2023", "KIT", "3/3/2023"]) == ({2: "MARCHF3"}, ["3/9/2023"])
    table = counts.rename(index={SYMBOLS[4]: "9/3/2023"})
    matrix = read_expression(write(tmp_path / "a.tsv", table))
    assert len(matrix.genes) == len(SYMBOLS) - 1
    assert any("9/3/2023" in said and "not used" in said for said in matrix.warnings)


@pytest.mark.parametrize("sign", [",", "."])
@pytest.mark.parametrize("settings", [{}, {"units": "counts"}, {"genes": SYMBOLS[:40]}])
def test_separators_of_thousands_are_never_decimals(tmp_path, counts, sign, settings):
    table = (counts * 20).clip(upper=99_999).map(lambda value: f"{value:,}".replace(",", sign))
    path = write(tmp_path / "a.tsv", table)
    with pytest.raises(UnitsError, match="separators of thousands") as caught:
        read_expression(path, **settings)
    assert "'p1'" in str(caught.value)


def test_a_large_number_with_separators_is_named(tmp_path, counts):
    table = counts.astype(object)
    table.iloc[70, 1] = "1,439,598"
    with pytest.raises(CellValueError, match="1,439,598") as caught:
        read_expression(write(tmp_path / "a.tsv", table))
    assert "thousands" in caught.value.hint


def test_decimal_commas_in_quotes_between_commas(tmp_path, counts):
    tpm = counts / counts.sum() * 1e6
    tpm.to_csv(tmp_path / "a.csv", decimal=",", quoting=1)
    matrix = read_expression(tmp_path / "a.csv")
    np.testing.assert_allclose(matrix.values, tpm.to_numpy().T, rtol=1e-6)
    assert matrix.units.value == "tpm"


def genome(seed: int, depth: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """Reads and lengths of 20,000 genes."""
    rng = np.random.default_rng(seed)
    rate = rng.gamma(0.25, 1.0, 20_000)
    lengths = rng.integers(300, 9000, rate.size)
    return rng.poisson(depth * 3000 * rate / rate.mean()), lengths


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("decimals", [None, 4])
def test_values_per_million_are_told_from_tpm_by_multiples_of_one_read(seed, decimals):
    reads, lengths = genome(seed)
    cpm, tpm = reads / reads.sum() * 1e6, reads / lengths / (reads / lengths).sum() * 1e6

    def units(values: np.ndarray) -> str:
        return judge((values if decimals is None else values.round(decimals)).astype(np.float32))[0].name

    assert (units(cpm), units(tpm)) == ("cpm", "tpm")
    assert units(cpm * 0.87) == "cpm" and units(reads / 1.17) == "normalised-counts"
    assert (units(np.log2(cpm + 1)), units(np.log2(tpm + 1))) == ("log2-cpm", "log2-tpm")
    assert units(np.log2(cpm + 0.001)) == "log2-cpm+0.001" and units(np.log2(tpm + 0.001)) == "log2-tpm+0.001"
    assert units(np.log2(reads / 1.17 + 1)) == "log2-normalised-counts"


@pytest.mark.parametrize("decimals", [1, 2, 3])
def test_the_steps_of_rounding_are_no_reads(decimals):
    reads, lengths = genome(5)
    tpm = reads / lengths / (reads / lengths).sum() * 1e6
    assert judge(tpm.round(decimals).astype(np.float32))[0].name == "tpm"
    assert judge(np.log2(tpm + 1).round(decimals + 1).astype(np.float32))[0].quantity == "tpm"
    assert one_read(tpm.round(decimals)) is None


@pytest.mark.parametrize("factor", [0.7, 1.3])
def test_log_counts_per_million_with_the_factors_of_edger(factor):
    reads, _ = genome(8)
    values = np.log2((reads + 2) / (reads.sum() + 4) * 1e6 * factor).astype(np.float32)
    assert judge(values)[0].name == "log2-cpm+0"
    with pytest.raises(UnitsError):  # the same spread without reads behind it
        judge((values + np.random.default_rng(1).normal(0, 0.3, values.size)).astype(np.float32))


def test_what_sums_to_more_than_tpm_without_steps_is_not_certain():
    reads, lengths = genome(9)
    upper_quartile = (reads / lengths * 2e4).astype(np.float32)
    units, _, sure = judge(upper_quartile * np.float32(6e6 / upper_quartile.sum()))
    assert units.name == "normalised-counts" and not sure
    whole = np.rint(reads / lengths / (reads / lengths).sum() * 1e6)
    assert judge(whole.astype(np.float32))[::2] == (judge(whole)[0], False)  # TPM without their decimals


def test_a_table_read_in_part_is_judged_like_the_whole(tmp_path):
    symbols = sorted(s for s in BOOK.symbols if len(BOOK.symbols[s]) == 1)[:20_000]
    columns = {}
    for seed in range(3):
        reads, _ = genome(seed)
        columns[f"s{seed}"] = reads / reads.sum() * 1e6
    path = write(tmp_path / "a.tsv", pd.DataFrame(columns, index=symbols))
    whole, part = read_expression(path), read_expression(path, genes=symbols[::40])
    assert whole.units == part.units and whole.units.value == "cpm"
    assert len(part.genes) < len(whole.genes)


def test_sums_of_coverage_are_remarked(tmp_path, counts):
    from napari_aml.expression import quality

    matrix = read_expression(write(tmp_path / "a.tsv", counts * 100_000))
    assert all("recount3" in " ".join(row.remarks) for row in quality(matrix))
    assert not any("recount3" in " ".join(row.remarks) for row in quality(read_expression(
        write(tmp_path / "b.tsv", counts))))  # fmt: skip

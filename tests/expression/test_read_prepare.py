"""The rows that a model reads: its genes found by any name, lengths, missing genes; and the quality of samples."""

from __future__ import annotations

import gzip
import shutil

import numpy as np
import pandas as pd
import pytest

from napari_aml.expression import (
    ExpressionError,
    ExpressionReadError,
    LengthsNeededError,
    PanelError,
    bundled_lengths,
    prepare,
    quality,
    quality_table,
    read_expression,
    read_lengths,
)
from napari_aml.expression.genes import current_names, gene_book, resolve
from napari_aml.expression.quality import Y_GENES

BOOK = gene_book()
CODING = sorted(s for s in set(BOOK.entrez.values()) if BOOK.length_of(s) > 0 and s.isalnum() and s.isupper())
PANEL = CODING[3000:3200]


def table_of(genes, samples=3, seed=0, low=5) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(rng.integers(low, 5000, (len(genes), samples)), genes, [f"S-{i}" for i in range(samples)])


def read(tmp_path, table, **settings):
    path = tmp_path / "table.tsv"
    table.to_csv(path, sep="\t")
    return read_expression(path, **settings)


def test_genes_by_any_name(tmp_path):
    table = table_of(PANEL)
    by_symbol = prepare(read(tmp_path, table), PANEL)
    numbers = {symbol: number for number, symbol in reversed(list(BOOK.entrez.items()))}
    for rename in (
        lambda s: f"{BOOK.symbols[s][0]}.12", lambda s: BOOK.symbols[s][0], lambda s: numbers[s],
        lambda s: f"{s}|{numbers[s]}", lambda s: f"{BOOK.symbols[s][0]}.4|{s}",
    ):  # fmt: skip
        other = read(tmp_path, table.rename(index=rename))
        np.testing.assert_array_equal(prepare(other, PANEL).values, by_symbol.values)
    # A panel of Ensembl ids, and one of former names, are the same panel.
    by_id = prepare(read(tmp_path, table), [BOOK.symbols[s][0] for s in PANEL])
    np.testing.assert_array_equal(by_id.values, by_symbol.values)


def test_former_names_meet_current_ones_on_either_side(tmp_path):
    pairs = {"MLL": "KMT2A", "MKL1": "MRTFA", "MYST3": "KAT6A", "SEPT9": "SEPTIN9", "MARCH7": "MARCHF7"}
    old, new = [*pairs, *PANEL], [*pairs.values(), *PANEL]
    table = table_of(new)
    expected = prepare(read(tmp_path, table), new)
    assert expected.missing == ()
    for file, panel in ((old, new), (new, old), (old, old)):
        made = prepare(read(tmp_path, table.set_axis(file)), panel)
        assert made.missing == ()
        np.testing.assert_array_equal(made.values, expected.values)


def test_a_former_name_beside_the_current_one_is_another_gene():
    assert current_names(["MLL", "TP53"]) == ["KMT2A", "TP53"]
    assert current_names(["MLL", "KMT2A"]) == ["MLL", "KMT2A"]
    assert resolve("x", ["MLL", "KMT2A", "TP53"]).genes == ["MLL", "KMT2A", "TP53"]


def test_par_copies_on_y_are_left_out_and_versions_summed(tmp_path):
    one, two = BOOK.symbols[PANEL[0]][0], BOOK.symbols[PANEL[1]][0]
    table = table_of([f"{one}.3", f"{one}.3_PAR_Y", f"{two}.1", f"{two}.2", *PANEL[2:]])
    matrix = read(tmp_path, table)
    assert sorted(matrix.genes) == sorted(PANEL) and len(matrix.gene_ids) == len(PANEL)
    found = dict(zip(matrix.genes, matrix.values.T, strict=True))
    np.testing.assert_array_equal(found[PANEL[0]], table.iloc[0])
    np.testing.assert_array_equal(found[PANEL[1]], table.iloc[2] + table.iloc[3])
    for name, row in zip(PANEL[2:], table.to_numpy()[4:], strict=True):
        np.testing.assert_array_equal(found[name], row)


@pytest.mark.parametrize(
    ("missing", "status"), [(0, "ok"), (2, "ok"), (3, "warning"), (10, "warning"), (11, "unstable"), (20, "unstable")]
)
def test_missing_genes_by_share(tmp_path, missing, status):
    reference = np.linspace(2, 12, len(PANEL))
    made = prepare(read(tmp_path, table_of(PANEL[missing:])), PANEL, reference=reference)
    assert made.missing == tuple(PANEL[:missing]) and set(made.status) == {status}
    assert bool(made.warnings[0] and "missing" in made.warnings[0][0]) == (status != "ok")
    assert not made.values[:, :missing].any()
    np.testing.assert_allclose((np.exp2(made.values.astype(float)) - 1).sum(1), 1e6, rtol=1e-4)
    if missing:
        filled = np.exp2(made.reference_values.astype(float)) - 1
        np.testing.assert_allclose(filled.sum(1), 1e6, rtol=1e-4)
        share = np.exp2(reference) - 1
        np.testing.assert_allclose(filled[:, :missing].sum(1), share[:missing].sum() / share.sum() * 1e6, rtol=1e-4)
    else:
        assert made.reference_values is None


def test_too_many_missing_genes_are_refused(tmp_path):
    with pytest.raises(PanelError, match=rf"21 of the 200 genes.*10\.5 %.*{PANEL[0]}"):
        prepare(read(tmp_path, table_of(PANEL[21:])), PANEL)


def test_lengths_of_file_person_and_package(tmp_path):
    table = table_of(PANEL)
    matrix = read(tmp_path, table)

    def expected(lengths):
        rate = table.to_numpy().T / lengths
        return np.log2(rate / rate.sum(1, keepdims=True) * 1e6 + 1)

    made = prepare(matrix, PANEL)
    assert "GENCODE v38" in made.lengths and any("GENCODE v38" in said for said in made.warnings[0])
    np.testing.assert_allclose(made.values, expected([BOOK.length_of(s) for s in PANEL]), atol=1e-5)
    lengths = np.arange(500, 500 + 7 * len(PANEL), 7)
    own = tmp_path / "lengths.csv"
    pd.DataFrame({"gene": [BOOK.symbols[s][0] + ".9" for s in PANEL], "length": lengths}).to_csv(own, index=False)
    by_id = read(tmp_path, table.rename(index=lambda s: BOOK.symbols[s][0]))
    np.testing.assert_allclose(prepare(by_id, PANEL, lengths=read_lengths(own)).values, expected(lengths), atol=1e-5)
    # A model that was trained without lengths is not given any.
    np.testing.assert_allclose(
        prepare(matrix, PANEL, accepts_uncorrected=True).values, expected(np.ones(len(PANEL))), atol=1e-5
    )
    counted = table.reset_index(names="Geneid")
    for place, (name, value) in enumerate({"Chr": "1", "Start": 1, "End": 9, "Strand": "+", "Length": lengths}.items()):
        counted.insert(1 + place, name, value)
    path = tmp_path / "fc.txt"
    counted.to_csv(path, sep="\t", index=False)
    made = prepare(read_expression(path), PANEL)
    assert "fc.txt" in made.lengths
    np.testing.assert_allclose(made.values, expected(lengths), atol=1e-5)


def test_lengths_from_a_gtf_count_every_base_once(tmp_path):
    one, two = (BOOK.symbols[s][0] for s in PANEL[:2])
    exons = [("1", 101, 200, f"{one}.2"), ("1", 151, 250, f"{one}.2"), ("1", 301, 310, f"{one}.2"),
             ("1", 301, 310, f"{one}.2"), ("2", 5, 5, two), ("1", 9, 20, f"{two}.2_PAR_Y")]  # fmt: skip
    lines = [f'1\th\tgene\t1\t999\t.\t+\t.\tgene_id "{one}.2"; gene_name "{PANEL[0]}";']
    for chromosome, start, end, gene in exons:
        said = f'gene_id "{gene}"; gene_name "{PANEL[not gene.startswith(one)]}";'
        lines.append(f"{chromosome}\th\texon\t{start}\t{end}\t.\t+\t.\t{said}")
    path = tmp_path / "a.gtf.gz"
    path.write_bytes(gzip.compress(("#!genome\n" + "\n".join(lines) + "\n").encode()))
    made = read_lengths(path)
    assert made.by_name[one] == made.by_name[PANEL[0]] == 160 and made.by_name[two] == 1


def test_bad_lengths(tmp_path):
    path = tmp_path / "lengths.tsv"
    for text, word in (("", "empty"), ("gene\tlength\nTP53\t-5\n", "line 2"), ("gene\tlength\nx\t5\ny\t7\n", "human"),
                       ("gene\nTP53\n", "one column"), ("gene\tname\nTP53\tp53\n", "no column")):  # fmt: skip
        path.write_text(text)
        with pytest.raises(ExpressionReadError, match=word):
            read_lengths(path)
    with pytest.raises(ExpressionReadError, match="no such file"):
        read_lengths(tmp_path / "absent.gtf")


def test_reads_without_lengths_are_refused_clearly(tmp_path):
    path = tmp_path / "lengths.tsv"
    path.write_text("gene\tlength\nTP53\t2500\nKIT\t5000\n")
    with pytest.raises(LengthsNeededError, match=rf"counts.*0 of 200.*{PANEL[0]}"):
        prepare(read(tmp_path, table_of(PANEL)), PANEL, lengths=read_lengths(path))


def test_the_shipped_lengths_agree_with_an_independent_table(shared_data):
    other = pd.read_csv(shared_data / "expression" / "hg19.ensGene.LENGTH.csv.gz").groupby("Gene")["Length"].max()
    ours = pd.Series({k: v for k, v in bundled_lengths().by_name.items() if k.startswith("ENSG")})
    both = other.index.intersection(ours.index)
    assert len(both) > 30_000
    assert np.corrcoef(np.log(other[both]), np.log(ours[both]))[0, 1] > 0.9


def test_the_whole_published_panel_is_found_in_a_real_count_table(shared_data):
    folder = shared_data / "expression"
    panel = (folder / "attentionaml_gene_order.txt").read_text().split()
    matrix = read_expression(folder / "aml_counts_AML2_60660x51.csv.gz")
    made = prepare(matrix, panel)
    assert made.missing == () and made.values.shape == (51, 13_592) and set(made.status) == {"ok"}
    np.testing.assert_allclose((np.exp2(made.values.astype(float)) - 1).sum(1), 1e6, rtol=1e-6)
    rows = quality(matrix, made)
    assert all(row.sex in ("female", "male", "unclear") for row in rows)
    assert {row.sex for row in rows} >= {"female", "male"} and sum(row.sex == "unclear" for row in rows) <= 3
    assert all(0.02 < row.mitochondrial < 0.3 and row.library_size > 3e7 for row in rows)


def test_the_tcga_table_is_read_against_its_own_genes(shared_data):
    folder = shared_data / "expression"
    matrix = read_expression(folder / "tcga_laml_genExpr_714x173.csv.gz")
    assert matrix.units.value == "linear" and len(matrix) == 173
    names = pd.read_csv(folder / "tcga_laml_genExpr_714x173.csv.gz", index_col=0).index
    made = prepare(matrix, list(dict.fromkeys(names)), accepts_uncorrected=True)
    assert made.missing == ()


def whole(seed=0, **parts) -> pd.DataFrame:
    genes = [*CODING[:16_000], "XIST", "RPS4Y1", "DDX3Y", "KDM5D", "HBA1", "HBB", "MT-CO1", "MT-ND1", "RN7SL1"]
    genes = list(dict.fromkeys(genes))
    table = table_of(genes, 2, seed, low=100)
    table.loc[["XIST", *(g for g in Y_GENES if g in table.index), "HBA1", "HBB", "MT-CO1", "MT-ND1", "RN7SL1"]] = 0
    for gene, value in parts.items():
        table.loc[gene.replace("_", "-")] = value
    return table


@pytest.mark.parametrize(
    ("parts", "sex", "word"),
    [({"XIST": 9000}, "female", ""), ({"RPS4Y1": 9000}, "male", ""), ({}, "unclear", "loss of Y"),
     ({"XIST": 9000, "DDX3Y": 9000}, "unclear", "mixture")],
)  # fmt: skip
def test_sex_from_xist_and_y(tmp_path, parts, sex, word):
    row = quality(read(tmp_path, whole(**parts)), declared_sex={"S-0": "M", "S-1": ""})[0]
    assert row.sex == sex and row.declared_sex == "male"
    assert any(word in said for said in row.remarks) or not word
    assert any("Declared male" in said for said in row.remarks) == (sex == "female")


def test_shares_of_mitochondria_haemoglobin_and_total_rna(tmp_path):
    total = whole()["S-0"].sum()
    row = quality(read(tmp_path, whole(MT_CO1=total, HBA1=total // 2, RN7SL1=total // 10)))[0]
    assert row.mitochondrial == pytest.approx(1 / 2.6, rel=0.05)
    assert row.haemoglobin == pytest.approx(0.5 / 2.6, rel=0.05)
    said = " ".join(row.remarks)
    assert "mitochondrial" in said and "haemoglobin" in said and "poly-A" in said


def test_an_outlier_and_a_copy_are_noticed(tmp_path):
    rng = np.random.default_rng(0)
    base = rng.integers(50, 3000, len(PANEL))
    table = pd.DataFrame({f"S-{i}": (base * rng.uniform(0.7, 1.4, len(PANEL))).astype(int) for i in range(8)}, PANEL)
    table["S-6"] = rng.permutation(base)
    table["S-7"] = table["S-0"] * 2
    matrix = read(tmp_path, table)
    rows = {row.sample: row for row in quality(matrix, prepare(matrix, PANEL))}
    assert any("Unlike the other samples" in said for said in rows["S-6"].remarks)
    assert rows["S-0"].nearest == "S-7" and any("identical" in said for said in rows["S-0"].remarks)
    assert not rows["S-3"].remarks
    assert list(quality_table(list(rows.values()))["sample"]) == list(table)


def test_declared_sex_of_nobody_and_nonsense(tmp_path):
    matrix = read(tmp_path, table_of(PANEL))
    with pytest.raises(ExpressionError, match="None of the samples"):
        quality(matrix, declared_sex={"X": "female"})
    with pytest.raises(ExpressionError, match="blue"):
        quality(matrix, declared_sex={"S-0": "blue"})


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    """A small expression bundle of random weights."""
    from napari_aml._torch import torch
    from napari_aml.expression.bundle import save_expression_bundle
    from napari_aml.expression.models.building import build

    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("bundle") / "small"
    card = {"name": "small", "version": "1", "model": "logistic", "classes": ["PML::RARA", "other"], "temperature": 1.0}
    save_expression_bundle(folder, build("logistic", len(PANEL), 2, {}), PANEL, card)
    yield folder
    shutil.rmtree(folder)


def run_cli(capsys, *arguments) -> tuple[int, str, str]:
    from napari_aml.cli import app

    try:
        code = app([str(a) for a in arguments], standalone_mode=False) or 0
    except SystemExit as stop:
        code = stop.code
    said = capsys.readouterr()
    return code, said.out, said.err


def test_predict_on_the_command_line(tmp_path, capsys, bundle):
    table_of(PANEL).to_csv(tmp_path / "a.csv")
    out = tmp_path / "calls.csv"
    code, said, notes = run_cli(
        capsys, "expression", "predict", tmp_path / "a.csv", "--out", out, "--model", bundle, "--units", "counts"
    )
    assert code == 0 and "xpression-similar to" in said and "Research Use Only" in said
    assert "Units: counts (as given)" in notes
    calls = pd.read_csv(out, keep_default_na=False)
    assert list(calls) == [
        "sample", "subtype", "probability", "p_PML::RARA", "p_other", "set", "status", "missing_genes", "units",
        "warnings",
    ]  # fmt: skip
    assert list(calls["sample"]) == ["S-0", "S-1", "S-2"] and set(calls["units"]) == {"counts"}
    np.testing.assert_allclose(calls["p_PML::RARA"] + calls["p_other"], 1, atol=1e-6)


def test_qc_on_the_command_line(tmp_path, capsys, bundle):
    table_of(PANEL).to_csv(tmp_path / "a.csv")
    (tmp_path / "sex.csv").write_text("sample,sex\nS-0,female\n")
    out = tmp_path / "qc.csv"
    code, said, notes = run_cli(
        capsys, "expression", "qc", tmp_path / "a.csv", "--out", out, "--model", bundle, "--sex", tmp_path / "sex.csv"
    )
    assert code == 0 and "S-2" in said and "Units: counts" in notes
    table = pd.read_csv(out)
    assert list(table["panel_present"]) == [1.0] * 3 and table["declared_sex"][0] == "female"
    table_of(PANEL[:50]).to_csv(tmp_path / "a.csv")
    code, said, notes = run_cli(capsys, "expression", "qc", tmp_path / "a.csv", "--model", bundle)
    assert code == 2 and "S-0" in said and "lacks 150 of the 200 genes" in notes


def test_the_page_on_expression_files_runs_as_written(capsys):
    import re
    from pathlib import Path

    page = Path(__file__).resolve().parents[2] / "docs" / "expression-files.md"
    if not page.is_file():
        pytest.skip("the docs are not beside the tests")
    (block,) = re.findall(r"```python\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
    names: dict[str, object] = {}
    exec(compile(block, str(page), "exec"), names)
    assert names["prepared"].missing == () and len(names["matrix"]) == 12
    assert "Units" in capsys.readouterr().out


def test_what_is_said_of_a_file_names_no_sample(tmp_path):
    """It goes into the reports of all samples, and a name may tell who a person is."""
    table = table_of(PANEL, 6, low=0)
    table.iloc[:, 3] = 0
    table.iloc[:, 5] = table.iloc[:, 4]
    table.columns = names = [f"Person{i}" for i in range(6)]
    matrix = read(tmp_path, table)
    rows = quality(matrix, prepare(matrix, PANEL))
    assert any("cannot be used" in said for said in matrix.warnings)
    assert any("As good as identical" in said for said in rows[4].remarks)
    said = (*matrix.evidence, *matrix.warnings, str(matrix.units), *(r for row in rows for r in row.remarks))
    assert not [text for text in said if any(name in text for name in names)]
    halves = read(tmp_path, table.iloc[:, :3] + 0.25)
    assert "in sample 1 of 3" in str(halves.units)

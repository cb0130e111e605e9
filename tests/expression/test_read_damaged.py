"""Whatever is wrong in a file of expression, of gene lengths or in a bundle: it is said in words."""

from __future__ import annotations

import gzip
import shutil
from contextlib import suppress

import numpy as np
import pandas as pd
import pytest
from damage import damage, damage_one
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from napari_aml.errors import InputError
from napari_aml.expression import ExpressionReadError, read_expression
from napari_aml.expression.bundle import open_expression_bundle
from napari_aml.expression.genes import gene_book
from napari_aml.expression.lengths import read_lengths
from napari_aml.expression.predict import predict

BOOK = gene_book()
SYMBOLS = sorted(s for s, ids in BOOK.symbols.items() if len(ids) == 1 and ids[0] in BOOK.length)[5000:5120]
IDS = [f"{BOOK.symbols[s][0]}.3" for s in SYMBOLS]
SEARCH = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
SEEDS = st.integers(0, 1 << 32)


def files() -> dict[str, bytes]:
    """One file of each kind, by name."""
    made = np.random.default_rng(0).negative_binomial(1, 0.002, (len(SYMBOLS), 4))
    table = pd.DataFrame(made, index=pd.Index(SYMBOLS, name="gene"), columns=["S1", "S2", "S3", "S4"])
    described = table.reset_index(names="gene_id").assign(gene_id=IDS)
    described.insert(1, "gene_name", SYMBOLS)
    gct = table.rename_axis("Name").reset_index()
    gct.insert(1, "Description", "d")
    one = table["S1"].to_numpy()
    counted = {"Geneid": IDS, "Chr": "1", "Start": 1, "End": 9, "Strand": "+", "Length": 9, "S1.bam": one}
    salmon = {"Name": IDS, "Length": 9.0, "EffectiveLength": 8.0, "TPM": one / 7, "NumReads": one / 1}
    head = "".join(f"N_{what}\t1\t1\t1\n" for what in ("unmapped", "multimapping", "noFeature", "ambiguous"))
    star = head + "".join(f"{gene}\t{n}\t{n // 2}\t{n // 2}\n" for gene, n in zip(IDS, one, strict=True))
    return {
        "a.csv": table.to_csv().encode(), "log.csv": np.log2(table + 1).to_csv().encode(),
        "across.tsv": table.T.to_csv(sep="\t").encode(), "quoted.txt": table.to_csv(sep=" ", quoting=2).encode(),
        "described.tsv": described.to_csv(sep="\t", index=False).encode(),
        "b.gct": f"#1.2\n{len(table)}\t4\n{gct.to_csv(sep=chr(9), index=False)}".encode(),
        "features.txt": b"# Program:featureCounts\n" + pd.DataFrame(counted).to_csv(sep="\t", index=False).encode(),
        "quant.genes.sf": pd.DataFrame(salmon).to_csv(sep="\t", index=False).encode(),
        "ReadsPerGene.out.tab": star.encode(), "packed.gz": gzip.compress(table.to_csv().encode()),
        "wide.txt": table.to_csv(sep="\t").encode("utf-16"),
    }  # fmt: skip


FILES = files()


@pytest.mark.filterwarnings("ignore")
@SEARCH
@given(name=st.sampled_from([*sorted(FILES), "p.parquet"]), seed=SEEDS, some=st.booleans())
def test_tables(tmp_path, name, seed, some):
    path = tmp_path / name
    if name == "p.parquet":
        pd.read_csv(pd.io.common.BytesIO(FILES["a.csv"])).to_parquet(path)
    else:
        path.write_bytes(FILES[name])
    damage(path, seed)
    with suppress(InputError):
        matrix = read_expression(path, genes=SYMBOLS[:40]) if some else read_expression(path)
        assert np.isfinite(matrix.values).all() and len(matrix.samples) == len(matrix.values)


@SEARCH
@given(seed=SEEDS, gtf=st.booleans())
def test_lengths(tmp_path, seed, gtf):
    path = tmp_path / ("a.gtf" if gtf else "lengths.tsv")
    exons = [f'1\tx\texon\t{9 * i + 1}\t{9 * i + 8}\t.\t+\t.\tgene_id "{gene}";' for i, gene in enumerate(IDS)]
    rows = [f"{gene}\t{100 + i}" for i, gene in enumerate(IDS)]
    path.write_text("\n".join(exons if gtf else ["gene\tlength", *rows]) + "\n", "utf-8")
    damage(path, seed)
    with suppress(InputError):
        assert all(value > 0 for value in read_lengths(path).by_name.values())


def test_an_exon_at_no_number_is_named(tmp_path):
    path = tmp_path / "a.gtf"
    exon = '1\tx\texon\t{}\t80\t.\t+\t.\tgene_id "ENSG1"; gene_name "A";\n'
    path.write_text(exon.format(1) + exon.format(""))
    with pytest.raises(ExpressionReadError, match="ENSG1 lies from '' to '80'"):
        read_lengths(path)


@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_a_quote_that_hides_a_delimiter_is_refused_with_its_line(tmp_path, delimiter):
    path = tmp_path / "a.txt"
    rows = [delimiter.join([gene, symbol, "5", "6"]) for gene, symbol in zip(IDS, SYMBOLS, strict=True)]
    rows[3] = '"' + rows[3]
    path.write_text("\n".join([delimiter.join(["gene_id", "gene_name", "S1", "S2"]), *rows]) + "\n")
    with pytest.raises(ExpressionReadError, match="line 5"):
        read_expression(path)


@SEARCH
@given(seed=SEEDS)
def test_bundles(tmp_path, small_bundle, seed):
    copy = tmp_path / "bundle"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(small_bundle.path, copy)
    damage_one(copy, seed)
    with suppress(InputError):
        bundle = open_expression_bundle(copy)
        table = pd.DataFrame(np.full((len(bundle.genes), 2), 50), index=list(bundle.genes), columns=["A", "B"])
        table.to_csv(tmp_path / "t.csv")
        assert len(predict(tmp_path / "t.csv", bundle, units="counts")) == 2

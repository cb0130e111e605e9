"""The map of an embedding and which cells are alike; regions of a slide."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_aml.errors import AmlError, InputError
from napari_aml.review.embedding import Likeness, UmapMissingError, principal_components, umap_steps
from napari_aml.review.regions import COUNT, LEAVE_OUT, Region, counted, inside


@pytest.fixture(scope="module")
def clouds():
    """Three clouds of 40 cells in 16 dimensions."""
    rng = np.random.default_rng(0)
    centres = 8 * rng.normal(size=(3, 16))
    x = np.concatenate([c + rng.normal(size=(40, 16)) for c in centres]).astype(np.float32)
    return x, np.repeat(np.array(["MYO", "LYT", "EOS"], object), 40)


def test_pca_is_that_of_scikit_learn(clouds):
    from sklearn.decomposition import PCA

    x, _ = clouds
    ours, theirs = principal_components(x, 3), PCA(3).fit_transform(x)
    signs = np.sign((ours * theirs).sum(0))
    np.testing.assert_allclose(ours, theirs * signs, atol=1e-3)
    np.testing.assert_array_equal(ours, principal_components(x.copy(), 3))
    assert principal_components(x[:, :1]).shape == (120, 2)


@pytest.mark.parametrize("bad", [np.zeros((0, 4)), np.zeros((5, 0)), np.zeros((5, 4)), np.full((5, 4), np.nan)])
def test_what_is_no_embedding_is_refused(bad):
    with pytest.raises(InputError):
        principal_components(bad)


def test_the_nearest_are_those_of_scikit_learn(clouds):
    from sklearn.neighbors import NearestNeighbors

    x, codes = clouds
    like = Likeness(x)
    theirs = NearestNeighbors(metric="cosine").fit(x).kneighbors(x[[7]], 11)
    rows, similarity = like.nearest(7, 10)
    assert list(rows) == [int(i) for i in theirs[1][0][1:]]
    np.testing.assert_allclose(similarity, 1 - theirs[0][0][1:], atol=1e-4)
    assert set(codes[rows]) == {"MYO"}
    others, far = like.nearest_of_another_class(7, codes, 10)
    assert "MYO" not in set(codes[others]) and far.max() < similarity.min() and len(others) == 10
    silent = codes.copy()
    silent[40:] = ""
    assert len(like.nearest_of_another_class(7, silent, 10)[0]) == 0
    assert len(like.nearest(0, 500)[0]) == 119


#: Stands in for umap-learn, whose compilation takes minutes on a busy machine: the same call, the first two columns.
STAND_IN = """
import time
class UMAP:
    def __init__(self, n_neighbors, min_dist, random_state, n_jobs):
        self.slow = random_state == 99
    def fit_transform(self, x):
        if self.slow:
            time.sleep(600)
        return x[:, :2]
"""


@pytest.fixture
def stand_in(tmp_path, monkeypatch):
    (tmp_path / "umap.py").write_text(STAND_IN)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.syspath_prepend(tmp_path)


def test_umap_runs_in_its_own_process_and_dies_when_it_is_closed(clouds, stand_in):
    x, _ = clouds
    steps, seen = umap_steps(x), 0
    try:
        while True:
            assert "UMAP of 120 cells" in next(steps).message
            seen += 1
    except StopIteration as done:
        layout = done.value
    assert seen and layout.shape == (120, 2)
    np.testing.assert_allclose(layout, principal_components(x, 16)[:, :2])
    slow = umap_steps(x, seed=99)
    next(slow)
    process = slow.gi_frame.f_locals["process"]
    slow.close()
    assert process.poll() is not None
    with pytest.raises(InputError, match="four cells"):
        next(umap_steps(x[:3]))


def test_umap_that_fails_or_is_absent_says_so(clouds, stand_in, tmp_path, monkeypatch):
    (tmp_path / "umap.py").write_text("raise ImportError('numba does not fit numpy')")
    steps = umap_steps(clouds[0])
    with pytest.raises(AmlError, match="numba does not fit numpy"):
        for _ in steps:
            pass
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UmapMissingError, match="umap"):
        next(umap_steps(clouds[0]))


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**20))
def test_inside_a_polygon_is_what_shapely_says(seed):
    shapely = pytest.importorskip("shapely")
    rng = np.random.default_rng(seed)
    angle = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
    far = rng.uniform(5, 50, len(angle))
    corners = np.stack([60 + far * np.cos(angle), 40 + far * np.sin(angle)], 1)  # x, y; star-shaped: never crosses
    y, x = rng.uniform(-20, 120, (2, 200))
    polygon = shapely.Polygon(corners)
    if not polygon.is_valid or np.abs(shapely.distance(polygon.exterior, shapely.points(x, y))).min() < 1e-6:
        return
    np.testing.assert_array_equal(inside(corners, y, x), shapely.contains_xy(polygon, x, y))


def test_regions_go_through_geojson_and_back():
    region = Region(((1.5, 2.0), (10.0, 2.0), (10.0, 20.25)), LEAVE_OUT)
    assert Region.from_geojson(region.to_geojson()) == region
    for broken in ("", "{}", '{"geometry": {"coordinates": [[]]}, "properties": {}}'):
        with pytest.raises(InputError):
            Region.from_geojson(broken)
    with pytest.raises(InputError, match="three corners"):
        Region(((0, 0), (1, 1)))
    with pytest.raises(InputError, match="count or leave out"):
        Region(region.points, "elsewhere")


def test_counting_regions_and_regions_left_out():
    y, x = np.array([5.0, 5.0, 50.0]), np.array([5.0, 50.0, 5.0])
    square = lambda y0, x0: ((y0, x0), (y0, x0 + 20), (y0 + 20, x0 + 20), (y0 + 20, x0))  # noqa: E731
    assert counted([], y, x).all()
    assert list(counted([Region(square(0, 0), LEAVE_OUT)], y, x)) == [False, True, True]
    assert list(counted([Region(square(0, 0)), Region(square(0, 40), COUNT)], y, x)) == [True, True, False]
    assert list(counted([Region(square(0, 0)), Region(square(3, 3), LEAVE_OUT)], y, x)) == [False, False, False]

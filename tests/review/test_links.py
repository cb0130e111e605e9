"""Links of slides to expression files: kept, replaced, forgotten, checked by hash."""

from __future__ import annotations

import json

import pytest

from napari_aml.errors import InputError
from napari_aml.progress import run
from napari_aml.review.links import (
    ExpressionLink,
    LinkFile,
    LinksError,
    LinkState,
    MemoryLinks,
    check_steps,
    hash_steps,
)


@pytest.fixture(params=["file", "memory"])
def store(request, tmp_path):
    return LinkFile(tmp_path / "deep" / "links.json") if request.param == "file" else MemoryLinks()


def link(slide="s1", sample="A", path="x.csv", **more):
    return ExpressionLink(slide, str(path), sample, "0" * 64, **more)


def test_kept_replaced_forgotten(store):
    assert store.link_of("s1") is None
    store.link([link("s1"), link("s2", age=41.0, sex="male")])
    assert store.link_of("s2") == link("s2", age=41.0, sex="male", added=store.link_of("s2").added)
    store.link([link("s1", "B")])
    assert store.link_of("s1").sample == "B" and store.link_of("s2").sample == "A"
    store.unlink(["s1", "never"])
    assert store.link_of("s1") is None and store.link_of("s2") is not None


def test_two_windows_share_one_file(tmp_path):
    one, other = LinkFile(tmp_path / "l.json"), LinkFile(tmp_path / "l.json")
    one.link([link("s1")])
    other.link([link("s2")])
    assert set(one.links()) == {"s1", "s2"}


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"format": "other", "links": []}', '{"format": 1}', "\0"])
def test_a_damaged_file_is_said_and_not_overwritten(tmp_path, text):
    path = tmp_path / "l.json"
    path.write_text(text)
    with pytest.raises(LinksError, match=r"l\.json"):
        LinkFile(path).link([link()])
    assert path.read_text() == text


def test_a_newer_file_with_more_fields_is_read(tmp_path):
    path = tmp_path / "l.json"
    LinkFile(path).link([link()])
    told = json.loads(path.read_text())
    told["links"][0]["colour"] = "red"
    path.write_text(json.dumps(told))
    assert LinkFile(path).link_of("s1").sample == "A"


def test_changed_and_missing_files_are_told_apart(tmp_path):
    path, gone = tmp_path / "a.csv", tmp_path / "gone.csv"
    path.write_text("gene,S\nTP53,1\n")
    linked = ExpressionLink("s1", str(path), "S", run(hash_steps(path)))
    assert run(check_steps([linked, link(path=gone)])) == [LinkState.SAME, LinkState.MISSING]
    path.write_text("gene,S\nTP53,2\n")
    assert run(check_steps([linked])) == [LinkState.CHANGED]


def test_a_folder_is_hashed_by_names_and_contents(tmp_path):
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a.tab").write_text("1")
    (tmp_path / "d" / "b.tab").write_text("2")
    first = run(hash_steps(tmp_path / "d"))
    (tmp_path / "d" / "b.tab").rename(tmp_path / "d" / "c.tab")
    assert run(hash_steps(tmp_path / "d")) != first
    first = run(hash_steps(tmp_path / "d"))
    with open(tmp_path / "d" / "a.bam", "wb") as stream:
        stream.truncate(1 << 27)  # sparse: by its size, not read
    events = []
    assert run(hash_steps(tmp_path / "d"), events.append) != first and len(events) == 2
    with pytest.raises(InputError, match="not-there"):
        run(hash_steps(tmp_path / "not-there"))


def test_hashing_says_how_far_it_is(tmp_path):
    path = tmp_path / "big.csv"
    path.write_bytes(bytes(40_000_000))
    events = []
    run(hash_steps(path), events.append)
    assert len(events) >= 3 and events[-1].fraction == 1 and "big.csv" in events[0].message

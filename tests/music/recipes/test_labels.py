from __future__ import annotations

import pytest

from musiczoo.music.corpora import names as corpora
from musiczoo.music.corpora.names import load_corpus
from musiczoo.music.recipes.labels import Labels, folk_tunes, one_label, rhythm


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("R:Reel\n", "reel"),
        ("R: slipjig \n", "slip jig"),
        ("R:double  jig\n", "double jig"),
        ("R:FLING\n", "highland fling"),
        ("R:\n", "tune"),
        ("", "tune"),
    ],
)
def test_the_rhythm_of_a_folk_tune(line, expected):
    text = f"X:1\nT:R:nothing\n{line}K:G\nG4|\n"
    assert rhythm(text) == expected
    assert folk_tunes("O'Neill's")("a.abc", text) == Labels("Traditional", "O'Neill's", expected)


def test_one_label_for_all():
    assert one_label("Baroque", "Bach, Johann Sebastian", "Choral")("x", "y") == Labels(
        "Baroque", "Bach, Johann Sebastian", "Choral"
    )


def test_a_corpus_gives_its_works_their_labels(tmp_path, monkeypatch):
    book = "X:1\nR:Hornpipe\nK:G\nG2AB cdef|g8|]\n\nX:2\nK:C\nC2DE FGAB|c8|]\n"
    (tmp_path / "book.abc").write_text(book)
    monkeypatch.setattr(corpora, "files_of", lambda row: (tmp_path, ["book.abc"]))
    for _ in range(2):  # read, then from the cache
        corpus = load_corpus("ryan", cache=tmp_path / "cache", workers=1, progress=False)
        assert [work.labels and work.labels.instrumentation for work in corpus] == [
            "hornpipe",
            "tune",
        ]
        assert {work.labels and work.labels.composer for work in corpus} == {
            "Ryan's Mammoth Collection"
        }


def test_a_folder_has_no_labels(tmp_path):
    (tmp_path / "book.abc").write_text("X:1\nR:Hornpipe\nK:G\nG2AB cdef|g8|]\n")
    assert (
        load_corpus(tmp_path, cache=tmp_path / "cache", workers=1, progress=False)[0].labels is None
    )

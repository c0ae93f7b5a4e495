from __future__ import annotations

from musiczoo.music.recipes.composers import COMPOSERS, period_of
from musiczoo.music.recipes.dcml import CORPORA
from musiczoo.music.recipes.labels import Labels


def test_the_whole_collection(score, load):
    score("mozart_piano_sonatas/MS3/K279-1.mscx")
    score("mozart_piano_sonatas/MS3/K279-1.mxl")
    score("mozart_piano_sonatas/musicxml/K279-1.musicxml")
    score("mozart_piano_sonatas/reviewed/K279-1_reviewed.mxl")
    score("mozart_piano_sonatas/MS3/K279-2.mscx")
    score("ABC/MS3/n01op18-1_01.mscx")
    score("ABC/musicxml/n01op18-1_01.musicxml")
    score("peri_euridice/MS3/act1.mxl")
    score("platti_sonatas/MS3/one.mxl")  # not in our table
    corpus = load("dcml")
    assert {work.path: work.labels for work in corpus} == {
        "ABC/musicxml/n01op18-1_01.musicxml": Labels(
            "Classical", "Beethoven, Ludwig van", "Chamber"
        ),
        "mozart_piano_sonatas/MS3/K279-1.mxl": Labels(
            "Classical", "Mozart, Wolfgang Amadeus", "Keyboard"
        ),
        "peri_euridice/MS3/act1.mxl": Labels("Baroque", "Peri, Jacopo", "Vocal-Orchestral"),
        "platti_sonatas/MS3/one.mxl": None,
    }
    why = {skipped.path: skipped.reason for skipped in corpus.left_out}
    assert (
        why["mozart_piano_sonatas/MS3/K279-1.mscx"]
        == "the same score as mozart_piano_sonatas/MS3/K279-1.mxl"
    )
    assert (
        why["mozart_piano_sonatas/musicxml/K279-1.musicxml"]
        == "the same score as mozart_piano_sonatas/MS3/K279-1.mxl"
    )
    assert (
        why["mozart_piano_sonatas/reviewed/K279-1_reviewed.mxl"]
        == "the same score as mozart_piano_sonatas/MS3/K279-1.mxl"
    )
    assert "export it to MusicXML" in why["mozart_piano_sonatas/MS3/K279-2.mscx"]
    assert "export it to MusicXML" in why["ABC/MS3/n01op18-1_01.mscx"]
    assert "NC" in corpus.licence


def test_one_repository_from_a_zip_archive(root, score, load):
    score("corelli-main/MS3/op01n01a.mxl")
    [work] = load("dcml", root / "corelli-main")
    assert work.labels == Labels("Baroque", "Corelli, Arcangelo", "Chamber")


def test_every_composer_of_the_table_has_a_period():
    assert {composer for composer, _ in CORPORA.values()} <= set(COMPOSERS)
    assert all(period_of(composer) for composer, _ in CORPORA.values())
    assert {instrumentation for _, instrumentation in CORPORA.values()} <= {
        "Keyboard",
        "Chamber",
        "Orchestral",
        "Art Song",
        "Choral",
        "Vocal-Orchestral",
    }

from __future__ import annotations

import pytest

from musiczoo.music.recipes.labels import Labels

HEADER = "id\tpath\tname\tgender\tborn\tdied\tdesc\timslp\n"
ROWS = (
    "235699\tBeach,_Amy\tAmy Beach\tFemale\t1867\t1944\t\thttps://imslp.org/wiki/Category:Beach,_Amy_Marcy\n"
    "104919\tFauré,_Gabriel\tGabriel Fauré\tMale\t1845\t1924\t\thttps://imslp.org/wiki/Category:Faur%C3%A9,_Gabriel\n"
    "5085825\tBarnard,_Charlotte_Alington_-_aka_Claribel\tCharlotte Barnard\tFemale\t1830\t1869\t\t\n"
    "1\tUnknown,_Someone\tSomeone\t\t\t\t\t\n"
)


def test_lieder(root, score, load):
    song = "scores/Beach,_Amy/3_Browning_Songs,_Op.44/1_The_Year\u2019s_at_the_Spring/lc6212179"
    for ending in (".mxl", ".mscx", ".mscz", ".txt"):
        score(song + ending)
    score("scores/Fauré,_Gabriel/_/Les_berceaux/lc1.mxl")
    score("scores/Barnard,_Charlotte_Alington_-_aka_Claribel/_/Come_back/lc2.mxl")
    score("scores/Unknown,_Someone/_/Song/lc3.mxl")
    score("scores/Schubert,_Franz/_/Song/lc4.mxl")  # not in the table
    score("scores/Beach,_Amy/_/Only/lc5.mscx")
    score("scores/Beach,_Amy/_/Twice/lc6.mxl")
    score("scores/Beach,_Amy/_/Twice/lc6.mid")
    score("tests/lc7.mxl")
    (root / "data").mkdir()
    (root / "data" / "composers.tsv").write_text(HEADER + ROWS)
    corpus = load("openscore-lieder")
    assert {work.path.rpartition("/")[2]: work.labels for work in corpus} == {
        "lc6212179.mxl": Labels("Romantic", "Beach, Amy Marcy", "Art Song"),
        "lc1.mxl": Labels("Romantic", "Faure, Gabriel", "Art Song"),
        "lc2.mxl": Labels("Romantic", "Barnard, Charlotte Alington", "Art Song"),
        "lc3.mxl": None,
        "lc4.mxl": Labels("Romantic", "Schubert, Franz", "Art Song"),
        "lc6.mxl": Labels("Romantic", "Beach, Amy Marcy", "Art Song"),
    }
    why = {skipped.path.rpartition("/")[2]: skipped.reason for skipped in corpus.left_out}
    assert why["lc6212179.mscx"] == why["lc6212179.mscz"] == f"the same score as {song}.mxl"
    assert why["lc6212179.txt"] == "not music: .txt"
    assert "export it to MusicXML" in why["lc5.mscx"]
    assert why["lc6.mid"].startswith("the same score as")
    assert why["lc7.mxl"] == "no song of the corpus"
    assert "CC0" in corpus.licence


def test_quartets_without_their_table(score, load):
    work = "scores/Beethoven,_Ludwig_van/String_Quartet_No.1,_Op.18_No.1/sq8071278"
    for ending in (".mxl", ".pdf", ".mscx", "-Part-Viola.pdf"):
        score(work + ending)
    score("scores/Andrée,_Elfrida/String_Quartet_in_A_major/sq7313978.mxl")
    corpus = load("openscore-quartets")
    assert [work.labels for work in corpus] == [
        None,
        Labels("Classical", "Beethoven, Ludwig van", "Chamber"),
    ]


def test_a_damaged_table_is_told_of(root, score, load):
    from musiczoo.music.errors import MusicZooError

    score("scores/Beach,_Amy/_/Song/lc1.mxl")
    (root / "data").mkdir()
    (root / "data" / "composers.tsv").write_text("id\tname\n1\tx\n")
    with pytest.raises(
        MusicZooError, match=r"composers.tsv.*no column born, died, path.*--recipe none"
    ):
        load("openscore-lieder")

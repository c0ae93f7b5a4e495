from __future__ import annotations

from musiczoo.music.recipes.labels import Labels

LOLA = "Abel, Frederic, Lola, Polka, SLNJF0uiqRw.mid"
PRELUDE = "Rachmaninoff, Sergei, Prelude, Op.3, No.2, -abcdefghi_.mid"


def test_file_names_and_table(root, score, load):
    for name in (LOLA, PRELUDE, "Nobody, A., Piece, 0123456789a.mid", "README.mid"):
        score(f"midis/{name}", seed=name)
    score(f"surname_checked_midis/{PRELUDE}", seed=PRELUDE)
    (root / "resources").mkdir()
    (
        root / "resources" / "full_music_pieces_youtube_similarity_pianosoloprob_split.csv"
    ).write_text(
        "surname\tfirstname\tmusic\tnationality\tbirth\tdeath\tyoutube_id\tsurname_in_youtube_title\n"
        "Abel\tFrederic\tLola\tGerman\t1820\t1870\tSLNJF0uiqRw\t1\n"
        "Nobody\tA.\tPiece\tunknown\tunknown\t\t0123456789a\t0\n"
    )
    corpus = load("giantmidi-piano")
    assert {work.path: (work.labels, work.tags) for work in corpus} == {
        f"midis/{LOLA}": (
            Labels("Romantic", "Abel, Frederic", "Keyboard"),
            ("performance", "curated"),
        ),
        f"midis/{PRELUDE}": (
            Labels("Romantic", "Rachmaninoff, Sergei", "Keyboard"),
            ("performance", "curated"),
        ),
        "midis/Nobody, A., Piece, 0123456789a.mid": (None, ("performance",)),
    }
    assert {skipped.path: skipped.reason for skipped in corpus.left_out} == {
        f"surname_checked_midis/{PRELUDE}": f"the same score as midis/{PRELUDE}",
        "midis/README.mid": "no file name of the corpus",
        "resources/full_music_pieces_youtube_similarity_pianosoloprob_split.csv": "not music: .csv",
    }


def test_without_the_table(root, score, load):
    score(PRELUDE)
    [work] = load("giantmidi-piano")
    assert work.labels == Labels("Romantic", "Rachmaninoff, Sergei", "Keyboard")
    assert work.tags == ("performance",)

from __future__ import annotations

from musiczoo.music.recipes.labels import Labels

PRELUDE = "Sergei_Rachmaninoff/13_Preludes,_Op._32/No._12_in_G-Sharp_Minor"
WALTZ = "Frederic_Chopin/Waltz_No._19_in_A_Minor"


def test_a_score_or_one_performance_of_each_movement(root, score, load):
    header = "artist,artist_id,track,track_duration,composer,composition_id,score_path,midi_path,youtube_links,notes,\n"
    rows = [
        f'Horowitz,2,Prelude,130,Sergei Rachmaninoff,7,"{PRELUDE}/score.mxl","{PRELUDE}/00020.mid",,,',
        f'Richter,0,Prelude,129,Sergei Rachmaninoff,7,"{PRELUDE}/score.mxl","{PRELUDE}/00021.mid",,,',
        f'Arrau,11,Waltz,149,Frédéric Chopin,8,,"{WALTZ}/00030.mid",,low quality,',
        f'Kocsis,33,Waltz,122,Frédéric Chopin,8,,"{WALTZ}/00031.mid",,,',
        f'Ax,34,Waltz,122,Frédéric Chopin,8,,"{WALTZ}/00032.mid",,,',
        'Nobody,1,Lost,1,Nobody Known,9,,"Nobody/00040.mid",,,',
    ]
    (root / "ATEPP-metadata-1.2.csv").write_text(header + "\n".join(rows))
    (root / "ATEPP-metadata.csv").write_text("older\n")
    for name in (
        f"{PRELUDE}/score.mxl",
        f"{PRELUDE}/00020.mid",
        f"{PRELUDE}/00021.mid",
        "Nobody/00040.mid",
        "Nobody/00041.mid",
    ):
        score(f"ATEPP-1.2/{name}")
    for number in (30, 31, 32):
        score(f"ATEPP-1.2/{WALTZ}/000{number}.mid")
    corpus = load("atepp")
    assert {work.path.removeprefix("ATEPP-1.2/"): (work.labels, work.tags) for work in corpus} == {
        f"{PRELUDE}/score.mxl": (
            Labels("Romantic", "Rachmaninoff, Sergei", "Keyboard"),
            ("score",),
        ),
        f"{WALTZ}/00031.mid": (
            Labels("Romantic", "Chopin, Frederic", "Keyboard"),
            ("performance",),
        ),
        "Nobody/00040.mid": (None, ("performance",)),
    }
    why = {skipped.path.removeprefix("ATEPP-1.2/"): skipped.reason for skipped in corpus.left_out}
    assert why[f"{PRELUDE}/00020.mid"] == f"a performance of ATEPP-1.2/{PRELUDE}/score.mxl"
    assert (
        why[f"{WALTZ}/00030.mid"]
        == why[f"{WALTZ}/00032.mid"]
        == f"another performance of the movement in ATEPP-1.2/{WALTZ}/00031.mid"
    )
    assert why["Nobody/00041.mid"] == "not in the corpus's table"
    assert why["ATEPP-metadata.csv"] == "not music: .csv"

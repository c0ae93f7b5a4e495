from __future__ import annotations

from pathlib import Path

import pytest

from musiczoo.llm.pieces import near_works, open_piece
from musiczoo.llm.works_table import WorkRow, groups, read_works
from musiczoo.music.errors import MusicZooError
from tests.midi_files import random_score, write_midi

TUNE = "X:{number}\nT:Tune {number}\nM:4/4\nL:1/4\nK:C\n{notes}|\n"


def test_tables(tmp_path: Path) -> None:
    path = tmp_path / "works.csv"
    path.write_text(
        "midi,title,composer,period,nominal\n"
        'a.mid,Nocturne  in E,"Chopin, F.",Romantic,1\n'
        "b.mid,Fugue,,,\n"
    )
    table = read_works(path)
    assert table.root == tmp_path
    assert table.works == (
        WorkRow("a.mid", "Nocturne in E", "Chopin, F.", "Romantic", nominal=True),
        WorkRow("b.mid", "Fugue"),
    )
    assert read_works(path, root="elsewhere").root == Path("elsewhere")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("midi,title\na,b\n", "no column composer"),
        ("midi,title,composer\n", "no works"),
        ("midi,title,composer\na,b,c\na,d,e\n", "more than one row"),
        ("midi,title,composer\n,b,c\n", "no file or no title"),
    ],
)
def test_bad_tables_are_errors(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "works.csv").write_text(text)
    with pytest.raises(MusicZooError, match=reason):
        read_works(tmp_path / "works.csv")


def test_folders_and_books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSICZOO_CACHE", str(tmp_path / "cache"))
    music = tmp_path / "music"
    music.mkdir()
    tunes = [TUNE.format(number=n, notes="C D E F|" * n + "G A B c") for n in (1, 2)]
    (music / "book.abc").write_text("\n".join(tunes))
    (music / "Old_waltz.abc").write_text(
        TUNE.format(number=1, notes="cBAG").replace("T:Tune 1\n", "")
    )
    table = read_works(music)
    titles = {row.midi: row.title for row in table.works}
    assert titles == {"Old_waltz.abc": "Old waltz", "book.abc#1": "Tune 1", "book.abc#2": "Tune 2"}
    assert not any(row.nominal for row in table.works)
    assert all(row.cluster for row in table.works)
    score, tune = open_piece(table.root, "book.abc#2")
    assert tune is not None
    assert tune.field("T") == "Tune 2"
    assert score.note_num() == 12
    with pytest.raises(MusicZooError, match="none with the number 3"):
        open_piece(table.root, "book.abc#3")


def test_transcriptions_are_nominal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUSICZOO_CACHE", str(tmp_path / "cache"))
    name = "Chopin, Frédéric, Nocturne, Op. 9, abcdefghijk.mid"
    write_midi(random_score(1), tmp_path / "giant" / "midis" / name)
    [row] = read_works(tmp_path / "giant").works
    assert (row.title, row.composer, row.nominal) == ("Nocturne, Op. 9", "Chopin, Frederic", True)
    assert row.period == "Romantic"
    assert open_piece(tmp_path / "giant", row.midi).tune is None


def test_groups_join_clusters_and_titles() -> None:
    works = [
        WorkRow("0", "Waltz", "Brahms, J.", cluster="a"),
        WorkRow("1", "Fugue", "Bach", cluster="b"),
        WorkRow("2", "The waltz", "Johannes Brahms", cluster="c"),
        WorkRow("3", "x", "", cluster="b"),
        WorkRow("4", "x", "", cluster="d"),
        WorkRow("5", "y", "z"),
    ]
    assert groups(works) == [0, 1, 0, 1, 4, 5]
    assert groups(works, [0, 1, 2, 3, 4, 4]) == [0, 1, 0, 1, 4, 4]


def test_near_works_are_found_by_their_notes(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2), ("c", 1)):
        write_midi(random_score(seed, bars=30), tmp_path / f"{name}.mid")
    works = [WorkRow(f"{name}.mid", name) for name in ("a", "b", "c", "gone", "lost")]
    seen = []
    found = near_works(works, tmp_path, progress=lambda done, total: seen.append(done))
    assert found == [0, 1, 0, 3, 4]
    assert seen == [1, 2, 3, 4, 5]

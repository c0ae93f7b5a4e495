"""ABC without what its header states: the notes are the same, and nothing names key or meter."""

from __future__ import annotations

import pytest

from musiczoo.music.abc import Tune, read_abc
from musiczoo.music.abc.bare import bare_abc
from musiczoo.music.corpora import load_corpus


def notes(tune: Tune) -> list[tuple[object, ...]]:
    return [(note.onset, note.pitch, note.duration) for note in tune.notes(graces=True)]


@pytest.mark.parametrize(
    "text",
    [
        "M:3/4\nL:1/8\nK:D\nF2 f2 c2|=F2 F2 c2|D6|",
        "M:C\nL:1/4\nQ:1/4=90\nR:reel\nK:Gm\n[K:A] cde^f|[M:3/4] [Q:1/4=60] gab|e3-|e3|",
        "L:1/8\nM:6/8\nK:HP\nabc def|[ce]3 {g}a3|",
        "L:1/4\nM:4/4\nK:Ebmin\nV:1\ne=ede|_c4|\nV:2\n_G,4|E4|",
        'L:1/8\nM:4/4\nK:E\n(3fga (3agf ^f=ff2|"Am"f2 "^slow"g2 f4|',
        "M:2/4\nK:F\nB>c d2|B4|",
    ],
)
def test_the_notes_are_the_same(text: str) -> None:
    tune = read_abc(f"X:1\nT:Some title\nC:Somebody\n{text}\n")
    bare = bare_abc(tune)
    assert notes(read_abc(bare + "\n")) == notes(tune)
    lines = bare.splitlines()
    assert [line for line in lines if line[:2] in ("M:", "Q:", "R:", "T:", "C:")] == []
    assert lines[1] == "K:none"
    assert not any(mark in bare for mark in ("[K:", "[M:", "[Q:", "title", "slow", "Am"))


def test_every_altered_note_bears_its_accidental() -> None:
    bare = bare_abc(read_abc("L:1/4\nM:4/4\nK:D\nFFFc|"))
    assert "^F^F^F^c" in bare


@pytest.mark.slow
def test_a_corpus_keeps_its_notes() -> None:
    wrong = [
        work.id
        for work in load_corpus("aird", progress=False)
        if notes(read_abc(bare_abc(work.tune) + "\n")) != notes(work.tune)
    ]
    assert wrong == []

"""Folded reading gives what plain reading gives, and leaves alone what cannot be folded exactly."""

from __future__ import annotations

from pathlib import Path

import music21
import pytest

from musiczoo.music.abc import write_abc
from musiczoo.music.musicxml import reader
from musiczoo.music.musicxml.folding import fold_notes
from musiczoo.music.musicxml.source import open_musicxml

CORPUS = Path(music21.__file__).parent / "corpus"
NOTE = '<note default-x="3"><pitch><step>C</step><octave>4</octave></pitch><duration>1</duration><stem default-y="1">up</stem></note>'
SAME = NOTE.replace('"3"', '"50"').replace("up", "down")


def document(music: str) -> str:
    return f"<score-partwise><part id='P1'><measure number='1'>{music}</measure></part></score-partwise>"


def test_equal_notes_are_folded_wherever_they_stand_on_the_page() -> None:
    folded = fold_notes(document(f"{NOTE} {SAME}<backup/>{NOTE}"))
    assert folded is not None
    assert [element.text for element in folded.root.iter("notes")] == ["0 0", "0"]
    assert [shape.pitch for shape in folded.shapes.values()] == [("C", 0, 4)]


@pytest.mark.parametrize(
    "music",
    [
        NOTE.replace("<duration>", "<!-- </note> --><duration>"),
        NOTE.replace("<duration>", "<?x <note> ?><duration>"),
        f"<![CDATA[{NOTE}]]>",
        f"<notes/>{NOTE}",
        f"<note>{NOTE}</note>",
        NOTE.replace("</pitch>", ""),
        NOTE.replace(">up<", "><b><"),
        f"<note><pitch></note>{NOTE}<note></pitch></note>",
        NOTE + "</measure>",
    ],
    ids=["comment", "instruction", "character-data", "reserved", "nested", "open", "stem", "crossing", "outside"],
)
def test_what_is_not_exact_is_not_folded(music: str) -> None:
    assert fold_notes(document(music)) is None


@pytest.mark.parametrize("name", ["bach/bwv66.6.mxl", "joplin/maple_leaf_rag.mxl", "schoenberg/opus19/movement2.mxl"])
def test_folded_is_plain(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert fold_notes(open_musicxml(CORPUS / name)) is not None
    folded = write_abc(reader.read_musicxml(CORPUS / name))
    monkeypatch.setattr(reader, "fold_notes", lambda text: None)
    assert write_abc(reader.read_musicxml(CORPUS / name)) == folded

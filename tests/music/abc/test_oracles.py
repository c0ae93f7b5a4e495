"""Notes against two independent readers (symusic's abc2midi and music21), and transposition over real chorales."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from pathlib import Path

import pytest

from musiczoo.music.abc import (
    KEYS,
    decode_abc,
    interleaved_lines,
    key_interval,
    read_abc,
    read_abc_book,
    signature_key,
    transpose,
    write_abc,
)


def corpus_folder() -> Path:
    import music21

    return Path(music21.__file__).parent / "corpus"


def sanitised(text: str) -> str:
    """Without what abc2midi plays in its own way: lengthened fermatas, ornaments, grace notes, chord symbols."""
    text = re.sub(r'"[^"\n]*"|\{[^}\n]*\}|![^!\s]+!', "", text)
    text = re.sub(r"(?m)^%(?!%).*\n", "", text)
    return text.replace("\nK:", "\n%%MIDI gchordoff\nK:", 1)


@pytest.mark.parametrize("interleaved", [False, True])
def test_symusic_reads_the_same_notes(interleaved):
    from symusic import Score

    tune = read_abc(Path("tests/fixtures/bar_stream/piece.abc").read_text())
    text = sanitised(("X:1\n" if interleaved else "") + write_abc(tune, interleaved=interleaved))
    score = Score.from_abc(text)
    theirs = Counter(
        (round(n.time / score.ticks_per_quarter * 24), n.pitch)
        for track in score.tracks
        for n in track.notes
    )
    ours = Counter((round(note.onset * 24), note.pitch) for note in tune.notes())
    assert ours == theirs


@pytest.mark.parametrize(
    "name", ["7thRegimentReel.abc", "AcaciaReel.abc", "AbithaMugginsFavoriteReel.abc"]
)
def test_music21_reads_the_same_notes(name):
    from music21 import converter

    path = corpus_folder() / "ryansMammoth" / name
    text = re.sub(r'"[^"\n]*"|\{[^}\n]*\}|[uvHT~](?=[A-Ga-g(])', "", decode_abc(path.read_bytes()))
    part = converter.parse(text, format="abc", forceSource=True).parts[0].stripTies().flatten()
    theirs = Counter(
        (round(note.offset * 48), note.pitch.midi, round(note.quarterLength * 48))
        for note in part.notes
    )
    ours = Counter(
        (round(note.onset * 48), note.pitch, round(note.duration * 48))
        for note in read_abc(text).notes()
    )
    matched = sum((ours & theirs).values())
    assert 2 * matched / (ours.total() + theirs.total()) > 0.99


def test_ryans_bars_equal_their_meter():
    """Of bars that no dividing bar-line touches, nearly all are full: lengths, tuplets and broken rhythms are read right."""
    full = whole = 0
    for path in sorted((corpus_folder() / "ryansMammoth").glob("*.abc"))[::25]:
        for tune in read_abc_book(decode_abc(path.read_bytes())):
            spans = tune.parsed[0].bars
            for before, span in itertools.pairwise(spans):
                if before.right == "|" and span.right == "|":
                    whole += 1
                    full += span.duration == span.nominal
    assert whole > 400
    assert full / whole > 0.98


@pytest.mark.slow
def test_every_chorale_moves_by_one_interval_and_comes_back():
    from musiczoo.music.musicxml.reader import read_musicxml

    paths = sorted((corpus_folder() / "bach").glob("*.mxl"))
    assert len(paths) > 400
    for path in paths:
        tune = read_musicxml(path)
        notes = tune.notes(graces=True)
        for text in (write_abc(tune), write_abc(tune, interleaved=True)):
            assert read_abc(text).notes(graces=True) == notes, path.name
        lines = [*(item.text for item in tune.header), *interleaved_lines(tune, omit_rests=True)]
        assert read_abc("\n".join(lines)).notes(graces=True) == notes, path.name
        source = signature_key(tune)
        before = sorted((note.voice, note.onset, note.pitch, note.duration) for note in notes)
        for key in KEYS:
            interval = key_interval(source, key)
            after = sorted(
                (n.voice, n.onset, n.pitch - interval, n.duration)
                for n in transpose(tune, key).notes(graces=True)
            )
            assert after == before, (path.name, key)

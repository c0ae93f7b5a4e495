"""Tunes to scores and back: exact where the source is exact, close where it was played."""

from __future__ import annotations

import importlib.util
import random
from fractions import Fraction
from pathlib import Path

import pytest
from symusic import KeySignature, Note, Score, Tempo, TimeSignature, Track

from musiczoo.music.abc import Tune, read_abc
from musiczoo.music.abc.key_finding import estimate_key, key_text, spell
from musiczoo.music.abc.programs import guess_program
from musiczoo.music.abc.tempo import parse_tempo
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.from_tune import ticks_per_quarter, to_score
from musiczoo.music.midi.to_tune import from_score
from musiczoo.music.musicxml.reader import read_musicxml

CORPUS = Path(importlib.util.find_spec("music21").submodule_search_locations[0]) / "corpus"


def sounding(tune: Tune) -> list[tuple[Fraction, int, Fraction]]:
    return sorted((note.onset, note.pitch, note.duration) for note in tune.notes())


def through_a_file(score: Score, folder: Path) -> Score:
    score.dump_midi(folder / "piece.mid")
    return Score(folder / "piece.mid")


def bars_are_full(tune: Tune) -> bool:
    lengths = [[bar.duration for bar in voice.bars] for voice in tune.parsed]
    return all(row == lengths[0] for row in lengths)


@pytest.mark.parametrize("name", ["bwv66.6", "bwv269", "bwv1.6", "bwv244.3", "bwv371"])
def test_a_chorale_written_as_midi_comes_back_note_for_note(name: str, tmp_path: Path) -> None:
    tune = read_musicxml(CORPUS / "bach" / f"{name}.mxl")
    again = from_score(through_a_file(to_score(tune, expand_repeats=False), tmp_path))
    assert sounding(again) == sounding(tune)
    assert [len(voice.bars) for voice in again.voices] == [len(voice.bars) for voice in tune.voices]
    assert bars_are_full(again)
    assert again.field("K") == tune.field("K")


@pytest.mark.slow
def test_all_chorales_come_back_note_for_note(tmp_path: Path) -> None:
    differing = []
    for path in sorted((CORPUS / "bach").glob("*.mxl")):
        tune = read_musicxml(path)
        if sounding(
            from_score(through_a_file(to_score(tune, expand_repeats=False), tmp_path))
        ) != sounding(tune):
            differing.append(path.name)
    assert differing == []


@pytest.mark.parametrize(
    "body",
    [
        "(3A2B2c2 (3def g2 | (5:4:5A2B2c2d2e2 | A>B c<d (7:4:7e/f/g/a/b/a/g/ z2 |",
        "[A4c4]-[Ac]3 z | A8- | A8 |",
        "A/4B/4c/4d/4 (9:8:9A/B/A/B/A/B/A/B/A/ z3 | z8 |",
        "A2/3B4/3 c2 d2 e2 | A5/3B/3 c2 d4 |",
    ],
)
def test_tuplets_chords_and_ties_come_back(body: str, tmp_path: Path) -> None:
    tune = read_abc(f"X:1\nM:4/4\nL:1/8\nK:C\n{body}\n")
    assert sounding(from_score(through_a_file(to_score(tune), tmp_path))) == sounding(tune)


def test_ticks_meters_keys_tempos_programs_and_repeats() -> None:
    text = 'X:1\nL:1/4\nQ:3/8=60\nM:6/8\nK:Bbmin\nV:1 nm="Violoncello"\nV:2 perc\n'
    text += "V:1\nA/ |: A/B/c/ d3/2 :| [M:2/4][K:D][Q:1/4=50] A2 |]\nV:2\nz/ |: z3 :| z2 |]\n"
    score = to_score(read_abc(text))
    assert [
        (item.time / score.tpq, item.numerator, item.denominator) for item in score.time_signatures
    ] == [
        (0, 1, 8),
        (0.5, 6, 8),
        (6.5, 2, 4),
    ]
    assert [(item.time / score.tpq, item.key, item.tonality) for item in score.key_signatures] == [
        (0, -5, 1),
        (6.5, 2, 0),
    ]
    assert [(item.time / score.tpq, round(item.qpm, 3)) for item in score.tempos] == [
        (0, 90),
        (6.5, 50),
    ]
    assert [(track.name, track.program, track.is_drum) for track in score.tracks] == [
        ("Violoncello", 42, False),
        ("", 0, True),
    ]
    assert [note.start / score.tpq for note in score.tracks[0].notes] == [
        0,
        0.5,
        1,
        1.5,
        2,
        3.5,
        4,
        4.5,
        5,
        6.5,
    ]
    assert [round(item.qpm) for item in to_score(read_abc(text), tempo=77).tempos] == [77]
    assert to_score(read_abc(text), expand_repeats=False).end() == 5.5 * 480


def test_resolution_is_exact_as_long_as_the_header_has_room() -> None:
    assert ticks_per_quarter([Fraction(1, 3), Fraction(1, 16)]) == 480
    assert ticks_per_quarter([Fraction(1, 7), Fraction(1, 3)]) == 483
    assert (
        ticks_per_quarter([Fraction(1, 11), Fraction(1, 13), Fraction(1, 7), Fraction(1, 64)])
        == 20160
    )
    assert ticks_per_quarter([Fraction(1, 24000)]) == 24000


def test_pitches_out_of_range_are_moved_by_octaves() -> None:
    score = to_score(read_abc("X:1\nL:1/4\nK:C\nC,,,,,,D g'''''' G |\n"))
    pitches = [note.pitch for note in score.tracks[0].notes]
    assert [pitch % 12 for pitch in pitches] == [0, 2, 7, 7]
    assert all(0 <= pitch <= 127 for pitch in pitches)


def played(seed: int, deviation: float) -> tuple[Score, list[tuple[Fraction, int]]]:
    """Four bars of eighths and one triplet a bar, each moved by some milliseconds, in 480 ticks at 120 beats a minute."""
    generator = random.Random(seed)
    score, truth = Score(480), []
    score.time_signatures.append(TimeSignature(0, 4, 4))
    track = Track("Piano", 0)
    onsets = [
        Fraction(4 * bar) + onset
        for bar in range(4)
        for onset in (*(Fraction(k, 2) for k in range(6)), *(3 + Fraction(k, 3) for k in range(3)))
    ]
    for number, onset in enumerate(onsets):
        truth.append((onset, 60 + number % 12))
        length = onsets[number + 1] - onset if number + 1 < len(onsets) else Fraction(1, 3)
        start = max(0, round(480 * (float(onset) + generator.gauss(0, deviation))))
        track.notes.append(Note(start, round(480 * float(length) * 0.9), 60 + number % 12, 80))
    score.tracks.append(track)
    return score, truth


@pytest.mark.parametrize("seed", range(5))
def test_a_played_rhythm_is_recognised(seed: int) -> None:
    score, truth = played(seed, deviation=0.015)
    tune = from_score(score)
    assert sum((note.onset, note.pitch) in truth for note in tune.notes()) >= 0.9 * len(truth)
    assert bars_are_full(tune)
    assert all(bar.duration == 4 for bar in tune.parsed[0].bars)


def test_overlapping_notes_become_voices_of_one_staff() -> None:
    score = Score(480)
    track = Track("Piano", 0)
    for start, length, pitch in (
        (0, 1920, 48),
        (0, 480, 72),
        (480, 480, 74),
        (960, 960, 76),
        (960, 960, 79),
    ):
        track.notes.append(Note(start, length, pitch, 80))
    score.tracks.append(track)
    tune = from_score(score)
    assert tune.field("%%") == "score (1 2)"
    assert [voice.bars[0].text for voice in tune.voices] == ["c2 d2 [eg]4", "C,8"]
    one = from_score(score, max_voices=1)
    assert len(one.voices) == 1
    assert bars_are_full(one)


def test_a_meter_change_in_mid_bar_leaves_every_bar_full() -> None:
    score = Score(480)
    score.time_signatures.append(TimeSignature(0, 4, 4))
    score.time_signatures.append(TimeSignature(4 * 480 + 720, 3, 4))
    score.key_signatures.append(KeySignature(0, -1, 0))
    score.key_signatures.append(KeySignature(4 * 480 + 720, 1, 0))
    score.tempos.append(Tempo(0, 90))
    track = Track("Flute", 73)
    for beat in range(9):
        track.notes.append(Note(beat * 480, 480, 66, 80))
    score.tracks.append(track)
    tune = from_score(score)
    spans = tune.parsed[0].bars
    assert [bar.duration for bar in spans] == [4, Fraction(3, 2), 3, 3]
    assert "[M:3/8]" in tune.voices[0].bars[1].text
    assert tune.voices[0].bars[2].text.startswith("[M:3/4][K:G]")
    assert (tune.field("K"), tune.field("Q"), tune.field("V")) == (
        "F",
        "1/4=90",
        '1 treble nm="Flute"',
    )
    assert sounding(tune) == [(Fraction(beat), 66, Fraction(1)) for beat in range(9)]


def test_scores_that_are_no_music_are_refused() -> None:
    with pytest.raises(MusicZooError, match="no notes"):
        from_score(Score(480))
    score = Score(1)
    score.tracks.append(Track("x"))
    score.tracks[0].notes.append(Note(2**28, 1, 60, 80))
    with pytest.raises(MusicZooError, match="bars"):
        from_score(score)
    with pytest.raises(MusicZooError, match="grid"):
        from_score(score, grid=())
    with pytest.raises(MusicZooError, match="tempo"):
        to_score(read_abc("X:1\nK:C\nA|\n"), tempo=0)


@pytest.mark.parametrize("fifths", range(-7, 8))
def test_spelling_keeps_the_pitch_and_the_scale(fifths: int) -> None:
    for midi in range(128):
        assert spell(midi, fifths).midi == midi
    tonic = 60 + 7 * fifths % 12
    assert [spell(tonic + step, fifths).step for step in (0, 2, 4, 5, 7, 9, 11)] == [
        "CDEFGAB"[("CDEFGAB".index(spell(tonic, fifths).step) + index) % 7] for index in range(7)
    ]


def test_keys_are_found() -> None:
    for fifths in range(-5, 7):
        for minor, scale in ((False, (0, 2, 4, 5, 7, 9, 11)), (True, (0, 2, 3, 5, 7, 8, 11))):
            tonic = (7 * fifths - (3 if minor else 0)) % 12
            weights = (4, 1, 3, 1, 3, 1, 1.5)
            assert estimate_key(
                [(60 + tonic + step, weight) for step, weight in zip(scale, weights, strict=True)]
            ) == (fifths, minor)
    assert (key_text(-3, True), key_text(6, False), key_text(9, False)) == ("Cmin", "F#", "Eb")
    assert estimate_key([]) == (0, False)


def test_names_of_instruments() -> None:
    names = (
        "Violino I",
        "Bass Clarinet",
        "Double Bass",
        "Bass",
        "Cembalo",
        "Tenor",
        "Corno inglese",
        "",
        "Viola",
    )
    assert [guess_program(name) for name in names] == [40, 71, 43, 52, 6, 52, 69, 0, 41]


@pytest.mark.parametrize(
    ("text", "words", "quarters"),
    [
        ("1/4=120", "", 120),
        ('"Allegro" 3/8=60', "Allegro", 90),
        ('"Largo"', "Largo", None),
        ("1/4 1/8=40", "", 60),
        ("96", "", 96),
        ("1/4=0", None, None),
        ("1/0=5", "", 5),
        ("nonsense", None, None),
    ],
)
def test_tempo_marks(text: str, words: str | None, quarters: float | None) -> None:
    mark = parse_tempo(text)
    assert (mark.words if mark else None, mark.quarters_per_minute if mark else None) == (
        words,
        quarters,
    )

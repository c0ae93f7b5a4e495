"""Facts of scores and tunes, beside music21 and values by hand."""

from __future__ import annotations

import numpy as np
import pytest
from symusic.core import NoteTick, ScoreTick, TempoTick, TimeSignatureTick, TrackTick

from musiczoo.llm.score_facts import FACT_TAGS, estimated_key, score_facts
from musiczoo.music.abc import read_abc
from musiczoo.music.midi.from_tune import to_score


def scale(pitches, *, program: int = 0, chord: tuple[int, ...] = (0,)) -> ScoreTick:
    score = ScoreTick(480)
    track = TrackTick("", program, False)
    for place, pitch in enumerate(pitches):
        track.notes.extend([NoteTick(480 * place, 480, pitch + add, 80) for add in chord])
    score.tracks.append(track)
    return score


def values(score: ScoreTick, **settings) -> dict[str, str]:
    return {fact.tag: fact.value for fact in score_facts(score, **settings)}


E_FLAT = [63, 65, 67, 68, 70, 72, 74, 75, 63, 67, 70, 75, 63, 70, 63]


def test_a_score_states_what_its_file_holds() -> None:
    score = scale(E_FLAT, program=40)
    score.tempos.append(TempoTick(0, 96.0))
    score.time_signatures.append(TimeSignatureTick(0, 3, 4))
    facts = score_facts(score)
    assert {fact.tag: fact.value for fact in facts} == {
        "key": "E flat major",
        "time_signature": "3/4",
        "tempo": "96 quarter notes a minute",
        "instruments": "violin",
        "range": "from E4 flat to E5 flat",
        "texture": "a single line",
    }
    assert [fact.tag for fact in facts] == list(FACT_TAGS)
    assert all(fact.source for fact in facts)
    assert facts[0].source.startswith("music21")


def test_nothing_is_stated_that_the_file_does_not_state() -> None:
    assert not {"tempo", "time_signature"} & set(values(scale(E_FLAT)))
    changing = scale(E_FLAT)
    changing.tempos.extend([TempoTick(0, 96.0), TempoTick(960, 60.0)])
    changing.time_signatures.extend([TimeSignatureTick(0, 3, 4), TimeSignatureTick(1440, 2, 4)])
    assert not {"tempo", "time_signature"} & set(values(changing))
    # All twelve notes alike have no key.
    assert "key" not in values(scale(range(60, 72)))
    assert not values(ScoreTick(480))


def test_nominal_bars_give_no_tempo_and_no_meter() -> None:
    score = scale(E_FLAT)
    score.tempos.append(TempoTick(0, 120.0))
    score.time_signatures.append(TimeSignatureTick(0, 4, 4))
    assert {"tempo", "time_signature"} <= set(values(score))
    assert not {"tempo", "time_signature"} & set(values(score, nominal=True))


@pytest.mark.parametrize(
    ("chord", "texture"),
    [
        ((0,), "a single line"),
        ((0, 4), "thin"),
        ((0, 4, 7), "of medium"),
        ((0, 4, 7, 12, 16), "dense"),
    ],
)
def test_textures(chord: tuple[int, ...], texture: str) -> None:
    assert values(scale([60, 62, 64], chord=chord))["texture"].startswith(texture)


def test_several_instruments_and_drums() -> None:
    score = scale([60], program=73)
    drums = TrackTick("", 0, True)
    drums.notes.append(NoteTick(0, 100, 36, 80))
    score.tracks.extend([drums, scale([50], program=42).tracks[0]])
    found = values(score)
    assert found["instruments"] == "flute, drums and cello"
    assert found["range"] == "from D3 to C4"


TUNE = "X:1\nT:x\nM:6/8\nL:1/8\nQ:3/8=80\nK:{key}\nA2B c2d|e3 A3|]\n"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("Am", "A minor"),
        ("Bb", "B flat major"),
        ("F#min", "F sharp minor"),
        ("D mix", "D Mixolydian"),
        ("Edor", "E Dorian"),
        ("C major clef=bass", "C major"),
        ("none", None),
        ("HP", None),
        ("D exp _b", None),
    ],
)
def test_fields_state_the_key(key: str, value: str | None) -> None:
    tune = read_abc(TUNE.format(key=key))
    found = {fact.tag: fact for fact in score_facts(to_score(tune), tune=tune)}
    assert (found["key"].value if "key" in found else None) == value
    assert found["time_signature"].value == "6/8"
    assert found["tempo"].value == "120 quarter notes a minute"
    assert found["tempo"].source == "the Q: field"


def test_a_tune_without_a_tempo_has_none_though_its_score_does() -> None:
    text = TUNE.format(key="G").replace("Q:3/8=80\n", "")
    tune = read_abc(text)
    assert len(to_score(tune).tempos)
    assert "tempo" not in values(to_score(tune), tune=tune)
    inside = read_abc(text.replace("|e3", "|[M:9/8][K:D]e3 A3"))
    assert not {"key", "time_signature"} & set(values(to_score(inside), tune=inside))


def test_the_key_is_that_of_music21() -> None:
    from music21 import converter

    melody = converter.parse("tinyNotation: 4/4 g4 a b c' d'2 e'4 f#' g'1 d'2 b g1")
    theirs = melody.analyze("Krumhansl")
    durations = np.zeros(12)
    for note in melody.flatten().notes:
        durations[note.pitch.pitchClass] += float(note.quarterLength)
    name, correlation, lead = estimated_key(durations)
    assert name == f"{theirs.tonic.name} {theirs.mode}" == "G major"
    assert correlation == pytest.approx(theirs.correlationCoefficient)
    assert lead > 0
    assert estimated_key(np.zeros(12)) is None

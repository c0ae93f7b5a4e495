from __future__ import annotations

import math
import random
from fractions import Fraction

import numpy as np
import pytest
import torch

from musiczoo.metrics import CopyRate, SpanIndex, longest_run
from musiczoo.models.base.generative import Generated
from musiczoo.music.abc import KEYS, Tune, read_abc, transpose
from musiczoo.music.errors import MusicZooError

# Some are others a tone or an octave higher, or shorter by a rest: what a bar begins with and how
# long it is must not follow from its notes.
BARS = [
    "C D E F",
    "D E ^F G",
    "c d e f",
    "C D E",
    "C D E z",
    "G2 E2",
    "F4",
    "G4",
    "z4",
    "[CE]2 G2",
    "(3CDE F2 G",
    "E2 z2",
]


def tune(rng: random.Random, voices: int, bars: int, *more: str) -> Tune:
    body = "".join(
        f"V:{voice}\n{'|'.join(rng.choices([*BARS, *more], k=bars))}|\n"
        for voice in range(1, voices + 1)
    )
    return read_abc(f"M:4/4\nL:1/4\nK:C\n{body}")


def plain_spans(piece: Tune, bars: int, top: bool) -> list[tuple]:
    """The spans as what they are, by another way: absolute times in the span, shifted by each span's own first pitch."""
    voices = piece.parsed[:1] if top else piece.parsed
    count = max(len(voice.bars) for voice in voices)
    lengths = [
        max(voice.bars[index].duration for voice in voices if index < len(voice.bars))
        for index in range(count)
    ]
    spans = []
    for start in range(count - bars + 1):
        notes = set()
        time = Fraction(0)
        for index in range(start, start + bars):
            for voice in voices:
                for event in voice.events:
                    if event.bar == index and event.heads and not event.grace:
                        heads = sorted(event.heads, key=lambda head: head.pitch.midi)
                        for head in heads[-1:] if top else heads:
                            notes.add(
                                (
                                    time + event.onset - voice.bars[index].onset,
                                    head.pitch.midi,
                                    head.duration,
                                )
                            )
            time += lengths[index]
        if notes:
            low = min(notes)[1]
            shifted = tuple(
                sorted((onset, pitch - low, duration) for onset, pitch, duration in notes)
            )
            spans.append((tuple(lengths[start : start + bars]), shifted))
    return spans


@pytest.mark.parametrize("voices", ["all", "top"])
@pytest.mark.parametrize("bars", [1, 2, 4])
def test_equals_brute_force(voices, bars):
    rng = random.Random(bars)
    training = [tune(rng, rng.choice([1, 2, 3]), rng.randrange(1, 12)) for _ in range(60)]
    new = [
        transpose(tune(rng, rng.choice([1, 2]), rng.randrange(1, 12), "A B c2"), rng.choice(KEYS))
        for _ in range(25)
    ]
    new += [transpose(piece, rng.choice(KEYS)) for piece in training[:5]]
    known = {span for piece in training for span in plain_spans(piece, bars, voices == "top")}
    found = [span in known for piece in new for span in plain_spans(piece, bars, voices == "top")]
    index = SpanIndex.of(training, bars, voices)
    assert len(index) == len(known)
    metric = CopyRate(index)
    metric.update(new)
    assert (int(metric.copied), int(metric.spans)) == (sum(found), len(found))
    assert 0 < sum(found) < len(found)
    assert float(metric.compute()) == pytest.approx(100 * sum(found) / len(found))


def piece(body: str, header: str = "M:4/4\nL:1/4\nK:C\n") -> Tune:
    return read_abc(header + body)


KNOWN = piece("V:1\nCDEF|GABc|dcBA|GFED|\nV:2\nC4|E4|G4|E4|\n")


def rate(*pieces: Tune, voices: str = "all") -> float:
    metric = CopyRate(SpanIndex.of([KNOWN], voices=voices))  # type: ignore[arg-type]
    metric.update(pieces)
    return float(metric.compute())


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_a_copy(key):
    assert rate(transpose(KNOWN, key)) == 100
    assert rate(transpose(KNOWN, key), voices="top") == 100


@pytest.mark.parametrize(
    ("body", "copied"),
    [
        ("V:1\ncdef|gabc'|d'c'ba|gfed|\nV:2\nc4|e4|g4|e4|\n", 100),  # an octave higher as a whole
        ("V:1\ncdef|gabc'|d'c'ba|gfed|\nV:2\nC4|E4|G4|E4|\n", 0),  # one voice an octave higher
        ("V:1\nC4|E4|G4|E4|\nV:2\nCDEF|GABc|dcBA|GFED|\n", 100),  # voices in the other order
        (
            'V:1\n!f!CDEF-|"C"{g}GABc|(dcBA)|.GFED:|\nV:2\nC4|E4|G4|E4|\n',
            100,
        ),  # what is not looked at
        ("V:1\n[CE]DEF|GABc|dcBA|GFED|\nV:2\nC4|E4|G4|E4|\n", 0),  # one note more
        ("V:1\nC3/2D/EF|GABc|dcBA|GFED|\nV:2\nC4|E4|G4|E4|\n", 0),  # another rhythm
        ("V:1\nCDEF|GABc|dcBA|GFE^D|\nV:2\nC4|E4|G4|E4|\n", 0),  # another pitch at the end
        ("V:1\nCDEF|GABc|dcBA|\nV:2\nC4|E4|G4|\n", math.nan),  # too short for a span
        ("V:1\nz4|z4|z4|z4|\nV:2\nz4|z4|z4|z4|\n", math.nan),  # nothing sounds
    ],
)
def test_what_is_a_copy(body, copied):
    assert rate(piece(body)) == pytest.approx(copied, nan_ok=True)


def test_units_and_meters_are_seen_through():
    written = piece(
        "V:1\nC2D2E2F2|G2A2B2c2|d2c2B2A2|G2F2E2D2|\nV:2\nC8|E8|G8|E8|\n", "M:2/2\nL:1/8\nK:C\n"
    )
    assert rate(written) == 100


def test_top_voice_alone():
    other_bass = piece("V:1\nCDEF|[G,G]ABc|dcBA|GFED|\nV:2\nA,4|E4|B4|E4|\n")
    assert rate(other_bass) == 0
    assert rate(other_bass, voices="top") == 100


def test_results_that_are_no_music_have_no_spans():
    none = torch.zeros(0)
    unreadable = Generated(None, "", none, none, none, "end")
    broken = Generated(piece("C/0|C4|C4|C4|\n"), "", none, none, none, "end")
    good = Generated(transpose(KNOWN, "D"), "", none, none, none, "end")
    metric = CopyRate(SpanIndex.of([KNOWN]))
    metric.update([unreadable, broken, good])
    assert (int(metric.copied), int(metric.spans)) == (1, 1)
    with pytest.raises(MusicZooError, match="divides by zero"):
        metric.update([piece("C/0|C4|C4|C4|\n")])


def test_empty_corpora_and_impossible_spans():
    metric = CopyRate(SpanIndex.of([]))
    metric.update([KNOWN])
    assert float(metric.compute()) == 0
    with pytest.raises(MusicZooError, match="0 bars"):
        SpanIndex.of([KNOWN], bars=0)


def test_places_and_runs():
    index = SpanIndex.of([KNOWN], bars=2)
    new = piece("z4|z4|CDEF|GABc|dcBA|C4|GABc|dcBA|GFED|z4|z4|\n")
    index = SpanIndex.of([piece("CDEF|GABc|dcBA|GFED|\n")], bars=2)
    copied, places = index.copied(new)
    # Nothing sounds at 0 and at 9.
    assert places.tolist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert copied.tolist() == [False, True, True, False, False, True, True, False]
    assert longest_run(copied, places, 2) == 3
    assert longest_run(np.zeros(3, dtype=bool), np.arange(3)) == 0
    # A silent span between two copies ends a run.
    assert longest_run(np.array([True, True]), np.array([0, 2])) == 4

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from musiczoo.music.abc import KEYS, Tune, read_abc, write_abc
from musiczoo.music.abc.cleaning import clean
from musiczoo.music.abc.keys import parse_key
from musiczoo.music.abc.transpose import signature_key
from musiczoo.music.abc.transposed_part import INTERVALS, transpose_from
from musiczoo.music.corpora.built_in import music21_corpus
from musiczoo.music.degradation.notation import OPERATIONS, Degradation, degrade
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files import read_all

VARIANTS = [Degradation(), Degradation(key_mode="transposed", pitch_mode="swapped", cut="middle")]
#: Everything that must survive untouched: quotes, decorations, chords, grace notes, ties, tuplets, overlays, inline fields.
RICH = read_abc(
    "X:1\nM:4/4\nL:1/8\nK:Em\nV:1 treble\nV:2 bass\n"
    'V:1\n"Em"!trill!G2 (3ABc [EG]2 {cd}e2 | [L:1/4]^F2- F G/-G/ | "^dolce"B,2 & E2 | z2 ~c2 |: d4 | e4 :| [M:3/4] A3 |]\n'
    "V:2\nE,8 | [L:1/4]D,4 | x2 | C,4 |: B,,4 | E,4 :| [M:3/4]E,3 |]\n"
)


def random_tune(seed: int) -> Tune:
    rng = random.Random(seed)
    bars = rng.randrange(2, 9)
    key = rng.choice(["C", "G", "Bb", "F#m", "Ddor", "Amix", "Cb", "C#", "Hp", "none"])
    notes = [
        accidental + letter + marks
        for accidental in ("", "", "^", "_", "=")
        for letter in "CDEFGABcdefgab"
        for marks in ("", ",")
    ]

    def bar() -> str:
        kind = rng.randrange(4)
        one, two, three, four = rng.choices(notes, k=4)
        return [
            f"{one}2{two}2",
            f"[{one}{two}]2 {three}{four}",
            f"(3{one}{two}{three} {four}2",
            f"z{one}>{two}{{{three}}}{four}-",
        ][kind]

    voices = []
    for voice in (1, 2):
        text = "".join(
            f"{bar()} {rng.choice(['|', '|', '|', '||', ':|', '|:', '|1', ':|2'])}"
            for _ in range(bars - 1)
        )
        voices.append(f"V:{voice}\n{text}{bar()} |]\n")
    return read_abc(f"X:1\nM:2/4\nL:1/8\nK:{key}\n{''.join(voices)}")


def pitches(tune: Tune) -> list[list[int]]:
    return [
        [head.pitch.midi for event in voice.events for head in event.heads] for voice in tune.parsed
    ]


def lengths(tune: Tune) -> list[list[object]]:
    return [[span.duration for span in voice.bars] for voice in tune.parsed]


def assert_worse(tune: Tune, settings: Degradation, seed: int) -> Counter[str]:
    """What every degradation promises; returns the names of the operations."""
    degraded, operations = degrade(tune, settings, rng=random.Random(seed))
    names = [operation.name for operation in operations]
    assert names
    assert names == [name for name in OPERATIONS if name in names]
    parameters = {operation.name: operation.parameters for operation in operations}
    assert lengths(degraded) != lengths(tune) or pitches(degraded) != pitches(tune)
    assert bool(parse_key(degraded.field("K") or "").name) == bool(
        parse_key(tune.field("K") or "").name
    )
    rest = [field for field in degraded.header if field.name != "K"]
    assert rest == [field for field in tune.header if field.name != "K"]
    cut = parameters.get("truncation")
    gone = range(cut["from_bar"], cut["from_bar"] + cut["bars"]) if cut else range(0)
    assert lengths(degraded) == [
        [length for index, length in enumerate(voice) if index not in gone]
        for voice in lengths(tune)
    ]
    for old, new in zip(tune.voices, degraded.voices, strict=True):
        repeats = (":", "|]")
        assert new.bars[-1].right == old.bars[-1].right or new.bars[-1].right.startswith(repeats)
    # The reader of files agrees that it is what was meant.
    text = write_abc(degraded)
    assert pitches(read_abc(text)) == pitches(degraded)
    assert write_abc(read_abc(text)) == text
    again, _ = degrade(tune, settings, rng=random.Random(seed))
    assert again == degraded
    return Counter(names)


@pytest.mark.parametrize("variant", VARIANTS)
@settings(max_examples=40, deadline=None)
@given(tune=st.integers(0, 10**6).map(random_tune), seed=st.integers(0, 10**6))
def test_random_tunes_become_worse_and_stay_valid(variant, tune, seed):
    assert_worse(tune, variant, seed)


@pytest.mark.parametrize("variant", VARIANTS)
def test_real_tunes_become_worse_and_stay_valid(variant):
    # Two chorales and two fiddle tunes; a corpus as a whole would take its time to be read.
    names = [
        "bach/bwv66.6.mxl",
        "bach/bwv1.6.mxl",
        "ryansMammoth/BonnieLadReel.abc",
        "ryansMammoth/BonnieLassieStrathspey.abc",
    ]
    drawn: Counter[str] = Counter()
    for number, name in enumerate(names):
        tune = clean(read_all(music21_corpus() / name)[0])
        for seed in range(3):
            drawn += assert_worse(tune, variant, 10 * number + seed)
    assert set(drawn) == set(OPERATIONS)


def test_each_subset_of_operations_is_as_likely_as_the_others():
    tune = random_tune(4)
    found = Counter(
        tuple(op.name for op in degrade(tune, rng=random.Random(seed)).operations)
        for seed in range(350)
    )
    assert len(found) == 7
    # 50 each on average; the bounds are five standard deviations away.
    assert all(17 < count < 83 for count in found.values())


def test_another_key_under_the_same_notes():
    tune = read_abc("X:1\nL:1/4\nK:F#m\nFGAB|cdef|]\n")
    found = {
        degrade(tune, Degradation(("key",)), rng=random.Random(seed)).tune for seed in range(200)
    }
    assert {changed.voices for changed in found} == {tune.voices}
    # The mode stays: the signatures are the other fourteen, except those in which the letters
    # sound the same.
    assert {signature_key(changed) for changed in found} == set(KEYS) - {"A"}
    assert all((changed.field("K") or "").endswith("m") for changed in found)


def test_a_key_that_nothing_tells_from_the_first_is_not_taken():
    tune = read_abc("X:1\nL:1/4\nK:C\nCCCC|C4|]\n")
    found = {
        degrade(tune, Degradation(("key",)), rng=random.Random(seed)).tune.field("K")
        for seed in range(200)
    }
    # C is a natural in all keys but these.
    assert found == {"D", "A", "E", "B", "F#", "C#", "Gb", "Cb"}
    with pytest.raises(MusicZooError, match="no key in which"):
        degrade(
            read_abc("X:1\nL:1/4\nK:C\n=C=C=C=C|\n"), Degradation(("key",)), rng=random.Random(0)
        )


def test_pitches_are_replaced_in_their_octave_without_touching_anything_else():
    degraded, (operation,) = degrade(
        RICH, Degradation(("pitch",), probability=1.0), rng=random.Random(1)
    )
    assert operation.parameters["notes"] == sum(map(len, pitches(RICH)))
    assert degraded.header == RICH.header
    assert lengths(degraded) == lengths(RICH)
    first, second = degraded.voices[0].bars[:2]
    assert first.text.startswith('"Em"!trill!')
    assert second.text.startswith("[L:1/4]")
    assert "dolce" in degraded.voices[0].bars[2].text
    skeleton = str.maketrans(dict.fromkeys("ABCDEFGabcdefg^_=", "?"))
    for old, new in zip(RICH.voices, degraded.voices, strict=True):
        assert [bar.text.replace("^F", "F").translate(skeleton) for bar in old.bars] == [
            bar.text.translate(skeleton) for bar in new.bars
        ]
        for old_bar, new_bar in zip(old.bars, new.bars, strict=True):
            assert (old_bar.left, old_bar.right) == (new_bar.left, new_bar.right)
    for old_voice, new_voice in zip(RICH.parsed, degraded.parsed, strict=True):
        old_heads = [head for event in old_voice.events for head in event.heads]
        for one, other in zip(
            old_heads, [head for event in new_voice.events for head in event.heads], strict=True
        ):
            assert one.pitch.step != other.pitch.step
            assert one.pitch.octave == other.pitch.octave
            assert one.duration == other.duration
            assert other.accidental == ""


def test_the_share_of_replaced_pitches_is_p():
    tune = read_abc("X:1\nL:1/8\nK:C\n" + "CDEFGABc|" * 100 + "\n")
    for p in (0.05, 0.3):
        (operation,) = degrade(
            tune, Degradation(("pitch",), probability=p), rng=random.Random(3)
        ).operations
        assert operation.parameters["notes"] / 800 == pytest.approx(p, abs=0.05)
    (operation,) = degrade(
        read_abc("X:1\nL:1/4\nK:C\nC4|\n"),
        Degradation(("pitch",), probability=1e-9),
        rng=random.Random(0),
    ).operations
    assert operation.parameters["notes"] == 1


def test_swapped_pitches_are_those_of_the_voice():
    swapping = Degradation(("pitch",), pitch_mode="swapped", probability=0.5)
    degraded, _ = degrade(RICH, swapping, rng=random.Random(2))
    assert lengths(degraded) == lengths(RICH)

    def written(tune: Tune) -> list[Counter[str]]:
        heads = [[head for event in voice.events for head in event.heads] for voice in tune.parsed]
        return [
            Counter(f"{head.accidental}{head.pitch.step}{head.pitch.octave}" for head in voice)
            for voice in heads
        ]

    assert written(degraded) == written(RICH)
    assert degraded != RICH
    with pytest.raises(MusicZooError, match="the same"):
        degrade(read_abc("X:1\nL:1/4\nK:C\nCCCC|C4|]\n"), swapping, rng=random.Random(0))


@pytest.mark.parametrize("semitones", INTERVALS)
@pytest.mark.parametrize("seed", range(8))
def test_a_part_moves_by_exactly_so_many_semitones(semitones, seed):
    for tune in (RICH, random_tune(seed)):
        start = 1 + seed % (len(tune.voices[0].bars) - 1)
        moved = transpose_from(tune, start, semitones)
        assert moved.header == tune.header
        for old, new in zip(tune.parsed, moved.parsed, strict=True):
            for one, other in zip(old.events, new.events, strict=True):
                shift = semitones if one.bar >= start else 0
                assert [
                    head.pitch.midi - head_old.pitch.midi
                    for head, head_old in zip(other.heads, one.heads, strict=True)
                ] == [shift] * len(one.heads)
                assert (one.onset, one.duration, one.tuplet, one.decorations) == (
                    other.onset,
                    other.duration,
                    other.tuplet,
                    other.decorations,
                )


def test_moved_notes_bring_only_the_accidentals_they_need():
    tune = read_abc("X:1\nL:1/4\nK:C\nCDEF|CDEC|]\n")
    assert transpose_from(tune, 1, 2).voices[0].bars[1].text == "DE^FD"
    assert transpose_from(tune, 0, 1).voices[0].bars[0].text == "_D_EF_G"
    # An inline key moves along with what stands under it.
    turning = read_abc("X:1\nL:1/4\nK:C\nCDEF|C[K:D]FGA|FGAF|]\n")
    assert [bar.text for bar in transpose_from(turning, 1, 2).voices[0].bars] == [
        "CDEF",
        "D[K:E]GAB",
        "GABG",
    ]
    # Chord symbols move along, drums stay where they are.
    drums = read_abc('X:1\nL:1/4\nK:C\nV:1\nV:2 perc\nV:1\nC4|"G7"C4|]\nV:2\nC4|C4|]\n')
    moved = transpose_from(drums, 1, 2)
    assert moved.voices[0].bars[1].text == '"A7"D4'
    assert moved.voices[1] == drums.voices[1]
    with pytest.raises(MusicZooError, match="no interval"):
        transpose_from(tune, 0, 7)


def body(tune: Tune) -> str:
    return "".join(f"{bar.left}{bar.text}{bar.right}" for bar in tune.voices[0].bars)


@pytest.mark.parametrize(
    ("text", "count", "expected"),
    [
        ("C4|D4|E4|]", 1, "C4|D4|]"),
        ("C4|D4||E4|]", 2, "C4|]"),
        ("C4|D4||E4|", 1, "C4|D4|"),
        # A repeat that began is closed, one that is gone altogether leaves nothing behind.
        ("|:C4|D4:|E4|]", 1, "|:C4|D4:|"),
        ("|:C4|D4|E4:|", 1, "|:C4|D4:|"),
        ("C4|D4|:E4|F4:|", 2, "C4|D4|]"),
        ("|:C4|D4::E4|F4:|", 2, "|:C4|D4:|"),
        ("|:C4|1D4:|2E4|]", 1, "|:C4|1D4:|"),
    ],
)
def test_the_end_is_cut_off_behind_its_bar_line(text, count, expected):
    tune = read_abc(f"X:1\nM:4/4\nL:1/4\nK:C\n{text}\n")
    found = {
        operation.parameters["bars"]: body(degraded)
        for seed in range(60)
        for degraded, (operation,) in [
            degrade(tune, Degradation(("truncation",), max_bars=2), rng=random.Random(seed))
        ]
    }
    assert set(found) == {1, 2}
    assert found[count] == expected


@pytest.mark.parametrize(
    ("text", "start", "expected"),
    [
        ("C4|D4|E4|]", 1, "C4|E4|]"),
        ("C4||D4|E4|]", 1, "C4||E4|]"),
        ("C4|D4|:E4:|F4|]", 1, "C4|:E4:|F4|]"),
        ("C4|:D4:|E4|F4|]", 1, "C4|E4|F4|]"),
        ("|:C4|D4:|E4|F4|]", 1, "|:C4:|E4|F4|]"),
        ("|:C4|1D4|E4:|2F4|]", 1, "|:C4|1E4:|2F4|]"),
        ("|:C4|1D4:|2E4|F4|]", 1, "|:C4:|2E4|F4|]"),
        # What a bar that goes changes for the others stays.
        ("C4|[M:2/4][L:1/8]D4|E4|F4|]", 1, "C4|[M:2/4][L:1/8]E4|F4|]"),
    ],
)
def test_a_bar_of_the_middle_goes_and_repeats_stay_whole(text, start, expected):
    tune = read_abc(f"X:1\nM:4/4\nL:1/4\nK:C\n{text}\n")
    found = {
        operation.parameters["from_bar"]: body(degraded)
        for seed in range(60)
        for degraded, (operation,) in [
            degrade(
                tune,
                Degradation(("truncation",), max_bars=1, cut="middle"),
                rng=random.Random(seed),
            )
        ]
    }
    assert set(found) == set(range(1, len(tune.voices[0].bars) - 1))
    assert found[start] == expected


def test_all_voices_lose_the_same_bars_at_most_so_many():
    counts = Counter()
    for seed in range(200):
        degraded, (operation,) = degrade(
            RICH, Degradation(("truncation",), max_bars=4), rng=random.Random(seed)
        )
        assert {len(voice.bars) for voice in degraded.voices} == {7 - operation.parameters["bars"]}
        counts[operation.parameters["bars"]] += 1
    assert set(counts) == {1, 2, 3, 4}
    assert min(counts.values()) > 25


@pytest.mark.parametrize(
    ("text", "wanted", "reason"),
    [
        ("K:C\nC4|]", Degradation(("truncation",)), "1 bar none"),
        ("K:C\nC4|D4|]", Degradation(("truncation",), cut="middle"), "2 bars none"),
        ("K:C\nz4|z4|]", Degradation(("pitch",)), "no notes"),
        ("K:C\nz4|z4|]", Degradation(("key",)), "no key"),
        ("K:C\nz4|z4|]", Degradation(("key",), key_mode="transposed"), "No note moves"),
        ("K:C\nV:1\nC4|D4|\nV:2\nC4|\n", Degradation(("truncation",)), "different numbers of bars"),
    ],
)
def test_what_cannot_be_done_is_an_error_with_its_reason(text, wanted, reason):
    with pytest.raises(MusicZooError, match=reason):
        degrade(read_abc(f"X:1\nM:4/4\nL:1/4\n{text}\n"), wanted, rng=random.Random(0))


def test_an_operation_that_cannot_be_done_gives_way_to_the_others():
    one_bar = read_abc("X:1\nM:4/4\nL:1/4\nK:C\nCDEF|]\n")
    for seed in range(30):
        assert "truncation" not in [
            operation.name for operation in degrade(one_bar, rng=random.Random(seed)).operations
        ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"operations": ()},
        {"operations": ("tempo",)},
        {"probability": 0.0},
        {"probability": 1.5},
        {"max_bars": 0},
        {"cut": "start"},
        {"key_mode": "body"},
        {"pitch_mode": "shuffled"},
    ],
)
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(MusicZooError, match=next(iter(wrong))):
        Degradation(**wrong)

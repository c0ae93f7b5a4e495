"""Synthetic degradations: a worse version of a tune, still valid notation, for preference pairs.

Kumar et al. 2026 (arXiv 2601.22764) make pairs for direct preference optimisation by changing the
key, swapping pitches with a probability p and cutting off up to B_max bars. Their algorithm and its
settings are not published; the exact rules here are ours:

* A non-empty subset of the operations is drawn, each with probability 1/2, and applied in the
  order key, pitch, truncation.
* Key: the ``K:`` line names another of the 15 signatures, with the mode it had, and the notes keep
  their letters. Or, with ``key_mode="transposed"``, all voices sound 1 to 6 semitones higher or
  lower from some bar on under the same ``K:`` line.
* Pitch: each note is replaced with probability p by another letter of the same octave, without
  accidental. Or, with ``pitch_mode="swapped"``, it exchanges pitches with another note of its
  voice. Lengths stay.
* Truncation: 1 to B_max bars go in all voices alike, from the end or from the middle.

Whatever is drawn, the result sounds different, its key can be read, all bars that remain have the
lengths they had, all voices lose the same bars, and the piece ends with the bar-line it ended with
(with a repeat sign where a repeat would stay open).
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

from musiczoo.music.abc.keys import parse_key
from musiczoo.music.abc.note_heads import NoteText, note_texts, replaced_notes
from musiczoo.music.abc.rests import require_equal_bars
from musiczoo.music.abc.transpose import KEYS, signature_key, transpose
from musiczoo.music.abc.transposed_part import INTERVALS, transpose_from
from musiczoo.music.abc.tune import Tune, Voice
from musiczoo.music.degradation.truncation import without_bars
from musiczoo.music.errors import MusicZooError

OPERATIONS = ("key", "pitch", "truncation")
"""In the order in which they are applied."""

_TRIES = 32
_LETTERS = "CDEFGAB"
# A note: voice, bar, and position among the notes of the bar.
_Place = tuple[int, int, int]


class Operation(NamedTuple):
    """One operation that was applied.

    Attributes:
        name: One of :data:`OPERATIONS`.
        parameters: What was drawn, as plain JSON values.
    """

    name: str
    parameters: Mapping[str, Any]


class Degraded(NamedTuple):
    """A worse version of a tune, and what was done to it."""

    tune: Tune
    operations: list[Operation]


@dataclass(frozen=True)
class Degradation:
    """Settings of :func:`degrade`.

    Attributes:
        operations: Those to draw from, of :data:`OPERATIONS`.
        key_mode: ``"header"`` changes the ``K:`` line under the notes, ``"transposed"`` the notes
            under the ``K:`` line.
        pitch_mode: ``"replaced"`` draws another letter for a note, ``"swapped"`` changes pitches
            between two notes of a voice.
        probability: p, of each note. Where no note is drawn, one is.
        max_bars: B_max, the most bars that are cut; one bar is always left, and two where the cut
            is in the middle.
        cut: ``"end"`` or ``"middle"`` (the first and the last bar stay).

    Raises:
        MusicZooError: A setting out of range.

    The paper gives no figures: p = 0.15 and B_max = 4 are ours.
    """

    operations: tuple[str, ...] = OPERATIONS
    key_mode: Literal["header", "transposed"] = "header"
    pitch_mode: Literal["replaced", "swapped"] = "replaced"
    probability: float = 0.15
    max_bars: int = 4
    cut: Literal["end", "middle"] = "end"

    def __post_init__(self) -> None:
        # Settings from YAML come as lists.
        object.__setattr__(self, "operations", tuple(self.operations))
        allowed = {
            "operations": bool(self.operations) and set(self.operations) <= set(OPERATIONS),
            "key_mode": self.key_mode in ("header", "transposed"),
            "pitch_mode": self.pitch_mode in ("replaced", "swapped"),
            "probability": 0.0 < self.probability <= 1.0,
            "max_bars": self.max_bars >= 1,
            "cut": self.cut in ("end", "middle"),
        }
        for name, good in allowed.items():
            if not good:
                raise MusicZooError(
                    f"The degradation setting {name}={getattr(self, name)!r} is out of range.",
                    where=name,
                    remedy="See musiczoo.music.degradation.notation.Degradation.",
                )


def degrade(tune: Tune, degradation: Degradation | None = None, *, rng: random.Random) -> Degraded:
    """A worse version of a tune; its header stays the same, except for the key.

    Args:
        tune: The tune, any number of voices.
        degradation: The settings.
        rng: Source of chance; the same state gives the same result.

    Returns:
        The degraded tune, which keeps the path of the tune, and the operations in order.

    Raises:
        MusicZooError: The tune cannot be read; or none of the operations can make it worse, with
            the reason of the last one tried (a tune of one bar cannot be cut, one without notes has
            no pitches).
    """
    settings = degradation or Degradation()
    apply = {"key": _change_key, "pitch": _change_pitches, "truncation": _truncate}
    before = _pitches(tune)
    failed: MusicZooError | None = None
    for _ in range(_TRIES):
        names: list[str] = []
        while not names:
            names = [
                name for name in OPERATIONS if name in settings.operations and rng.random() < 0.5
            ]
        changed = tune
        operations: list[Operation] = []
        try:
            for name in names:
                changed, parameters = apply[name](changed, settings, rng)
                operations.append(Operation(name, MappingProxyType(parameters)))
            _check(tune, changed, operations)
        except MusicZooError as error:
            failed = error
            continue
        if "truncation" in names or _pitches(changed) != before:
            return Degraded(changed, operations)
        failed = MusicZooError("The result sounds like the tune.")
    assert failed is not None
    raise MusicZooError(
        f"The tune cannot be made worse: {failed.message}",
        path=tune.path,
        where=failed.where,
        remedy="Leave it out, or allow other operations.",
    )


def _pitches(tune: Tune) -> list[list[int]]:
    """MIDI numbers as notated, voice by voice."""
    return [
        [head.pitch.midi for event in voice.events for head in event.heads] for voice in tune.parsed
    ]


def _change_key(
    tune: Tune, settings: Degradation, rng: random.Random
) -> tuple[Tune, dict[str, Any]]:
    before = _pitches(tune)
    if settings.key_mode == "transposed":
        bars = max((len(voice.bars) for voice in tune.voices), default=0)
        start = rng.randrange(1, bars) if bars > 1 else 0
        semitones = rng.choice(INTERVALS)
        changed = transpose_from(tune, start, semitones)
        if _pitches(changed) == before:
            raise MusicZooError("No note moves with the key.")
        return changed, {"mode": "transposed", "from_bar": start, "semitones": semitones}
    current = signature_key(tune)
    for key in rng.sample(KEYS, len(KEYS)):
        header = transpose(Tune(tune.header, ()), key).header
        if (
            key != current
            and header != tune.header
            and _pitches(changed := tune.with_header(header)) != before
        ):
            return changed, {"mode": "header", "from": tune.field("K"), "to": changed.field("K")}
    raise MusicZooError("There is no key in which it sounds different.")


def _change_pitches(
    tune: Tune, settings: Degradation, rng: random.Random
) -> tuple[Tune, dict[str, Any]]:
    pitches: dict[_Place, NoteText] = {
        (number, index, position): note
        for number, voice in enumerate(tune.voices)
        for index, bar in enumerate(voice.bars)
        for position, note in enumerate(note_texts(bar.text))
    }
    if not pitches:
        raise MusicZooError("It has no notes.")
    drawn = [place for place in pitches if rng.random() < settings.probability] or [
        rng.choice(list(pitches))
    ]
    changed = (
        _swapped(pitches, drawn, rng)
        if settings.pitch_mode == "swapped"
        else _replaced(pitches, drawn, rng)
    )
    in_bar: dict[tuple[int, int], dict[int, NoteText]] = {}
    for (number, index, position), note in changed.items():
        in_bar.setdefault((number, index), {})[position] = note
    bars = [list(voice.bars) for voice in tune.voices]
    for (number, index), notes in in_bar.items():
        bars[number][index] = replace(
            bars[number][index], text=replaced_notes(bars[number][index].text, notes)
        )
    voices = tuple(
        Voice(voice.id, tuple(own)) for voice, own in zip(tune.voices, bars, strict=True)
    )
    parameters = {
        "mode": settings.pitch_mode,
        "probability": settings.probability,
        "notes": len(changed),
    }
    return replace(tune, voices=voices), parameters


def _replaced(
    pitch: Mapping[_Place, NoteText], drawn: list[_Place], rng: random.Random
) -> dict[_Place, NoteText]:
    changed = {}
    for place in drawn:
        note = pitch[place]
        letter = rng.choice([other for other in _LETTERS if other != note.letter.upper()])
        changed[place] = NoteText(
            "", letter.lower() if note.letter.islower() else letter, note.marks
        )
    return changed


def _swapped(
    pitch: Mapping[_Place, NoteText], drawn: list[_Place], rng: random.Random
) -> dict[_Place, NoteText]:
    voices: dict[int, list[_Place]] = {}
    for place in pitch:
        voices.setdefault(place[0], []).append(place)
    now = dict(pitch)
    for place in drawn:
        other = rng.choice(voices[place[0]])
        now[place], now[other] = now[other], now[place]
    changed = {place: note for place, note in now.items() if note != pitch[place]}
    if not changed:
        raise MusicZooError("The notes that change pitches have the same.")
    return changed


def _truncate(tune: Tune, settings: Degradation, rng: random.Random) -> tuple[Tune, dict[str, Any]]:
    require_equal_bars(tune)
    bars = len(tune.voices[0].bars) if tune.voices else 0
    most = min(settings.max_bars, bars - (1 if settings.cut == "end" else 2))
    if most < 1:
        raise MusicZooError(
            f"Of {bars} bar{'s' * (bars != 1)} none can be cut from the {settings.cut}."
        )
    count = rng.randint(1, most)
    start = bars - count if settings.cut == "end" else rng.randint(1, bars - count - 1)
    voices = tuple(Voice(voice.id, without_bars(voice.bars, start, count)) for voice in tune.voices)
    return replace(tune, voices=voices), {"cut": settings.cut, "from_bar": start, "bars": count}


def _check(before: Tune, after: Tune, operations: list[Operation]) -> None:
    """Check that a result keeps the lengths of the bars that remain, and a key that can be read.

    Raises:
        MusicZooError: It does not.
    """
    cut = next(
        (operation.parameters for operation in operations if operation.name == "truncation"), None
    )
    gone = range(cut["from_bar"], cut["from_bar"] + cut["bars"]) if cut else range(0)
    if bool(parse_key(before.field("K") or "").name) != bool(
        parse_key(after.field("K") or "").name
    ):
        raise MusicZooError("The key of the result cannot be read.")
    for old, new in zip(before.parsed, after.parsed, strict=True):
        lengths: list[Fraction] = [
            span.duration for index, span in enumerate(old.bars) if index not in gone
        ]
        if lengths != [span.duration for span in new.bars]:
            raise MusicZooError("Bars would change their length.", where=f"voice {old.id}")

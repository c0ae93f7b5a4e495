"""Leaving out bars of rest in the interleaved form, and putting them back.

This is the "rest omission" of NotaGen (Wang et al. 2025).
A voice's bar is left out when its text has no letter but those of rests. Unlike the published code,
a bar in which every voice rests keeps its first voice, and a bar that could not be put back exactly
(another length or bar-line than the rest of its line) is kept.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from fractions import Fraction
from functools import lru_cache

from musiczoo.music.abc.keys import NO_KEY, parse_meter, parse_unit
from musiczoo.music.abc.notation import Bar, Field, Notated
from musiczoo.music.abc.score import header_meter, header_unit, parse_score
from musiczoo.music.abc.tokens import TOKEN, format_length
from musiczoo.music.abc.voice_parser import VoiceParser
from musiczoo.music.errors import MusicZooError


def is_rest_bar(text: str) -> bool:
    """Whether a bar's music code has no letter other than ``Z z X x``.

    Decorations, fields and annotations count as letters.
    """
    return not any(character.isalpha() and character not in "ZzXx" for character in text)


def rest_letters(header: Iterable[Field]) -> dict[str, str]:
    """The voices whose omitted rests come back invisible (``"x"``).

    They are all voices within round brackets of ``%%score`` except the first.
    """
    for item in header:
        name, _, value = item.value.partition(" ")
        if item.name in ("%%", "I") and name in ("score", "staves"):
            return {voice: "x" for staff in parse_score(value).staves for voice in staff[1:]}
    return {}


@lru_cache(maxsize=65536)
def bar_duration(text: str, unit: Fraction, meter: tuple[int, int] | None) -> Fraction:
    """Exact length in quarter notes of what one bar's music code contains (its longest layer).

    Args:
        text: The bar's ABC music code without bar-lines.
        unit: The unit note length (``L:``) in quarter notes.
        meter: The meter in force, for bar rests and the tuplet rules.

    Raises:
        MusicZooError: A length or tuplet that divides by zero or is out of all proportion.
    """
    parser = VoiceParser(unit, meter, NO_KEY)
    parser.read_bar(text)
    return parser.spans[0].duration


class BarClock:
    """Lengths of the bars of one voice in order; inline ``L:`` and ``M:`` hold from bar to bar."""

    def __init__(self, unit: Fraction, meter: tuple[int, int] | None) -> None:
        self.unit = unit
        self.meter = meter

    def duration(self, text: str) -> Fraction:
        """Length of the next bar in quarter notes.

        Raises:
            MusicZooError: Music code that cannot be read.
        """
        duration = bar_duration(text, self.unit, self.meter)
        if "[L:" in text or "[M:" in text:
            for match in TOKEN.finditer(text):
                if match.lastgroup == "field":
                    name, value = match.group()[1], match.group()[3:-1]
                    if name == "L":
                        self.unit = parse_unit(value) or self.unit
                    elif name == "M":
                        self.meter = parse_meter(value)
        return duration

    def rest(self, letter: str, duration: Fraction) -> str:
        """The music code of a rest of that many quarter notes."""
        return letter + format_length(duration / self.unit)


def prevailing_duration(durations: Sequence[Fraction]) -> Fraction:
    """The length that most voices of a line have; of equally common ones the first."""
    return Counter(durations).most_common(1)[0][0]


def prevailing_bar_line(lines: Sequence[str]) -> str:
    """The right bar-line of an omitted voice: that of the last voice present which has one."""
    return next((line for line in reversed(lines) if line), "")


def kept_voice_bars(tune: Notated) -> list[list[bool]]:
    """Which bars of which voices stand in the interleaved form with rests left out.

    Returns:
        One list a bar, with one flag a voice in the order of ``tune.voices``; every bar keeps at
        least one voice.

    Raises:
        MusicZooError: Voices with different numbers of bars, or music code that cannot be read.
    """
    require_equal_bars(tune)
    clocks = [BarClock(header_unit(tune), header_meter(tune)) for _ in tune.voices]
    kept: list[list[bool]] = []
    for index in range(len(tune.voices[0].bars) if tune.voices else 0):
        bars = [voice.bars[index] for voice in tune.voices]
        durations = []
        for voice, clock, bar in zip(tune.voices, clocks, bars, strict=True):
            try:
                durations.append(clock.duration(bar.text))
            except MusicZooError as error:
                raise error.at(path=tune.path, where=f"voice {voice.id}, bar {index + 1}") from None
        flags = [not is_rest_bar(bar.text) for bar in bars]
        if not any(flags):
            flags[0] = True
        # Keeping one more voice may change what would be restored for those left out: repeat until
        # nothing changes.
        while not all(flags):
            present = [position for position, flag in enumerate(flags) if flag]
            duration = prevailing_duration([durations[position] for position in present])
            right = prevailing_bar_line([bars[position].right for position in present])
            left = bars[present[0]].left
            lost = [
                position
                for position, flag in enumerate(flags)
                if not flag
                and (durations[position], bars[position].right, bars[position].left)
                != (duration, right, left)
            ]
            if not lost:
                break
            flags[lost[0]] = True
        kept.append(flags)
    if len(tune.voices) > 1 and kept and not any(sum(flags) > 1 for flags in kept):
        # Lines of one voice each would be read as the standard form; one whole line distinguishes
        # the two.
        kept[0] = [True] * len(tune.voices)
    return kept


def require_equal_bars(tune: Notated) -> None:
    """Check that the voices have the same number of bars.

    Raises:
        MusicZooError: They have not; voices and numbers are named.
    """
    if len({len(voice.bars) for voice in tune.voices}) > 1:
        counts = ", ".join(f"voice {voice.id}: {len(voice.bars)}" for voice in tune.voices)
        raise MusicZooError(
            f"the voices have different numbers of bars ({counts}).",
            path=tune.path,
            remedy="Make them equal before interleaving.",
        )


def restored_line(
    present: dict[str, Bar],
    voices: Sequence[str],
    clocks: dict[str, BarClock],
    letters: dict[str, str],
) -> dict[str, Bar]:
    """One bar of every voice, those that are missing filled with rests as long as the others.

    Args:
        present: The bars that stand in the line, in the order of the line; at least one.
        voices: Identifiers of all voices.
        clocks: The clock of each voice, moved on by this bar.
        letters: From :func:`rest_letters`.

    Raises:
        MusicZooError: Music code that cannot be read.
    """
    durations = [clocks[voice].duration(bar.text) for voice, bar in present.items()]
    missing = [voice for voice in voices if voice not in present]
    if not missing:
        return present
    duration = prevailing_duration(durations)
    bars = list(present.values())
    right = prevailing_bar_line([bar.right for bar in bars])
    return present | {
        voice: Bar(clocks[voice].rest(letters.get(voice, "z"), duration), right, bars[0].left)
        for voice in missing
    }

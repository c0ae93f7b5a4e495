"""The events of a voice as streams of written notes, with ties and slurs linked.

Each note has one value, and the notes of a stream do not overlap.
MusicXML fills a measure stream by stream (its "voices"). Overlays are streams of their own; so are
the heads of a chord that are shorter or longer than its first head, because readers disagree about
chord notes of unequal length.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from fractions import Fraction
from math import lcm

from musiczoo.music.abc.notation import Event, NoteHead, ParsedVoice
from musiczoo.music.musicxml.beams import bracket_odd_lengths, set_beams
from musiczoo.music.musicxml.note_types import note_values
from musiczoo.music.musicxml.written_notes import Stream, WrittenHead, WrittenNote

__all__ = ["Stream", "WrittenHead", "WrittenNote", "divisions", "voice_streams"]


def voice_streams(voice: ParsedVoice) -> list[dict[int, Stream]]:
    """For each bar of a voice its streams by number.

    The voice is 0, its overlays follow, then heads of other lengths.
    """
    ties = _linked_ties(voice.events)
    slurs = _paired_slurs(voice.events)
    bars: list[dict[int, Stream]] = [defaultdict(list) for _ in voice.bars]
    extra = 1 + max((event.layer for event in voice.events), default=0)
    for index, event in enumerate(voice.events):
        span = voice.bars[event.bar]
        starts, stops = slurs.get(index, ((), ()))
        if event.rest == "y" or (not event.heads and event.grace):
            continue
        heads = [
            WrittenHead(head.pitch, head.accidental, *ties.get((index, number), (False, False)))
            for number, head in enumerate(event.heads)
        ]
        own = [
            head
            for head, source in zip(heads, event.heads, strict=True)
            if event.grace or source.duration == event.duration
        ]
        others = [
            (head, source)
            for head, source in zip(heads, event.heads, strict=True)
            if not event.grace and source.duration != event.duration
        ]
        stream = bars[event.bar][event.layer]
        stream.extend(
            _split(
                event,
                event.onset - span.onset,
                own,
                starts,
                stops,
                span.nominal == event.duration == span.duration,
            )
        )
        for head, source in others:
            _place_elsewhere(voice, bars, extra, event.onset, source.duration, head)
    for streams in bars:
        for stream in streams.values():
            bracket_odd_lengths(stream)
            set_beams(stream)
    return bars


def _split(
    event: Event,
    onset: Fraction,
    heads: list[WrittenHead],
    starts: tuple[int, ...],
    stops: tuple[int, ...],
    whole_bar: bool,
) -> Stream:
    if not event.heads and whole_bar:
        return [
            WrittenNote(onset, event.duration, None, event, slur_starts=starts, slur_stops=stops)
        ]
    if event.grace:
        shown = event.heads[0].duration or Fraction(1, 2)
        return [
            WrittenNote(
                onset,
                Fraction(0),
                note_values(shown)[0],
                event,
                heads,
                slur_starts=starts,
                slur_stops=stops,
            )
        ]
    if not event.duration:
        return []
    actual, normal = _tuplet_ratio(event)
    notes = _tied_values(onset, event.duration, heads, event, actual, normal)
    notes[0].slur_starts, notes[-1].slur_stops = starts, stops
    notes[0].tuplet_start, notes[-1].tuplet_stop = event.tuplet_start, event.tuplet_stop
    return notes


def _tied_values(
    onset: Fraction,
    duration: Fraction,
    heads: list[WrittenHead],
    event: Event | None,
    actual: int,
    normal: int,
) -> Stream:
    values = note_values(duration, actual, normal)
    notes = []
    for index, value in enumerate(values):
        first, last = index == 0, index == len(values) - 1
        pieces = [
            WrittenHead(
                head.pitch,
                head.accidental if first else "",
                head.tie_stop if first else True,
                head.tie_start if last else True,
            )
            for head in heads
        ]
        notes.append(WrittenNote(onset, value.duration, value, event, pieces, first, last))
        onset += value.duration
    return notes


def _tuplet_ratio(event: Event) -> tuple[int, int]:
    if event.tuplet is None or not event.notated:
        return 1, 1
    ratio = event.notated / event.duration
    if ratio == Fraction(*event.tuplet):
        return event.tuplet
    # Nested tuplets: the event names the innermost one only.
    return ratio.numerator, ratio.denominator


def _place_elsewhere(
    voice: ParsedVoice,
    bars: list[dict[int, Stream]],
    extra: int,
    onset: Fraction,
    duration: Fraction,
    head: WrittenHead,
) -> None:
    """Put a head of its own length into the first extra stream that is free, cut at bar-lines."""
    end = onset + duration
    bar = next(
        index for index in reversed(range(len(voice.bars))) if voice.bars[index].onset <= onset
    )
    tie_stop = head.tie_stop
    while duration > 0 and bar < len(voice.bars):
        span = voice.bars[bar]
        here = min(end, span.onset + span.duration) - onset
        if bar == len(voice.bars) - 1:
            here = duration  # nothing follows that it could be tied into
        if here > 0:
            piece = WrittenHead(
                head.pitch,
                head.accidental if onset == end - duration else "",
                tie_stop,
                head.tie_start or here < duration,
            )
            number = extra
            while (
                bars[bar].get(number)
                and bars[bar][number][-1].onset + bars[bar][number][-1].duration
                > onset - span.onset
            ):
                number += 1
            bars[bar][number].extend(_tied_values(onset - span.onset, here, [piece], None, 1, 1))
            onset, duration, tie_stop = onset + here, duration - here, True
        bar += 1


def _linked_ties(events: tuple[Event, ...]) -> dict[tuple[int, int], tuple[bool, bool]]:
    """(event, head) -> (tie ends here, tie begins here).

    Only ties with a head of the same pitch where they end are linked.
    """
    waiting: dict[tuple[Fraction, int], tuple[int, int]] = {}
    linked: dict[tuple[int, int], tuple[bool, bool]] = {}
    order = sorted(
        (index for index, event in enumerate(events) if not event.grace),
        key=lambda index: events[index].onset,
    )
    for index in order:
        for number, head in enumerate(events[index].heads):
            origin = waiting.pop((events[index].onset, head.pitch.midi), None)
            if origin is not None:
                linked[origin] = (linked.get(origin, (False, False))[0], True)
                linked[index, number] = (True, False)
            if head.tie:
                waiting[events[index].onset + _length(head, events[index]), head.pitch.midi] = (
                    index,
                    number,
                )
    return linked


def _length(head: NoteHead, event: Event) -> Fraction:
    return head.duration or event.duration


def _paired_slurs(events: tuple[Event, ...]) -> dict[int, tuple[tuple[int, ...], tuple[int, ...]]]:
    """Event -> (slurs that open, slurs that close).

    Those without a partner are left out, because they would stay open to the end.
    """
    starts: dict[int, list[int]] = defaultdict(list)
    stops: dict[int, list[int]] = defaultdict(list)
    open_slurs: list[tuple[int, int]] = []
    number = 0
    for index, event in enumerate(events):
        for _ in range(event.slur_starts):
            open_slurs.append((number, index))
            number += 1
        for _ in range(event.slur_stops):
            if open_slurs:
                slur, start = open_slurs.pop()
                if start != index:
                    starts[start].append(slur)
                    stops[index].append(slur)
    return {
        index: (tuple(starts.get(index, ())), tuple(stops.get(index, ())))
        for index in {*starts, *stops}
    }


def divisions(voices: Iterable[ParsedVoice], streams: Iterable[list[dict[int, Stream]]]) -> int:
    """The smallest number of divisions of a quarter note in which every time is whole.

    Times are onsets, durations and places of fields.
    """
    denominators = {
        offset.denominator for voice in voices for span in voice.bars for offset, _ in span.fields
    }
    denominators |= {
        event.onset.denominator for voice in voices for event in voice.events if event.rest == "y"
    }
    for bars in streams:
        for bar in bars:
            for stream in bar.values():
                denominators |= {
                    moment.denominator for note in stream for moment in (note.onset, note.duration)
                }
    return lcm(*denominators) if denominators else 1

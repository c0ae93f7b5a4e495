"""One lane of events as the bars of an ABC voice: music code with ``L:1/8``."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from musiczoo.music.abc.keys import parse_key
from musiczoo.music.abc.notation import STEPS
from musiczoo.music.abc.tokens import format_length, format_letter
from musiczoo.music.errors import MusicZooError
from musiczoo.music.musicxml.events import Head, NoteEvent, Ticks
from musiczoo.music.musicxml.voice_assignment import Lane

_MARKS = ("=", "^", "^^", "__", "_")  # by alteration, negative ones from the end


class Lengths:
    """Durations in ticks as ABC note lengths in eighths, each computed once.

    Args:
        scale: Ticks of a quarter note.
    """

    def __init__(self, scale: int) -> None:
        self.scale = scale
        self.texts: dict[tuple[Ticks, tuple[int, int] | None], str] = {}

    def text(self, ticks: Ticks, ratio: tuple[int, int] | None = None) -> str:
        """The written length of a note of ``ticks``, before tuplet scaling.

        Raises:
            MusicZooError: A length that no ABC reader accepts.
        """
        found = self.texts.get((ticks, ratio))
        if found is None:
            length = Fraction(ticks * 2) / self.scale
            if ratio is not None:
                length *= Fraction(*ratio)
            if max(length.numerator, length.denominator) >= 10**6:
                raise MusicZooError(f"a duration of {length} eighths is out of all proportion.")
            found = self.texts[ticks, ratio] = format_length(length)
        return found


_letters: dict[tuple[str, int], str] = {}


def _letter(step: str, octave: int) -> str:
    found = _letters.get((step, octave))
    if found is None:
        found = _letters[step, octave] = format_letter(step, octave)
    return found


class VoiceWriter:
    """Writes the bars of one voice in order.

    It keeps what holds in ABC: the key, the accidentals of the bar, ties.

    Args:
        lane: The events.
        lengths: Shared table of written lengths.
        key: ``K:`` in force at the start.
        bar_rest: Letter for a bar in which the lane has nothing: ``"z"``, or ``"x"`` for a further
            voice of a staff.
    """

    def __init__(self, lane: Lane, lengths: Lengths, key: str, bar_rest: str) -> None:
        self.lane = lane
        self.lengths = lengths
        self.bar_rest = bar_rest
        self.alters: dict[str, int] = {}
        self.accidentals: dict[tuple[str, int], int] = {}
        self.tied: dict[tuple[str, int], int] = {}
        self.set_key(key)

    def set_key(self, text: str) -> None:
        """Put a ``K:`` in force; accidentals written so far no longer hold."""
        self.alters = dict(zip(STEPS, parse_key(text).alters, strict=True))
        self.accidentals = {}
        self.bare_notes: dict[tuple[Head, ...], str] = {}

    def bar(self, index: int, length: Ticks, changes: list[tuple[Ticks, str, str]]) -> str:
        """The music code of one bar.

        Args:
            index: Number of the measure from 0.
            length: Of the bar in every voice, in ticks; rests fill it up.
            changes: Inline fields with their times: (time, key to put in force or ``""``, code).
        """
        events = self.lane.bars[index]
        trailing = self.lane.trailing.get(index)
        self.accidentals = {}
        while len(events) > 1 and not events[-1].heads:
            if events[-1].onset + events[-1].duration <= length:
                break
            events.pop()  # a rest after the end of the measure
        if not events or (len(events) == 1 and _fills_the_bar(events[0], length)):
            return self.silent_bar(events, trailing, length, changes)
        pieces: list[str] = []
        time: Ticks = 0
        tuplets = tuplet_marks(events) if any([event.ratio for event in events]) else None
        waiting = changes
        last = len(events) - 1
        for position, event in enumerate(events):
            if event.onset != time and event.onset - time >= 1:
                pieces.append(f"x{self.lengths.text(event.onset - time)} ")
                self.tied = {}
                time = event.onset
            if waiting and waiting[0][0] <= event.onset:
                waiting = self.put_fields(pieces, waiting, event.onset)
            # Without marks, accidentals and ties, equal notes have one text until the key changes.
            bare = tuplets is None and not (
                event.adorned or event.slur_stops or self.accidentals or self.tied
            )
            written = self.bare_notes.get(event.heads) if bare else None
            if written is None:
                written = self.event(
                    event, index, position, length, tuplets[position] if tuplets else ""
                )
                if (
                    bare
                    and event.heads
                    and not (self.accidentals or any([head[3] for head in event.heads]))
                ):
                    self.bare_notes[event.heads] = written
            pieces.append(written)
            if not (event.beamed and position < last and events[position + 1].heads):
                pieces.append(" ")
            time += event.duration
        if trailing:
            pieces.append(self.grace_group(trailing) + " ")
        if length - time >= 1:
            pieces.append(f"x{self.lengths.text(length - time)} ")
            self.tied = {}
        if waiting:
            self.put_fields(pieces, waiting, length)
        return "".join(pieces).strip()

    def silent_bar(
        self,
        events: Sequence[NoteEvent],
        trailing: Sequence[NoteEvent] | None,
        length: Ticks,
        changes: list[tuple[Ticks, str, str]],
    ) -> str:
        """The music code of a bar with one rest, or with no event at all.

        Args:
            events: The rest, if the lane has one.
            trailing: Grace notes at the end of the bar, if it has some.
            length: As in :meth:`bar`.
            changes: As in :meth:`bar`; they stand at the beginning.
        """
        for _, key, _ in changes:
            if key:
                self.set_key(key)
        self.tied = {}
        fields = "".join([code for _, _, code in changes])
        letter = "x" if events and events[0].hidden else self.bar_rest
        before = self.before(events[0], "") if events else ""
        code = f"{before}{letter}{self.lengths.text(length)}"
        if trailing:
            code += f" {self.grace_group(trailing)}"
        return f"{fields} {code}" if fields else code

    def put_fields(
        self, pieces: list[str], waiting: list[tuple[Ticks, str, str]], time: Ticks
    ) -> list[tuple[Ticks, str, str]]:
        """Write the inline fields that are due; return the others."""
        count = 0
        for due, key, code in waiting:
            if due > time:
                break
            pieces.append(code)
            if key:
                self.set_key(key)
            count += 1
        if count:
            pieces.append(" ")
        return waiting[count:]

    def event(self, event: NoteEvent, index: int, position: int, length: Ticks, tuplet: str) -> str:
        """The music code of one event and all that belongs to it, without the space after it."""
        heads = event.heads
        if not heads:
            self.tied = {}
            letter = "x" if event.hidden else "z"
            length_text = self.lengths.text(event.duration, event.ratio)
            return f"{self.before(event, tuplet)}{letter}{length_text}"
        before = self.before(event, tuplet)
        tied = self.tied
        if tied:
            self.tied = {}
        if len(heads) == 1:
            head = heads[0]
            code = self.head(head, tied) + self.lengths.text(event.duration, event.ratio)
            if head[3] and head[:3] in self.tie_goal(event, index, position, length):
                code += "-"
                self.tied[head[0], head[2]] = head[1]
        else:
            leads = any([head[3] for head in heads])
            goal = self.tie_goal(event, index, position, length) if leads else ()
            inner = []
            same = all([head[4] == heads[0][4] for head in heads])
            for head in heads:
                text = self.head(head, tied)
                if not same:
                    text += self.lengths.text(
                        head[4] if head is not heads[0] else event.duration, event.ratio
                    )
                if head[3] and head[:3] in goal:
                    text += "-"
                    self.tied[head[0], head[2]] = head[1]
                inner.append(text)
            code = f"[{''.join(inner)}]" + (
                self.lengths.text(event.duration, event.ratio) if same else ""
            )
        return f"{before}{code}{')' * event.slur_stops}" if event.slur_stops else before + code

    def before(self, event: NoteEvent, tuplet: str) -> str:
        """All that stands before the note or rest itself."""
        if not event.adorned:
            return tuplet
        signs = f"{''.join(event.signs)} " if event.signs else ""
        graces = self.grace_group(event.graces) if event.graces else ""
        return (
            f"{signs}{tuplet}{event.symbol}{''.join(event.marks)}{'(' * event.slur_starts}{graces}"
        )

    def head(self, head: Head, tied: dict[tuple[str, int], int]) -> str:
        """Letter of a head, with an accidental where key, bar and tie make another pitch."""
        step, alter, octave = head[0], head[1], head[2]
        place = (step, octave)
        holds = self.accidentals.get(place)
        if holds is None:
            holds = tied.get(place) if tied else None
            if holds is None:
                holds = self.alters[step]
        letter = _letters.get(place) or _letter(step, octave)
        if holds == alter:
            return letter
        self.accidentals[place] = alter
        return _MARKS[alter] + letter

    def grace_group(self, graces: Sequence[NoteEvent]) -> str:
        """Grace notes in braces; a slash when the first has one."""
        inner = []
        for grace in graces:
            text = "".join([self.head(head, {}) for head in grace.heads])
            length = format_length(2 * (grace.grace or Fraction(1, 2)))
            inner.append((f"[{text}]" if len(grace.heads) > 1 else text) + length)
        return f"{{{'/' if graces[0].slashed else ''}{''.join(inner)}}}"

    def tie_goal(
        self, event: NoteEvent, index: int, position: int, length: Ticks
    ) -> tuple[tuple[str, int, int], ...]:
        """The pitches that a tie from an event can lead to: those of the next event.

        There is none after a gap: an ABC tie leads to the next event of the voice or nowhere.
        """
        bars = self.lane.bars
        end = event.onset + event.duration
        if position + 1 < len(bars[index]):
            follower = bars[index][position + 1]
            if follower.onset - end >= 1:
                return ()
        else:
            if index + 1 >= len(bars) or not bars[index + 1] or length - end >= 1:
                return ()
            follower = bars[index + 1][0]
            if follower.onset >= 1:
                return ()
        return tuple([head[:3] for head in follower.heads])


def _fills_the_bar(event: NoteEvent, length: Ticks) -> bool:
    """Whether an event is a rest that stands for the whole bar."""
    return not event.heads and (event.flexible or event.duration > length)


def tuplet_marks(events: list[NoteEvent]) -> list[str]:
    """What stands before each event of a bar: ``"(3"`` at the first of a tuplet, else ``""``.

    Groups end where the file ends a bracket, where the ratio changes, and, in files without
    brackets, where the notes fill the normal number of the smallest of them.
    """
    marks = [""] * len(events)
    position, count = 0, len(events)
    while position < count:
        ratio = events[position].ratio
        if ratio is None:
            position += 1
            continue
        first = position
        bracketed = events[position].tuplet_start
        time = smallest = events[position].duration
        while not events[position].tuplet_stop and position + 1 < count:
            follower = events[position + 1]
            end = events[position].onset + events[position].duration
            if follower.ratio != ratio or follower.tuplet_start or follower.onset - end >= 1:
                break
            # The smallest note, times the actual number, is the length of a bracket of such notes.
            if not bracketed and time and smallest and time % (smallest * ratio[0]) == 0:
                break
            position += 1
            time += follower.duration
            smallest = min(smallest, follower.duration) or smallest
        size = position - first + 1
        actual, normal = ratio
        marks[first] = (
            f"({actual}" if (actual, normal, size) == (3, 2, 3) else f"({actual}:{normal}:{size}"
        )
        position += 1
    return marks

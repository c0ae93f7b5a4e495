"""The events of a MusicXML part in lanes: sequences without overlap that become ABC voices.

A MusicXML voice stays one lane even where it crosses the staves. Files that use one voice number on
two staves at once, or let notes of one voice overlap, get further lanes.
"""

from __future__ import annotations

from collections import Counter, deque

from musiczoo.music.musicxml.events import Measure, NoteEvent, Ticks


class Lane:
    """Events of one future ABC voice.

    Attributes:
        staff: Number of the staff in the part on which most of its notes stand.
        bars: Its events by measure, in order of time.
        percussion: Whether it has unpitched notes and no others.
        trailing: Grace notes at the end of each measure that has some.
    """

    __slots__ = ("bars", "key", "percussion", "sounds", "staff", "trailing")

    def __init__(self, key: tuple[str, int, int], measures: int) -> None:
        self.key = key
        self.staff = 1
        self.sounds = False
        self.percussion = False
        self.bars: list[list[NoteEvent]] = [[] for _ in range(measures)]
        self.trailing: dict[int, list[NoteEvent]] = {}


def deal_lanes(measures: list[Measure]) -> list[Lane]:
    """The lanes of a part, by staff and then by first appearance.

    Those that never sound are left out unless all are silent.
    """
    # Most parts have one staff.
    staves = {event.staff for measure in measures for event in measure.events}
    split = _voices_on_two_staves_at_once(measures) if len(staves) > 1 else set()
    lanes: dict[tuple[str, int, int], Lane] = {}
    count = len(measures)
    for index, measure in enumerate(measures):
        voices = {event.voice for event in measure.events}
        if measure.straight and len(voices) == 1 and not split:
            # Nothing can overlap: most measures of most parts.
            lane = _lane(lanes, (voices.pop(), 0, 0), count)
            lane.bars[index] = measure.events.copy()
            lane.sounds = lane.sounds or any([event.heads for event in measure.events])
        else:
            _deal_measure(measure, index, lanes, split, count)
        for event in measure.trailing_graces:
            lane = _lane(lanes, (event.voice, event.staff if event.voice in split else 0, 0), count)
            lane.trailing.setdefault(index, []).append(event)
            lane.sounds = True
    for lane in lanes.values():
        sounding = [event for bar in lane.bars for event in bar if event.heads]
        if sounding:
            lane.staff = (
                Counter([event.staff for event in sounding]).most_common(1)[0][0]
                if len(staves) > 1
                else sounding[0].staff
            )
            lane.percussion = all(event.unpitched for event in sounding)
    ordered = sorted(lanes.values(), key=lambda lane: (lane.staff, lane.key[2]))
    return [lane for lane in ordered if lane.sounds] or ordered[:1] or [Lane(("1", 0, 0), count)]


def _lane(
    lanes: dict[tuple[str, int, int], Lane], key: tuple[str, int, int], measures: int
) -> Lane:
    lane = lanes.get(key)
    if lane is None:
        lane = lanes[key] = Lane(key, measures)
    return lane


def _deal_measure(
    measure: Measure,
    index: int,
    lanes: dict[tuple[str, int, int], Lane],
    split: set[str],
    measures: int,
) -> None:
    ends: dict[tuple[str, int, int], Ticks] = {}
    for event in measure.events:
        staff = event.staff if event.voice in split else 0
        key = (event.voice, staff, 0)
        end = ends.get(key, 0)
        if end != event.onset:
            # Less than a tick is the rounding of tuplets and no overlap.
            while end - event.onset >= 1:
                key = (event.voice, staff, key[2] + 1)
                end = ends.get(key, 0)
            if -1 < end - event.onset < 1:
                event.onset = end
        ends[key] = event.onset + event.duration
        lane = _lane(lanes, key, measures)
        lane.bars[index].append(event)
        if event.heads:
            lane.sounds = True


def _voices_on_two_staves_at_once(measures: list[Measure]) -> set[str]:
    found: set[str] = set()
    for measure in measures:
        ends: dict[str, tuple[Ticks, int]] = {}
        for event in measure.events:
            end, staff = ends.get(event.voice, (0, event.staff))
            if staff != event.staff and end - event.onset >= 1:
                found.add(event.voice)
            ends[event.voice] = (max(end, event.onset + event.duration), event.staff)
    return found


def attach_directions(measures: list[Measure], lanes: list[Lane]) -> None:
    """Hang the directions and chord symbols of a part on the events that they stand before.

    ABC has them only before notes and rests: what stands at the end of a measure goes to the next
    one, at the end of the piece to the last event.
    """
    by_voice = {(lane.key[0], lane.staff): lane for lane in reversed(lanes)}
    by_staff = {lane.staff: lane for lane in reversed(lanes)}
    waiting: deque[tuple[Lane, str]] = deque()
    if not any([measure.directions for measure in measures]):
        return
    for index, measure in enumerate(measures):
        if waiting:
            for _ in range(len(waiting)):
                lane, code = waiting.popleft()
                if lane.bars[index]:
                    _hang(lane.bars[index][0], code)
                else:
                    waiting.append((lane, code))
        for time, staff, voice, code in measure.directions:
            lane = by_voice.get((voice or "", staff)) or by_staff.get(staff) or lanes[0]
            if not lane.bars[index]:
                lane = next(
                    (other for other in lanes if other.staff == staff and other.bars[index]), lane
                )
            event = next((event for event in lane.bars[index] if event.onset >= time), None)
            if event is None:
                waiting.append((lane, code))
            else:
                _hang(event, code)
    for lane, code in waiting:
        last = next((bar[-1] for bar in reversed(lane.bars) if bar), None)
        if last is not None:
            _hang(last, code)


def _hang(event: NoteEvent, code: str) -> None:
    if code[0] == '"' and code[1] not in "^_":
        event.symbol = code
    elif code not in event.signs:
        event.signs += (code,)
    event.adorned = True


def match_slurs(lane: Lane) -> None:
    """Count the slurs that begin and end in the lane.

    Those with one end elsewhere cannot be written in ABC and are left out.
    """
    open_slurs: dict[str, NoteEvent] = {}
    for bar in lane.bars:
        for event in bar:
            if not (event.slurs or event.graces):
                continue
            for source in (*event.graces, event):
                if not source.slurs:
                    continue
                for kind, number in source.slurs:
                    if kind == "stop" and number in open_slurs:
                        first = open_slurs.pop(number)
                        if first is not event:
                            first.slur_starts += 1
                            first.adorned = True
                            event.slur_stops += 1
                for kind, number in source.slurs:
                    if kind == "start":
                        open_slurs[number] = event

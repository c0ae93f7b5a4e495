"""A part of a score as a score of its own, which sounds as that part does in the whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from symusic.core import ScoreTick, TrackTick


def excerpt(score: ScoreTick, start: int, end: int) -> ScoreTick:
    """The notes that begin in a span of ticks, moved to 0.

    symusic's ``Score.clip`` keeps the ticks of the whole and drops controllers that were set before
    the span. Here tempo, time signature, key signature, controllers (pedals too) and pitch bends
    that hold at the cut stand at tick 0; notes that end after the span end with it. Programs, names
    and resolution stay. What the score does not state is not stated either.

    Args:
        score: The piece, in ticks.
        start: The first tick.
        end: The tick after the last.

    Returns:
        The part; the tracks without notes in it are left out.
    """
    from symusic.core import ScoreTick

    # symusic types its lists as taking no list of Python, which they do.
    part: Any = ScoreTick(int(score.ticks_per_quarter))
    for name in ("tempos", "time_signatures", "key_signatures"):
        getattr(part, name).extend(_held([*getattr(score, name)], start, end))
    part.markers.extend(_shifted([*score.markers], start, end))
    for track in score.tracks:
        cut = _track(track, start, end)
        if len(cut.notes):
            part.tracks.append(cut)
    return cast("ScoreTick", part)


def _track(track: TrackTick, start: int, end: int) -> TrackTick:
    from symusic.core import TrackTick

    cut: Any = TrackTick(track.name, track.program, track.is_drum)
    notes = _shifted([*track.notes], start, end)
    for note in notes:
        note.duration = min(int(note.duration), end - start - int(note.time))
    cut.notes.extend(notes)
    by_number: dict[int, list[Any]] = {}
    for control in track.controls:
        by_number.setdefault(int(control.number), []).append(control)
    for controls in by_number.values():
        cut.controls.extend(_held(controls, start, end))
    cut.controls.sort()
    cut.pitch_bends.extend(_held([*track.pitch_bends], start, end))
    cut.lyrics.extend(_shifted([*track.lyrics], start, end))
    return cast("TrackTick", cut)


def _shifted(events: list[Any], start: int, end: int) -> list[Any]:
    """Copies of the events of a span, moved to 0."""
    found = [event.copy() for event in events if start <= int(event.time) < end]
    for event in found:
        event.time = int(event.time) - start
    return found


def _held(events: list[Any], start: int, end: int) -> list[Any]:
    """The last event before a span, which holds at its beginning, and those in it, moved to 0."""
    found = _shifted(events, start, end)
    before = [event for event in events if int(event.time) < start]
    if before and not (found and min(int(event.time) for event in found) == 0):
        last = max(before, key=lambda event: int(event.time)).copy()
        last.time = 0
        found.insert(0, last)
    return sorted(found, key=lambda event: int(event.time))

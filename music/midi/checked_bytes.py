"""Standard MIDI files checked event by event before a parser in C++ sees them.

symusic trusts lengths and running status, and a damaged file can end the whole process. This reads
the file by the specification (Standard MIDI Files 1.0, RP-001), refuses what is damaged and writes
the rest in its plainest form: explicit status bytes, known chunks only, texts in UTF-8, signatures
and tempos with sensible values.
"""

from __future__ import annotations

from musiczoo.music.errors import MusicZooError

_NOTE_ON = 9
_END_OF_TRACK, _TEMPO, _METER, _KEY = 0x2F, 0x51, 0x58, 0x59
_LAST_TICK = 2**31 - 1
#: A day of music has fewer; a file with more is noise, and every use of it would take minutes.
MAX_NOTES = 500_000


def checked_midi(data: bytes, path: str | None = None) -> bytes:
    """The same music as a clean MIDI file.

    Args:
        data: The bytes of a file, also inside a RIFF container (.rmi).
        path: Where they came from, for messages.

    Raises:
        MusicZooError: No MIDI file, one that is cut short or damaged (with the byte), one that
            counts in film frames or has 0 ticks a quarter note, or one with more than 500,000
            notes.
    """
    if data.startswith(b"RIFF"):
        data = data[max(0, data.find(b"MThd")) :]
    if not data.startswith(b"MThd") or len(data) < 14:
        raise _damaged("This is no MIDI file.", 0, path)
    length = int.from_bytes(data[4:8], "big")
    form, division = int.from_bytes(data[8:10], "big"), int.from_bytes(data[12:14], "big")
    if length < 6 or form > 2:
        raise _damaged("The header of the MIDI file is damaged.", 4, path)
    if not division:
        raise MusicZooError(
            "The MIDI file has 0 ticks a quarter note.",
            path=path,
            remedy="Export it again; 480 ticks are usual.",
        )
    if division & 0x8000:
        raise MusicZooError(
            "The MIDI file counts time in film frames, not in beats.",
            path=path,
            remedy="Export it with ticks a quarter note.",
        )
    position = 8 + length
    tracks: list[bytes] = []
    notes = 0
    while position + 8 <= len(data):
        end = position + 8 + int.from_bytes(data[position + 4 : position + 8], "big")
        if end > len(data):
            raise _damaged("The MIDI file is cut short.", len(data), path)
        if data[position : position + 4] == b"MTrk":
            track, found = _clean_track(data, position + 8, end, path, MAX_NOTES - notes)
            tracks.append(track)
            notes += found
        position = end
    if len(tracks) < int.from_bytes(data[10:12], "big"):
        raise _damaged("The MIDI file has fewer tracks than its header states.", len(data), path)
    header = (
        b"MThd"
        + (6).to_bytes(4, "big")
        + form.to_bytes(2, "big")
        + len(tracks).to_bytes(2, "big")
        + division.to_bytes(2, "big")
    )
    return header + b"".join(b"MTrk" + len(track).to_bytes(4, "big") + track for track in tracks)


def _damaged(message: str, at: int, path: str | None) -> MusicZooError:
    remedy = "Check that the file was written or downloaded to its end."
    return MusicZooError(message, path=path, where=f"byte {at}", remedy=remedy)


def _clean_track(
    data: bytes, position: int, end: int, path: str | None, most: int
) -> tuple[bytes, int]:
    """One track's events with explicit status bytes, closed by an end-of-track event.

    And its notes, ``most`` at most.
    """
    clean = bytearray()
    running = delta = time = notes = 0
    while position < end:
        wait, position = _number(data, position, end, path)
        delta += wait
        time += wait
        if time > _LAST_TICK:
            raise _damaged("A track is damaged: its times run beyond all measure.", position, path)
        if position >= end:
            raise _damaged("A track ends inside an event.", position, path)
        status = data[position]
        if status >= 0x80:
            position += 1
        elif running:
            status = running
        else:
            raise _damaged("A track is damaged: an event has no status.", position, path)
        if status < 0xF0:
            running = status
            stop = position + (1 if 0xC0 <= status < 0xE0 else 2)
            content = data[position:stop]
            if stop > end or max(content) > 0x7F:
                raise _damaged("A track is damaged: an event is incomplete.", position, path)
            if status >> 4 == _NOTE_ON and content[1]:
                notes += 1
                if notes > most:
                    raise _too_many_notes(path)
            clean += _encoded(delta)
            clean.append(status)
            clean += content
            delta = 0
        elif status == 0xFF:
            if position >= end:
                raise _damaged("A track ends inside an event.", position, path)
            kind = data[position]
            position, stop = _span(data, position + 1, end, path)
            if kind == _END_OF_TRACK:
                break
            meta = _clean_meta(kind, data[position:stop])
            if meta is not None:
                clean += _encoded(delta) + bytes((0xFF, kind)) + _encoded(len(meta)) + meta
                delta = 0
        elif status in (0xF0, 0xF7):  # messages to one maker's devices: no notes
            _, stop = _span(data, position, end, path)
        else:
            raise _damaged(
                "A track is damaged: there is an event that no file may hold.", position, path
            )
        position = stop
    return bytes(clean + _encoded(delta) + bytes((0xFF, _END_OF_TRACK, 0))), notes


def _too_many_notes(path: str | None) -> MusicZooError:
    return MusicZooError(
        f"The MIDI file has more than {MAX_NOTES:,} notes.",
        path=path,
        remedy="Check that it is music, or split it.",
    )


def _span(data: bytes, position: int, end: int, path: str | None) -> tuple[int, int]:
    """Where the content of an event begins and ends; its length stands first."""
    length, position = _number(data, position, end, path)
    if position + length > end:
        raise _damaged("A track ends inside an event.", position, path)
    return position, position + length


def _clean_meta(kind: int, content: bytes) -> bytes | None:
    """The content of a meta event, or None when it is of no use."""
    if kind == _TEMPO:
        return content if len(content) == 3 and any(content) else None
    if kind == _METER:
        return content if len(content) == 4 and content[0] and content[1] <= 6 else None
    if kind == _KEY:
        return (
            content
            if len(content) == 2 and (content[0] <= 7 or content[0] >= 0xF9) and content[1] <= 1
            else None
        )
    if 1 <= kind <= 15:
        try:
            content.decode("utf-8")
        except UnicodeDecodeError:
            return content.decode("latin-1").encode("utf-8")
        return content
    return None


def _number(data: bytes, position: int, end: int, path: str | None) -> tuple[int, int]:
    """A variable-length number and the position after it."""
    value = 0
    for index in range(position, min(position + 4, end)):
        value = value << 7 | data[index] & 0x7F
        if data[index] < 0x80:
            return value, index + 1
    raise _damaged("A track is damaged: a number does not end.", position, path)


def _encoded(number: int) -> bytes:
    """A number in MIDI's variable-length form.

    Gaps that grew beyond it (events left out in between) stay at its largest.
    """
    number = min(number, 0x0FFFFFFF)
    groups = [number & 0x7F]
    while number := number >> 7:
        groups.append(number & 0x7F | 0x80)
    return bytes(reversed(groups))

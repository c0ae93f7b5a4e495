"""The MIDI text format (MTF): every message of a MIDI file as a line of text.

CLaMP 2 reads it (Wu et al. 2024, arXiv 2410.13267).
The first line is ``ticks_per_beat N``. The others are the messages of all tracks merged in time,
each with its type and its values: of a channel message first the ticks since the message before,
then the channel and the rest (``note_on 240 0 60 80``); of a meta message the values first and the
ticks last (``set_tempo 500000 0``).

As the encoders were trained, texts (titles, names, lyrics, markers) and messages to one maker's
devices are left out, and with them the ticks before them. So a file in which time passes before
such a message loses that time; the published weights know it no other way.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.checked_bytes import checked_midi

if TYPE_CHECKING:
    from symusic.core import ScoreTick

FIRST_WORD = "ticks_per_beat"
_LEFT_OUT = frozenset(
    {
        "copyright",
        "cue_marker",
        "device_name",
        "instrument_name",
        "lyrics",
        "marker",
        "sequencer_specific",
        "sysex",
        "text",
        "track_name",
    }
)
# Messages that sound or measure time, and the order of their values; a score ignores the rest.
_CHANNEL = {
    "note_off": ("channel", "note", "velocity"),
    "note_on": ("channel", "note", "velocity"),
    "polytouch": ("channel", "note", "value"),
    "control_change": ("channel", "control", "value"),
    "program_change": ("channel", "program"),
    "aftertouch": ("channel", "value"),
    "pitchwheel": ("channel", "pitch"),
}
_META = {
    "set_tempo": ("tempo",),
    "time_signature": (
        "numerator",
        "denominator",
        "clocks_per_click",
        "notated_32nd_notes_per_beat",
    ),
    "key_signature": ("key",),
}


def is_midi_text(text: str) -> bool:
    """Whether a text is MTF rather than ABC, by its first word."""
    return text.lstrip().startswith(f"{FIRST_WORD} ")


def midi_text(source: str | Path | bytes | ScoreTick) -> str:
    """A performance in the MIDI text format.

    Args:
        source: The path of a MIDI file, its bytes, or a symusic score in ticks.

    Returns:
        One line a message; as in the published program no newline closes the last one.

    Raises:
        MusicZooError: No such file; no MIDI file or a damaged one; or one whose tracks do not run
            side by side (format 2).
    """
    path = None
    if isinstance(source, str | Path):
        path = str(source)
        try:
            data = Path(source).read_bytes()
        except (OSError, ValueError) as error:
            raise MusicZooError(
                f"The file cannot be read ({error}).",
                path=path,
                remedy="Give the path of a MIDI file.",
            ) from error
    else:
        data = source if isinstance(source, bytes) else source.dumps_midi()
    file = _messages(data, path)
    if file.type == 2:
        raise MusicZooError(
            "The tracks of this MIDI file are independent songs.",
            path=path,
            remedy="Export them one by one.",
        )
    lines = [f"{FIRST_WORD} {file.ticks_per_beat}"]
    lines += [_line(message) for message in file.merged_track if message.type not in _LEFT_OUT]
    return "\n".join(lines)


def _messages(data: bytes, path: str | None) -> Any:
    """The file as mido reads it.

    Damage is found first, and what mido refuses (a key signature of nine sharps) is left out.
    """
    import mido

    clean = checked_midi(data, path)
    start = max(0, data.find(b"MThd"))
    for content in (data[start:], clean):
        try:
            return mido.MidiFile(file=io.BytesIO(content))
        except Exception as error:
            # mido raises many kinds of errors for a bad message; only the cleaned bytes count.
            if content is clean:
                raise MusicZooError(
                    f"This is no readable MIDI file ({type(error).__name__}: {error}).", path=path
                ) from error
    raise AssertionError


def _line(message: Any) -> str:
    values = message.dict()
    kind, time = values.pop("type"), values.pop("time")
    texts = [str(value) for value in values.values()]
    return " ".join([kind, *texts, str(time)] if message.is_meta else [kind, str(time), *texts])


def read_midi_text(text: str) -> ScoreTick:
    """The performance that a text in the MIDI text format stands for.

    The text does not keep which track a message was on; the score has a track for each channel and
    program.

    Args:
        text: What :func:`midi_text` gave; lines of kinds that neither sound nor measure time are
            skipped, with their ticks kept.

    Returns:
        A symusic score in ticks.

    Raises:
        MusicZooError: A line that is no message, with its number.
    """
    import mido
    from symusic.core import ScoreTick

    lines = text.split("\n")
    first = lines[0].split()
    if (
        len(first) != 2
        or first[0] != FIRST_WORD
        or not first[1].isdecimal()
        or not 0 < int(first[1]) < 2**15
    ):
        raise MusicZooError(
            "The first line is not the number of ticks a beat.",
            where="line 1",
            remedy=f"It reads like {FIRST_WORD} 480.",
        )
    file = mido.MidiFile(type=0, ticks_per_beat=int(first[1]))
    track = file.add_track()
    waiting = 0
    for number, line in enumerate(lines[1:], 2):
        words = line.split()
        if not words:
            continue
        try:
            message, ticks = _message(words, waiting)
        except (ValueError, IndexError, TypeError) as error:
            raise MusicZooError(
                f"{line[:60]!r} is no MIDI message ({error}).", where=f"line {number}"
            ) from error
        if message is None:
            waiting = ticks
        else:
            track.append(message)
            waiting = 0
    stream = io.BytesIO()
    file.save(file=stream)
    return ScoreTick.from_midi(checked_midi(stream.getvalue()))


def _message(words: list[str], waiting: int) -> tuple[Any, int]:
    """The message of a line, None where its kind is skipped, and its ticks.

    Args:
        words: Of the line.
        waiting: Ticks of skipped messages before it.

    Raises:
        ValueError, IndexError, TypeError: It is no message.
    """
    import mido

    kind, values = words[0], words[1:]
    is_meta = kind not in _CHANNEL
    ticks = int(values.pop(-1 if is_meta else 0)) + waiting
    if ticks < 0:
        raise ValueError("the ticks are negative")
    if kind not in _CHANNEL and kind not in _META:
        return None, ticks
    names = _META[kind] if is_meta else _CHANNEL[kind]
    settings = {
        name: value if name == "key" else int(value)
        for name, value in zip(names, values, strict=True)
    }
    return (mido.MetaMessage if is_meta else mido.Message)(kind, time=ticks, **settings), ticks

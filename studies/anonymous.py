"""Pieces without anything that identifies their system, as pictures and sound for a page."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import numpy as np

from musiczoo.music.abc import Field, Tune
from musiczoo.music.abc.score import parse_voice_field
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.to_tune import from_score
from musiczoo.music.pictures.engraving import engrave
from musiczoo.music.pictures.piano_roll import piano_roll_picture
from musiczoo.music.sound.audio import render_audio
from musiczoo.studies.design import INSTALL_STUDY

if TYPE_CHECKING:
    from pathlib import Path

    from symusic.core import ScoreTick

Picture = Literal["score", "roll", "none"]
PICTURES: tuple[Picture, ...] = ("score", "roll", "none")
#: What the notes and their layout need. Titles, composers, sources, notes, comments and all other
#: directives are dropped.
KEPT_FIELDS = frozenset({"L", "M", "K", "Q", "V", "U", "m", "P"})
_LAYOUT = re.compile(r"(?:score|staves)\b")
# A closed list: any other name of a voice or track may identify a system. English, Italian, German
# and French.
_INSTRUMENTS = """
    piccolo|ottavino|flutes?|flaut[oi]|flöte|recorder|oboes?|oboi|hautbois|english horn
    |cor anglais|bass clarinet|clarinets?|clarinett[oi]|klarinette|contrabassoon|bassoons?
    |fagott[oi]?|saxophone|horns?|corn[oi]|trumpets?|tromb[ae]|trompete|clarino|trombones?
    |tromboni|posaune|tuba|timpani|pauken|percussion|drums|glockenspiel|celesta|xylophone|marimba
    |harp|arpa|harfe|piano|pianoforte|klavier|keyboard|harpsichord|cembalo|clavecin|organ|orgel
    |basso continuo|continuo|guitar|gitarre|lute|laute|banjo|mandolin|accordion|fiddle|violins?
    |violin[oi]|violine|violon|viola da gamba|viol[ae]|violas|bratsche|cellos?|violoncell[oi]
    |double bass|contrabass|contrabbasso|kontrabass|violone|strings|soprano|sopran|mezzo-soprano
    |contralto|alto?|tenore?|baritone?|bass|basso|bassus|cantus|altus|superius|quintus|voices?
    |choir|chorus|stimme|melody
"""
_INSTRUMENT = re.compile(
    rf"\b({''.join(line.strip() for line in _INSTRUMENTS.splitlines())})\b(\s+(?:I{{1,3}}|IV)\b)?",
    re.IGNORECASE,
)
SAMPLE_RATE = 44_100
FADE_SECONDS = 0.5
#: 0 is the best and largest, 1 the smallest; some 90 kbit/s for stereo.
MP3_COMPRESSION = 0.5


def anonymous_tune(tune: Tune) -> Tune:
    """The same music with a bare header: no title, and no names except those of instruments."""
    header = [Field("X", "1")]
    for item in tune.header:
        if item.name == "V":
            header.append(Field("V", _voice(item.value)))
        elif item.name in KEPT_FIELDS or (item.name == "%%" and _LAYOUT.match(item.value)):
            header.append(item)
    return tune.with_header(tuple(header))


def instrument_name(name: str) -> str:
    """The part of a voice's name that names an instrument or a singer.

    >>> instrument_name("Violino II (system-7)"), instrument_name("midi-out of GrooveNet")
    ('Violino II', '')
    """
    return ", ".join(match[0] for match in _INSTRUMENT.finditer(name))


def picture_of(piece: Tune | ScoreTick, kind: Picture) -> tuple[str, bytes]:
    """Draw a piece without its names.

    Args:
        piece: A tune, or a symusic score, which is quantised to be engraved.
        kind: ``"score"`` or ``"roll"``.

    Returns:
        The media type and the file's bytes.

    Raises:
        MusicZooError: The piece cannot be drawn.
    """
    if kind == "roll":
        return "image/png", piano_roll_picture(_anonymous(piece))
    tune = anonymous_tune(piece if isinstance(piece, Tune) else from_score(piece))
    pages = engrave(tune, one_page=True)
    if len(pages) > 1:
        raise MusicZooError(
            "The piece is too long for one picture.",
            remedy="Use a shorter one, or piano rolls (--picture roll).",
        )
    # A third of verovio's file is its indentation.
    return "image/svg+xml", re.sub(r">\s+<", "><", pages[0]).encode()


def _anonymous(piece: Tune | ScoreTick) -> Tune | ScoreTick:
    if isinstance(piece, Tune):
        return anonymous_tune(piece)
    score = piece.copy()
    for track in score.tracks:
        track.name = instrument_name(str(track.name))
    return score


def sound_of(
    piece: Tune | ScoreTick, *, soundfont: str | Path | None = None, seconds: float | None = None
) -> bytes:
    """Play a piece into an MP3 file without any tags.

    Args:
        piece: A tune or a symusic score.
        soundfont: As in :func:`musiczoo.music.render_audio`.
        seconds: Fade out and end there.

    Raises:
        MusicZooError: No soundfont, a piece that cannot be played, or the extra ``study`` is not
            installed.
    """
    try:
        import soundfile
    except ImportError as error:
        raise MusicZooError(
            "Sound is compressed by soundfile, which is not installed.", remedy=INSTALL_STUDY
        ) from error
    samples = render_audio(piece, soundfont=soundfont, sample_rate=SAMPLE_RATE)
    if seconds is not None and samples.shape[1] > seconds * SAMPLE_RATE:
        samples = samples[:, : round(seconds * SAMPLE_RATE)].copy()
        fade = min(samples.shape[1], round(FADE_SECONDS * SAMPLE_RATE))
        samples[:, samples.shape[1] - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    stream = io.BytesIO()
    soundfile.write(
        stream,
        samples.T,
        SAMPLE_RATE,
        format="MP3",
        subtype="MPEG_LAYER_III",
        compression_level=MP3_COMPRESSION,
    )
    return stream.getvalue()


def words_in(svg: str) -> str:
    """The words in a picture's file, shown or not, for :func:`find_name`."""
    return re.sub(r"<[^>]*>", " ", svg)


def find_name(text: str, names: Sequence[str]) -> str | None:
    """The first of the names that stands in a text as words of their own, whatever the case."""
    for name in names:
        if name.strip() and re.search(
            rf"(?<!\w){re.escape(name.strip())}(?!\w)", text, re.IGNORECASE
        ):
            return name
    return None


def _voice(value: str) -> str:
    """A ``V:`` field with what the music needs, and with the names of instruments only."""
    voice = parse_voice_field(value)
    words = [voice.id, voice.clef]
    words += [
        f'{key}="{name}"'
        for key, name in (("nm", instrument_name(voice.name)), ("snm", _short(voice.short_name)))
        if name
    ]
    words += [
        f"{key}={number}"
        for key, number in (("transpose", voice.transpose), ("octave", voice.octave))
        if number
    ]
    return " ".join(word for word in words if word)


def _short(name: str) -> str:
    """An abbreviation of an instrument: two or three letters with a point identify no system."""
    return name if re.fullmatch(r"[A-Z][a-z]{0,3}\.( ?[IV]{1,3}| ?\d)?", name) else ""

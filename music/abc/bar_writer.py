"""Notes with exact times as ABC music code, bar by bar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from musiczoo.music.abc.key_finding import spell
from musiczoo.music.abc.keys import ACCIDENTAL_MARKS, signature
from musiczoo.music.abc.notation import Pitch
from musiczoo.music.abc.tokens import format_length, format_letter

UNIT = Fraction(1, 2)  # L:1/8


@dataclass(frozen=True, slots=True)
class Chord:
    """Notes that begin and end together; times in quarter notes, pitches as MIDI numbers."""

    start: Fraction
    end: Fraction
    pitches: tuple[int, ...]


@dataclass(slots=True)
class _Piece:
    length: Fraction
    pitches: tuple[int, ...] = ()
    tied: bool = False


def write_bar(
    chords: Sequence[Chord], start: Fraction, length: Fraction, beat: Fraction, fifths: int
) -> str:
    """The music code of one bar of one voice under ``L:1/8``; it fills the bar exactly.

    Args:
        chords: The chords that sound in the bar, in order and without overlap; what reaches over a
            bar-line is cut there and tied.
        start: Start of the bar.
        length: Its length.
        beat: Where beams break.
        fifths: The signature in force, for spelling and accidentals.
    """
    pieces: list[_Piece] = []
    position = start
    for chord in chords:
        begin, end = max(chord.start, start), min(chord.end, start + length)
        if begin > position:
            pieces.append(_Piece(begin - position))
        pieces.append(_Piece(end - begin, chord.pitches, chord.end > end))
        position = end
    if position < start + length:
        pieces.append(_Piece(start + length - position))
    texts: list[str] = []
    speller = _Accidentals(fifths)
    inside = Fraction(0)
    index = 0
    while index < len(pieces):
        count, odd = _tuplet(pieces, index)
        if texts and (inside / beat).denominator == 1:
            texts.append(" ")
        normal = 1 << (odd.bit_length() - 1)
        if odd > 1:
            texts.append(f"({odd}:{normal}:{count}")
        for piece in pieces[index : index + count]:
            texts.append(_piece_text(piece, piece.length * odd / normal, speller))
            inside += piece.length
        index += count
    return "".join(texts)


def _tuplet(pieces: Sequence[_Piece], index: int) -> tuple[int, int]:
    """The tuplet that begins at ``index``: its number of pieces, and the odd number it divides by.

    (1, 1) for a plain piece.
    """
    total, odd = Fraction(0), 1
    for count, piece in enumerate(pieces[index:], 1):
        total += piece.length
        denominator = piece.length.denominator
        odd = max(odd, denominator // (denominator & -denominator))
        if not total.denominator & (total.denominator - 1):
            return count, odd
    return len(pieces) - index, odd


def _piece_text(piece: _Piece, notated: Fraction, speller: _Accidentals) -> str:
    length = format_length(notated / UNIT)
    if not piece.pitches:
        return f"z{length}"
    notes = [speller.write(pitch) for pitch in piece.pitches]
    return (
        (notes[0] if len(notes) == 1 else f"[{''.join(notes)}]")
        + length
        + ("-" if piece.tied else "")
    )


class _Accidentals:
    """Writes pitches with the accidentals that signature and bar make necessary."""

    def __init__(self, fifths: int) -> None:
        self._fifths = fifths
        self._signature = signature(fifths)
        self._in_force: dict[tuple[str, int], int] = {}

    def write(self, midi: int) -> str:
        pitch = spell(midi, self._fifths)
        place = (pitch.step, pitch.octave)
        in_force = self._in_force.get(place, self._signature[pitch.step])
        self._in_force[place] = pitch.alter
        return ("" if pitch.alter == in_force else ACCIDENTAL_MARKS[pitch.alter]) + note_name(pitch)


def note_name(pitch: Pitch) -> str:
    """The ABC letter and octave marks of a pitch: C5 is ``"c"``."""
    return format_letter(pitch.step, pitch.octave)

"""Rows of PiRhDy (Liang et al. 2020, arXiv 2010.08091) as octuples of MusicBERT.

A row has 1,025 integers: two phrases and a label, 1 where they belong together. A phrase is four
lines of 128 slots, an eighth of a quarter note each: chord, octave, velocity class and state. A
state of 3 is an onset; 2 and 1 hold the note. Every phrase is in 4/4, and tempos are not kept.

The formulas are those of MusicBERT's published code (``gen_nsp.py``), with two deviations: a pitch
above 127, which would be read as drums, is left out; and the table of chords is JSON, for the
published one is a pickle, which is a program.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

import numpy as np
from torch import Tensor

from musiczoo.music.errors import MusicZooError
from musiczoo.representations.octuple import window_ids
from musiczoo.representations.octuple_codes import (
    DEFAULT_SIGNATURE,
    DEFAULT_TEMPO,
    GRID,
    Codes,
    duration_codes,
    signature_code,
    tempo_codes,
)

PairTask = Literal["next", "accompaniment"]
Chords = Mapping[int, Sequence[int]]

SLOTS = 128
ROW = 2 * 4 * SLOTS + 1
#: Positions of a slot.
SLOT_POSITIONS = 2
VELOCITIES = (8, 20, 31, 42, 53, 64, 80, 96, 112, 127)
MELODY_PROGRAM, ACCOMPANIMENT_PROGRAM = 80, 0
_HOLD, _ONSET = 2, 3
_HELD = (1, 2)
_BAR = 4 * GRID
_SIGNATURE = signature_code(*DEFAULT_SIGNATURE)
_TEMPO = int(tempo_codes(np.array([DEFAULT_TEMPO]))[0])


def read_chords(path: str | Path) -> dict[int, tuple[int, ...]]:
    """The table of chords: pitch classes by id.

    Args:
        path: A JSON object of ids with a list of pitch classes each; a string instead of a list
            ("unknown", "over number") means all twelve, as in the published code.

    Raises:
        MusicZooError: A file that is no such table.
    """
    try:
        found = json.loads(Path(path).read_text("utf-8"))
        chords = {
            int(key): tuple(range(12)) if isinstance(value, str) else tuple(map(int, value))
            for key, value in found.items()
        }
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise MusicZooError(
            f"The table of chords cannot be read ({error}).",
            path=path,
            remedy='Give JSON such as {"1": [0, 4, 7], "655": "unknown"}.',
        ) from error
    if wrong := [key for key, some in chords.items() if not set(some) <= set(range(12))]:
        raise MusicZooError(
            "A chord has numbers that are no pitch classes.",
            path=path,
            where=f"id {wrong[0]}",
            remedy="Pitch classes are 0 to 11.",
        )
    return chords


def row_notes(row: Sequence[int], chords: Chords, task: PairTask) -> Codes:
    """The notes of both phrases of a row as one sequence.

    Args:
        row: 1,025 integers.
        chords: Pitch classes by id; notes of other ids are left out, as in the published code.
        task: ``"next"`` appends the second phrase behind the first, which has as many slots as
            chords above 0; ``"accompaniment"`` lays them over each other.

    Returns:
        (notes, 8) values of the eight fields, sorted.

    Raises:
        MusicZooError: Another number of integers, an unknown task, or a velocity class that does
            not exist.

    Example:
        >>> row = [0] * 1025
        >>> row[0], row[128], row[256], row[384], row[385] = 1, 6, 7, 3, 2
        >>> row_notes(row, {1: (0, 4)}, "next").tolist()
        [[0, 0, 80, 60, 4, 20, 9, 35], [0, 0, 80, 64, 4, 20, 9, 35]]
    """
    if task not in ("next", "accompaniment"):
        raise MusicZooError(
            f"There is no task {task!r}.", where="task", remedy="Give next or accompaniment."
        )
    if len(row) != ROW:
        raise MusicZooError(
            f"A row of {len(row)} integers is none of PiRhDy's.", remedy=f"It has {ROW}."
        )
    # (phrase, line, slot)
    phrases = np.asarray(row[:-1], dtype=np.int64).reshape(2, 4, SLOTS)
    begins = (0, int((phrases[0, 0] > 0).sum()) if task == "next" else 0)
    programs = (MELODY_PROGRAM, MELODY_PROGRAM if task == "next" else ACCOMPANIMENT_PROGRAM)
    rows = [
        note
        for phrase, begin, program in zip(phrases, begins, programs, strict=True)
        for note in _phrase_notes(phrase, begin, program, chords)
    ]
    return np.array(sorted(rows), dtype=np.int64).reshape(-1, 8)


def encode_row(row: Sequence[int], chords: Chords, task: PairTask) -> tuple[Tensor, int]:
    """The ids of a row, (notes + 2, 8) int64, and its label.

    Args:
        row: See :func:`row_notes`.
        chords: See :func:`row_notes`.
        task: See :func:`row_notes`.

    Raises:
        MusicZooError: See :func:`row_notes`; or a row without a note or with another label.
    """
    notes, label = row_notes(row, chords, task), int(row[-1])
    if not len(notes):
        raise MusicZooError("The row holds no note.", remedy="Leave it out.")
    if label not in (0, 1):
        raise MusicZooError(f"There is no label {label}.", remedy="It is 0 or 1.")
    return window_ids(notes), label


def read_rows(path: str | Path, chords: Chords, task: PairTask) -> Iterator[tuple[Tensor, int]]:
    """The ids and labels of a file of rows, one a line, divided by commas.

    50 rows in succession of a published test file are one group.

    Args:
        path: The file.
        chords: See :func:`row_notes`.
        task: See :func:`row_notes`.

    Raises:
        MusicZooError: A line that is no row; it is named.
    """
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                yield encode_row([int(part) for part in line.split(",")], chords, task)
            except (ValueError, MusicZooError) as error:
                raise MusicZooError(
                    f"The line is no row of PiRhDy: {error}",
                    path=path,
                    where=f"line {number}",
                    remedy=f"Give {ROW} integers divided by commas.",
                ) from error


def _phrase_notes(
    phrase: Codes, begin: int, program: int, chords: Chords
) -> Iterator[tuple[int, ...]]:
    """The notes of one phrase, (4, 128), whose first slot is ``begin``."""
    chord_ids, octaves, velocities, states = phrase.tolist()
    for slot, (chord, octave, velocity, state) in enumerate(
        zip(chord_ids, octaves, velocities, states, strict=True)
    ):
        is_onset = state == _ONSET or (slot == 0 and state == _HOLD)
        if not is_onset or chord not in chords:
            continue
        if not 1 <= velocity <= len(VELOCITIES):
            raise MusicZooError(
                f"There is no velocity class {velocity}.",
                where=f"slot {slot}",
                remedy=f"They are 1 to {len(VELOCITIES)}.",
            )
        end = slot + 1
        while end < SLOTS and states[end] in _HELD:
            end += 1
        bar, position = divmod((begin + slot) * SLOT_POSITIONS, _BAR)
        duration = int(duration_codes(np.array([(end - slot) * SLOT_POSITIONS]))[0])
        level = VELOCITIES[velocity - 1] // 4
        for pitch_class in chords[chord]:
            pitch = pitch_class + 12 * (octave - 1)
            if 0 <= pitch <= 127:
                yield bar, position, program, pitch, duration, level, _SIGNATURE, _TEMPO

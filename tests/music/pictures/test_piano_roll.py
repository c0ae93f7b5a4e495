"""Piano rolls."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from symusic import Score

from musiczoo.music.abc import Tune, read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.from_tune import to_score
from musiczoo.music.pictures import piano_roll as pictures
from musiczoo.music.pictures.piano_roll import COLOURS, piano_roll_picture

TUNE = read_abc(
    'X:1\nT:$x$ & y\nM:4/4\nL:1/4\nK:C\nV:1 nm="High"\nV:2 bass nm="Low"\nV:1\nc d e f | g4 |]\nV:2\nC,4 | z4 |]\n'
)


def amount(picture: bytes, colour: str) -> float:
    """Share of the pixels that are near a colour of a voice (which is drawn a little transparent)."""
    pixels = np.array(Image.open(io.BytesIO(picture)).convert("RGB")).astype(int)
    target = np.array([int(colour[index : index + 2], 16) for index in (1, 3, 5)])
    return float((np.abs(pixels - (0.92 * target + 0.08 * 255)).max(axis=2) < 6).mean())


def test_each_voice_has_its_colour_in_proportion_to_its_notes() -> None:
    picture = piano_roll_picture(TUNE)
    high, low = amount(picture, COLOURS[0]), amount(picture, COLOURS[1])
    assert high > 0.002
    assert 1.6 < high / low < 2.4  # eight quarters against four
    assert amount(picture, COLOURS[2]) == 0


def test_tune_and_score_and_file(tmp_path: Path) -> None:
    data = piano_roll_picture(TUNE, tmp_path / "roll.png")
    assert (tmp_path / "roll.png").read_bytes() == data == piano_roll_picture(TUNE)
    assert amount(piano_roll_picture(to_score(TUNE)), COLOURS[0]) > 0.002


def test_pieces_without_notes() -> None:
    for piece in (Tune((), ()), Score(480), read_abc("X:1\nK:C\nz4|\n")):
        with pytest.raises(MusicZooError, match="no notes"):
            piano_roll_picture(piece)


def test_pyplot_is_not_touched() -> None:
    program = (
        "import sys; from musiczoo.music.abc import read_abc; from musiczoo.music.pictures.piano_roll import piano_roll_picture; "
        "piano_roll_picture(read_abc('X:1\\nK:C\\nA|\\n')); assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_long_pieces_continue_on_further_rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "ROW_LENGTH", 9.0)

    def size(bars: int) -> tuple[int, int]:
        picture = piano_roll_picture(read_abc("X:1\nM:4/4\nL:1/4\nK:C\n" + "CDEF |" * bars), dpi=40)
        return Image.open(io.BytesIO(picture)).size

    (width, one_row), (same_width, three_rows) = size(2), size(6)
    assert width == same_width
    assert three_rows > 2 * one_row

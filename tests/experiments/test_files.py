"""What the demo writes is opened again, and its bars are measured."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments._files import check, check_bars, write_all
from musiczoo.music.abc import read_abc

TUNE = "X:1\nT:Tune\nM:6/8\nL:1/8\nK:G\n"


def test_files_are_written_and_hold_the_piece(tmp_path: Path) -> None:
    piece = read_abc(TUNE + "GAB cBA|G3 G3|\n")
    written, missing = write_all({"tune": piece}, tmp_path)
    contents = {path.name: check(path, piece) for path, _ in written}
    assert contents["tune.abc"] == contents["tune.musicxml"] == contents["tune.mid"] == "8 notes"
    assert contents["tune_roll.png"].endswith("pixels")
    assert not [sentence for sentence in missing if "wav" not in sentence]


@pytest.mark.parametrize(
    ("music", "first", "fits"),
    [
        ("D|GAB cBA|G3 G3|G3|\n", 0, True),  # an upbeat and a short last bar
        ("GAB cBA|GABG ABc ABc ABc ABc|G6|\n", 0, False),  # too long
        ("GAB cBA|G3|G6|\n", 0, False),  # too short inside
        ("GAB|G3|G6|G6|\n", 2, True),  # a given opening is not measured
    ],
)
def test_generated_bars_are_as_long_as_the_meter(music: str, first: int, fits: bool) -> None:
    piece = read_abc(TUNE + music)
    if fits:
        check_bars(piece, first)
    else:
        with pytest.raises(AssertionError, match=r"bar 2 lasts"):
            check_bars(piece, first)

"""Formats that music21 reads for us, and files that it must not get."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from musiczoo.music.errors import MusicZooError
from musiczoo.music.foreign import read_foreign

KERN = """**kern\t**kern
*clefF4\t*clefG2
*k[f#]\t*k[f#]
*M3/4\t*M3/4
=1\t=1
4G\t[2g
4A\t.
4B\t4g]
=2\t=2
2.c\t4f#
.\t4fn
.\t4e
==\t==
*-\t*-
"""
MEI = """<?xml version="1.0" encoding="UTF-8"?>
<mei xmlns="http://www.music-encoding.org/ns/mei" meiversion="3.0.0"><music><body><mdiv><score>
<scoreDef meter.count="4" meter.unit="4" key.sig="0">
<staffGrp><staffDef n="1" lines="5" clef.shape="G" clef.line="2"/></staffGrp></scoreDef><section><measure n="1"><staff n="1"><layer n="1">
<note pname="c" oct="4" dur="2"/><note pname="g" oct="4" dur="2"/></layer></staff></measure></section>
</score></mdiv></body></music></mei>
"""


def test_humdrum(tmp_path: Path) -> None:
    file = tmp_path / "piece.krn"
    file.write_text(KERN)
    tune = read_foreign(file)
    assert [(item.onset, item.pitch, item.duration) for item in tune.notes()] == [
        (0, 55, 1), (0, 67, 3), (1, 57, 1), (2, 59, 1), (3, 60, 3), (3, 66, 1), (4, 65, 1), (5, 64, 1),
    ]  # fmt: skip
    assert (tune.field("K"), tune.field("M"), len(tune.voices)) == ("G", "3/4", 2)
    assert tune.path == str(file)


def test_mei(tmp_path: Path) -> None:
    file = tmp_path / "piece.mei"
    file.write_text(MEI)
    assert [(item.onset, item.pitch) for item in read_foreign(file).notes()] == [(0, 60), (2, 67)]


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize(
    "name", ["trap.p", "trap.pgz", "trap.pickle", "trap", "trap.krn", "trap.mei"]
)
def test_pickles_are_never_opened(tmp_path: Path, name: str) -> None:
    file, canary = tmp_path / name, tmp_path / "canary"
    file.write_bytes(pickle.dumps(Trap(canary)))
    with pytest.raises(MusicZooError):
        read_foreign(file)
    assert not canary.exists()


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("a.xyz", b"music", ".xyz"),
        ("a.krn", b"", "empty"),
        ("a.krn", b"no humdrum", "humdrum"),
        ("a.mei", b"<mei", "mei"),
        ("a.mei", b'<!DOCTYPE mei [<!ENTITY a "b">]><mei>&a;</mei>', "entities"),
        ("a.capx", b"PK\x03\x04", "cannot be read"),
    ],
)
def test_bad_input_is_named(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    file = tmp_path / name
    file.write_bytes(data)
    with pytest.raises(MusicZooError, match=words) as caught:
        read_foreign(file)
    assert caught.value.path == str(file)
    assert caught.value.remedy


def test_large_and_missing_files(tmp_path: Path) -> None:
    file = tmp_path / "large.krn"
    with open(file, "wb") as stream:
        stream.truncate(100 * 2**20)
    with pytest.raises(MusicZooError, match="100 MiB"):
        read_foreign(file)
    with pytest.raises(MusicZooError, match="cannot be read"):
        read_foreign(tmp_path / "none.krn")

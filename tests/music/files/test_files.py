"""Files in and out: every format, wrong names, broken contents, and writing that leaves no half files."""

from __future__ import annotations

import os
import random
import subprocess
import sys
import zipfile
from fractions import Fraction
from pathlib import Path

import pytest
from symusic import Score

from musiczoo.music import MusicZooError, find_soundfont, read, read_abc, read_all, to_score, write
from musiczoo.music.abc import Tune
from musiczoo.music.atomic import write_atomically

TUNE = read_abc(
    'X:1\nT:Piece\nM:4/4\nL:1/8\nQ:1/4=100\nK:G\n%%score 1 2\nV:1 treble nm="Flute"\nV:2 bass nm="Cello"\n'
    "V:1\nG2 A2 (3Bcd e2 | [GB]4 z4 |]\nV:2\nG,8 | D,4 G,,4 |]\n"
)


def sounding(tune: Tune) -> list[tuple[Fraction, int, Fraction]]:
    return sorted((note.onset, note.pitch, note.duration) for note in tune.notes())


@pytest.mark.parametrize("suffix", [".abc", ".musicxml", ".xml", ".mxl", ".ABC"])
def test_notation_comes_back(suffix: str, tmp_path: Path) -> None:
    path = write(TUNE, tmp_path / f"piece{suffix}")
    assert path == tmp_path / f"piece{suffix}"
    again = read(str(path))
    assert sounding(again) == sounding(TUNE)
    assert [len(voice.bars) for voice in again.voices] == [2, 2]
    write(TUNE, tmp_path / f"again{suffix}")
    assert (tmp_path / f"again{suffix}").read_bytes() == path.read_bytes()


def test_midi_comes_back_as_a_score_and_becomes_notation(tmp_path: Path) -> None:
    score = read(write(TUNE, tmp_path / "piece.mid"))
    assert score.note_num() == len(TUNE.notes())
    write(score, tmp_path / "piece.mxl")
    assert sounding(read(tmp_path / "piece.mxl")) == sounding(TUNE)
    write(to_score(TUNE), tmp_path / "other.midi")
    assert (tmp_path / "other.midi").read_bytes() == (tmp_path / "piece.mid").read_bytes()


def test_pictures_and_their_kinds(tmp_path: Path) -> None:
    assert write(TUNE, tmp_path / "piece.svg").read_text().rstrip().endswith("</svg>")
    assert write(TUNE, tmp_path / "piece.png").read_bytes()[:4] == b"\x89PNG"
    for name in ("piece.svg", "piece.png"):
        with pytest.raises(MusicZooError, match="picture"):
            read(tmp_path / name)


def test_mxl_is_a_proper_container(tmp_path: Path) -> None:
    with zipfile.ZipFile(write(TUNE, tmp_path / "piece.mxl")) as archive:
        assert archive.namelist() == ["mimetype", "META-INF/container.xml", "score.musicxml"]
        assert archive.testzip() is None


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (".musicxml", ".abc"),
        (".mxl", ".xml"),
        (".mid", ".abc"),
        (".abc", ".xml"),
        (".abc", ".txt"),
        (".mid", ""),
    ],
)
def test_the_content_decides_where_the_suffix_lies(made: str, named: str, tmp_path: Path) -> None:
    write(TUNE, tmp_path / f"piece{made}")
    os.rename(tmp_path / f"piece{made}", tmp_path / f"wrong{named}")
    piece = read(tmp_path / f"wrong{named}")
    count = len(piece.notes()) if isinstance(piece, Tune) else piece.note_num()
    assert count == len(TUNE.notes())


def test_tune_books(tmp_path: Path) -> None:
    book = tmp_path / "book.abc"
    book.write_text(
        "X:1\nT:One\nK:C\nCDEF|\n\nX:2\nT:Two\nK:D\nDEFG|\n\nX:3\nT:Broken\nno key and no music\n",
        encoding="utf-8",
    )
    with pytest.warns(UserWarning, match="3 tunes"):
        assert read(book).field("T") == "One"
    with pytest.warns(UserWarning, match="1 of 3"):
        assert [tune.field("T") for tune in read_all(book)] == ["One", "Two"]
    assert len(read_all(write(TUNE, tmp_path / "piece.mid"))) == 1


def test_wrong_names_get_the_nearest_ones(tmp_path: Path) -> None:
    write(TUNE, tmp_path / "minuet.abc")
    with pytest.raises(MusicZooError, match=r"no such file.*minuet\.abc"):
        read(tmp_path / "menuet.abc")
    with pytest.raises(MusicZooError, match="no folder"):
        read(tmp_path / "nowhere" / "minuet.abc")
    with pytest.raises(MusicZooError, match="folder"):
        read(tmp_path)
    with pytest.raises(MusicZooError):
        read("a\0b.abc")


@pytest.mark.parametrize("suffix", [".abc", ".musicxml", ".mxl", ".mid", ".krn", ".txt", ""])
def test_empty_binary_truncated_and_huge_files(suffix: str, tmp_path: Path) -> None:
    path = tmp_path / f"bad{suffix}"
    contents = [
        b"",
        b"\n \n",
        bytes(1000),
        random.Random(1).randbytes(5000),
        b"MThd",
        b"MThd\0\0\0\6\0\1",
        b"PK\x03\x04" + bytes(50),
        b"<?xml version='1.0'?><score-part",
    ]
    for content in contents:
        path.write_bytes(content)
        with pytest.raises(MusicZooError, match="bad"):
            read(path)
    with open(path, "wb") as stream:
        stream.truncate(100 * 2**20)
    with pytest.raises(MusicZooError, match="100 MB"):
        read(path)


@pytest.mark.parametrize("suffix", [".mid", ".abc", ".musicxml", ".mxl"])
def test_damaged_files_never_raise_anything_else(suffix: str, tmp_path: Path) -> None:
    whole = write(TUNE, tmp_path / f"whole{suffix}").read_bytes()
    generator = random.Random(0)
    refused = 0
    for _ in range(60):
        damaged = bytearray(
            whole[: generator.randrange(1, len(whole))] if generator.random() < 0.4 else whole
        )
        for _ in range(generator.randrange(6)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        (tmp_path / f"damaged{suffix}").write_bytes(damaged)
        try:
            piece = read(tmp_path / f"damaged{suffix}")
            if isinstance(piece, Tune):
                piece.notes()
        except MusicZooError:
            refused += 1
    assert refused > 5


def test_midi_is_cleaned_before_it_is_parsed(tmp_path: Path) -> None:
    def track(events: bytes) -> bytes:
        return b"MTrk" + len(events).to_bytes(4, "big") + events

    header = b"MThd\0\0\0\6\0\1\0\1\0\x60"
    # A Latin-1 name, an unknown chunk, an absurd meter, a system message, then two notes in running
    # status and no end of track.
    events = (
        b"\0\xff\x03\x03\xe9t\xe9\x00\xff\x58\x04\x00\x40\x18\x08\x10\xf0\x02\x01\xf7"
        + b"\x10\x90\x3c\x40\x20\x3c\x00\x00\x3e\x40\x20\x3e\x00"
    )
    (tmp_path / "odd.mid").write_bytes(header + b"XYZW\0\0\0\1!" + track(events))
    score = read(tmp_path / "odd.mid")
    assert [(note.start, note.end, note.pitch) for note in score.tracks[0].notes] == [
        (32, 64, 60),
        (64, 96, 62),
    ]
    assert (score.tracks[0].name, len(score.time_signatures)) == ("été", 0)
    (tmp_path / "wrapped.rmi").write_bytes(b"RIFF\0\0\0\0RMIDdata\0\0\0\0" + header + track(events))
    assert read(tmp_path / "wrapped.rmi") == score
    for broken, message in (
        (header, "fewer tracks"),
        (header + track(events)[:-3], "cut short"),
        (header + track(b"\0\x3c\x40"), "no status"),
        (header + track(b"\0\x90\x3c"), "incomplete"),
        (header + track(b"\xff\xff\xff\xff\x7f"), "does not end"),
        (header + track(b"\xff\xff\xff\x7f\x90\x3c\x40" * 10), "beyond all measure"),
        (header[:12] + b"\xe8\x28" + track(events), "film frames"),
        (header[:12] + b"\x00\x00" + track(events), "0 ticks"),
    ):
        (tmp_path / "broken.mid").write_bytes(broken)
        with pytest.raises(MusicZooError, match=message):
            read(tmp_path / "broken.mid")


def test_tempos_of_zero_are_left_out_and_too_many_notes_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def file(events: bytes) -> bytes:
        return b"MThd\0\0\0\6\0\1\0\1\x01\xe0MTrk" + len(events).to_bytes(4, "big") + events

    notes = b"".join(
        bytes([0, 0x90, 40 + step % 50, 64, 1, 0x80, 40 + step % 50, 0]) for step in range(1000)
    )
    (tmp_path / "still.mid").write_bytes(file(b"\0\xff\x51\3\0\0\0" + notes))
    score = read(tmp_path / "still.mid")
    assert (score.note_num(), len(score.tempos)) == (1000, 0)
    monkeypatch.setattr("musiczoo.music.midi.checked_bytes.MAX_NOTES", 1000)
    assert read(tmp_path / "still.mid") == score
    monkeypatch.setattr("musiczoo.music.midi.checked_bytes.MAX_NOTES", 999)
    with pytest.raises(MusicZooError, match=r"still\.mid.*more than 999 notes"):
        read(tmp_path / "still.mid")


@pytest.mark.slow
def test_a_million_notes_are_refused(tmp_path: Path) -> None:
    events = b"\0\x90\x40\x40\1\x80\x40\0" * 10**6
    (tmp_path / "million.mid").write_bytes(
        b"MThd\0\0\0\6\0\1\0\1\x01\xe0MTrk" + len(events).to_bytes(4, "big") + events
    )
    with pytest.raises(MusicZooError, match="more than 500,000 notes"):
        read(tmp_path / "million.mid")


def test_sound_files(tmp_path: Path) -> None:
    soundfile = pytest.importorskip("soundfile")
    if find_soundfont() is None:
        pytest.skip("no soundfont is installed on this machine (see the README)")
    wave, _ = soundfile.read(write(TUNE, tmp_path / "piece.wav"), dtype="int16")
    flac, rate = soundfile.read(write(TUNE, tmp_path / "piece.flac"), dtype="int16")
    assert (rate, wave.shape[1]) == (44100, 2)
    assert (wave == flac).all()
    assert abs(wave).max() > 1000
    with pytest.raises(MusicZooError, match="sound"):
        read(tmp_path / "piece.flac")


def test_what_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(MusicZooError, match=r"\.docx.*\.musicxml"):
        write(TUNE, tmp_path / "piece.docx")
    with pytest.raises(MusicZooError, match="Create the folder"):
        write(TUNE, tmp_path / "nowhere" / "piece.abc")
    with pytest.raises(MusicZooError, match="no notes"):
        write(Score(480), tmp_path / "piece.abc")
    assert list(tmp_path.iterdir()) == []


def test_atomic_writing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "file.txt"
    link = tmp_path / "link.txt"
    write_atomically(target, b"old")
    link.symlink_to(target)
    write_atomically(link, b"new")
    assert link.is_symlink()
    assert target.read_bytes() == b"new"
    umask = os.umask(0o027)
    try:
        assert write_atomically(tmp_path / "mode.txt", b"").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(umask)

    def full_disk(source: object, destination: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full_disk)
    with pytest.raises(MusicZooError, match="No space left"):
        write_atomically(target, b"lost")
    assert target.read_bytes() == b"new"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file.txt", "link.txt", "mode.txt"]


def test_importing_the_domain_loads_no_heavy_library() -> None:
    program = (
        "import sys; import musiczoo.music; from musiczoo.music import read, write, Tune; "
        "heavy = {'torch', 'music21', 'verovio', 'matplotlib', 'symusic', 'lightning'} & set(sys.modules); assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", program], check=True)

"""MIDI files as text: lines written out by hand, the way back, and damaged files."""

from __future__ import annotations

import importlib.util
import random
from pathlib import Path

import pytest
from symusic import Note, Score, Tempo, TimeSignature, Track

from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.text_format import is_midi_text, midi_text, read_midi_text

PRIMITIVES = (
    Path(importlib.util.find_spec("music21").submodule_search_locations[0])
    / "midi"
    / "testPrimitive"
)


def midi(*tracks: bytes, form: int = 1) -> bytes:
    header = (
        b"MThd"
        + (6).to_bytes(4, "big")
        + form.to_bytes(2, "big")
        + len(tracks).to_bytes(2, "big")
        + (96).to_bytes(2, "big")
    )
    return header + b"".join(b"MTrk" + len(track).to_bytes(4, "big") + track for track in tracks)


END = bytes.fromhex("00ff2f00")
CONDUCTOR = bytes.fromhex("00ff580406021808 00ff5103 07a120 00ff5902fd01") + END
PLAYER = bytes.fromhex("00c309 00b3077f 00933c40 30833c00 00e30040 0ad345 08a33c21") + END


def test_each_kind_of_message_in_the_order_of_the_format():
    assert midi_text(midi(CONDUCTOR, PLAYER)).split("\n") == [
        "ticks_per_beat 96",
        "time_signature 6 4 24 8 0",
        "set_tempo 500000 0",
        "key_signature Cm 0",
        "program_change 0 3 9",
        "control_change 0 3 7 127",
        "note_on 0 3 60 64",
        "note_off 48 3 60 0",
        "pitchwheel 0 3 0",
        "aftertouch 10 3 69",
        "polytouch 8 3 60 33",
        "end_of_track 0",
    ]


def test_tracks_are_merged_in_time():
    first = bytes.fromhex("00903c40 60803c00") + END
    second = bytes.fromhex("30914040 10814000") + END
    assert midi_text(midi(first, second)).split("\n")[1:] == [
        "note_on 0 0 60 64",
        "note_on 48 1 64 64",
        "note_off 16 1 64 0",
        "note_off 32 0 60 0",
        "end_of_track 0",
    ]


def test_texts_and_system_exclusive_messages_go_with_their_ticks():
    """The published quirk: the note stands at 5, not at 5 + 48 + 16."""
    track = (
        bytes.fromhex("30ff0303616263 10f0037e01f7 00ff010178 00ff7f0101 05903c40 60803c00") + END
    )
    assert midi_text(midi(track)).split("\n")[1:3] == ["note_on 5 0 60 64", "note_off 96 0 60 0"]


def test_a_key_signature_that_is_none_does_not_cost_the_file():
    track = bytes.fromhex("00ff59020900 00903c40 60803c00") + END
    assert midi_text(midi(track)).split("\n")[1:3] == ["note_on 0 0 60 64", "note_off 96 0 60 0"]


def test_a_score_and_its_file_have_one_text_and_come_back(tmp_path: Path):
    score = Score(480)
    score.time_signatures.append(TimeSignature(0, 3, 8))
    score.tempos.append(Tempo(0, 90.0))
    rng = random.Random(0)
    for program in (0, 40):
        track = Track("name that is left out", program)
        for beat in range(20):
            track.notes.append(
                Note(
                    beat * 480 + rng.randrange(240),
                    1 + rng.randrange(200),
                    40 + rng.randrange(40),
                    1 + rng.randrange(126),
                )
            )
        score.tracks.append(track)
    score.dump_midi(tmp_path / "piece.mid")
    text = midi_text(score)
    assert (
        text
        == midi_text(tmp_path / "piece.mid")
        == midi_text((tmp_path / "piece.mid").read_bytes())
    )
    again = read_midi_text(text)

    def told(score: Score) -> list[object]:
        return [
            (track.program, sorted((n.time, n.duration, n.pitch, n.velocity) for n in track.notes))
            for track in score.tracks
        ]

    assert again.tpq == 480
    assert told(again) == told(score)
    assert [(item.time, item.numerator, item.denominator) for item in again.time_signatures] == [
        (0, 3, 8)
    ]


def test_skipped_kinds_leave_their_ticks():
    notes = (
        read_midi_text(
            "ticks_per_beat 96\nmidi_port 1 7\nnote_on 5 0 60 64\nnote_off 96 0 60 0\nend_of_track 3\n"
        )
        .tracks[0]
        .notes
    )
    assert [(note.time, note.duration) for note in notes] == [(12, 96)]


@pytest.mark.parametrize("path", sorted(PRIMITIVES.glob("*.mid")), ids=lambda path: path.stem)
def test_files_of_others_have_as_many_notes_as_symusic_finds(path: Path):
    text = midi_text(path)
    assert is_midi_text(text)
    assert text.isascii()

    def onsets(score: Score) -> list[tuple[int, int]]:
        return sorted((note.time, note.pitch) for track in score.tracks for note in track.notes)

    assert [pitch for _, pitch in onsets(read_midi_text(text))] == [
        pitch for _, pitch in onsets(Score(path))
    ]


def test_damaged_files_are_named(tmp_path: Path):
    whole = midi(CONDUCTOR, PLAYER)
    with pytest.raises(MusicZooError, match="cut short"):
        midi_text(whole[:-3])
    path = tmp_path / "no.mid"
    path.write_bytes(b"RIFF no midi")
    with pytest.raises(MusicZooError, match=r"no\.mid.*no MIDI file"):
        midi_text(path)
    with pytest.raises(MusicZooError, match="cannot be read"):
        midi_text(tmp_path / "absent.mid")
    with pytest.raises(MusicZooError, match="independent songs"):
        midi_text(midi(PLAYER, PLAYER, form=2))
    rng = random.Random(1)
    for _ in range(300):
        damaged = bytearray(whole)
        for _ in range(3):
            damaged[rng.randrange(14, len(damaged))] = rng.randrange(256)
        try:
            midi_text(bytes(damaged))
        except MusicZooError:
            continue


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("note_on 0 0 60 64", "line 1"),
        ("ticks_per_beat 0\n", "line 1"),
        ("ticks_per_beat 96\nnote_on 0 0 60\n", "line 2"),
        ("ticks_per_beat 96\n\nnote_on 0 0 160 64\n", "line 3"),
        ("ticks_per_beat 96\nnote_on -1 0 60 64\n", "line 2"),
        ("ticks_per_beat 96\nkey_signature H 0\n", "line 2"),
        ("ticks_per_beat 96\nnote_on\n", "line 2"),
    ],
)
def test_text_that_is_none_is_named_by_its_line(text: str, where: str):
    with pytest.raises(MusicZooError) as caught:
        read_midi_text(text)
    assert caught.value.where == where

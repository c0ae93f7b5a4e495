"""Three clips of 20 seconds at bar lines."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from symusic.core import NoteTick, ScoreTick, TempoTick, TimeSignatureTick, TrackTick

from musiczoo.llm.clips import cut_clips
from musiczoo.music.errors import MusicZooError


def piece(quarters: int, tempos=(), signatures=(), step: int = 480) -> ScoreTick:
    score = ScoreTick(480)
    score.tempos.extend([TempoTick(tick, float(qpm)) for tick, qpm in tempos])
    score.time_signatures.extend([TimeSignatureTick(*row) for row in signatures])
    track = TrackTick("Piano", 0, False)
    track.notes.extend([NoteTick(tick, step, 60, 80) for tick in range(0, quarters * 480, step)])
    score.tracks.append(track)
    return score


def test_the_case_of_two_tempos_and_meters() -> None:
    # 40 bars of 4/4 at 120, then 30 of 3/4 at 90: each bar lasts 2 seconds.
    score = piece(250, [(0, 120), (76800, 90)], [(0, 4, 4), (76800, 3, 4)])
    clips = [cut.clip for cut in cut_clips(score)]
    assert [clip.end_bar - clip.start_bar for clip in clips] == [10, 10, 10]
    assert [round(clip.end_s - clip.start_s, 3) for clip in clips] == [20.0, 20.0, 20.0]
    assert {clip.alignment for clip in clips} == {"score"}
    assert clips[0].start_s == 0
    # The third part begins at 140 / 3 * 2 = 93.3 seconds; the next bar line is at 94.
    assert clips[2].start_s == pytest.approx(94.0, abs=1e-3)


def test_files_of_constant_tempo_give_ten_nominal_bars() -> None:
    clips = cut_clips(piece(400, [(0, 120)], [(0, 4, 4)]), nominal=True)
    assert [(cut.clip.end_bar - cut.clip.start_bar, cut.clip.alignment) for cut in clips] == [
        (10, "nominal")
    ] * 3
    assert all(int(cut.score.end()) == 10 * 1920 for cut in clips)


def test_short_pieces_give_fewer_clips() -> None:
    assert len(cut_clips(piece(120))) == 3  # exactly a minute
    assert len(cut_clips(piece(118))) == 2
    assert len(cut_clips(piece(60))) == 1
    [only] = cut_clips(piece(7))
    assert (only.clip.start_s, only.clip.end_s, only.clip.end_bar) == (0.0, 4.0, 2)
    assert len(cut_clips(piece(300), 5)) == 5


def test_a_bar_longer_than_a_clip_is_cut_by_time() -> None:
    clips = cut_clips(piece(400, [], [(0, 64, 1)]))
    assert {cut.clip.alignment for cut in clips} == {"time"}
    assert [round(cut.clip.end_s - cut.clip.start_s, 1) for cut in clips] == [20.0] * 3


def test_silence_gives_no_clip() -> None:
    score = piece(240)
    score.tracks[0].notes = [note for note in score.tracks[0].notes if int(note.time) > 48000]
    assert len(cut_clips(score)) < 3
    with pytest.raises(MusicZooError, match="no notes"):
        cut_clips(ScoreTick(480))
    with pytest.raises(MusicZooError, match="one at least"):
        cut_clips(score, 0)


@settings(max_examples=60, deadline=None)
@given(
    quarters=st.integers(1, 600),
    meters=st.lists(
        st.sampled_from([(2, 4), (3, 4), (4, 4), (6, 8), (5, 8)]), min_size=1, max_size=4
    ),
    speeds=st.lists(st.integers(30, 240), min_size=1, max_size=4),
    count=st.integers(1, 5),
)
def test_clips_never_overlap_and_are_never_too_long(quarters, meters, speeds, count) -> None:
    tempos = [(place * 30 * 480, qpm) for place, qpm in enumerate(speeds)]
    signatures = [(place * 36 * 480, *meter) for place, meter in enumerate(meters)]
    score = piece(quarters, tempos, signatures)
    clips = cut_clips(score, count)
    assert 1 <= len(clips) <= count
    for cut in clips:
        assert 0 < cut.clip.end_s - cut.clip.start_s <= 20.001
        assert cut.clip.start_bar < cut.clip.end_bar
        assert int(cut.score.start()) >= 0
        assert cut.score.note_num() > 0
    for left, right in pairwise(clips):
        assert left.clip.end_s <= right.clip.start_s + 1e-6
        assert left.clip.end_bar <= right.clip.start_bar

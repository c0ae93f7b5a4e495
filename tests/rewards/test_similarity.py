"""Similarity with the real works of a prompt, by an encoder whose features are given."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import pytest
import torch
from symusic.core import ScoreTick

from musiczoo.models.base.generative import Generated
from musiczoo.music.corpora.corpus import Work
from musiczoo.music.corpora.reading import work_of
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.from_tune import to_score
from musiczoo.music.midi.to_tune import from_score
from musiczoo.music.recipes.labels import Labels
from musiczoo.representations.m3_patches import abc_text
from musiczoo.rewards import CorpusSimilarity
from tests.callbacks.tiny_rounds import JIG, REEL, tune


class Fixed:
    """Features by text."""

    def __init__(self) -> None:
        self.known: dict[str, list[float]] = {}
        self.calls = 0

    def features(self, texts: Sequence[str]) -> torch.Tensor:
        self.calls += 1
        return torch.tensor([self.known[text] for text in texts])


ENCODER = Fixed()


def work(
    seed: int,
    feature: list[float],
    labels: Labels = JIG,
    source: str = "tune",
    cluster: str | None = None,
) -> Work:
    found = work_of(tune(seed))
    ENCODER.known[abc_text(found.tune)] = feature
    return replace(found, labels=labels, source=source, cluster=cluster or found.cluster)


def piece(seed: int, feature: list[float], labels: Labels | None = JIG) -> Generated:
    ENCODER.known[abc_text(tune(seed))] = feature
    nothing = torch.zeros(0, 4)
    return Generated(tune(seed), "", nothing, nothing, nothing.bool(), "end", None, labels)


REFERENCES = {JIG: [work(1, [1.0, 0.0]), work(2, [0.0, 3.0])], REEL: [work(3, [-1.0, 1.0], REEL)]}


def test_score_is_the_cosine_with_the_mean_of_the_features():
    reward = CorpusSimilarity(ENCODER, REFERENCES)
    calls = ENCODER.calls
    found = reward.score(
        [piece(11, [2.0, 6.0]), piece(12, [-1.0, 1.0], REEL), piece(13, [1.0, 0.0])]
    )
    # One call for all pieces; the mean is of features as they are, (0.5, 1.5), not of their
    # directions.
    assert ENCODER.calls == calls + 1
    assert found.values.tolist() == pytest.approx([1.0, 1.0, 0.5 / 2.5**0.5])
    assert found.details["nearest"].tolist() == pytest.approx([3 / 10**0.5, 1.0, 1.0])
    assert found.reasons == (None, None, None)
    assert reward([piece(13, [1.0, 0.0])]).tolist() == pytest.approx([0.5 / 2.5**0.5])
    assert reward.reference_features(REEL).tolist() == [[-1.0, 1.0]]


def test_pieces_without_a_score_have_a_reason():
    unreadable = replace(piece(11, [1.0, 1.0]), piece=None, error=MusicZooError("no key"))
    elsewhere = piece(12, [1.0, 1.0], Labels("a", "b", "c"))
    found = CorpusSimilarity(ENCODER, REFERENCES).score(
        [
            unreadable,
            elsewhere,
            piece(13, [1.0, 1.0], None),
            piece(14, [float("nan"), 1.0]),
            piece(15, [1.0, 1.0]),
        ]
    )
    assert found.values.isnan().tolist() == [True, True, True, True, False]
    assert found.reasons[0] == "the piece cannot be read: no key"
    assert str(found.reasons[1]).startswith(
        "there are no real works with the labels Labels(period='a'"
    )
    assert str(found.reasons[2]).startswith("there are no real works")
    assert found.reasons[3:] == ("the encoder gives no features of it", None)
    with pytest.raises(MusicZooError, match="no real works"):
        CorpusSimilarity(ENCODER, REFERENCES).reference_features(Labels("a", "b", "c"))
    assert CorpusSimilarity(ENCODER, REFERENCES).score([]).reasons == ()


def test_references_that_were_given_stay():
    reward = CorpusSimilarity(ENCODER, REFERENCES)
    reward.prepare({JIG: [work(21, [5.0, 5.0])]})
    assert reward.reference_features(JIG).tolist() == [[1.0, 0.0], [0.0, 3.0]]
    late = CorpusSimilarity(ENCODER)
    late.prepare({JIG: [work(21, [5.0, 5.0])]})
    assert late.reference_features(JIG).tolist() == [[5.0, 5.0]]


def test_real_works_that_cannot_be_written_are_left_out(caplog):
    uneven = replace(
        work(31, [1.0, 0.0]), id="corpus/uneven", abc="X:1\nL:1/4\nK:C\nV:1\nCDEF|C4|\nV:2\nC4|\n"
    )
    reward = CorpusSimilarity(ENCODER)
    with caplog.at_level(logging.WARNING, "musiczoo"):
        reward.prepare({JIG: [uneven, work(32, [0.0, 1.0])], REEL: [uneven]})
    assert caplog.text.count("corpus/uneven is left out of the real works") == 2
    assert reward.reference_features(JIG).tolist() == [[0.0, 1.0]]
    with pytest.raises(MusicZooError, match="no real works"):
        reward.reference_features(REEL)


def test_threshold_is_what_different_real_works_keep_to():
    # Works at 0, 60 and 70 degrees; those at 60 and 70 are one tune by the corpus, so that they do
    # not count as a pair.
    at = {
        degrees: [
            float(torch.tensor(degrees).deg2rad().cos()),
            float(torch.tensor(degrees).deg2rad().sin()),
        ]
        for degrees in (0, 60, 70)
    }
    named = [
        work(41, at[0], source="here", cluster="a"),
        work(42, at[60], source="here", cluster="b"),
    ]
    twin = work(43, at[70], source="here", cluster="b")
    reward = CorpusSimilarity(ENCODER, {JIG: [*named, twin]})
    nearest = torch.tensor([0.5, 0.5, at[70][0]], dtype=torch.float64)
    assert reward.copy_threshold(1.0) == pytest.approx(0.5)
    assert reward.copy_threshold(0.5) == pytest.approx(float(torch.quantile(nearest, 0.5)))
    # Of another collection, the corpus does not know that it is the same tune; its melody tells.
    copy = replace(named[1], id="there/1", source="there", cluster="c")
    assert CorpusSimilarity(ENCODER, {JIG: [*named, copy]}).copy_threshold(1.0) == pytest.approx(
        0.5
    )
    with pytest.raises(MusicZooError, match="no two different real works"):
        CorpusSimilarity(ENCODER, {JIG: [named[0]], REEL: [named[1], twin]}).copy_threshold()
    with pytest.raises(MusicZooError, match="no two different real works"):
        CorpusSimilarity(ENCODER).copy_threshold()


def test_an_encoder_by_name():
    reward = CorpusSimilarity("m3-small", {JIG: [work_of(tune(1)), work_of(tune(2))]})
    assert 0.0 < reward.copy_threshold() < 1.0
    own = piece(1, [0.0, 0.0])
    assert reward.score([own]).details["nearest"].tolist() == pytest.approx([1.0])
    with pytest.raises(MusicZooError, match="bar-stream gives no features of music"):
        assert CorpusSimilarity("bar-stream").encoder  # loaded on first use


def as_score(seed: int, feature: list[float]) -> ScoreTick:
    """A tune as MIDI; the encoder knows what quantisation makes of it."""
    score = to_score(tune(seed))
    ENCODER.known[abc_text(from_score(score))] = feature
    return score


def test_one_set_of_references_serves_all_pieces():
    references = [work(41, [1.0, 0.0]), tune(42), as_score(43, [0.0, 2.0])]
    ENCODER.known[abc_text(tune(42))] = [2.0, 1.0]
    reward = CorpusSimilarity(ENCODER, references)
    found = reward.score(
        [piece(44, [1.0, 1.0], None), piece(45, [1.0, 0.0], REEL), piece(46, [0.0, 1.0], JIG)]
    )
    assert found.values.tolist() == pytest.approx([1.0, 0.5**0.5, 0.5**0.5])
    assert found.details["nearest"].tolist() == pytest.approx([3 / 10**0.5, 1.0, 1.0])
    assert found.reasons == (None, None, None)
    for labels in (None, JIG):
        assert reward.reference_features(labels).tolist() == [[1.0, 0.0], [2.0, 1.0], [0.0, 2.0]]
    # It was given; labels of the training data do not count.
    reward.prepare({JIG: [work(47, [-1.0, -1.0])]})
    assert reward([piece(44, [1.0, 1.0], JIG)]).tolist() == pytest.approx([1.0])
    # Their cosines among one another: the middle one is the nearest to both others.
    assert reward.copy_threshold(0.0) == pytest.approx(1 / 5**0.5)
    assert reward.copy_threshold(1.0) == pytest.approx(2 / 5**0.5)


def test_scores_are_notated_first():
    reward = CorpusSimilarity(ENCODER, {JIG: [work(52, [1.0, 0.0]), work(53, [0.0, 3.0])]})
    midi = replace(piece(11, [9.0, 9.0]), piece=as_score(51, [2.0, 6.0]))
    silent = replace(piece(11, [9.0, 9.0]), piece=ScoreTick(480))
    found = reward.score([midi, silent, piece(54, [1.0, 0.0])])
    assert found.values[[0, 2]].tolist() == pytest.approx([1.0, 0.5 / 2.5**0.5])
    assert found.reasons == (None, "the piece cannot be notated: The score has no notes.", None)


def test_references_that_are_no_music(caplog):
    with caplog.at_level(logging.WARNING, "musiczoo"):
        reward = CorpusSimilarity(ENCODER, [ScoreTick(480), work(61, [1.0, 2.0])])
    assert "reference 1 is left out of the real works: The score has no notes." in caplog.text
    assert reward.reference_features(None).tolist() == [[1.0, 2.0]]
    for none in ([], [ScoreTick(480)]):
        with pytest.raises(MusicZooError, match="compared with any of the references"):
            CorpusSimilarity(ENCODER, none)

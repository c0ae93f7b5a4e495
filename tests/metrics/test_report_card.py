from __future__ import annotations

import json
import math
from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from musiczoo.metrics import (
    BarAlignmentError,
    CopyRate,
    SpanIndex,
    clamp_scores,
    frechet_distance,
    leave_one_out_scores,
    report_card,
    tune_features,
)
from musiczoo.metrics.card_picture import report_card_picture
from musiczoo.metrics.held_out import piece_scores
from musiczoo.models.bar_stream import BarStreamModule
from musiczoo.models.base.generative import Generated
from musiczoo.music.abc import Tune, read_abc, write_abc
from musiczoo.music.abc.cleaning import with_prompt
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels


class Letters:
    """An encoder in small: how often each note's letter stands in a text."""

    def __init__(self, refuses: str = "never") -> None:
        self.refuses = refuses
        self.calls: list[int] = []

    def features(self, texts: Sequence[str]) -> Tensor:
        self.calls.append(len(texts))
        if any(self.refuses in text for text in texts):
            raise MusicZooError("a text that is refused")
        return torch.tensor(
            [[text.count(letter) for letter in "CDEFGAB"] for text in texts], dtype=torch.float32
        )


def tune(seed: int, voices: int = 2, bars: int = 4) -> Tune:
    rng = np.random.default_rng(seed)
    rows = (
        "".join(
            f"[V:{voice}]{''.join(rng.choice(list('CDEFGAB'), size=4))}|"
            for voice in range(1, voices + 1)
        )
        for _ in range(bars)
    )
    return read_abc("M:4/4\nL:1/4\nK:C\nV:1\n" + "V:2\n" * (voices > 1) + "\n".join(rows) + "\n")


def generated(piece: Tune | None, text: str, labels: Labels | None = None) -> Generated:
    none = torch.zeros(0)
    return Generated(
        piece,
        text,
        none,
        none,
        none,
        "end",
        None if piece else MusicZooError("there is no bar in it"),
        labels,
    )


PIECES = [tune(seed) for seed in range(6)]
TRUTH = [tune(seed) for seed in range(100, 110)]


@pytest.fixture
def model() -> BarStreamModule:
    torch.manual_seed(0)
    return BarStreamModule(
        patch_layers=1, char_layers=1, hidden=32, heads=2, patch_length=64, dropout=0.0
    ).eval()


def test_every_figure_is_that_of_its_metric():
    training = SpanIndex.of([*PIECES[:2], *TRUTH[:1]])
    card = report_card(
        PIECES, TRUTH, encoder=Letters(), training=training, estimators=["mle", "oas"]
    )
    features, truth = (tune_features(Letters(), tunes)[0] for tunes in (PIECES, TRUTH))
    assert (
        card.pieces.pieces,
        card.pieces.readable,
        card.pieces.bars,
        card.pieces.notes,
        card.pieces.voices,
    ) == (6, 6, 4, 32, 2)
    for figures, tunes, scores in (
        (card.pieces, PIECES, clamp_scores(features, truth)),
        (card.truth, TRUTH, leave_one_out_scores(truth)),
    ):
        assert figures is not None
        alignment, copying = BarAlignmentError(), CopyRate(training)
        alignment.update(tunes)
        copying.update(tunes)
        assert (figures.bar_alignment_error, figures.aligned_bars) == (
            alignment.compute().item(),
            4 * len(tunes),
        )
        assert (figures.copy_rate, figures.spans) == (copying.compute().item(), int(copying.spans))
        assert figures.clamp_score == pytest.approx(scores.mean().item(), abs=1e-12)
        assert figures.scores == pytest.approx(scores.tolist())
    assert card.pieces.copy_rate == pytest.approx(100 * 2 / 6)
    assert card.pieces.frechet == tuple(
        frechet_distance(features, truth, name) for name in ("mle", "oas")
    )
    # Real music from real music: as many pieces as there are to judge, if there are as many others.
    assert card.truth is not None
    assert [(one.n, one.reference_n, one.estimator) for one in card.truth.frechet] == [
        (5, 5, "mle"),
        (5, 5, "oas"),
    ]
    again = report_card(
        PIECES, TRUTH, encoder=Letters(), training=training, estimators=["mle", "oas"]
    )
    assert again == card
    other = report_card(PIECES, TRUTH, encoder=Letters(), estimators=["mle"], seed=1)
    assert other.truth is not None
    assert other.truth.frechet != card.truth.frechet[:1]
    assert other.pieces.frechet == card.pieces.frechet[:1]


def test_bad_pieces_are_counted_with_their_reasons():
    text = "M:4/4\nL:1/4\nK:C\nV:1\nV:2\n[V:1]CDEF|[V:2]C3|\n"
    pieces = [
        *PIECES[:2],
        generated(None, text),
        generated(PIECES[2], write_abc(PIECES[2])),
        read_abc("K:C\nz4|\n"),
    ]
    card = report_card(pieces, unread={"The file is empty.": 2})
    assert card.pieces.percent_readable == pytest.approx(100 * 3 / 7)
    assert card.pieces.unreadable == {
        "The file is empty.": 2,
        "there is no bar in it": 1,
        "there are no notes in it": 1,
    }
    # What the model wrote is judged although it is no piece.
    assert card.pieces.bar_alignment_error == pytest.approx(100 / card.pieces.aligned_bars)
    nothing = report_card([generated(None, "")], TRUTH, encoder=Letters())
    assert nothing.pieces.percent_readable == 0
    assert nothing.pieces.clamp_score is None
    json.dumps(nothing.to_dict(), allow_nan=False)
    only_unread = report_card([], unread={"The file is empty.": 1})
    assert only_unread.pieces.percent_readable == 0
    with pytest.raises(MusicZooError, match="no pieces"):
        report_card([])
    with pytest.raises(MusicZooError, match="6 pieces with 1 labels"):
        report_card(PIECES, labels=["reel"])
    with pytest.raises(MusicZooError, match="ledoit_wolf"):
        report_card(PIECES, estimators=["best"])  # type: ignore[list-item]


def test_a_piece_that_the_encoder_refuses_costs_no_other():
    marked = read_abc(write_abc(PIECES[2]).replace("M:4/4", "M:4/4\nQ:1/4=97"))
    pieces = [*PIECES[:2], marked, *PIECES[3:]]
    encoder = Letters(refuses="1/4=97")
    features, reasons = tune_features(encoder, pieces, batch_size=4)
    assert encoder.calls == [4, 1, 1, 1, 1, 2]
    assert reasons == [None, None, "a text that is refused", None, None, None]
    assert features[2].isnan().all()
    card = report_card(pieces, TRUTH, encoder=encoder)
    assert card.pieces.left_out == {"no features: a text that is refused": 1}
    assert card.pieces.frechet[0].n == 5
    assert card.pieces.readable == 6
    all_refused = report_card(pieces, TRUTH, encoder=Letters(refuses="K:C"))
    assert all_refused.pieces.frechet == ()
    assert sum(all_refused.pieces.left_out.values()) == 6


def test_pieces_are_compared_with_the_real_works_of_their_prompt():
    reel, jig = Labels("Traditional", "Aird", "reel"), Labels("Traditional", "Aird", "jig")
    lonely = Labels("Traditional", "Aird", "march")
    asked = [reel, reel, jig, reel, lonely, None]
    pieces = [generated(piece, "", label) for piece, label in zip(PIECES, asked, strict=True)]
    truth_labels = [reel, jig, None, jig, reel, reel, lonely, jig, None, reel]
    card = report_card(pieces, TRUTH, encoder=Letters(), truth_labels=truth_labels)
    features, truth = (tune_features(Letters(), tunes)[0] for tunes in (PIECES, TRUTH))
    means, own = [], []
    for label in (reel, jig):
        references = truth[[one == label for one in truth_labels]]
        means.append(clamp_scores(features[[one == label for one in asked]], references).mean())
        own.append(leave_one_out_scores(references).mean())
    assert card.truth is not None
    assert card.pieces.prompts == card.truth.prompts == 2
    assert card.pieces.clamp_score_by_prompt == pytest.approx(
        torch.stack(means).mean().item(), abs=1e-12
    )
    assert card.truth.clamp_score_by_prompt == pytest.approx(
        torch.stack(own).mean().item(), abs=1e-12
    )
    assert card.pieces.left_out == {
        "no average by prompt: fewer than two real works have its prompt": 2
    }
    assert report_card(PIECES, TRUTH, encoder=Letters()).pieces.clamp_score_by_prompt is None


def test_likelihoods_are_divided_by_what_was_scored(model):
    short, long = tune(1), tune(2, bars=80)
    scores, reasons = piece_scores(model, [long, short, read_abc("K:C\nz4|\n")])
    assert reasons[:2] == [None, None]
    assert reasons[2] == "there are no notes in it"
    # The order of a batch does not matter, and neither do the others in it.
    alone = piece_scores(model, [short])[0][0]
    assert alone is not None
    assert scores[1] is not None
    assert scores[1].log_prob == pytest.approx(alone.log_prob, rel=1e-5)
    representation = model.representation
    encoded = representation.encode(short)
    values = model.log_probs(representation.collate([encoded]))
    assert alone.log_prob == pytest.approx(values.values.sum().item(), rel=1e-6)
    assert (alone.targets, alone.characters) == (
        int(values.mask.sum()),
        len(representation.decode_text(encoded)),
    )
    assert (alone.bars, alone.notes, alone.cropped) == (4, 32, False)
    # Of the long one all whole bars that fit are scored, and no others counted.
    assert scores[0] is not None
    assert scores[0].cropped
    assert 0 < scores[0].bars < 80
    assert scores[0].notes == 8 * scores[0].bars
    cut = representation.encode(long)
    assert not representation.decode_text(cut).endswith("\n")
    while not representation.decode_text(cut).endswith("\n"):
        cut = cut[:-1]
    assert scores[0].characters == len(representation.decode_text(cut))
    assert scores[0].log_prob == pytest.approx(
        model.log_probs(representation.collate([cut])).values.sum().item(), rel=1e-5
    )
    found = report_card([short, long], model=model).pieces.likelihoods
    assert found is not None
    nats = -(scores[0].log_prob + scores[1].log_prob)
    assert found.bits_per_bar == pytest.approx(nats / math.log(2) / (4 + scores[0].bars), rel=1e-9)
    assert found.bits_per_character == pytest.approx(
        nats / math.log(2) / (alone.characters + scores[0].characters), rel=1e-9
    )
    assert found.perplexity == pytest.approx(
        math.exp(nats / (alone.targets + scores[0].targets)), rel=1e-9
    )
    assert (found.pieces, found.cropped) == (2, 1)
    labelled = piece_scores(model, [with_prompt(short, "Baroque", "Bach", "Choral")])[0][0]
    assert labelled is not None
    assert labelled.characters > alone.characters


def test_a_model_without_text_is_refused(model):
    model.representation = object()
    with pytest.raises(MusicZooError, match="no characters"):
        piece_scores(model, PIECES)


def test_the_table_says_sample_sizes_and_estimators(model):
    card = report_card(PIECES, TRUTH, encoder=Letters(), model=model, infinity=True)
    names = [row[0] for row in card.rows()]
    assert "copy rate, %" not in names
    shown = {row[0]: row[1:] for row in card.rows()}
    assert shown["Frechet music distance, mle"][0].endswith("(n = 6 against 10)")
    assert shown["Frechet music distance, ledoit_wolf"][1].endswith("(n = 5 against 5)")
    assert shown["readable, %"] == ("100.0", "100.0")
    assert "no FMD-inf: more than 500 pieces are needed" in card.pieces.left_out
    assert "bits per note" in names
    document = card.to_dict()
    json.dumps(document, allow_nan=False)
    assert "(mle, n = 6 against 10, 7 dimensions)" in document["pieces"]["frechet"][0]["described"]
    assert document["truth"]["percent_readable"] == 100.0


def test_the_picture_is_drawn_with_whatever_there_is(model, tmp_path):
    from PIL import Image

    whole = report_card(
        PIECES,
        TRUTH,
        encoder=Letters(),
        model=model,
        training=SpanIndex.of(TRUTH),
        names=("$a$", "truth"),
    )
    sizes = []
    for card in (
        whole,
        report_card(PIECES),
        report_card([generated(None, "")], TRUTH, encoder=Letters()),
    ):
        report_card_picture(card, tmp_path / "card.png")
        with Image.open(tmp_path / "card.png") as image:
            sizes.append(image.size)
            assert len(image.convert("RGB").getcolors(10**6)) > 10
    assert sizes[0][0] == 4 * sizes[1][0]

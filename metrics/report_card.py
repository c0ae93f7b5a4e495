"""The report card: every figure that a set of pieces has, beside the same figures of real music.

A figure of generated music means little alone. Real music shares bars with a training corpus, human
sheets have misaligned bars, and the halves of one corpus have a Frechet distance: the column of the
ground truth shows how much.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from musiczoo.metrics.bar_alignment import BarAlignmentError
from musiczoo.metrics.clamp_score import ClampScore, clamp_scores, leave_one_out_scores
from musiczoo.metrics.copying import CopyRate, SpanIndex
from musiczoo.metrics.features import Encoder, tune_features, usable_features
from musiczoo.metrics.figures import ClampFigures, Figures, Medians, Rate, ReportCard
from musiczoo.metrics.frechet import (
    FrechetDistance,
    FrechetInfinity,
    fmd_infinity,
    frechet_distance,
)
from musiczoo.metrics.gaussian import ESTIMATORS, Estimator
from musiczoo.metrics.held_out import likelihoods, piece_scores
from musiczoo.models.base.generative import Generated, GenerativeModule
from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.to_tune import from_score

_LEAST_FOR_INFINITY = 500
_DEFAULT_ESTIMATORS: tuple[Estimator, ...] = ("mle", "ledoit_wolf")


def report_card(
    pieces: Sequence[Tune | Generated],
    truth: Sequence[Tune] | None = None,
    *,
    encoder: Encoder | None = None,
    model: GenerativeModule | None = None,
    training: SpanIndex | None = None,
    labels: Sequence[Hashable] | None = None,
    truth_labels: Sequence[Hashable] | None = None,
    estimators: Sequence[Estimator] = _DEFAULT_ESTIMATORS,
    infinity: bool = False,
    unread: Mapping[str, int] | None = None,
    truth_unread: Mapping[str, int] | None = None,
    names: tuple[str, str] = ("pieces", "ground truth"),
    seed: int = 0,
) -> ReportCard:
    r"""The report card of a set of pieces.

    Args:
        pieces: Tunes, or results of generation, unreadable ones included. A tune of several voices
            is compared bar by bar as it was read, a result of generation as the model wrote it.
        truth: Real music to compare with.
        encoder: Gives features, for the average CLaMP score and the Frechet distance; these need
            ``truth``.
        model: Gives likelihoods.
        training: Spans of a training corpus, for the copy rate.
        labels: The prompt of each piece, None for a piece without; that of :attr:`Generated.prompt`
            when not given.
        truth_labels: The same of the ground truth.
        estimators: Of the Frechet distance.
        infinity: Extrapolate the distance to infinitely many pieces as well; more than 500 are
            needed.
        unread: Pieces that could not even be opened: the reason and how many. They count as
            unreadable.
        truth_unread: The same of the ground truth.
        names: Of the two sets.
        seed: Of the parts that the ground truth is divided in.

    Raises:
        MusicZooError: No pieces at all, another number of labels than pieces, no such estimator, or
            a model that cannot score text.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> card = report_card([read_abc("L:1/4\nK:C\nCDEF|G4|\n")], unread={"empty": 1})
        >>> card.pieces.percent_readable, card.pieces.bars, card.pieces.notes
        (50.0, 2.0, 5.0)
    """
    _check_estimators(estimators)
    mine = _Set(names[0], pieces, labels, unread)
    if not mine.given:
        raise MusicZooError("There are no pieces to measure.", where="pieces")
    theirs = None if truth is None else _Set(names[1], truth, truth_labels, truth_unread)
    for one in (mine, theirs):
        if one is not None:
            one.measure(model, training)
    if encoder is not None and theirs is not None and mine.tunes and theirs.tunes:
        _compare(mine, theirs, encoder, estimators, infinity=infinity, seed=seed)
    return ReportCard(mine.figures(), None if theirs is None else theirs.figures())


def _check_estimators(estimators: Sequence[str]) -> None:
    if wrong := [name for name in estimators if name not in ESTIMATORS]:
        raise MusicZooError(
            f"There is no estimator {wrong[0]!r}.",
            where="estimators",
            remedy=f"Choose among {', '.join(ESTIMATORS)}.",
        )


def _prompt(piece: Tune | Generated) -> Hashable:
    prompt = piece.prompt if isinstance(piece, Generated) else None
    return prompt if isinstance(prompt, Hashable) and not isinstance(prompt, Tensor) else None


class _Set:
    """One column of the card while it is computed."""

    def __init__(
        self,
        name: str,
        pieces: Sequence[Tune | Generated],
        labels: Sequence[Hashable] | None,
        unread: Mapping[str, int] | None,
    ) -> None:
        if labels is not None and len(labels) != len(pieces):
            raise MusicZooError(
                f"{len(pieces)} pieces with {len(labels)} labels.",
                where="labels",
                remedy="Give one for each, or None.",
            )
        given = [_prompt(piece) for piece in pieces] if labels is None else list(labels)
        self.name = name
        self.all = pieces
        self.given = len(pieces) + sum((unread or {}).values())
        self.unreadable = Counter(unread or {})
        self.left_out: Counter[str] = Counter()
        self.tunes: list[Tune] = []
        self.labels: list[Hashable] = []
        self.notes: list[int] = []
        self.found: dict[str, Any] = {}
        for piece, label in zip(pieces, given, strict=True):
            tune: Any = piece if isinstance(piece, Tune) else piece.piece
            try:
                # The card is of notation; performed music is written down first.
                tune = from_score(tune) if tune is not None and not isinstance(tune, Tune) else tune
                notes = len(tune.notes()) if tune is not None else 0
                reason = "there are no notes in it"
                if tune is None:
                    error = piece.error if isinstance(piece, Generated) else None
                    reason = "it cannot be read" if error is None else error.message
            except MusicZooError as error:
                notes, reason = 0, error.message
            if tune is None or not notes:
                self.unreadable[reason] += 1
                continue
            self.tunes.append(tune)
            self.labels.append(label)
            self.notes.append(notes)

    def measure(self, model: GenerativeModule | None, training: SpanIndex | None) -> None:
        """Computes the figures that need no other set."""
        if self.tunes:
            bars = [max(len(voice.bars) for voice in tune.voices) for tune in self.tunes]
            voices = [len(tune.voices) for tune in self.tunes]
            self.found["medians"] = Medians(
                *(float(np.median(values)) for values in (bars, self.notes, voices))
            )
        # Unreadable results too: those of their bars that can be read count.
        alignment = BarAlignmentError()
        alignment.update([*self.all])
        if alignment.bars:
            self.found["misaligned"] = Rate(float(alignment.compute()), int(alignment.bars))
        if training is not None:
            copying = CopyRate(training)
            copying.update(self.tunes)
            if copying.spans:
                self.found["copied"] = Rate(float(copying.compute()), int(copying.spans))
        if model is not None:
            scores, reasons = piece_scores(model, self.tunes)
            self.found["likelihoods"] = likelihoods(scores)
            self.leave_out("no likelihood", reasons)

    def leave_out(self, what: str, reasons: Sequence[str | None]) -> None:
        """Counts the pieces that a figure leaves out."""
        self.left_out.update(f"{what}: {reason}" for reason in reasons if reason is not None)

    def figures(self) -> Figures:
        """The figures that were computed."""
        return Figures(
            self.name,
            self.given,
            len(self.tunes),
            dict(self.unreadable),
            left_out=dict(self.left_out),
            **self.found,
        )


def _compare(
    mine: _Set,
    theirs: _Set,
    encoder: Encoder,
    estimators: Sequence[Estimator],
    *,
    infinity: bool,
    seed: int,
) -> None:
    """Computes average CLaMP scores and Frechet distances of both sets."""
    features = []
    for one in (mine, theirs):
        found, reasons = tune_features(encoder, one.tunes)
        one.leave_out("no features", reasons)
        rows, usable = usable_features(found)
        one.labels = [label for label, use in zip(one.labels, usable.tolist(), strict=True) if use]
        features.append(rows if found.shape[1] else rows[:0])
    pieces, truth = features
    if not len(pieces) or not len(truth):
        return
    for one, scores in ((mine, clamp_scores(pieces, truth)), (theirs, leave_one_out_scores(truth))):
        known = scores[scores.isfinite()]
        if len(known):
            one.found["clamp"] = ClampFigures(float(known.mean()), scores=tuple(known.tolist()))
    _by_prompt(mine, theirs, pieces, truth)
    if infinity and len(pieces) <= _LEAST_FOR_INFINITY:
        mine.left_out[f"no FMD-inf: more than {_LEAST_FOR_INFINITY} pieces are needed"] += len(
            pieces
        )
    mine.found["frechet"] = _distances(pieces, truth, estimators, infinity=infinity, seed=seed)
    # The distance of real music from itself, with as many pieces as are judged, if the ground truth
    # has twice as many.
    part = min(len(pieces), len(truth) // 2)
    order = torch.randperm(len(truth), generator=torch.Generator().manual_seed(seed)).to(
        truth.device
    )
    theirs.found["frechet"] = _distances(
        truth[order[:part]], truth[order[part:]], estimators, infinity=infinity, seed=seed
    )


def _by_prompt(mine: _Set, theirs: _Set, pieces: Tensor, truth: Tensor) -> None:
    """Computes the average over prompts.

    Prompts count that have pieces and at least two real works.
    """
    places: dict[Hashable, list[int]] = {}
    for place, label in enumerate(theirs.labels):
        if label is not None and label in mine.labels:
            places.setdefault(label, []).append(place)
    references = {label: truth[found] for label, found in places.items() if len(found) > 1}
    asked = [place for place, label in enumerate(mine.labels) if label in references]
    if not asked:
        return
    metric = ClampScore(references)
    metric.update(pieces[asked], [mine.labels[place] for place in asked])
    own = [leave_one_out_scores(rows).nanmean() for rows in references.values()]
    for one, mean in ((mine, metric.compute()["average"]), (theirs, torch.stack(own).nanmean())):
        one.found["clamp"] = replace(
            one.found.get("clamp", ClampFigures()), by_prompt=float(mean), prompts=len(references)
        )
    if without := len(mine.labels) - len(asked):
        mine.left_out["no average by prompt: fewer than two real works have its prompt"] += without


def _distances(
    pieces: Tensor, truth: Tensor, estimators: Sequence[Estimator], *, infinity: bool, seed: int
) -> tuple[FrechetDistance | FrechetInfinity, ...]:
    if len(pieces) < 2 or len(truth) < 2:
        return ()
    found: list[FrechetDistance | FrechetInfinity] = [
        frechet_distance(pieces, truth, estimator) for estimator in estimators
    ]
    if infinity and len(pieces) > _LEAST_FOR_INFINITY:
        found.append(fmd_infinity(pieces, truth, min_n=_LEAST_FOR_INFINITY, seed=seed))
    return tuple(found)

"""Likelihoods of given music under a model, a character, a bar and a note."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from musiczoo.metrics.bits import BitsPerSymbol
from musiczoo.metrics.perplexity import Perplexity
from musiczoo.models.base.generative import GenerativeModule
from musiczoo.music.abc import Tune
from musiczoo.music.abc.cleaning import clean
from musiczoo.music.errors import MusicZooError

# More than any piece has: a length that crops nothing.
_UNCUT = 10**9


@dataclass(frozen=True, slots=True)
class PieceScore:
    """The likelihood of one piece, and the numbers that it may be divided by.

    Attributes:
        log_prob: Summed log-probability of all targets, nats.
        targets: Scored targets of the model.
        characters: Of the text that was scored.
        bars: Of its longest voice.
        notes: That sound in it, ties merged.
        cropped: Whether it is the beginning of a longer piece.
    """

    log_prob: float
    targets: int
    characters: int
    bars: int
    notes: int
    cropped: bool


@dataclass(frozen=True, slots=True)
class Likelihoods:
    """Figures of a set of pieces under one model. All but the last are micro-averages.

    Attributes:
        pieces: Pieces scored.
        cropped: Of these, longer than the model's context: scored to the last whole bar that fits.
        bits_per_character: Of the text; comparable between models of any tokenisation, as are those
            of bars and notes.
        bits_per_bar: Of the longest voice.
        bits_per_note: That sounds, ties merged.
        perplexity: Of a target of the model; comparable only within one tokenisation.
        macro_perplexity: Mean over pieces of each one's own.
    """

    pieces: int
    cropped: int
    bits_per_character: float
    bits_per_bar: float
    bits_per_note: float
    perplexity: float
    macro_perplexity: float


def piece_scores(
    model: GenerativeModule, tunes: Sequence[Tune], *, batch_size: int = 8
) -> tuple[list[PieceScore | None], list[str | None]]:
    """Scores pieces as the model reads them.

    They are cleaned, start at their beginning, and keep their prompt lines.

    Of a piece that is longer than the model's context, all up to the last whole bar that fits is
    scored, so that bars and notes are those of the text.

    Args:
        model: Of a representation of text, such as bar-stream patches. It is left in its mode; eval
            mode is set by the caller.
        tunes: The pieces.
        batch_size: Pieces of a forward pass; pieces of similar length go together.

    Returns:
        The scores, None for a piece that cannot be scored; and the reasons.

    Raises:
        MusicZooError: The model's representation has no text.
    """
    representation: Any = model.representation
    if not hasattr(representation, "decode_text"):
        raise MusicZooError(
            f"{type(representation).__name__} has no characters to count.",
            where="model",
            remedy="Give a model of ABC text, like bar-stream.",
        )
    scores: list[PieceScore | None] = [None] * len(tunes)
    reasons: list[str | None] = [None] * len(tunes)
    items: list[tuple[int, torch.Tensor, PieceScore]] = []
    for place, tune in enumerate(tunes):
        try:
            items.append((place, *_encoded(representation, clean(tune))))
        except MusicZooError as error:
            reasons[place] = error.message
    items.sort(key=lambda item: len(item[1]))
    for start in range(0, len(items), batch_size):
        some = items[start : start + batch_size]
        batch = {
            name: value.to(model.device)
            for name, value in representation.collate([item[1] for item in some]).items()
        }
        with torch.no_grad():
            found = model.log_probs(batch)
        sums, targets = found.values.double().sum(dim=1).tolist(), found.mask.sum(dim=1).tolist()
        for (place, _, counts), log_prob, count in zip(some, sums, targets, strict=True):
            scores[place] = PieceScore(
                log_prob, count, counts.characters, counts.bars, counts.notes, counts.cropped
            )
    return scores, reasons


def _encoded(representation: Any, tune: Tune) -> tuple[torch.Tensor, PieceScore]:
    """The piece as the model's input, up to a whole bar, and its numbers of symbols."""
    encoded = representation.encode(tune)
    cropped = len(encoded) < len(representation.encode(tune, max_length=_UNCUT))
    text = representation.decode_text(encoded)
    while len(encoded) and not text.endswith("\n"):
        encoded = encoded[:-1]
        text = representation.decode_text(encoded)
    scored = representation.decode(encoded)
    bars = max((len(voice.bars) for voice in scored.voices), default=0)
    notes = len(scored.notes()) if bars else 0
    if not notes:
        raise MusicZooError(
            "no bar with notes fits into the model's context"
            if cropped
            else "there are no notes in it"
        )
    return encoded, PieceScore(0.0, 0, len(text), bars, notes, cropped)


def likelihoods(scores: Sequence[PieceScore | None]) -> Likelihoods | None:
    """The figures of a set of pieces; None when not one was scored.

    Args:
        scores: Of :func:`piece_scores`.

    Example:
        >>> scores = [PieceScore(-2.0, 2, 8, 1, 4, False), PieceScore(-4.0, 8, 8, 1, 4, True)]
        >>> found = likelihoods([*scores, None])
        >>> round(found.perplexity, 6), round(found.macro_perplexity, 6)
        (1.822119, 2.183502)
    """
    usable = [score for score in scores if score is not None]
    if not usable:
        return None
    nats = torch.tensor([score.log_prob for score in usable], dtype=torch.float64)

    def figure(metric: BitsPerSymbol | Perplexity, symbols: list[int]) -> float:
        metric.update(nats, symbols=symbols)
        return float(metric.compute())

    targets = [score.targets for score in usable]
    return Likelihoods(
        pieces=len(usable),
        cropped=sum(score.cropped for score in usable),
        bits_per_character=figure(
            BitsPerSymbol("character"), [score.characters for score in usable]
        ),
        bits_per_bar=figure(BitsPerSymbol("bar"), [score.bars for score in usable]),
        bits_per_note=figure(BitsPerSymbol("note"), [score.notes for score in usable]),
        perplexity=figure(Perplexity(), targets),
        macro_perplexity=figure(Perplexity(average="macro"), targets),
    )

"""Features of pieces as metrics take them: one row a piece, from one encoder, with rows that are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import torch
from torch import Tensor

from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError


def usable_features(features: Tensor) -> tuple[Tensor, Tensor]:
    """The rows that are features at all, as float64, and which they are.

    Args:
        features: (pieces, dimensions).

    Returns:
        (usable, dimensions), and (pieces,) bool. Rows with NaN or infinite values are not usable: a
        piece that an encoder cannot read has such a row.

    Raises:
        MusicZooError: No matrix.

    Example:
        >>> usable_features(torch.tensor([[1.0, 2.0], [torch.nan, 0.0]]))
        (tensor([[1., 2.]], dtype=torch.float64), tensor([ True, False]))
    """
    if features.ndim != 2:
        raise MusicZooError(
            f"A tensor of shape {tuple(features.shape)} holds no features.",
            remedy="Give shape (pieces, dimensions).",
        )
    rows = features.detach().double()
    usable = rows.isfinite().all(dim=1)
    return rows[usable], usable


def same_dimensions(features: Tensor, references: Tensor) -> None:
    """Refuses features of two encoders.

    Raises:
        MusicZooError: The two have different numbers of dimensions.
    """
    if features.ndim != 2 or references.ndim != 2 or features.shape[1] != references.shape[1]:
        raise MusicZooError(
            f"Features of shape {tuple(features.shape)} do not go with references of shape"
            f" {tuple(references.shape)}.",
            remedy="Take both from one encoder.",
        )


class Encoder(Protocol):
    """What gives features: M3, CLaMP 2, or any other encoder of ABC text."""

    def features(self, texts: Sequence[str]) -> Tensor:
        """(n, dimensions) float32 of n texts of interleaved ABC, without gradient, not normalised."""
        ...


def tune_features(
    encoder: Encoder,
    tunes: Sequence[Tune],
    *,
    text: Callable[[Tune], str] | None = None,
    batch_size: int = 64,
) -> tuple[Tensor, list[str | None]]:
    """Features of pieces.

    One that cannot be read costs no other: it has a row of NaN, and a reason.

    Args:
        encoder: Of ABC text.
        tunes: The pieces.
        text: Writes a piece as the encoder reads it;
            :func:`musiczoo.representations.m3_patches.abc_text` when None.
        batch_size: Pieces that are handed to the encoder at once.

    Returns:
        (pieces, dimensions) float32, and for each piece why it has no features, or None. Without a
        single piece that has some the tensor has no dimensions.
    """
    write = text
    if write is None:
        # Not at the top: a metric on features that are there already needs no representation.
        from musiczoo.representations.m3_patches import abc_text

        write = abc_text
    reasons: list[str | None] = [None] * len(tunes)
    texts: dict[int, str] = {}
    for place, tune in enumerate(tunes):
        try:
            texts[place] = write(tune)
        except MusicZooError as error:
            reasons[place] = error.message
    rows: dict[int, Tensor] = {}
    places = list(texts)
    for start in range(0, len(places), batch_size):
        some = places[start : start + batch_size]
        try:
            rows |= dict(zip(some, encoder.features([texts[place] for place in some]), strict=True))
        except MusicZooError:
            # One of them; which one, only the encoder knows.
            for place in some:
                try:
                    rows[place] = encoder.features([texts[place]])[0]
                except MusicZooError as error:
                    reasons[place] = error.message
    width = len(next(iter(rows.values()))) if rows else 0
    features = torch.full((len(tunes), width), torch.nan)
    for place, row in rows.items():
        features[place] = row.detach().float().cpu()
        if not bool(row.isfinite().all()):
            reasons[place] = "the encoder gives no features of it"
    return features, reasons

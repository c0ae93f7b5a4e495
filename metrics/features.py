"""Features of pieces for metrics: one row a piece, of one encoder; NaN where there are none."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from musiczoo.models.base.capabilities import Encodes
from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError


def usable_features(features: Tensor) -> tuple[Tensor, Tensor]:
    """The rows that are finite, as float64, and which they are.

    Args:
        features: (pieces, dimensions).

    Returns:
        (usable, dimensions), and (pieces,) bool. Rows with NaN or infinite values are not usable: a
        piece that an encoder cannot read has such a row.

    Raises:
        MusicZooError: The tensor is no matrix.

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


def usable_references(features: Tensor) -> Tensor:
    """The features of reference pieces that are finite, as float64; one row at least.

    Args:
        features: (references, dimensions).

    Raises:
        MusicZooError: No reference has features.
    """
    references = usable_features(features)[0]
    if not len(references):
        raise MusicZooError(
            "There is no reference to compare with.",
            where="reference_features",
            remedy="Give the features of real pieces.",
        )
    return references


def same_dimensions(features: Tensor, references: Tensor) -> None:
    """Checks that features are of one encoder.

    Raises:
        MusicZooError: The two have different numbers of dimensions.
    """
    if features.ndim != 2 or references.ndim != 2 or features.shape[1] != references.shape[1]:
        raise MusicZooError(
            f"Features of shape {tuple(features.shape)} do not go with references of shape"
            f" {tuple(references.shape)}.",
            remedy="Compute both with one encoder.",
        )


class Encoder(Protocol):
    """An encoder of ABC text that gives features, such as M3 or CLaMP 2."""

    def features(self, texts: Sequence[str]) -> Tensor:
        """Features of texts.

        Args:
            texts: n texts of interleaved ABC.

        Returns:
            (n, dimensions) float32, without gradient, not normalised.
        """
        ...


def load_encoder(name: str, where: str = "encoder") -> Any:
    """The encoder of a name.

    Args:
        name: One that :func:`musiczoo.load` opens.
        where: The argument or flag that names it, for the error.

    Returns:
        A module with ``features``, an :class:`Encoder`.

    Raises:
        MusicZooError: There is no such model, or it gives no features.
    """
    from musiczoo.hub.loading import load

    module: Any = load(name)
    if not isinstance(module, Encodes):
        raise MusicZooError(
            f"{name} gives no features of music.",
            where=where,
            remedy="Name one like m3-small or clamp2.",
        )
    return module


def tune_features(
    encoder: Encoder,
    tunes: Sequence[Tune],
    *,
    text: Callable[[Tune], str] | None = None,
    batch_size: int = 64,
) -> tuple[Tensor, list[str | None]]:
    """Features of pieces.

    A piece that cannot be read has a row of NaN, and a reason; the others are not affected.

    Args:
        encoder: Of ABC text.
        tunes: The pieces.
        text: Writes a piece as the encoder reads it;
            :func:`musiczoo.representations.m3_patches.abc_text` when None.
        batch_size: Pieces that are handed to the encoder at once.

    Returns:
        (pieces, dimensions) float32, and for each piece the reason why it has no features, or None.
        Where no piece has features the tensor has 0 dimensions.
    """
    write = text
    if write is None:
        # Not at the top: metrics of features that are computed already need no representation.
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
            # One of them cannot be read: try each.
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

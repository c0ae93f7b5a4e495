"""Features of pieces as metrics take them: one row a piece, from one encoder, with rows that are none."""

from __future__ import annotations

from torch import Tensor

from musiczoo.music.errors import MusicZooError


def usable_features(features: Tensor) -> tuple[Tensor, Tensor]:
    """The rows that are features at all, as float64, and which they are.

    Args:
        features: (pieces, dimensions).

    Returns:
        (usable, dimensions), and (pieces,) bool. Rows with NaN or infinite values are not usable: a piece that an encoder cannot read has
        such a row.

    Raises:
        MusicZooError: No matrix.

    Example:
        >>> import torch
        >>> usable_features(torch.tensor([[1.0, 2.0], [torch.nan, 0.0]]))
        (tensor([[1., 2.]], dtype=torch.float64), tensor([ True, False]))
    """
    if features.ndim != 2:
        raise MusicZooError(f"A tensor of shape {tuple(features.shape)} holds no features.", remedy="Give shape (pieces, dimensions).")
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
            f"Features of shape {tuple(features.shape)} do not go with references of shape {tuple(references.shape)}.",
            remedy="Take both from one encoder.",
        )

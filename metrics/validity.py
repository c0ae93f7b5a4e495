"""Validity: whether a model's results are music, and whether they end by themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from musiczoo.models.base.generative import Generated
from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError


def is_readable(result: Generated) -> bool:
    """Whether a generated text is a piece.

    At least one note sounds in it, and every bar of a tune can be parsed.
    """
    if result.piece is None:
        return False
    if not isinstance(result.piece, Tune):
        return bool(result.piece.note_num())
    try:
        return bool(result.piece.notes())
    except MusicZooError:
        return False


class Validity(Metric):
    r"""Shares of generated pieces in percent: ``readable``, ``ended`` and ``valid`` (both).

    A piece has ended if the model wrote its end mark.

    Args:
        settings: Of :class:`torchmetrics.Metric`.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> none = torch.zeros(0)
        >>> piece = read_abc("K:C\nCDEF|\n")
        >>> metric = Validity()
        >>> read = [Generated(some, "", none, none, none, "end") for some in (piece, None)]
        >>> metric.update(read)
        >>> metric.compute()
        {'readable': tensor(50.), 'ended': tensor(100.), 'valid': tensor(50.)}
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    pieces: Tensor
    readable: Tensor
    ended: Tensor
    valid: Tensor

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name in ("pieces", "readable", "ended", "valid"):
            self.add_state(name, torch.tensor(0), dist_reduce_fx="sum")

    def update(self, results: Sequence[Generated]) -> None:
        """Counts generated pieces."""
        readable = [is_readable(result) for result in results]
        ended = [result.stop == "end" for result in results]
        self.pieces += len(results)
        self.readable += sum(readable)
        self.ended += sum(ended)
        self.valid += sum(one and other for one, other in zip(readable, ended, strict=True))

    def compute(self) -> dict[str, Tensor]:
        """Scalars, percent; NaN before the first piece."""
        return {
            name: 100.0 * getattr(self, name) / self.pieces
            for name in ("readable", "ended", "valid")
        }

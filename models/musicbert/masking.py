"""MusicBERT's pre-training: some tokens are hidden together, and restored."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from musiczoo.models.base.objective import Batch, ObjectiveResult
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.octuple import FIELDS, FIRST_IDS, MASK, TOKENS

_BAR, _PROGRAM = FIELDS.index("bar"), FIELDS.index("program")
_FIRST = int(FIRST_IDS[0])


class MaskedOctuples:
    """The loss of MusicBERT (Zeng et al. 2021, arXiv 2106.05630, and its published code).

    Of the units of a piece 15 % are selected; of these 80 % become ``<mask>``, 10 % stay, and the
    tokens of 10 % are drawn from the whole vocabulary. All tokens of a unit share what is decided;
    random ones are drawn for each. It counts selected tokens.

    Args:
        strategies: What a unit is: ``"bar"`` (the tokens of one field of one program in one bar,
            the paper's), ``"compound"`` (a note) or ``"element"`` (a token). Of several, one is
            drawn for each piece. The rows of ``<s>`` and ``</s>`` are units of their own, except
            with ``"element"``.
        ratio: Probability that a unit is selected.
        masked: Part of the selected units that becomes ``<mask>``.
        random: Part whose tokens are drawn.
    """

    unit = "token"

    def __init__(
        self,
        strategies: Sequence[str] = ("bar",),
        ratio: float = 0.15,
        masked: float = 0.8,
        random: float = 0.1,
    ) -> None:
        if not strategies or (unknown := [name for name in strategies if name not in _UNITS]):
            raise MusicZooError(
                f"There is no unit {', '.join(unknown) if strategies else 'given'}.",
                where="strategies",
                remedy=f"Give some of {', '.join(_UNITS)}.",
            )
        if not 0 < ratio <= 1 or min(masked, random) < 0 or masked + random > 1:
            raise MusicZooError(
                f"MaskedOctuples(ratio={ratio}, masked={masked}, random={random}) has no meaning.",
                remedy="Give probabilities.",
            )
        self.strategies = tuple(strategies)
        self.ratio = ratio
        self.masked = masked
        self.random = random

    def __call__(self, module: Any, batch: Batch) -> ObjectiveResult:
        """The summed negative log-likelihood of the selected tokens, and their count.

        Args:
            module: With the ``net``, a :class:`musiczoo.models.musicbert.net.MusicBertNet`.
            batch: ``ids`` (batch, longest, 8) and ``lengths`` (batch,).
        """
        ids, lengths = batch["ids"], batch["lengths"]
        # Validation selects and corrupts in the same way each time.
        generator = None if module.net.training else torch.Generator(ids.device).manual_seed(0)
        corrupted, selected = self.corrupt(ids, lengths, generator)
        logits = module.net(corrupted, lengths, selected)
        total = F.cross_entropy(logits, ids[selected], reduction="sum")
        return ObjectiveResult(total=total, count=selected.sum())

    def corrupt(
        self, ids: Tensor, lengths: Tensor, generator: torch.Generator | None = None
    ) -> tuple[Tensor, Tensor]:
        """What the encoder sees, and which tokens it has to restore.

        Args:
            ids: (batch, longest, 8) int64.
            lengths: (batch,).
            generator: Source of randomness; torch's own when None.

        Returns:
            (batch, longest, 8) ids, and (batch, longest, 8) bool.
        """
        device = ids.device
        drawn = torch.randint(
            len(self.strategies), (len(ids),), generator=generator, device=device
        ).tolist()
        units = torch.stack(
            [_UNITS[self.strategies[which]](piece) for which, piece in zip(drawn, ids, strict=True)]
        )
        # Units of different pieces are different ones.
        units = units + (units.max() + 1) * torch.arange(len(ids), device=device)[:, None, None]
        _, place = torch.unique(units, return_inverse=True)
        count = int(place.max()) + 1
        chance = torch.rand(2, count, generator=generator, device=device)[:, place]
        inside = torch.arange(ids.shape[1], device=device) < lengths.unsqueeze(1)
        selected = (chance[0] < self.ratio) & inside.unsqueeze(2)
        mask = selected & (chance[1] < self.masked)
        random = selected & ~mask & (chance[1] < self.masked + self.random)
        tokens = torch.randint(len(TOKENS), ids.shape, generator=generator, device=device)
        corrupted = torch.where(random, tokens, ids).masked_fill(mask, MASK)
        return corrupted, selected


def _elements(ids: Tensor) -> Tensor:
    return torch.arange(ids.numel(), device=ids.device).reshape(ids.shape)


def _compounds(ids: Tensor) -> Tensor:
    return torch.arange(len(ids), device=ids.device).unsqueeze(1).expand(ids.shape)


def _bars(ids: Tensor) -> Tensor:
    """Numbers of (bar, program, field); a row that is no note is one unit."""
    fields = torch.arange(len(FIELDS), device=ids.device)
    track = ids[:, _BAR] * len(TOKENS) + ids[:, _PROGRAM]
    units = track.unsqueeze(1) * len(FIELDS) + fields
    rows = len(TOKENS) ** 2 * len(FIELDS) + torch.arange(len(ids), device=ids.device)
    special = ids[:, _BAR] < _FIRST
    return torch.where(special.unsqueeze(1), rows.unsqueeze(1), units)


_UNITS: dict[str, Callable[[Tensor], Tensor]] = {
    "bar": _bars,
    "compound": _compounds,
    "element": _elements,
}

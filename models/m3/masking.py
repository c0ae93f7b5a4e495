"""M3's pre-training: some patches of a piece are hidden, and their characters are restored."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from musiczoo.models.base.objective import Batch, ObjectiveResult
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.m3_patches import EOS, MASK, PAD


class MaskedPatches:
    """The loss of M3 (Wu et al. 2024, arXiv 2410.13267, and its published code).

    It counts characters of the selected patches. Of each piece 45 % of the patches are selected,
    rounded up. With probability 0.8 all of them are replaced by the mask patch, with 0.1 the
    characters inside each are shuffled, with 0.1 they stay; in validation they stay always
    (published code).

    Args:
        ratio: Part of the patches that is selected.
        masked: Probability of the mask.
        shuffled: Probability of shuffled characters.
    """

    unit = "character"

    def __init__(self, ratio: float = 0.45, masked: float = 0.8, shuffled: float = 0.1) -> None:
        if not 0 < ratio <= 1 or min(masked, shuffled) < 0 or masked + shuffled > 1:
            raise MusicZooError(
                f"MaskedPatches(ratio={ratio}, masked={masked}, shuffled={shuffled}) has no"
                " meaning.",
                remedy="Parts and probabilities.",
            )
        self.ratio = ratio
        self.masked = masked
        self.shuffled = shuffled

    def __call__(self, module: Any, batch: Batch) -> ObjectiveResult:
        """The summed negative log-likelihood of the selected patches' characters, and their count.

        Args:
            module: With the ``net``, a :class:`musiczoo.models.m3.net.M3Net`.
            batch: ``patches`` and ``lengths``, as the representation collates.
        """
        patches, lengths = batch["patches"], batch["lengths"]
        # Validation selects the same patches each time.
        generator = None if module.net.training else torch.Generator(patches.device).manual_seed(0)
        selected = select(lengths, patches.shape[1], self.ratio, generator)
        corrupted = corrupt(patches, selected, self._way) if module.net.training else patches
        values, mask = module.net(patches, lengths, corrupted, selected)
        return ObjectiveResult(total=-values.sum(), count=mask.sum())

    def _way(self) -> str:
        drawn = float(torch.rand(()))
        return (
            "mask"
            if drawn < self.masked
            else "shuffle"
            if drawn < self.masked + self.shuffled
            else "keep"
        )


def select(
    lengths: Tensor, longest: int, ratio: float, generator: torch.Generator | None = None
) -> Tensor:
    """Chooses patches of each piece, without replacement.

    Args:
        lengths: (batch,) patches of each piece.
        longest: Padded length.
        ratio: Part of the patches, rounded up.
        generator: Source of chance; torch's own when None.

    Returns:
        (batch, longest) bool.
    """
    noise = torch.rand(len(lengths), longest, generator=generator, device=lengths.device)
    noise = noise.masked_fill(
        torch.arange(longest, device=lengths.device) >= lengths.unsqueeze(1), 2.0
    )
    wanted = torch.ceil(ratio * lengths.double()).long()
    return noise.argsort(dim=1).argsort(dim=1) < wanted.unsqueeze(1)


def corrupt(patches: Tensor, selected: Tensor, way: Callable[[], str]) -> Tensor:
    """The input of the encoder: the selected patches masked, shuffled, or as they are.

    Args:
        patches: (batch, longest, patch_size).
        selected: (batch, longest) bool.
        way: Draws ``"mask"``, ``"shuffle"`` or ``"keep"``, once a piece.
    """
    corrupted = patches.clone()
    for index in range(len(patches)):
        drawn = way()
        if drawn == "mask":
            corrupted[index, selected[index]] = MASK
        elif drawn == "shuffle":
            corrupted[index, selected[index]] = shuffled(patches[index, selected[index]])
    return corrupted


def shuffled(patches: Tensor) -> Tensor:
    """The characters of each patch in random order.

    The begin mark, the end mark and the padding stay where they are.
    """
    keys = torch.rand(patches.shape, device=patches.device)
    # Sorting is stable, so that all of one kind keep their order.
    keys = keys.masked_fill(patches == EOS, 2.0).masked_fill(patches == PAD, 3.0)
    # The first place keeps its own character: its key is below all others.
    keys[:, 0] = -1.0
    return patches.gather(1, keys.argsort(dim=1, stable=True))

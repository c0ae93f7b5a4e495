"""Average CLaMP score: likeness to real works of a prompt, in the features of an encoder.

Wang et al. 2025 (NotaGen, arXiv 2502.18008) measure it with CLaMP 2 (Wu et al. 2024, arXiv
2410.13267), and choose with it what their model learns from. It is a cosine with a centre: it does
not measure variety, and a model that was trained on it should be judged by another encoder as well.
"""

from __future__ import annotations

import difflib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torchmetrics import Metric

from musiczoo.metrics.features import same_dimensions, usable_features, usable_references
from musiczoo.music.errors import MusicZooError


def clamp_scores(features: Tensor, reference_features: Tensor) -> Tensor:
    """Cosine of each piece's features with the mean features of reference pieces.

    The mean is that of the features as the encoder gives them, not normalised to one length first,
    as the authors of NotaGen compute it.

    Args:
        features: (pieces, dimensions).
        reference_features: (references, dimensions), one at least.

    Returns:
        (pieces,) float64, -1 to 1; NaN where a piece has no features (NaN or infinite ones) or no
        direction (zeros throughout).

    Raises:
        MusicZooError: No reference that can be used, or features of another encoder.

    Example:
        >>> real = torch.tensor([[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
        >>> clamp_scores(torch.tensor([[1.0, 2.0, 2.0]]), real)
        tensor([0.7071], dtype=torch.float64)
    """
    references = usable_references(reference_features)
    same_dimensions(features, references)
    return _cosines(features.detach().double(), references.mean(dim=0, keepdim=True))


def leave_one_out_scores(features: Tensor) -> Tensor:
    """Cosine of each piece's features with the mean of all the others'.

    Real pieces are measured against themselves by it.

    Args:
        features: (pieces, dimensions).

    Returns:
        (pieces,) float64; NaN for a piece without features, and for all when fewer than two have
        some.

    Example:
        >>> leave_one_out_scores(torch.tensor([[1.0, 0.0], [2.0, 0.0], [0.0, 1.0]]))
        tensor([0.8944, 0.7071, 0.0000], dtype=torch.float64)
    """
    rows, usable = usable_features(features)
    scores = torch.full((len(features),), torch.nan, dtype=torch.float64, device=features.device)
    if len(rows) > 1:
        scores[usable] = _cosines(rows, (rows.sum(dim=0) - rows) / (len(rows) - 1))
    return scores


def _cosines(features: Tensor, centres: Tensor) -> Tensor:
    """(rows,), row by row; NaN instead of torch's 0 where a row has no direction."""
    lengths = features.norm(dim=1) * centres.norm(dim=1)
    cosines = functional.cosine_similarity(features, centres, dim=1)
    return torch.where(lengths > 0, cosines, torch.nan)


class ClampScore(Metric):
    """Average CLaMP score of generated pieces, each compared with real works of its own prompt.

    ``compute()`` gives ``average``, the mean over prompts of the mean over a prompt's pieces, which
    is what NotaGen reports; and ``pooled``, the mean over all pieces. They differ when prompts have
    different numbers of pieces. Pieces without features are left out and counted in ``skipped``.

    Args:
        references: For each prompt the features of its real works, (works, dimensions); or one such
            tensor, for pieces without prompts.
        settings: Of :class:`torchmetrics.Metric`.

    Raises:
        MusicZooError: A prompt without a usable reference, or features of several encoders.

    Example:
        >>> reels, jigs = torch.tensor([[1.0, 0.0], [0.0, 1.0]]), torch.tensor([[0.0, 1.0]])
        >>> metric = ClampScore({"reel": reels, "jig": jigs})
        >>> pieces = torch.tensor([[1.0, 1.0], [2.0, 2.0], [1.0, 0.0]])
        >>> metric.update(pieces, ["reel", "reel", "jig"])
        >>> {name: round(value.item(), 4) for name, value in metric.compute().items()}
        {'average': 0.5, 'pooled': 0.6667}
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    centres: Tensor
    sums: Tensor
    counts: Tensor
    skipped: Tensor

    def __init__(self, references: Tensor | Mapping[Any, Tensor], **settings: Any) -> None:
        super().__init__(**settings)
        by_prompt: Mapping[Any, Tensor] = (
            {None: references} if isinstance(references, Tensor) else references
        )
        if not by_prompt:
            raise MusicZooError(
                "There is no reference to compare with.",
                where="references",
                remedy="Give the features of real pieces.",
            )
        self.prompts: dict[Hashable, int] = {
            prompt: place for place, prompt in enumerate(by_prompt)
        }
        centres: list[Tensor] = []
        for prompt, features in by_prompt.items():
            rows = usable_features(features)[0]
            if not len(rows):
                raise MusicZooError(
                    "The prompt has no reference to compare with.",
                    where=str(prompt),
                    remedy="Leave it out, or add works.",
                )
            if centres:
                same_dimensions(rows, centres[0].unsqueeze(0))
            centres.append(rows.mean(dim=0))
        self.register_buffer("centres", torch.stack(centres), persistent=False)
        self.add_state("sums", torch.zeros(len(centres), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state(
            "counts", torch.zeros(len(centres), dtype=torch.float64), dist_reduce_fx="sum"
        )
        self.add_state("skipped", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, features: Tensor, prompts: Sequence[Hashable] | None = None) -> None:
        """Adds pieces.

        Args:
            features: (pieces, dimensions).
            prompts: The prompt of each piece; None where the references are one tensor.

        Raises:
            MusicZooError: A prompt without references, another number of prompts than pieces, or
                features of another encoder.
        """
        same_dimensions(features, self.centres)
        asked = [None] * len(features) if prompts is None else list(prompts)
        if len(asked) != len(features):
            raise MusicZooError(
                f"{len(features)} pieces with {len(asked)} prompts.",
                where="prompts",
                remedy="Give one for each piece.",
            )
        if unknown := [prompt for prompt in asked if prompt not in self.prompts]:
            known = {str(prompt): prompt for prompt in self.prompts}
            near = difflib.get_close_matches(str(unknown[0]), known, n=2) or list(known)[:2]
            raise MusicZooError(
                f"The prompt {unknown[0]!s} has no references.",
                where="prompts",
                remedy=f"There are {', '.join(near)} ...",
            )
        places = torch.tensor(
            [self.prompts[prompt] for prompt in asked], dtype=torch.long, device=self.centres.device
        )
        # (pieces,)
        scores = _cosines(features.detach().to(self.centres), self.centres[places])
        usable = scores.isfinite()
        self.sums += torch.zeros_like(self.sums).index_add_(0, places[usable], scores[usable])
        self.counts += torch.zeros_like(self.counts).index_add_(
            0, places[usable], torch.ones_like(scores[usable])
        )
        self.skipped += int((~usable).sum())

    def compute(self) -> dict[str, Tensor]:
        """Scalars ``average`` and ``pooled``; NaN before the first piece.

        Prompts without pieces do not count.
        """
        means = self.sums / self.counts
        self._by_prompt = {
            prompt: float(means[place])
            for prompt, place in self.prompts.items()
            if self.counts[place] > 0
        }
        return {
            "average": means[self.counts > 0].mean(),
            "pooled": self.sums.sum() / self.counts.sum(),
        }

    def by_prompt(self) -> dict[Hashable, float]:
        """The mean score of each prompt that has pieces, of all processes like :meth:`compute`."""
        self.compute()
        return self._by_prompt

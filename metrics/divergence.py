"""Divergence of a tuned model from its reference, on completions that the model generated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from musiczoo.models.base.capabilities import Distributes
from musiczoo.models.base.evaluation import evaluating
from musiczoo.models.base.generative import Generated, GenerativeModule
from musiczoo.music.errors import MusicZooError

Estimator = Literal["exact", "k3"]


def divergence(
    model: GenerativeModule,
    reference: GenerativeModule,
    results: Sequence[Generated],
    temperature: float = 1.0,
    *,
    batch_size: int = 16,
) -> tuple[Tensor, Estimator]:
    """KL(model || reference) of each completion, the mean over its sampled tokens in nats.

    With ``"exact"`` the divergence of the two distributions is summed over the whole vocabulary at
    each token, so that only the contexts are a sample. Both models must give the probabilities of
    all choices for that (:class:`musiczoo.models.base.Distributes`). Otherwise it is Schulman's
    estimate "k3" from the probabilities of the sampled tokens (``exp(r) - r - 1`` with ``r`` the
    log-ratio of reference and model), which GRPO uses: without bias, never negative, but noisier.

    Args:
        model: Generated the completions; it and the reference are left as they were.
        reference: Of the same representation.
        results: Of ``model.generate``.
        temperature: At which they were sampled; divides the logits of both. At 0 both are taken at
            1.
        batch_size: Completions at once.

    Returns:
        (n,) float64, NaN for completions that are longer than the context or have no sampled token;
        and the estimator.

    Raises:
        MusicZooError: The two do not share a representation.

    Example:
        >>> from musiczoo.models.bar_stream import BarStreamModule
        >>> model = BarStreamModule(patch_layers=1, char_layers=1, hidden=16, heads=2)
        >>> divergence(model, model, [])[0].shape
        torch.Size([0])
    """
    if model.representation.to_config() != reference.representation.to_config():
        raise MusicZooError(
            "Model and reference do not have the same tokens.",
            where="reference",
            remedy="Compare models of one kind.",
        )
    temperature = temperature or 1.0
    estimator: Estimator = "exact" if _distribute(model, reference) else "k3"
    found = torch.full((len(results),), torch.nan, dtype=torch.float64)
    items = _items(model, results)
    for first in range(0, len(items), batch_size):
        some = items[first : first + batch_size]
        batch = model.representation.collate([tokens for _, tokens, _ in some])
        with evaluating(model, keep_rng=True), evaluating(reference, keep_rng=True):
            apart = (
                _exact(model, reference, batch, temperature)
                if estimator == "exact"
                else _k3(model, reference, batch, temperature)
            )
        for (index, _, sampled), row in zip(some, apart, strict=True):
            found[index] = row[: len(sampled)][sampled].mean()
    return found, estimator


def _items(
    model: GenerativeModule, results: Sequence[Generated]
) -> list[tuple[int, Tensor, Tensor]]:
    """Index, tokens and mask of sampled targets of each result that fits the context."""
    items: list[tuple[int, Tensor, Tensor]] = []
    for index, result in enumerate(results):
        try:
            tokens, sampled = model.rollout_item(result)
        except MusicZooError:
            continue  # it is longer than the context
        if bool(sampled.any()):
            items.append((index, tokens, sampled))
    # Similar lengths make one batch, because a batch is as long as its longest item.
    return sorted(items, key=lambda item: len(item[1]))


def _distribute(*models: GenerativeModule) -> bool:
    return all(isinstance(model, Distributes) for model in models)


def _exact(
    model: GenerativeModule,
    reference: GenerativeModule,
    batch: Mapping[str, Tensor],
    temperature: float,
) -> Tensor:
    """(batch, targets) float64."""
    mine, its = (_log_distribution(module, batch, temperature) for module in (model, reference))
    return (mine.exp() * (mine - its)).sum(dim=-1)


def _log_distribution(module: Any, batch: Mapping[str, Tensor], temperature: float) -> Tensor:
    """(batch, targets, choices) float64, on the processor."""
    found: Tensor = module.log_distribution(_on_its_device(module, batch), temperature)
    # Normalised again in double: single precision leaves an error that is the same for all choices.
    return found.cpu().double().log_softmax(dim=-1)


def _k3(
    model: GenerativeModule,
    reference: GenerativeModule,
    batch: Mapping[str, Tensor],
    temperature: float,
) -> Tensor:
    """(batch, targets) float64."""
    mine, its = (
        module.log_probs(_on_its_device(module, batch), temperature).values.double().cpu()
        for module in (model, reference)
    )
    return torch.expm1(its - mine) - (its - mine)


def _on_its_device(module: GenerativeModule, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    device = next(module.parameters()).device
    return {name: values.to(device) for name, values in batch.items()}

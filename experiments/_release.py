"""From a training run to a shipped checkpoint: what the release programs share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning

from musiczoo.hub.card import Card, Figure, Source
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.music.corpora import BUILT_IN


def last_fit(model: Any) -> dict[str, Any]:
    """The provenance of the model's last fit: corpus, split and settings of its datamodule."""
    fit: dict[str, Any] = model.provenance["training"][-1]
    return fit


def release(
    model: lightning.LightningModule,
    folder: Path,
    figures: Iterable[Figure],
    *,
    summary: str,
    origin: str,
    intended_use: str,
    limits: str,
    load_name: str | None = None,
) -> None:
    """Saves a checkpoint folder in bfloat16, with a model card under the MIT licence.

    Args:
        model: The trained model.
        folder: Is replaced; its name is the title of the card.
        figures: The measured figures; those that are not finite are left out.
        summary: One line.
        origin: Recipe and architecture.
        intended_use: What the model is for.
        limits: What it cannot do.
        load_name: The name under which ``musiczoo.load`` opens it; the folder's when None.
    """
    card = Card(
        title=folder.name,
        summary=summary,
        load_name=folder.name if load_name is None else load_name,
        licence="mit",
        origin=origin,
        data=sources(last_fit(model)["corpus"]),
        figures=tuple(rounded(figures)),
        intended_use=intended_use,
        limits=limits,
    )
    save_checkpoint(model, folder, card=card, dtype="bfloat16", overwrite=True)


def sources(corpora: Sequence[str]) -> tuple[Source, ...]:
    """The built-in corpora with their licences, for a card."""
    return tuple(Source(name, BUILT_IN[name].licence) for name in corpora)


def rounded(figures: Iterable[Figure]) -> list[Figure]:
    """The finite figures, with four digits behind the point."""
    return [
        replace(figure, value=round(figure.value, 4))
        for figure in figures
        if math.isfinite(figure.value)
    ]


def validated(model: lightning.LightningModule, data: Any, metric: str) -> float:
    """A metric that ``Trainer.validate`` logs, on a processor.

    Args:
        model: The model.
        data: A datamodule or a loader.
        metric: Its name in the log.
    """
    trainer = lightning.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False
    )
    [logged] = trainer.validate(model, data, verbose=False)
    return float(logged[metric])

"""Publishes the model of a fit on the Hugging Face Hub."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import lightning
from lightning.pytorch.callbacks import Callback

from musiczoo.callbacks.run_folder import folder_of_run
from musiczoo.hub.card import Card
from musiczoo.hub.card_fields import check_licence
from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.hub.publishing import Published, publish
from musiczoo.music.errors import MusicZooError

_log = logging.getLogger(__name__)


class PublishToHub(Callback):
    """Publishes the model when a fit ends, or whenever validation finds it better than before.

    The checkpoint folder is written to the disk first. If the Hub cannot be reached, or refuses,
    the folder stays, its place is logged, and the fit ends as it would have ended: its result is
    never lost to the network. What validation measured is put on the card with the step it was
    measured at. Only the first process publishes.

    Args:
        repository: ``"org/name"``.
        licence: Of the weights, by the Hub's identifier, see
            :func:`musiczoo.hub.publishing.publish`.
        licence_name: Of a licence that is ``"other"``.
        licence_link: To its text.
        when: ``"end"`` of the fit, or at each ``"best"`` validation (then the end of the fit
            publishes only if nothing else did).
        monitor: The metric that ``"best"`` compares.
        mode: Whether the smallest (``"min"``) or the largest is the best.
        folder: Where the checkpoint folder is written; ``published`` in the run's folder when None.
        card: What else the model card states.
        dtype: ``"float32"`` or ``"bfloat16"``.
        private: Make the repository private if it does not exist yet.
        revision: Branch.

    Attributes:
        published: What has been published, in order.

    Raises:
        MusicZooError: A wrong licence: before the training, not after.

    Example:
        >>> PublishToHub("me/my-model", "mit", when="best").monitor
        'val/loss'
    """

    def __init__(
        self,
        repository: str,
        licence: str,
        *,
        licence_name: str = "",
        licence_link: str = "",
        when: Literal["end", "best"] = "end",
        monitor: str = "val/loss",
        mode: Literal["min", "max"] = "min",
        folder: str | Path | None = None,
        card: Card | None = None,
        dtype: str = "float32",
        private: bool = False,
        revision: str | None = None,
    ) -> None:
        super().__init__()
        check_licence(licence, licence_name, licence_link)
        if when not in ("end", "best") or mode not in ("min", "max"):
            raise MusicZooError(
                f"PublishToHub(when={when!r}, mode={mode!r}) has no meaning.",
                remedy="end or best; min or max.",
            )
        self.repository = repository
        self.licence: dict[str, Any] = {
            "licence": licence,
            "licence_name": licence_name,
            "licence_link": licence_link,
        }
        self.when = when
        self.monitor = monitor
        self.mode = mode
        self.folder = None if folder is None else Path(folder)
        self.card = card or Card()
        self.dtype = dtype
        self.private = private
        self.revision = revision
        self.published: list[Published] = []
        self._best = math.inf

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Publishes a model that is better than all before it."""
        if self.when != "best" or trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if self.monitor not in trainer.callback_metrics:
            known = ", ".join(sorted(trainer.callback_metrics))
            raise MusicZooError(
                f"There is no metric {self.monitor!r}.",
                where="PublishToHub(monitor=...)",
                remedy=f"There are {known}.",
            )
        value = float(trainer.callback_metrics[self.monitor]) * (1 if self.mode == "min" else -1)
        if value < self._best:
            self._best = value
            self._publish(trainer, pl_module)

    def on_fit_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:
        """Publishes the result."""
        if self.when == "end" or math.isinf(self._best):
            self._publish(trainer, pl_module)

    def state_dict(self) -> dict[str, Any]:
        """The best value so far, so that a resumed fit does not publish a worse model."""
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` kept."""
        self._best = float(state_dict["best"])

    def _publish(self, trainer: lightning.Trainer, module: Any) -> None:
        run = folder_of_run(trainer)
        if not trainer.is_global_zero:
            return
        folder = self.folder or run / "published"
        figures = _figures(trainer.callback_metrics, trainer.global_step)
        message = f"Step {trainer.global_step:,}"
        try:
            save_checkpoint(
                module,
                folder,
                card=self.card.with_figures(figures),
                dtype=self.dtype,
                overwrite=True,
            )
        except MusicZooError as error:
            _log.error("The model is not published, and its folder is not written: %s", error)
            return
        try:
            done = publish(
                folder,
                self.repository,
                **self.licence,
                private=self.private,
                revision=self.revision,
                message=message,
            )
        except MusicZooError as error:
            _log.error(
                "The model is not published: %s It is in %s; publish it with: musiczoo publish %s"
                " %s --licence %s",
                error,
                folder,
                folder,
                self.repository,
                self.licence["licence"],
            )
            return
        self.published.append(done)
        _log.info("Published as %s (%s).", done.load_name, done.url)


def _figures(metrics: Mapping[str, Any], step: int) -> dict[str, Any]:
    """What validation measured, for the card."""
    measured = {
        name.removeprefix("val/").replace("_", " "): float(value)
        for name, value in metrics.items()
        if name.startswith("val/")
    }
    return {
        name: {"value": value, "data": "validation works", "how": f"after {step:,} steps"}
        for name, value in measured.items()
        if math.isfinite(value)
    }

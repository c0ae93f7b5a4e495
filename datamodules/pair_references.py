"""The reference policy of preference pairs: the fitted module, or that of a resumed run."""

from __future__ import annotations

import contextlib
import logging
from typing import Any

import torch
from lightning.pytorch.strategies import FSDPStrategy, ModelParallelStrategy

from musiczoo.datamodules.pairs import Collate
from musiczoo.datamodules.references import ReferenceFiles
from musiczoo.music.errors import MusicZooError

_log = logging.getLogger(__name__)


class PairReferences:
    """Log-probabilities of encoded pieces under the reference policy of a fit.

    Attributes:
        fingerprint: Of the reference; None until one is known.
    """

    def __init__(self) -> None:
        self.fingerprint: str | None = None
        self._known: dict[str, float] | None = None
        self._resumed: str | None = None

    def reset(self) -> None:
        """Begin a new fit, which has a new reference."""
        self.fingerprint = self._known = self._resumed = None

    def resume(self, fingerprint: str | None) -> None:
        """Continue a run that was trained with this reference, and never compute another one."""
        self._resumed = fingerprint
        self._known = None

    def use(
        self,
        module: torch.nn.Module,
        files: ReferenceFiles,
        collate: Collate,
        trainer: Any,
        *,
        batch_size: int,
        progress: bool,
    ) -> None:
        """Make a module, as it is now, the reference.

        Args:
            module: A module with ``log_probs``.
            files: Keep the log-probabilities.
            collate: The representation's.
            trainer: Gives precision and strategy; None outside a trainer.
            batch_size: Pieces at once.
            progress: Show a progress bar.

        Raises:
            MusicZooError: The log-probabilities cannot be kept.
        """
        plugin = trainer.precision_plugin if trainer else None
        strategy = trainer.strategy if trainer else None
        with plugin.forward_context() if plugin else contextlib.nullcontext():
            self.fingerprint, self._known = files.of_module(
                module,
                collate,
                batch_size=batch_size,
                precision=str(plugin.precision) if plugin else "32-true",
                is_whole=not isinstance(strategy, FSDPStrategy | ModelParallelStrategy),
                progress=progress,
            )

    def known(self, files: ReferenceFiles) -> dict[str, float] | None:
        """The log-probabilities by piece; None where the reference is still to be chosen.

        Raises:
            MusicZooError: Those of a resumed run are gone, damaged or of other pieces.
        """
        if self._known is None and self._resumed is not None:
            self._known = files.of_run(self._resumed)
            self.fingerprint = self._resumed
        return self._known


def fitted_module(trainer: Any) -> torch.nn.Module:
    """The module that a trainer fits, which is the reference where no other was chosen.

    Raises:
        MusicZooError: There is no trainer.
    """
    module: torch.nn.Module | None = trainer.lightning_module if trainer else None
    if module is None:
        raise MusicZooError(
            "It is not known which module is the reference.",
            where="reference",
            remedy="Call use_reference(module) first.",
        )
    if trainer.state.fn != "fit":
        _log.warning("No fit has been seen: the module is compared with itself.")
    return module

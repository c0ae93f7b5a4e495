"""Pieces that a model generates while it trains, to read and to listen to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.seed import isolate_rng

from musiczoo.callbacks.run_folder import folder_of_run
from musiczoo.models.base.capabilities import TakesLabels
from musiczoo.models.base.evaluation import evaluating
from musiczoo.models.base.generative import Generated, GenerativeModule
from musiczoo.models.sampling import Sampling
from musiczoo.music import find_soundfont, piano_roll_picture, write
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError

_log = logging.getLogger(__name__)


class Preview(lightning.Callback):
    """Writes a few pieces at validation into ``previews/step-000123/`` of the run's folder.

    Each is engraved, and written as piano roll, ABC, MIDI and sound. The prompts and the random
    numbers are the same each time, so that previews of one run show the training and nothing else.
    Training is what it would be without: the module's mode and every random state are restored. A
    piece that cannot be read, engraved or written is logged and never ends a fit.

    Args:
        prompts: What to continue, as ``generate`` of the module takes it; None stands for the most
            frequent labels of the module, or an empty prompt where it knows no labels.
        every_n_validations: Every how many validations.
        count: Pieces for each prompt.
        max_length: Longest piece, in the units of the module's ``generate``; None leaves it to the
            module.
        sampling: How tokens are drawn; None leaves it to the module.
        seed: Of the random numbers.
        audio: Write sound when there is a soundfont.
        folder: Where to write; None takes the logger's folder, or the trainer's.
        options: Further options of the module's ``generate``, such as ``{"guard":
            BarDurations()}``.

    Raises:
        MusicZooError: A number below 1, or ``MUSICZOO_SOUNDFONT`` names no file.

    Example:
        >>> Preview(prompts=["M:6/8"], count=2, every_n_validations=5, audio=False).count
        2
    """

    def __init__(
        self,
        prompts: Sequence[Any] | None = None,
        *,
        every_n_validations: int = 1,
        count: int = 1,
        max_length: int | None = None,
        sampling: Sampling | None = None,
        seed: int = 0,
        audio: bool = True,
        folder: str | Path | None = None,
        options: dict[str, Any] | None = None,
    ) -> None:
        if every_n_validations < 1 or count < 1:
            raise MusicZooError("A preview needs every_n_validations and count of at least 1.")
        self.prompts = None if prompts is None else tuple(prompts)
        self.every_n_validations = every_n_validations
        self.count = count
        self.max_length = max_length
        self.sampling = sampling
        self.seed = seed
        self.audio = audio and find_soundfont() is not None
        self.folder = folder
        self.options = dict(options or {})
        self._validations = 0

    @property
    def state_key(self) -> str:
        """One key for each use of the callback, so that a checkpoint can hold several."""
        return self._generate_state_key(
            every_n_validations=self.every_n_validations, seed=self.seed, folder=str(self.folder)
        )

    def state_dict(self) -> dict[str, Any]:
        """How many validations there were, so that a resumed run keeps the rhythm."""
        return {"validations": self._validations}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restores what :meth:`state_dict` gave."""
        self._validations = int(state_dict["validations"])

    def on_validation_end(
        self, trainer: lightning.Trainer, pl_module: lightning.LightningModule
    ) -> None:
        """Writes a preview if it is due; not in the check before the first epoch."""
        if trainer.sanity_checking or not isinstance(pl_module, GenerativeModule):
            return
        self._validations += 1
        if self._validations % self.every_n_validations:
            return
        root = folder_of_run(trainer, self.folder)
        if trainer.is_global_zero:
            self._write(trainer, pl_module, root / "previews" / f"step-{trainer.global_step:06d}")

    def _write(self, trainer: lightning.Trainer, module: GenerativeModule, folder: Path) -> None:
        results: list[Generated] = []

        def generate() -> None:
            folder.mkdir(parents=True, exist_ok=True)
            results.extend(self._generate(module))

        _tried(generate, f"the preview {folder}")
        for number, result in enumerate(results, 1):
            for name, picture in self._files(result, folder / f"{number}").items():
                for logger in trainer.loggers:
                    _tried(
                        partial(
                            _show, logger, f"preview/{number}/{name}", picture, trainer.global_step
                        ),
                        f"a picture in {logger.name}",
                    )

    def _generate(self, module: GenerativeModule) -> list[Generated]:
        if self.prompts is not None:
            prompts = list(self.prompts)
        else:
            # The most frequent labels; the order among equals is that of the module.
            known = module.prompts if isinstance(module, TakesLabels) else ()
            prompts = [*sorted(known, key=lambda prompt: -prompt.count)[:1]] or [""]
        with isolate_rng(), evaluating(module):
            return module.generate(
                [prompt for prompt in prompts for _ in range(self.count)],
                self.sampling,
                self.max_length,
                torch.Generator().manual_seed(self.seed),
                **self.options,
            )

    def _files(self, result: Generated, base: Path) -> dict[str, Path]:
        """Writes one piece in all forms and returns the pictures."""
        if result.piece is None:
            _log.warning("Preview %s is no readable piece: %s", base, result.error)
            _tried(
                partial(write_atomically, base.with_suffix(".txt"), result.text.encode()),
                f"{base}.txt",
            )
            return {}
        for suffix in (".abc", ".mid", *([".wav"] if self.audio else [])):
            _tried(partial(write, result.piece, base.with_suffix(suffix)), f"{base}{suffix}")
        score, roll = base.with_suffix(".png"), base.with_name(f"{base.name}-roll.png")
        pictures = {}
        if _tried(partial(write, result.piece, score), str(score)):
            pictures["score"] = score
        if _tried(partial(piano_roll_picture, result.piece, roll), str(roll)):
            pictures["roll"] = roll
        return pictures


def _tried(act: Callable[[], object], what: str) -> bool:
    """Does something that a fit must survive; an error is logged."""
    try:
        act()
    except (MusicZooError, OSError) as error:
        _log.warning("Preview: %s failed: %s", what, error)
        return False
    except Exception as error:
        # Engravers, plotters and loggers of any kind may raise anything, and hours of training
        # would end with it.
        _log.warning("Preview: %s failed: %r", what, error, exc_info=True)
        return False
    return True


def _show(logger: Any, tag: str, picture: Path, step: int) -> None:
    """Sends a picture to a logger with ``log_image`` (Weights & Biases) or ``add_image``.

    The latter is TensorBoard's.
    """
    if hasattr(logger, "log_image"):
        logger.log_image(tag, [str(picture)], step=step)
    elif hasattr(logger.experiment, "add_image"):
        from matplotlib.image import imread

        logger.experiment.add_image(
            tag, np.asarray(imread(picture) * 255).astype(np.uint8), step, dataformats="HWC"
        )

"""One fit on a processor that survives being killed: it continues from its last checkpoint."""

from __future__ import annotations

from pathlib import Path

import lightning
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger


def fit_in_folder(
    model: lightning.LightningModule,
    folder: Path,
    callback: lightning.Callback,
    *,
    data: lightning.LightningDataModule | None = None,
    checkpoint_every: int,
    log_every: int,
) -> None:
    """Fits a model; a fit that was killed continues when it is called again.

    Args:
        model: What is trained.
        folder: Keeps the log (``metrics.csv``) and ``checkpoints/last.ckpt``.
        callback: What makes the data of the steps, and ends the fit.
        data: The datamodule; None where the callback brings the data.
        checkpoint_every: Steps between checkpoints.
        log_every: Steps between rows of the log.
    """
    last = folder / "checkpoints" / "last.ckpt"
    checkpoint = ModelCheckpoint(
        folder / "checkpoints",
        save_last=True,
        save_top_k=0,
        every_n_train_steps=checkpoint_every,
        enable_version_counter=False,
    )
    trainer = lightning.Trainer(
        accelerator="cpu",
        gradient_clip_val=1.0,  # NotaGen's and SMART's published code
        logger=CSVLogger(folder, name=None, version=""),
        log_every_n_steps=log_every,
        callbacks=[callback, checkpoint],
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    ckpt_path = last if last.is_file() else None
    trainer.fit(model, datamodule=data, ckpt_path=ckpt_path, weights_only=True)

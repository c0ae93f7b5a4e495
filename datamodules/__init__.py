"""LightningDataModules: pieces cleaned, split, transposed and batched, whatever the number of workers and wherever a run is resumed."""

from musiczoo.datamodules.scores import ScoreDataModule

__all__ = ["ScoreDataModule"]

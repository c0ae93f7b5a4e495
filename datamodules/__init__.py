"""LightningDataModules: they clean, split, transpose and batch pieces, in an order that does not depend on workers or on where a run was resumed."""

from musiczoo.datamodules.scores import ScoreDataModule

__all__ = ["ScoreDataModule"]

"""LightningDataModules: pieces cleaned, split, transposed and batched, whatever the number of workers and wherever a run is resumed."""

from musiczoo.datamodules.degraded_passages import DegradedTakesDataModule
from musiczoo.datamodules.midi import MidiDataModule
from musiczoo.datamodules.preference import PreferenceDataModule
from musiczoo.datamodules.preference_pairs import PreferencePair
from musiczoo.datamodules.scores import ScoreDataModule

__all__ = [
    "DegradedTakesDataModule",
    "MidiDataModule",
    "PreferenceDataModule",
    "PreferencePair",
    "ScoreDataModule",
]

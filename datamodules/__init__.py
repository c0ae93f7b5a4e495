"""LightningDataModules: pieces cleaned, split, transposed and batched.

Batches do not depend on the number of workers, nor on where a run was stopped and resumed.
"""

from musiczoo.datamodules.degraded_passages import (
    DegradedPassagesDataModule,
    DegradedTakesDataModule,
)
from musiczoo.datamodules.labelled import LabelledMidiDataModule
from musiczoo.datamodules.midi import MidiDataModule
from musiczoo.datamodules.music_qa import MusicQADataModule
from musiczoo.datamodules.phrase_pairs import PhrasePairsDataModule
from musiczoo.datamodules.preference import PreferenceDataModule
from musiczoo.datamodules.preference_pairs import PreferencePair
from musiczoo.datamodules.scores import ScoreDataModule
from musiczoo.datamodules.texts import TextDataModule

__all__ = [
    "DegradedPassagesDataModule",
    "DegradedTakesDataModule",
    "LabelledMidiDataModule",
    "MidiDataModule",
    "MusicQADataModule",
    "PhrasePairsDataModule",
    "PreferenceDataModule",
    "PreferencePair",
    "ScoreDataModule",
    "TextDataModule",
]

__path__.append("musiczoo.moved")  # finds modules by the paths that they had

"""MelAesthetics: a small audio scorer on log-mel spectrograms, real pieces above degraded ones."""

from musiczoo.models.mel_aesthetics.config import MelAestheticsConfig
from musiczoo.models.mel_aesthetics.module import MelAestheticsModule
from musiczoo.models.mel_aesthetics.net import MelAestheticsNet
from musiczoo.models.mel_aesthetics.ranking import GradedRanking

__all__ = ["GradedRanking", "MelAestheticsConfig", "MelAestheticsModule", "MelAestheticsNet"]

"""MelAesthetics: a small ear that tells rendered real pieces from rendered degraded ones by their log-mel spectrograms."""

from musiczoo.models.mel_aesthetics.module import MelAestheticsModule
from musiczoo.models.mel_aesthetics.net import MelAestheticsConfig, MelAestheticsNet
from musiczoo.models.mel_aesthetics.ranking import GradedRanking

__all__ = ["GradedRanking", "MelAestheticsConfig", "MelAestheticsModule", "MelAestheticsNet"]

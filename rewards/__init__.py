"""Rewards: a number for each generated piece, for preference learning.

A piece that cannot be scored gets NaN and a reason.
"""

from musiczoo.rewards.audio import AudioReward
from musiczoo.rewards.audiobox import AudioboxAesthetics
from musiczoo.rewards.base import (
    FunctionReward,
    Reward,
    Scores,
    ScoresError,
    as_reward,
    checked_scores,
)
from musiczoo.rewards.features import SymbolicFeatures
from musiczoo.rewards.mel_aesthetics import MelAesthetics
from musiczoo.rewards.mixture import Mixture
from musiczoo.rewards.similarity import CorpusSimilarity

__all__ = [
    "AudioReward",
    "AudioboxAesthetics",
    "CorpusSimilarity",
    "FunctionReward",
    "MelAesthetics",
    "Mixture",
    "Reward",
    "Scores",
    "ScoresError",
    "SymbolicFeatures",
    "as_reward",
    "checked_scores",
]

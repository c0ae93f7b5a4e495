"""Rewards: a number for each generated piece, for preference learning; a piece that cannot be scored gets NaN and a reason."""

from musiczoo.rewards.base import FunctionReward, Reward, Scores, ScoresError, as_reward, checked_scores
from musiczoo.rewards.similarity import CorpusSimilarity

__all__ = ["CorpusSimilarity", "FunctionReward", "Reward", "Scores", "ScoresError", "as_reward", "checked_scores"]

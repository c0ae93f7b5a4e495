"""MusicBERT with a classification head (Zeng et al. 2021, arXiv 2106.05630)."""

from musiczoo.models.musicbert_classifier.config import MusicBertClassifierConfig
from musiczoo.models.musicbert_classifier.module import LabelLoss, MusicBertClassifier
from musiczoo.models.musicbert_classifier.net import MusicBertClassifierNet

__all__ = [
    "LabelLoss",
    "MusicBertClassifier",
    "MusicBertClassifierConfig",
    "MusicBertClassifierNet",
]

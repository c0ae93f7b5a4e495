"""MusicBERT, an encoder of performed music (Zeng et al. 2021, arXiv 2106.05630)."""

from musiczoo.models.musicbert.config import SIZES, MusicBertConfig
from musiczoo.models.musicbert.masking import MaskedOctuples
from musiczoo.models.musicbert.module import MusicBertModule
from musiczoo.models.musicbert.net import MusicBertNet

__all__ = [
    "SIZES",
    "MaskedOctuples",
    "MusicBertConfig",
    "MusicBertModule",
    "MusicBertNet",
]

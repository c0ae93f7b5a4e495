"""Audiobox Aesthetics (Tjandra et al. 2025, arXiv 2502.05139): ratings of sound on four axes."""

from musiczoo.models.audiobox.config import AudioboxConfig
from musiczoo.models.audiobox.module import AudioboxModule
from musiczoo.models.audiobox.net import AXES, AudioboxNet

__all__ = ["AXES", "AudioboxConfig", "AudioboxModule", "AudioboxNet"]

"""M3, the encoder of symbolic music behind CLaMP 2 and 3 (Wu et al. 2024, arXiv 2410.13267)."""

from musiczoo.models.m3.config import M3Config
from musiczoo.models.m3.masking import MaskedPatches
from musiczoo.models.m3.module import M3Module
from musiczoo.models.m3.net import M3Net

__all__ = ["M3Config", "M3Module", "M3Net", "MaskedPatches"]

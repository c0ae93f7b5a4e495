"""NotaGen's architecture: a patch decoder over bars of ABC (Wang et al. 2025, arXiv 2502.18008)."""

from musiczoo.models.bar_stream.config import SIZES, BarStreamConfig
from musiczoo.models.bar_stream.module import BarStreamModule
from musiczoo.models.bar_stream.net import BarStreamNet

__all__ = ["SIZES", "BarStreamConfig", "BarStreamModule", "BarStreamNet"]

__path__.append("musiczoo.moved")  # finds modules by the paths that they had

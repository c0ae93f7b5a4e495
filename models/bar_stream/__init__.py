"""NotaGen's architecture: a bar-stream patch decoder with a character decoder (Wang et al. 2025, arXiv 2502.18008)."""

from musiczoo.models.bar_stream.module import BarStreamModule
from musiczoo.models.bar_stream.net import SIZES, BarStreamConfig, BarStreamNet

__all__ = ["SIZES", "BarStreamConfig", "BarStreamModule", "BarStreamNet"]

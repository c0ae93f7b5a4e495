"""CLaMP 2 (Wu et al. 2024, arXiv 2410.13267): music and descriptions of music in one space.

Also the symbolic half of CLaMP 3.
"""

from musiczoo.models.clamp2.config import Clamp2Config
from musiczoo.models.clamp2.module import Clamp2Module
from musiczoo.models.clamp2.net import Clamp2Net

__all__ = ["Clamp2Config", "Clamp2Module", "Clamp2Net"]

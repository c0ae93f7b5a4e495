"""SMART's architecture: a Phi-3 over REMI tokens (Jonason et al. 2025, arXiv 2504.16839)."""

from musiczoo.models.phi3_remi.config import Phi3RemiConfig
from musiczoo.models.phi3_remi.guard import RemiGrammar
from musiczoo.models.phi3_remi.module import Phi3RemiModule

__all__ = ["Phi3RemiConfig", "Phi3RemiModule", "RemiGrammar"]

__path__.append("musiczoo.moved")  # finds modules by the paths that they had

"""A Phi-3 decoder over REMI tokens: SMART's architecture (Jonason, Casini and Sturm 2025, arXiv 2504.16839)."""

from musiczoo.models.phi3_remi.guard import RemiGrammar
from musiczoo.models.phi3_remi.module import Phi3RemiModule
from musiczoo.models.phi3_remi.net import Phi3RemiConfig

__all__ = ["Phi3RemiConfig", "Phi3RemiModule", "RemiGrammar"]

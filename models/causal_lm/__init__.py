"""Decoder-only token models: training passes, cached decoding, sampling, whatever tokens mean.

:class:`TextLM` is such a model over texts. The names below are loaded on first use, for other
architectures use parts of this package without it.
"""

from typing import TYPE_CHECKING

from musiczoo.music.lazy import lazy_names

if TYPE_CHECKING:
    from musiczoo.models.causal_lm.config import TextLMConfig
    from musiczoo.models.causal_lm.module import TextLM, TextLMModule

__all__ = ["TextLM", "TextLMConfig", "TextLMModule"]

_HOMES = {"config": ["TextLMConfig"], "module": ["TextLM", "TextLMModule"]}
__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)

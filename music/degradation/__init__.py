"""Music made worse on purpose, of a known kind and strength."""

from __future__ import annotations

from typing import TYPE_CHECKING

from musiczoo.music.lazy import lazy_names

if TYPE_CHECKING:
    from musiczoo.music.degradation.notation import (
        OPERATIONS,
        Degradation,
        Degraded,
        Operation,
        degrade,
    )

__all__ = ["OPERATIONS", "Degradation", "Degraded", "Operation", "degrade"]

_HOMES = {"notation": ("OPERATIONS", "Degradation", "Degraded", "Operation", "degrade")}
__getattr__, __dir__ = lazy_names(__name__, _HOMES, __all__)

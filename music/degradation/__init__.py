"""Music made worse on purpose, of a known kind and strength."""

from musiczoo.music.degradation.notation import (
    OPERATIONS,
    Degradation,
    Degraded,
    Operation,
    degrade,
)

__all__ = ["OPERATIONS", "Degradation", "Degraded", "Operation", "degrade"]

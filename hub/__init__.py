"""What a checkpoint is and where it comes from: the registry, and opening by name or path."""

from musiczoo.hub.registry import Architecture, Entry, register

__all__ = ["Architecture", "Entry", "register"]

__path__.append("musiczoo.moved")  # finds modules by the paths that they had

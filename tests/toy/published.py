"""Reads weights of the toy net that its imagined publisher gave away: tensors without a configuration."""

from __future__ import annotations

from pathlib import Path

from musiczoo.hub.published import Published
from musiczoo.hub.tensors import read_safetensors, shape_of
from tests.toy.config import ToyConfig


def read_published(path: str | Path) -> Published:
    """The sizes and tensors of a file."""
    path = Path(path)
    tensors = read_safetensors([path])
    hidden = shape_of(tensors, "embedding.weight", 2, path)[1]
    return Published(ToyConfig(hidden=hidden), tensors)

"""What a module starts from when it is given ``pretrained``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from musiczoo.hub.loading import load
from musiczoo.hub.published import Published
from musiczoo.hub.registry import architecture, resolve
from musiczoo.music.errors import MusicZooError


@dataclass(frozen=True)
class Pretrained:
    """Weights to start from.

    Attributes:
        published: Sizes, tensors and representation.
        record: Of the model with that name; None where the weights are a file.
        loaded_from: Likewise.
    """

    published: Published
    record: Mapping[str, Any] | None = None
    loaded_from: dict[str, Any] | None = None


def read_pretrained(name: str, source: str) -> Pretrained:
    """Reads weights for a module of an architecture.

    Args:
        name: Of the architecture.
        source: A file or folder in a layout that the architecture reads, or what
            :func:`musiczoo.load` takes.

    Raises:
        MusicZooError: They cannot be read, or are of another architecture.
    """
    if Path(source).exists():
        read: Any = resolve(str(architecture(name).reads_published))
        return Pretrained(read(Path(source)))
    other: Any = load(source)
    if other.architecture != name:
        raise MusicZooError(
            f"{source} is a model of another architecture.",
            where="pretrained",
            remedy=f"Give weights of a {name}.",
        )
    tensors = other.net.state_dict()
    published = Published(other.config, tensors, other.representation)
    return Pretrained(published, other.record(), other.loaded_from)

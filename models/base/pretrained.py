"""What a module starts from when it is given ``pretrained``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import nn

from musiczoo.hub.loading import load
from musiczoo.hub.published import Published, assemble
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
        reader = architecture(name).reads_published
        if reader is None:
            raise MusicZooError(
                f"No file of another publisher is known for the architecture {name}.",
                path=source,
                where="pretrained",
                remedy="For a checkpoint folder write local-dir:PATH.",
            )
        return Pretrained(resolve(reader)(Path(source)))
    other: Any = load(source)
    if other.architecture != name:
        raise MusicZooError(
            f"{source} is a model of another architecture.",
            where="pretrained",
            remedy=f"Give weights of a {name}.",
        )
    if other.lora is not None:
        # What starts from an adapted model starts from what it computes.
        other.merge_adapter()
    tensors = other.net.state_dict()
    published = Published(other.config, tensors, other.representation)
    return Pretrained(published, other.record(), other.loaded_from)


def start_from(module: Any, build: Callable[[Any], nn.Module], sizes: Any, pretrained: str) -> Any:
    """Gives a module its net and its sizes from weights to start from, and their record.

    Args:
        module: A :class:`musiczoo.models.base.ZooModule`.
        build: The net of a configuration.
        sizes: The configuration, of which only the dropout counts.
        pretrained: As :func:`read_pretrained` reads it.

    Returns:
        The representation of the weights, None where there is none.

    Raises:
        MusicZooError: The weights cannot be used.
    """
    found = read_pretrained(module.architecture, pretrained)
    module.config = found.published.config.with_dropouts_of(sizes)
    published = replace(found.published, config=module.config)
    module.net = assemble(build, published, Path(pretrained))
    module.source, module.loaded_from = pretrained, found.loaded_from
    if found.record is not None:
        module.load_record(found.record)
    return found.published.representation

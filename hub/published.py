"""Models in their publishers' layouts: what a reader of such files returns, and its net."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

from musiczoo.hub.tensors import fill, uninitialised
from musiczoo.music.errors import MusicZooError

Net = TypeVar("Net", bound=nn.Module)


@dataclass(frozen=True)
class Published:
    """What ``read_published(path)`` of an architecture found in a publisher's file or folder.

    Attributes:
        config: The sizes, in the architecture's own config class.
        tensors: All tensors of the net, by the names that they have in it; still on the disk where
            the file allows it.
        representation: The representation that the weights were trained with; None for the
            architecture's own default.
        settings: Further settings of the module's constructor that the files decide.
        name: The name in the registry of the models that have this layout, where the architecture
            reads several layouts (``"clamp2"`` and ``"clamp3"``); None where there is one.
    """

    config: Any
    tensors: Mapping[str, Tensor]
    representation: Any = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    name: str | None = None


def assemble(build: Callable[[Any], Net], published: Published, path: Path | None = None) -> Net:
    """The net of a config with the tensors of a file, in eval mode.

    Args:
        build: The net of a config, such as the class ``BarStreamNet``.
        published: What was read.
        path: Of the file, for messages.

    Raises:
        MusicZooError: Missing, surplus and misshapen tensors are named, with both shapes.
    """
    with uninitialised():
        net = build(published.config)
    fill(net, published.tensors, path)
    return net.eval()


def assembled(
    module: Any, published: Published, path: Path, name: str, settings: Mapping[str, Any]
) -> Any:
    """A module with the sizes, tensors and representation of a publisher's file, in eval mode.

    Args:
        module: The class.
        published: What was read.
        path: Of the file.
        name: The name in the registry that the user gave.
        settings: Of the module's constructor.

    Raises:
        MusicZooError: The file has the layout of another name; settings or tensors do not fit.
    """
    if published.name not in (None, name):
        raise MusicZooError(
            f"This is a file of {published.name}, not of {name}.",
            path=path,
            remedy=f'Write load("{published.name}", ...).',
        )
    with uninitialised():
        made = module.from_config(
            published.config.to_dict(),
            published.representation,
            **{**published.settings, **settings},
        )
    fill(made.net, published.tensors, path)
    made.source = str(path)
    return made.eval()

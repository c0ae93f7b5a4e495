"""PyTorch files of other publishers.

Nothing but tensors and plain containers is unpickled, and tensors stay on the disk until they are
used.
"""

from __future__ import annotations

import pickle
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from musiczoo.music.errors import MusicZooError


def read_torch_file(path: Path) -> dict[str, Any]:
    """The content of a ``.pth``, ``.pt`` or ``.ckpt`` file, with nothing executed.

    Its tensors are windows on the file.

    Raises:
        MusicZooError: The file is missing, damaged, or holds more than tensors and plain
            containers.
    """
    if not path.is_file():
        raise MusicZooError(
            "There is no such weights file.",
            path=path,
            remedy="Give the path of a file in the model's published layout.",
        )
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise MusicZooError(
            "The file is damaged or holds more than tensors, and nothing else is unpickled"
            f" ({str(error).splitlines()[0]}).",
            path=path,
            remedy="Download the weights again from their publisher.",
        ) from None
    except Exception as error:
        # A damaged file can fail anywhere inside torch's reader, with any error.
        raise MusicZooError(
            f"This is no readable PyTorch file ({type(error).__name__}:"
            f" {str(error).partition(chr(10))[0]}).",
            path=path,
            remedy="Download the weights again; the file may be truncated.",
        ) from error
    if not isinstance(content, dict):
        raise MusicZooError(
            f"The file holds a {type(content).__name__}, not a checkpoint.", path=path
        )
    return content


def tensor_table(content: Mapping[str, Any], key: str, path: Path) -> dict[str, Tensor]:
    """The tensors of a file by name.

    Args:
        content: Of :func:`read_torch_file`.
        key: Where the file keeps its table of tensors, such as ``"model"``.
        path: Of the file, for messages.

    Raises:
        MusicZooError: There is no such table.
    """
    table = content.get(key)
    if (
        not isinstance(table, Mapping)
        or not table
        or not all(isinstance(value, Tensor) for value in table.values())
    ):
        raise MusicZooError(
            f'The file has no table of tensors under "{key}".',
            path=path,
            remedy="Give the publisher's weights file, not another checkpoint.",
        )
    return dict(table)


def shape_of(tensors: Mapping[str, Tensor], name: str, axes: int, path: Path) -> torch.Size:
    """The shape of a tensor that tells sizes of a net.

    Raises:
        MusicZooError: It is missing or has another number of axes.
    """
    if name not in tensors:
        raise MusicZooError(
            f"The tensor {name} is missing.",
            path=path,
            remedy="The file is of another architecture, or incomplete.",
        )
    if tensors[name].ndim != axes:
        raise MusicZooError(
            f"The tensor {name} has shape {tuple(tensors[name].shape)}; {axes} axes were expected.",
            path=path,
        )
    return tensors[name].shape


def count_layers(tensors: Mapping[str, Tensor], stem: str) -> int:
    """How many numbers follow a stem in the names of tensors: ``"encoder.layer."`` of ``encoder.layer.0.bias`` and so on."""
    return len(
        {match[1] for name in tensors if (match := re.match(rf"{re.escape(stem)}(\d+)\.", name))}
    )

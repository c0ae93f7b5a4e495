"""Tensors on disk and in a net: safetensors files, and the strict check that they fit."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from musiczoo.music.errors import MusicZooError


def read_safetensors(files: Iterable[Path]) -> dict[str, Tensor]:
    """The tensors of one safetensors file or of several shards, as they are stored.

    Raises:
        MusicZooError: A file is missing or damaged, or two hold a tensor of the same name.
    """
    tensors: dict[str, Tensor] = {}
    for path in files:
        try:
            with safe_open(path, framework="pt") as content:
                found = {
                    name: content.get_tensor(name) for name in content.keys()
                }  # the reader is no mapping
        except (SafetensorError, OSError) as error:
            raise MusicZooError(
                f"This is no readable safetensors file ({error}).",
                path=path,
                remedy="Fetch it again; it is damaged or truncated.",
            ) from error
        if twice := sorted(set(found) & set(tensors)):
            raise MusicZooError(
                f"The tensor {twice[0]} is in two files.",
                path=path,
                remedy="The files belong to different checkpoints.",
            )
        tensors.update(found)
    return tensors


def check_fit(
    expected: Mapping[str, Tensor], found: Mapping[str, Tensor], path: Path | None = None
) -> None:
    """Checks that a net's tensors are all there, with the right shapes, and no others.

    Of tensors that share their memory (tied weights) one is enough.

    Args:
        expected: The net's state dict.
        found: The tensors of a file.
        path: Of the file, for the message.

    Raises:
        MusicZooError: Names what is missing, what is surplus and what has another shape (both
            shapes).
    """
    alike: dict[tuple[int, int], set[str]] = defaultdict(set)
    for name, value in expected.items():
        if value.device.type != "meta" and value.numel():
            alike[value.data_ptr(), value.numel()].add(name)
    given = {other for names in alike.values() if names & set(found) for other in names}
    problems = [
        f"{name} is missing" for name in expected if name not in found and name not in given
    ]
    problems += [f"{name} is not part of the model" for name in found if name not in expected]
    problems += [
        f"{name} has shape {tuple(found[name].shape)} instead of {tuple(value.shape)}"
        for name, value in expected.items()
        if name in found and found[name].shape != value.shape
    ]
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise MusicZooError(
            f"The tensors do not fit: {'; '.join(problems[:5])}{more}.",
            path=path,
            remedy="The file is damaged or of another architecture.",
        )


def fill(net: nn.Module, tensors: Mapping[str, Tensor], path: Path | None = None) -> None:
    """Copies the tensors of a file into a net, converted to the net's types.

    Raises:
        MusicZooError: See :func:`check_fit`.
    """
    check_fit(net.state_dict(), tensors, path)
    # Copied, not assigned: what the net ties together stays tied, and bfloat16 becomes the net's
    # float32.
    net.load_state_dict(dict(tensors), strict=False)


def rounded(tensors: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """Copies on the CPU with floating-point tensors in another type.

    What shares its memory goes on sharing it.
    """
    copies: dict[tuple[int, torch.Size, tuple[int, ...]], Tensor] = {}
    result = {}
    for name, value in tensors.items():
        key = (value.data_ptr(), value.shape, value.stride())
        if key not in copies or not value.numel():
            copies[key] = (
                value.detach()
                .to("cpu", dtype if value.is_floating_point() else value.dtype, copy=True)
                .contiguous()
            )
        result[name] = copies[key]
    return result

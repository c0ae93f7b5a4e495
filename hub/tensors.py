"""Tensors on disk and in a net: safetensors and PyTorch files, and the strict check that they fit.

Nothing but tensors and plain containers is unpickled.
"""

from __future__ import annotations

import pickle
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

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
                # The reader is no mapping.
                names = content.keys()
                found = {name: content.get_tensor(name) for name in names}
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


def read_torch_file(path: Path) -> dict[str, Any]:
    """The content of a ``.pth``, ``.pt`` or ``.ckpt`` file, with nothing executed.

    Its tensors stay on the disk until they are used.

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
    """The shape of a tensor that sizes of a net are read from.

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


def drop_tied(
    tensors: dict[str, Tensor], output: str, embedding: str, path: Path, remedy: str
) -> None:
    """Removes an output layer that is its embedding, where a file holds both.

    Args:
        tensors: Of the file; changed in place.
        output: Name of the output layer's weight.
        embedding: Name of the embedding.
        path: Of the file, for messages.
        remedy: What to do where they differ.

    Raises:
        MusicZooError: They differ.
    """
    tied = tensors.pop(output, None)
    if tied is not None and not torch.equal(tied, tensors.get(embedding, torch.empty(0))):
        raise MusicZooError(
            f"{output} differs from the character embedding it is tied to.",
            path=path,
            remedy=remedy,
        )


def count_layers(tensors: Mapping[str, Tensor], stem: str) -> int:
    """The number of layers: of different numbers that follow a stem in the names of tensors.

    Args:
        tensors: Of a file.
        stem: Such as ``"encoder.layer."``, for ``encoder.layer.0.bias`` and so on.
    """
    return len(
        {match[1] for name in tensors if (match := re.match(rf"{re.escape(stem)}(\d+)\.", name))}
    )


def check_fit(
    expected: Mapping[str, Tensor],
    found: Mapping[str, Tensor],
    path: Path | None = None,
    *,
    part: str = "model",
    remedy: str = "The file is damaged or of another architecture.",
) -> None:
    """Checks that a net's tensors are all there, with the right shapes, and no others.

    Of tensors that share their memory (tied weights) one is enough.

    Args:
        expected: The net's state dict.
        found: The tensors of a file.
        path: Of the file, for the message.
        part: What the tensors are those of, for the message.
        remedy: What to do about a wrong file.

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
    problems += [f"{name} is not part of the {part}" for name in found if name not in expected]
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
            remedy=remedy,
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

    Tensors that share their memory share it in the copies too.
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


@contextmanager
def uninitialised() -> Iterator[None]:
    """A context in which nets are built without drawing their weights.

    For nets whose every tensor is replaced right after (:func:`fill`): to draw the weights of a
    large net takes longer than to read them. The user's random numbers are left alone.
    """
    with torch.random.fork_rng(devices=[]), _NoDraws():
        yield


class _NoDraws(TorchFunctionMode):
    """Leaves out the calls that set the values of a tensor at random."""

    # By name: transformers wraps some of torch's own.
    names = frozenset(
        {
            "normal_",
            "uniform_",
            "trunc_normal_",
            "erfinv_",
            "kaiming_normal_",
            "kaiming_uniform_",
            "xavier_normal_",
            "xavier_uniform_",
        }
    )

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in self.names:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)

"""Files of ``torch.save`` that hold foreign objects beside their tensors.

Old checkpoints (fairseq's and others) keep the settings of their program as objects of its classes.
Such a class is never imported here: its objects become :class:`Foreign`, which only keeps what the
file has for them. So a file can execute nothing.
"""

from __future__ import annotations

import collections
import pickle
import types
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from musiczoo.music.errors import MusicZooError

# All that is ever imported for a file: what tensors are made of.
_ALLOWED = {
    ("collections", "OrderedDict"): collections.OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): torch._utils._rebuild_tensor_v2,
    ("torch._utils", "_rebuild_parameter"): torch._utils._rebuild_parameter,
    **{("torch", kind): getattr(torch, kind) for kind in ("Size", "device")},
}
_DEPTH = 12


class Foreign:
    """Stands for an object of a class that was not imported.

    Attributes:
        state: What the file has for the object.
    """

    def __init__(self, *arguments: Any, **named: Any) -> None:
        self.state: Any = named
        self.items: dict[Any, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.state = state
        self.items = {}

    def __setitem__(self, key: Any, value: Any) -> None:
        self.items[key] = value

    def append(self, value: Any) -> None:
        """Keeps an element under its number."""
        self.items[len(self.items)] = value

    def extend(self, values: Any) -> None:
        """Keeps elements under their numbers."""
        for value in values:
            self.append(value)


class _Unpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        return _ALLOWED.get((module, name), Foreign)


def read_with_foreign_objects(path: Path) -> dict[str, Any]:
    """The content of a file of ``torch.save``, objects of foreign classes as :class:`Foreign`.

    Raises:
        MusicZooError: The file is missing, damaged, or no archive of ``torch.save``.
    """
    remedy = "Give the path of a file in the model's published layout."
    if not path.is_file():
        raise MusicZooError("There is no such weights file.", path=path, remedy=remedy)
    reader: Any = types.ModuleType("reader")
    reader.Unpickler = _Unpickler
    try:
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
        # torch.load would hand an archive of TorchScript to its own loader, which executes it.
        if any(name.endswith(("constants.pkl", ".py")) for name in names):
            raise MusicZooError("This is a program of TorchScript.", path=path, remedy=remedy)
        content = torch.load(
            path, map_location="cpu", weights_only=False, mmap=True, pickle_module=reader
        )
    except MusicZooError:
        raise
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


def setting_of(content: Any, name: str, depth: int = _DEPTH) -> Any:
    """The first plain value of a setting, wherever it is nested in foreign objects; else None.

    Args:
        content: Of :func:`read_with_foreign_objects`, or a part of it.
        name: Of the setting, such as ``"encoder_attention_heads"``.
        depth: How deep to look.
    """
    if depth == 0:
        return None
    if isinstance(content, Foreign):
        # A node of omegaconf holds its value under "_val", a table under "_content".
        parts = [content.state, content.items]
        found = [setting_of(part, name, depth - 1) for part in parts]
        return next((value for value in found if value is not None), None)
    if not isinstance(content, Mapping):
        return None
    if name in content:
        return _plain(content[name])
    found = [setting_of(value, name, depth - 1) for value in content.values()]
    return next((value for value in found if value is not None), None)


def _plain(value: Any) -> Any:
    if isinstance(value, Foreign) and isinstance(value.state, Mapping):
        value = value.state.get("_val")
    return value if isinstance(value, bool | int | float | str) else None

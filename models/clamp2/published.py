"""Opens weights of CLaMP 2 (https://github.com/sanderwood/clamp2) and CLaMP 3 (https://github.com/sanderwood/clamp3) in their layout.

Both are read in part: what belongs to sound always stays on the disk, and what belongs to text
unless it is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from musiczoo.hub.tensors import shape_of
from musiczoo.models.clamp2.net import Clamp2Config
from musiczoo.models.m3.published import encoder_sizes, read_weights
from musiczoo.music.errors import MusicZooError


@dataclass(frozen=True)
class Layout:
    """How a publisher's files name what they hold.

    Attributes:
        name: Of the model.
        music: The first word of the half for music, which is followed by ``_model.`` or ``_proj.``.
        strips_unit_length: Whether the published program for features leaves ``L:1/8`` out.
    """

    name: str
    music: str
    strips_unit_length: bool


# CLaMP 2 was trained without L:1/8, but its program for features keeps it; the scores that others
# publish were made with that program.
LAYOUTS = {
    "clamp2": Layout("CLaMP 2", "music", False),
    "clamp3": Layout("CLaMP 3", "symbolic", True),
}
_SOUND = ("audio_model.", "audio_proj.")
_TEXT = ("text_model.", "text_proj.")


def read_halves(
    path: Path, layout: Layout, text: Mapping[str, Any] | None, dropout: float = 0.1
) -> tuple[Clamp2Config, dict[str, Tensor]]:
    """The sizes of a net, read from the tensors of a published file, and its tensors by our names, still on the disk.

    Args:
        path: The file; the tensors are under ``"model"``.
        layout: Of the file.
        text: Sizes of the text encoder, to read it too; None leaves it on the disk.
        dropout: For training.

    Raises:
        MusicZooError: The file cannot be used, is of another layout, or has no half for text where
            it is asked for; a tensor that tells a size is missing or misshapen.
    """
    tensors = read_weights(path)
    for name, other in LAYOUTS.items():
        if other != layout and any(
            tensor.startswith(f"{other.music}_model.") for tensor in tensors
        ):
            raise MusicZooError(
                f"This is a file of {other.name}, not of {layout.name}.",
                path=path,
                remedy=f'Write load("{name}", ...).',
            )
    if "encoder.patch_embedding.weight" in tensors:
        raise MusicZooError(
            f"This is a file of M3, not of {layout.name}.",
            path=path,
            remedy='Write load("m3", ...).',
        )
    if text is not None and not any(name.startswith("text_model.") for name in tensors):
        raise MusicZooError(
            "The file has no half for text.",
            path=path,
            remedy="Leave text_model= out, or give the whole published file.",
        )
    own = f"{layout.music}_"
    kept = {
        f"music_{name.removeprefix(own)}" if name.startswith(own) else name: value
        for name, value in tensors.items()
        if not name.startswith(_SOUND if text is not None else _SOUND + _TEXT)
    }
    config = Clamp2Config(
        **encoder_sizes(kept, "music_model", path),
        dim=shape_of(kept, "music_proj.weight", 2, path)[0],
        dropout=dropout,
        text=text,
    )
    return config, kept

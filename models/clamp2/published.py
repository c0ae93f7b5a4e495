"""Reads weights of CLaMP 2 and CLaMP 3 in their publishers' layouts.

https://github.com/sanderwood/clamp2 and https://github.com/sanderwood/clamp3. Both are read in
part: the half for sound always stays on the disk, and so does the half for text unless it is asked
for.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from musiczoo.hub.published import Published
from musiczoo.hub.tensors import shape_of
from musiczoo.models.clamp2.config import Clamp2Config
from musiczoo.models.clamp2.tokenizer import TextTokenizer
from musiczoo.models.m3.published import encoder_sizes, read_weights
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.m3_patches import M3Patches


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
# publish were computed with that program.
LAYOUTS = {
    "clamp2": Layout("CLaMP 2", "music", False),
    "clamp3": Layout("CLaMP 3", "symbolic", True),
}
_SOUND = ("audio_model.", "audio_proj.")
_TEXT = ("text_model.", "text_proj.")


def read_published(
    path: str | Path, text_model: str | Path | TextTokenizer | None = None
) -> Published:
    """The sizes and tensors of a file of CLaMP 2 or CLaMP 3.

    Args:
        path: The file; its tensors are under ``"model"``.
        text_model: The text encoder's folder or tokenizer, to read the half for text too; None
            leaves it on the disk.

    Returns:
        With ``name`` ``"clamp2"`` or ``"clamp3"``.

    Raises:
        MusicZooError: The file cannot be used, is of another model, or has no half for text where
            it is asked for; a tensor that a size is read from is missing or misshapen.
    """
    path = Path(path)
    tensors = read_weights(path)
    if "encoder.patch_embedding.weight" in tensors:
        raise MusicZooError(
            "This is a file of M3, not of CLaMP 2 or CLaMP 3.",
            path=path,
            remedy='Write load("m3", ...).',
        )
    is_clamp3 = any(name.startswith("symbolic_model.") for name in tensors)
    name = "clamp3" if is_clamp3 else "clamp2"
    layout = LAYOUTS[name]
    tokenizer = _tokenizer(text_model)
    if tokenizer is not None and not any(key.startswith("text_model.") for key in tensors):
        raise MusicZooError(
            "The file has no half for text.",
            path=path,
            remedy="Leave text_model= out, or give the whole published file.",
        )
    own = f"{layout.music}_"
    kept = {
        f"music_{key.removeprefix(own)}" if key.startswith(own) else key: value
        for key, value in tensors.items()
        if not key.startswith(_SOUND if tokenizer is not None else _SOUND + _TEXT)
    }
    config = Clamp2Config(
        **encoder_sizes(kept, "music_model", path),
        dim=shape_of(kept, "music_proj.weight", 2, path)[0],
        text=None if tokenizer is None else tokenizer.sizes,
    )
    patches = M3Patches(config.patch_size, config.patch_length, layout.strips_unit_length)
    settings = {} if tokenizer is None else {"text_model": tokenizer}
    return Published(config, kept, patches, settings, name)


def _tokenizer(text_model: str | Path | TextTokenizer | None) -> TextTokenizer | None:
    if text_model is None or isinstance(text_model, TextTokenizer):
        return text_model
    return TextTokenizer(text_model)

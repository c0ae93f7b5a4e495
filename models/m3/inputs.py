"""Inputs of the encoders that read M3 patches: M3 itself, CLaMP 2 and CLaMP 3."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from musiczoo.models.reference_music import REFERENCE_BARS
from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.text_format import midi_text
from musiczoo.representations.m3_patches import M3Patches, abc_text

if TYPE_CHECKING:
    from symusic.core import ScoreTick

# What a download is checked with; CLaMP 2 sees L:1/8 too.
_REFERENCE = f"%%score {{ 1 | 2 }}\nM:3/4\n{REFERENCE_BARS}"


def piece_text(piece: str | Tune | ScoreTick) -> str:
    """A piece as the encoders read it: interleaved ABC, or MIDI text format.

    Args:
        piece: A tune, which becomes ABC; a symusic score, which becomes MIDI text format; or text
            in one of these formats, which stays as it is.

    Raises:
        MusicZooError: A tune whose voices have different numbers of bars.
    """
    if isinstance(piece, str):
        return piece
    return abc_text(piece) if isinstance(piece, Tune) else midi_text(piece)


def fitting_patches(
    patch_size: int,
    patch_length: int,
    given: M3Patches | None,
    strip_unit_length: bool | None,
    default_strip: bool,
) -> M3Patches:
    """The representation of an encoder.

    Args:
        patch_size: Characters a patch of the net.
        patch_length: Patches of its context.
        given: The representation to use; one of the net's sizes when None.
        strip_unit_length: Whether lines that hold ``L:1/8`` alone are left out; None for what
            ``given`` does.
        default_strip: The same where neither is given.

    Raises:
        MusicZooError: ``given`` has patches of another size.
    """
    patches = given or M3Patches(patch_size, patch_length, default_strip)
    if patches.patch_size != patch_size:
        raise MusicZooError(
            "The representation does not fit the net.",
            remedy="It must give M3 patches of the net's size.",
        )
    if strip_unit_length in (None, patches.strip_unit_length):
        return patches
    return M3Patches(patch_size, patches.max_length, bool(strip_unit_length))


def reference_patches(
    representation: M3Patches, context: int, *, unit_length: bool
) -> dict[str, Tensor]:
    """Two short texts of different length, as far as they fit the context, as one batch.

    Args:
        representation: Of the encoder.
        context: Patches of its context.
        unit_length: Write the unit length, which some encoders read.

    Returns:
        ``patches`` (2, longest, patch_size) uint8 and ``lengths`` (2,).
    """
    text = _REFERENCE.replace("M:3/4", "L:1/8\nM:3/4") if unit_length else _REFERENCE
    lines = text.splitlines()
    texts = ("\n".join(lines), "\n".join(lines[1:-1]))
    return representation.collate([representation.encode_text(text)[:context] for text in texts])

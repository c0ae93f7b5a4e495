"""Clips: the sound of pieces as audio rewards score it.

A clip is made as SMART makes it (arXiv 2504.16839; its published code): the first 100 quarter notes
(a note that sounds on beyond them is left out), 48 kHz stereo, no sound after the last event of the
score (so a release that rings on is cut), the first 10 seconds, and a peak of 1. A piece without
sound becomes one second of zeros. :mod:`musiczoo.music.sound.synthesizer` states where the
synthesizer differs from TinySoundFont, which SMART uses.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from musiczoo.music.abc.tune import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.note_table import performance

if TYPE_CHECKING:
    from symusic.core import ScoreTick

_PEAK_FLOOR = 1e-6


@dataclass(frozen=True)
class Rendering:
    """How pieces become clips; the defaults are SMART's (its soundfont is MuseScore General).

    Attributes:
        soundfont: An SF2 or SF3 file, or the name of one that is installed (``"timgm6mb"``,
            ``"fluidr3"``, ``"musescore-general"``;
            :func:`musiczoo.music.sound.audio.named_soundfont`); by default what
            :func:`musiczoo.music.sound.audio.find_soundfont` finds.
        sample_rate: Samples a second, 8,000 to 192,000.
        max_beats: Quarter notes after which a piece is cut, notes that sound there left out; None
            for all.
        max_seconds: Seconds after which a clip is cut; None for all.
    """

    soundfont: str | None = None
    sample_rate: int = 48_000
    max_beats: float | None = 100.0
    max_seconds: float | None = 10.0

    def __post_init__(self) -> None:
        if not 8_000 <= self.sample_rate <= 192_000:
            raise MusicZooError(
                f"A sample rate of {self.sample_rate} is out of range.",
                remedy="Use 8000 to 192000, usually 48000.",
            )
        for name in ("max_beats", "max_seconds"):
            limit = getattr(self, name)
            if limit is not None and not limit > 0:
                raise MusicZooError(
                    f"{name} is {limit}; it must be above 0.", remedy="Use None for no limit."
                )


DEFAULT = Rendering()
"""As SMART renders."""


@dataclass(frozen=True)
class Clip:
    """The sound of a piece, or why there is none.

    Attributes:
        samples: (2, n) float32 of peak 1, or None.
        reason: Why there is no sound.
        is_silent: Nothing sounds in the piece; ``samples`` is one second of zeros.
    """

    samples: NDArray[np.float32] | None
    reason: str | None = None
    is_silent: bool = False


def render_clip(piece: ScoreTick | Tune, rendering: Rendering = DEFAULT) -> Clip:
    """Render a piece in this process.

    The same piece gives the same samples to the last bit, whatever was rendered before.

    Args:
        piece: A symusic score or a tune (repeats are played).
        rendering: How.

    Returns:
        The clip; one with a reason where the piece cannot be played.

    Raises:
        MusicZooError: There is no soundfont, or none that can be used.
    """
    from musiczoo.music.sound.audio import MAX_SECONDS, named_soundfont
    from musiczoo.music.sound.synthesizer import synthesizer

    instrument = synthesizer(named_soundfont(rendering.soundfont), rendering.sample_rate)
    try:
        if isinstance(piece, Tune):
            from musiczoo.music.midi.from_tune import to_score

            piece = to_score(piece)
        played = performance(
            piece, max_beats=rendering.max_beats, max_seconds=rendering.max_seconds
        )
        seconds = played.seconds
        if rendering.max_seconds is None and seconds > MAX_SECONDS:
            raise MusicZooError(
                f"The piece would last {seconds / 3600:.1f} hours.", remedy="Set max_seconds."
            )
    except MusicZooError as error:
        return Clip(None, str(error))
    frames = int(
        rendering.sample_rate
        * (seconds if rendering.max_seconds is None else min(seconds, rendering.max_seconds))
    )
    samples = instrument.render(played, frames)
    peak = np.abs(samples).max(initial=np.float32(0))
    if not peak > 0:
        return Clip(np.zeros((2, rendering.sample_rate), np.float32), is_silent=True)
    samples /= np.float32(peak + _PEAK_FLOOR)
    return Clip(samples)

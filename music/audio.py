"""Sound: a piece through a soundfont to samples, and samples to a WAV file.

The synthesizer is symusic's; a soundfont (SF2 or SF3) is never downloaded: it comes from a path, from the environment variable
``MUSICZOO_SOUNDFONT``, from the places where operating systems install them, or from the package that the extra ``sound`` installs.
"""

from __future__ import annotations

import importlib.util
import io
import os
import wave
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from numpy.typing import NDArray

from musiczoo.music.abc.tune import Tune
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    from symusic.core import ScoreSecond, ScoreTick

SOUNDFONT_VARIABLE = "MUSICZOO_SOUNDFONT"
SOUNDFONT_FOLDERS = (
    "/usr/share/sounds/sf3",
    "/usr/share/sounds/sf2",
    "/usr/share/soundfonts",
    "/usr/local/share/soundfonts",
    "/usr/local/share/sounds/sf2",
    "/opt/homebrew/share/soundfonts",
    "~/.local/share/soundfonts",
    "~/Library/Audio/Sounds/Banks",
)
# Better-sounding General MIDI banks first; anything else found in the folders comes after them in alphabetical order.
PREFERRED_SOUNDFONTS = ("musescore_general", "fluidr3", "timgm6mb", "default-gm")
INSTALL_A_SOUNDFONT = (
    "Install one (pip install 'musiczoo[sound]'; Debian, Ubuntu: apt-get install timgm6mb-soundfont, "
    "better musescore-general-soundfont-small or fluid-soundfont-gm), "
    f"or name an .sf2 or .sf3 file by the soundfont argument or the environment variable {SOUNDFONT_VARIABLE}."
)
MAX_SECONDS = 4 * 3600  # stereo float32 at 44.1 kHz: 5 GB; beyond that a file is broken rather than long


def find_soundfont() -> Path | None:
    """The soundfont to use when none is named: ``MUSICZOO_SOUNDFONT``, the best one in the system's folders, or an installed package's.

    Returns:
        Its path, or None where there is none.

    Raises:
        MusicZooError: ``MUSICZOO_SOUNDFONT`` names a file that does not exist.
    """
    named = os.environ.get(SOUNDFONT_VARIABLE)
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise MusicZooError(f"{SOUNDFONT_VARIABLE} names a file that does not exist.", path=path, remedy=INSTALL_A_SOUNDFONT)
        return path
    found = [
        path
        for folder in SOUNDFONT_FOLDERS
        for path in sorted(Path(folder).expanduser().glob("*"))
        if path.suffix.lower() in (".sf2", ".sf3") and path.is_file()
    ]

    def preference(path: Path) -> int:
        return next(
            (rank for rank, name in enumerate(PREFERRED_SOUNDFONTS) if path.name.lower().startswith(name)), len(PREFERRED_SOUNDFONTS)
        )

    return min(found, key=preference, default=None) or _packaged_soundfont()


def _packaged_soundfont() -> Path | None:
    """TimGM6mb out of the wheel of pretty_midi (the extra ``sound``); the package itself is not imported."""
    package = importlib.util.find_spec("pretty_midi")
    folders = package.submodule_search_locations if package is not None else None
    path = Path(folders[0]) / "TimGM6mb.sf2" if folders else None
    return path if path is not None and path.is_file() else None


def render_audio(piece: Tune | ScoreTick, *, soundfont: str | Path | None = None, sample_rate: int = 44100) -> NDArray[np.float32]:
    """Play a piece into an array of samples.

    The result is deterministic. It is turned down where it would clip; quieter pieces keep their level.

    Args:
        piece: A tune (repeats are played) or a symusic score.
        soundfont: An SF2 or SF3 file; by default what :func:`find_soundfont` finds.
        sample_rate: Samples a second, 8,000 to 192,000.

    Returns:
        Samples in [-1, 1], shape (2 channels, samples).

    Raises:
        MusicZooError: No soundfont, one that cannot be read, a sample rate out of range, or a piece that lasts longer than four hours.
    """
    from symusic import Synthesizer

    if not 8_000 <= sample_rate <= 192_000:
        raise MusicZooError(f"A sample rate of {sample_rate} is out of range.", remedy="Use 8000 to 192000, usually 44100.")
    bank = Path(soundfont) if soundfont is not None else find_soundfont()
    if bank is None:
        raise MusicZooError("There is no soundfont to make sound with.", remedy=INSTALL_A_SOUNDFONT)
    if not bank.is_file():
        raise MusicZooError("The soundfont does not exist.", path=bank, remedy=INSTALL_A_SOUNDFONT)
    if isinstance(piece, Tune):
        from musiczoo.music.midi import to_score

        piece = to_score(piece)
    seconds = float(cast("ScoreSecond", piece.to("second")).end())
    if seconds > MAX_SECONDS:
        raise MusicZooError(
            f"The piece would last {seconds / 3600:.1f} hours.", remedy=f"Render at most {MAX_SECONDS // 3600} hours at a time."
        )
    try:
        samples = np.asarray(Synthesizer(str(bank), sample_rate, 0).render(piece, True), dtype=np.float32)
    except RuntimeError as error:
        raise MusicZooError(
            f"The synthesizer cannot use the soundfont: {str(error).strip()}", path=bank, remedy=INSTALL_A_SOUNDFONT
        ) from error
    peak = float(np.abs(samples).max(initial=0.0))
    return samples / np.float32(peak) if peak > 1.0 else samples


def write_wav(path: str | Path, samples: NDArray[np.floating], rate: int = 44100) -> Path:
    """Write samples as a 16-bit PCM WAV file.

    Args:
        path: Where to write.
        samples: Shape (channels, samples) or (samples,), in [-1, 1]; values beyond are clipped.
        rate: Samples a second.

    Returns:
        The path written.

    Raises:
        MusicZooError: Samples of another shape or not finite, or a path that cannot be written.
    """
    channels = np.atleast_2d(np.asarray(samples))
    if channels.ndim != 2 or not 1 <= channels.shape[0] <= 2:
        raise MusicZooError(f"Samples of shape {np.shape(samples)} are neither mono nor (2, samples).", path=path)
    if not np.isfinite(channels).all():
        raise MusicZooError("The samples are not all finite numbers.", path=path)
    pcm = np.rint(np.clip(channels, -1.0, 1.0) * 32767).astype("<i2")
    stream = io.BytesIO()
    with wave.open(stream, "wb") as sound:
        sound.setnchannels(channels.shape[0])
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(np.ascontiguousarray(pcm.T).tobytes())
    return write_atomically(path, stream.getvalue())

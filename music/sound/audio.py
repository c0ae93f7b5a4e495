"""Sound: a piece through a soundfont to samples, and samples to a WAV or FLAC file.

A soundfont (SF2 or SF3) is never downloaded: it comes from a path, by the name of one that is
installed, from the environment variable ``MUSICZOO_SOUNDFONT``, from the places where operating
systems install them, or from the package that the extra ``sound`` installs.
"""

from __future__ import annotations

import importlib.util
import io
import os
import wave
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from musiczoo.music.abc.tune import Tune
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    from symusic.core import ScoreTick

SOUNDFONT_VARIABLE = "MUSICZOO_SOUNDFONT"
SOUNDFONT_SUFFIXES = (".sf2", ".sf3")
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
# Better-sounding General MIDI banks first; anything else found in the folders comes after them in
# alphabetical order.
PREFERRED_SOUNDFONTS = ("musescore_general", "fluidr3", "timgm6mb", "default-gm")
INSTALL_A_SOUNDFONT = (
    "Install one (pip install 'musiczoo[sound]'; Debian, Ubuntu: apt-get install"
    " timgm6mb-soundfont, better musescore-general-soundfont-small or fluid-soundfont-gm), or name"
    " an .sf2 or .sf3 file by the soundfont argument or the environment variable"
    f" {SOUNDFONT_VARIABLE}."
)
MAX_SECONDS = (
    4 * 3600
)  # stereo float32 at 44.1 kHz: 5 GB; beyond that a file is broken rather than long
RELEASE_SECONDS = 2.0  # what may ring on after the last note
_INAUDIBLE = 1e-4


def find_soundfont() -> Path | None:
    """The soundfont to use when none is named.

    That of ``MUSICZOO_SOUNDFONT``, the best one in the system's folders, or an installed package's.

    Returns:
        Its path, or None where there is none.

    Raises:
        MusicZooError: ``MUSICZOO_SOUNDFONT`` names a file that does not exist.
    """
    named = os.environ.get(SOUNDFONT_VARIABLE)
    if named:
        path = Path(named).expanduser()
        if not path.is_file():
            raise MusicZooError(
                f"{SOUNDFONT_VARIABLE} names a file that does not exist.",
                path=path,
                remedy=INSTALL_A_SOUNDFONT,
            )
        return path

    def preference(path: Path) -> int:
        return next(
            (
                rank
                for rank, name in enumerate(PREFERRED_SOUNDFONTS)
                if path.name.lower().startswith(name)
            ),
            len(PREFERRED_SOUNDFONTS),
        )

    return min(_installed_soundfonts(), key=preference, default=None) or _packaged_soundfont()


def named_soundfont(soundfont: str | Path | None) -> Path:
    """The file of a soundfont.

    Args:
        soundfont: A path; the name of one that is installed (``"timgm6mb"``, ``"fluidr3"``,
            ``"musescore-general"``: the beginning of its file's name, whatever the case, ``-`` and
            ``_`` alike), also that of its Debian package (``"timgm6mb-soundfont"``); or None for
            the one that :func:`find_soundfont` finds.

    Raises:
        MusicZooError: There is none.
    """
    if soundfont is None:
        found = find_soundfont()
        if found is None:
            raise MusicZooError(
                "There is no soundfont to make sound with.", remedy=INSTALL_A_SOUNDFONT
            )
        return found
    path = Path(soundfont).expanduser()
    if path.is_file():
        return path
    there = [*_installed_soundfonts(), *filter(None, [_packaged_soundfont()])]
    if path.suffix.lower() not in SOUNDFONT_SUFFIXES and path.name == str(soundfont):
        wanted = _plain(path.name).removesuffix("soundfont").removesuffix("gm")
        for candidate in there:
            if wanted and _plain(candidate.stem).startswith(wanted):
                return candidate
    names = ", ".join(dict.fromkeys(candidate.name for candidate in there))
    raise MusicZooError(
        f"The soundfont {soundfont} does not exist.",
        remedy=f"Found: {names}. {INSTALL_A_SOUNDFONT}" if names else INSTALL_A_SOUNDFONT,
    )


def _plain(name: str) -> str:
    return "".join(filter(str.isalnum, name.lower()))


def _installed_soundfonts() -> list[Path]:
    return [
        path
        for folder in SOUNDFONT_FOLDERS
        for path in sorted(Path(folder).expanduser().glob("*"))
        if path.suffix.lower() in SOUNDFONT_SUFFIXES and path.is_file()
    ]


def _packaged_soundfont() -> Path | None:
    """TimGM6mb out of the wheel of pretty_midi (the extra ``sound``).

    The package itself is not imported.
    """
    package = importlib.util.find_spec("pretty_midi")
    folders = package.submodule_search_locations if package is not None else None
    path = Path(folders[0]) / "TimGM6mb.sf2" if folders else None
    return path if path is not None and path.is_file() else None


def render_audio(
    piece: Tune | ScoreTick, *, soundfont: str | Path | None = None, sample_rate: int = 44100
) -> NDArray[np.float32]:
    """Play a piece into an array of samples.

    The result is deterministic. It is turned down where it would clip; quieter pieces keep their
    level.

    Args:
        piece: A tune (repeats are played) or a symusic score.
        soundfont: As in :func:`named_soundfont`.
        sample_rate: Samples a second, 8,000 to 192,000.

    Returns:
        Samples in [-1, 1], shape (2 channels, samples).

    Raises:
        MusicZooError: No soundfont, one that cannot be read, a sample rate out of range, a piece
            that lasts longer than four hours, or one that cannot be played
            (:func:`musiczoo.music.sound.note_table.performance`).
    """
    from musiczoo.music.sound.note_table import performance
    from musiczoo.music.sound.synthesizer import synthesizer

    if not 8_000 <= sample_rate <= 192_000:
        raise MusicZooError(
            f"A sample rate of {sample_rate} is out of range.",
            remedy="Use 8000 to 192000, usually 44100.",
        )
    instrument = synthesizer(named_soundfont(soundfont), sample_rate)
    if isinstance(piece, Tune):
        from musiczoo.music.midi.from_tune import to_score

        piece = to_score(piece)
    played = performance(piece)
    if played.seconds > MAX_SECONDS:
        raise MusicZooError(
            f"The piece would last {played.seconds / 3600:.1f} hours.",
            remedy=f"Render at most {MAX_SECONDS // 3600} hours at a time.",
        )
    length = round(played.seconds * sample_rate)
    samples = instrument.render(played, length + round(RELEASE_SECONDS * sample_rate))
    ringing = np.flatnonzero(np.abs(samples[:, length:]).max(axis=0) > _INAUDIBLE)
    samples = samples[:, : length + (int(ringing[-1]) + 1 if len(ringing) else 0)]
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
    pcm = _pcm(path, samples)
    stream = io.BytesIO()
    with wave.open(stream, "wb") as sound:
        sound.setnchannels(pcm.shape[1])
        sound.setsampwidth(2)
        sound.setframerate(rate)
        sound.writeframes(pcm.tobytes())
    return write_atomically(path, stream.getvalue())


def write_flac(path: str | Path, samples: NDArray[np.floating], rate: int = 44100) -> Path:
    """Write samples as a 16-bit FLAC file.

    It holds the same samples as the file of :func:`write_wav`, which has the same arguments, in
    about half the bytes.

    Raises:
        MusicZooError: As :func:`write_wav`, or soundfile is not installed.
    """
    try:
        import soundfile
    except ImportError as error:
        raise MusicZooError(
            "FLAC is written by soundfile, which is not installed.",
            remedy="pip install 'musiczoo[sound]'",
        ) from error
    pcm = _pcm(path, samples)
    stream = io.BytesIO()
    soundfile.write(stream, pcm, rate, format="FLAC", subtype="PCM_16")
    return write_atomically(path, stream.getvalue())


def _pcm(path: str | Path, samples: NDArray[np.floating]) -> NDArray[np.int16]:
    """Samples as 16-bit integers, (samples, channels)."""
    channels = np.atleast_2d(np.asarray(samples))
    if channels.ndim != 2 or not 1 <= channels.shape[0] <= 2:
        raise MusicZooError(
            f"Samples of shape {np.shape(samples)} are neither mono nor (2, samples).", path=path
        )
    if not np.isfinite(channels).all():
        raise MusicZooError("The samples are not all finite numbers.", path=path)
    return np.ascontiguousarray(np.rint(np.clip(channels, -1.0, 1.0) * 32767).astype("<i2").T)

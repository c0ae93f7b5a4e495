"""Log-mel spectrograms: the sound of a rendered piece as input of a small net.

The mel scale is that of O'Shaughnessy (1987) as HTK has it, mel(f) = 2595 log10(1 + f / 700 Hz),
and the filters are triangles of peak 1.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.resampling import resample
from musiczoo.representations.base import Representation, padded

LEVELS = 255


class LogMel(Representation[Any]):
    """Sound as levels of mel bands, one row for each hop.

    A level is 0 at or below the floor and 255 for a sine of full scale.

    Args:
        mels: Bands.
        low: Lower edge of the lowest band in Hz.
        high: Upper edge of the highest band in Hz.
        window: Hann window in seconds; 0.08 s separates semitones from about middle C upwards.
        hop: From one row to the next in seconds.
        floor: Decibels below full scale at which a level is 0.
        rate: Samples a second to which sound is resampled first; a low rate saves time.

    Example:
        >>> import numpy as np
        >>> representation = LogMel()
        >>> sine = np.sin(2 * np.pi * 440 * np.arange(24_000) / 48_000)
        >>> rows = representation.encode_audio(sine, 48_000)
        >>> rows.shape, rows.dtype
        (torch.Size([26, 96]), torch.uint8)
        >>> int(rows[13].max()) > 240  # a sine of full scale
        True
        >>> batch = representation.collate([rows, rows[:10]])
        >>> batch["mel"].shape, batch["lengths"].tolist()
        (torch.Size([2, 26, 96]), [26, 10])
    """

    def __init__(
        self,
        mels: int = 96,
        low: float = 40.0,
        high: float = 5000.0,
        window: float = 0.08,
        hop: float = 0.02,
        floor: float = -80.0,
        rate: int = 12_000,
    ) -> None:
        if mels < 1 or not 0 <= low < high <= rate / 2 or not 0 < hop <= window or floor >= 0:
            raise MusicZooError(
                f"{mels} bands from {low} to {high} Hz at {rate} samples a second, with windows of"
                f" {window} s each {hop} s down to {floor} dB, are no spectrogram.",
                remedy="Use LogMel() for the settings of mel-aesthetics.",
            )
        self.mels = mels
        self.low = low
        self.high = high
        self.window = window
        self.hop = hop
        self.floor = floor
        self.rate = rate
        self._size, self._hop = round(window * rate), round(hop * rate)
        self._bank = torch.from_numpy(
            mel_filters(mels, low, high, rate / self._size, self._size // 2 + 1)
        )

    def encode(
        self, piece: Any, *, max_length: int | None = None, rng: random.Random | None = None
    ) -> torch.Tensor:
        """The levels of a piece, rendered in this process with the default soundfont.

        Args:
            piece: A tune, or a symusic score in ticks.
            max_length: Rows at most; None for as many as the clip has.
            rng: Chooses the part of a longer clip; None keeps the beginning.

        Returns:
            (rows, mels) uint8.

        Raises:
            MusicZooError: The piece cannot be rendered.
        """
        from musiczoo.music.sound.rendering import Rendering, render_clip

        rendering = Rendering()
        clip = render_clip(piece, rendering)
        if clip.samples is None:
            raise MusicZooError(f"The piece cannot be rendered: {clip.reason}.")
        rows = self.encode_audio(clip.samples, rendering.sample_rate)
        if max_length is None or len(rows) <= max_length:
            return rows
        first = rng.randrange(len(rows) - max_length + 1) if rng is not None else 0
        return rows[first : first + max_length]

    def encode_audio(self, samples: NDArray[np.float32], rate: int) -> torch.Tensor:
        """The levels of sound.

        Args:
            samples: (channels, samples) or (samples,) in [-1, 1]; the channels are averaged.
            rate: Samples a second, at least twice :attr:`high`.

        Returns:
            (rows, mels) uint8, a row for each hop that begins in the sound, and one for its end.

        Raises:
            MusicZooError: A sample rate that is too low, no samples, or samples that are not
                finite.
        """
        if rate < 2 * self.high:
            raise MusicZooError(
                f"Sound of {rate} samples a second holds nothing up to {self.high:g} Hz.",
                remedy="Render it at 48000.",
            )
        channels = np.atleast_2d(np.asarray(samples, dtype=np.float32))
        if not channels.size or not np.isfinite(channels).all():
            raise MusicZooError("There are no samples, or not all of them are finite numbers.")
        wave = torch.from_numpy(resample(channels.mean(axis=0), rate, self.rate))
        window = torch.hann_window(self._size)
        spectrum = torch.stft(
            wave,
            self._size,
            self._hop,
            window=window,
            center=True,
            pad_mode="constant",
            return_complex=True,
        )
        # A sine of amplitude 1 has a peak of half the window's sum.
        # (bins, rows) -> (rows, bins) -> (rows, mels)
        power = spectrum.abs().square().T @ self._bank * (2.0 / float(window.sum())) ** 2
        decibels = 10.0 * torch.log10(power.clamp(min=10.0 ** (self.floor / 10.0)))
        levels = (decibels - self.floor) * (LEVELS / -self.floor)
        return levels.round().clamp(0, LEVELS).to(torch.uint8)

    def decode(self, encoded: torch.Tensor) -> Tune:
        """A spectrogram is not turned back into notes.

        Raises:
            MusicZooError: Always.
        """
        raise MusicZooError(
            "A spectrogram cannot be turned into notes.", remedy="Keep the piece beside it."
        )

    def collate(self, encoded: Sequence[torch.Tensor]) -> dict[str, torch.Tensor]:
        """Clips as one batch.

        Returns:
            ``mel`` (batch, longest, mels), uint8, silent (0) where a clip has ended, and
            ``lengths`` (batch,), int64, the rows of each.
        """
        return padded(encoded, "mel")

    def to_config(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return {
            name: getattr(self, name)
            for name in ("mels", "low", "high", "window", "hop", "floor", "rate")
        }


def mel_filters(
    mels: int, low: float, high: float, spacing: float, bins: int
) -> NDArray[np.float32]:
    """Triangular filters that are equally spaced on the mel scale and overlap by half.

    Args:
        mels: Number of filters.
        low: Where the first begins, in Hz.
        high: Where the last ends, in Hz.
        spacing: Of the bins of the transform, in Hz.
        bins: Their number, from 0 Hz up.

    Returns:
        (bins, mels) float32 with peaks of at most 1.
    """
    edges = np.linspace(
        2595.0 * np.log10(1.0 + low / 700.0), 2595.0 * np.log10(1.0 + high / 700.0), mels + 2
    )
    left, peak, right = (
        700.0 * (10.0 ** (part / 2595.0) - 1.0) for part in (edges[:-2], edges[1:-1], edges[2:])
    )
    frequency = spacing * np.arange(bins)[:, None]
    rising, falling = (frequency - left) / (peak - left), (right - frequency) / (right - peak)
    return np.maximum(0.0, np.minimum(rising, falling)).astype(np.float32)

"""Sound at another sample rate, by a windowed sinc.

The kernel is the one that most audio networks were trained behind (the default of torchaudio's
``resample``: six zero crossings to each side, Hann window, cut-off at 0.99 of the lower Nyquist
frequency), so that a network sees the samples that it knows; torchaudio itself is not needed.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from musiczoo.music.errors import MusicZooError

ZERO_CROSSINGS = 6
ROLLOFF = 0.99


def resample(samples: NDArray[np.float32], rate: int, target: int) -> NDArray[np.float32]:
    """Samples at another rate.

    Silence lies before the first and after the last sample.

    Args:
        samples: (..., n), the last axis is time.
        rate: Samples a second now.
        target: Samples a second wanted.

    Returns:
        (..., ceil(n * target / rate)), float32.

    Raises:
        MusicZooError: A rate is not a positive whole number.
    """
    for value in (rate, target):
        if value != int(value) or value <= 0:
            raise MusicZooError(
                f"A sample rate of {value} is no rate.",
                remedy="Give a positive whole number, such as 48000.",
            )
    samples = np.asarray(samples, dtype=np.float32)
    divisor = math.gcd(int(rate), int(target))
    # Every `phases` output samples take `step` input samples; then the pattern repeats.
    step, phases = int(rate) // divisor, int(target) // divisor
    if step == phases:
        return samples
    cutoff = ROLLOFF * min(step, phases)
    reach = math.ceil(ZERO_CROSSINGS * step / cutoff)
    total = -(-samples.shape[-1] * phases // step)
    result = np.empty((*samples.shape[:-1], total), np.float32)
    padded = np.pad(samples, [(0, 0)] * (samples.ndim - 1) + [(reach, reach + step)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * reach + 1, axis=-1)
    for phase in range(min(phases, total)):
        # The window that begins at `first` of the padded samples has its middle at `first` of the
        # unpadded ones.
        first = phase * step // phases
        offsets = np.arange(-reach, reach + 1) + first
        places = result[..., phase::phases]
        kernel = _kernel(cutoff * (phase / phases - offsets / step), cutoff / step)
        places[:] = windows[..., first::step, :][..., : places.shape[-1], :] @ kernel
    return result


def _kernel(times: NDArray[np.float64], scale: float) -> NDArray[np.float32]:
    """The weights of samples at distances in zero crossings."""
    window = np.where(
        np.abs(times) < ZERO_CROSSINGS, np.cos(np.pi / 2 * times / ZERO_CROSSINGS) ** 2, 0.0
    )
    return (scale * np.sinc(times) * window).astype(np.float32)

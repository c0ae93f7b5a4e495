"""One sample of a soundfont at one pitch, from which the notes of that key are cut."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from musiczoo.music.sound.regions import Envelope, Oscillator, Region, hertz
from musiczoo.music.sound.soundfont import Sample

#: Samples computed at a time, for any request, so that results do not depend on earlier requests.
_CHUNK = 24_576
# The filter works on overlapping windows, each with the cutoff of its middle; a window's echo may
# be as long as itself.
_WINDOW, _HOP = 1024, 256
_LAG = _WINDOW - _HOP
_HANN = (0.25 * (1 - np.cos(2 * np.pi * np.arange(_WINDOW) / _WINDOW))).astype(
    np.float32
)  # overlapping fourfold, they add up to 1
_DECAY_DECIBELS = 100.0
#: Seconds of the shortest attack and release: shorter ones sound like a click.
_SHORTEST_FADE = 0.001
_NO_CUTOFF = 13_500
_MOST_RESONANCE = 24.0
_AUDIBLE_DECIBELS = 80.0
_AUDIBLE_SHARE = _AUDIBLE_DECIBELS / _DECAY_DECIBELS

_Course = NDArray[np.float64] | float


class Voice:
    """A sample at the pitch of a key, filtered and modulated, without end where it is looped.

    Computed as far as it was needed.

    Args:
        sample: The recording.
        region: How it is played.
        key: The MIDI key.
        rate: Samples a second of the result.
    """

    def __init__(self, sample: Sample, region: Region, key: int, rate: int) -> None:
        self._region = region
        self._key = key
        self._rate = rate
        start, end, loop_start, loop_end = region.offsets
        size = len(sample.waveform)
        first, last = max(0, min(start, size)), max(0, min(size, size + end))
        self._waveform = sample.waveform[first:last]
        begin, stop = (
            sample.loop[0] + loop_start - first,
            min(sample.loop[1] + loop_end - first, len(self._waveform)),
        )
        self._loop = (begin, stop) if region.loops and 0 <= begin < stop - 1 else None
        self._step = (
            sample.rate / rate * 2 ** (((key - region.root) * region.scale + region.tuning) / 12)
        )
        self._position = 0.0
        self._filtered = region.cutoff < _NO_CUTOFF
        self._past = np.zeros(_LAG, np.float32)
        self._echo = np.zeros(_WINDOW * 2 - _HOP, np.float32)
        self._chunks = 0
        self._wave = np.zeros(0, np.float32)
        self._held = np.zeros(0, np.float32)
        self._fade = max(region.volume.release, _SHORTEST_FADE) * rate
        self._release = np.power(
            10.0,
            -_DECAY_DECIBELS / 20 * np.arange(math.ceil(self._fade * _AUDIBLE_SHARE)) / self._fade,
        )
        self._release = self._release.astype(np.float32)
        self._end = self._last_sample()

    @property
    def nbytes(self) -> int:
        """Memory that is kept."""
        return int(self._wave.nbytes + self._held.nbytes + self._release.nbytes)

    def note(self, held: int, most: int, gain: float) -> NDArray[np.float32]:
        """The sound of a note.

        Args:
            held: Samples until the key is released.
            most: Samples that are wanted at most.
            gain: Factor of the amplitude.

        Returns:
            (n,) with n at most ``most``.
        """
        held = min(held, most, self._end)
        level = _level(self._region.volume, self._key, max(0, held - 1) / self._rate)
        # The release is 80 dB long, less what the note has already lost.
        rest = (
            self._fade * (_AUDIBLE_DECIBELS + 20 * math.log10(max(level, 1e-12))) / _DECAY_DECIBELS
        )
        whole = min(held + max(0, min(int(rest), len(self._release))), most, self._end)
        while len(self._held) < whole:
            self._extend()
        sound = np.empty(whole, np.float32)
        np.multiply(self._held[:held], np.float32(gain), out=sound[:held])
        if whole > held:
            tail = np.multiply(
                self._wave[held:whole], self._release[: whole - held], out=sound[held:]
            )
            tail *= np.float32(gain * level)
        return sound

    def _last_sample(self) -> int:
        """Where a note has died away however long it is held.

        At the end of a sample without a loop, or of the decay.
        """
        end = np.iinfo(np.int64).max
        volume = self._region.volume
        if self._loop is None:
            # Pitch that is modulated downwards, by at most two octaves, makes it longer; there it
            # is zeros in the end.
            end = (
                int(4 * len(self._waveform) / self._step) + 1
                if any(self._region.pitch_by)
                else int(len(self._waveform) / self._step) + 1
            )
        if volume.sustain >= _DECAY_DECIBELS:
            hold, decay = volume.of_key(self._key)
            end = min(
                end,
                int((volume.delay + max(volume.attack, _SHORTEST_FADE) + hold + decay) * self._rate)
                + 1,
            )
        return end

    def _extend(self) -> None:
        """Computes the next chunk; behind a filter it is the sound of a moment before."""
        region = self._region
        time = (self._chunks * _CHUNK + np.arange(_CHUNK)) / self._rate
        oscillator = (
            _triangle(region.oscillator, time)
            if region.pitch_by[0] or region.cutoff_by[0] or region.volume_by
            else 0.0
        )
        modulation = (
            _modulation(region.modulation, self._key, time)
            if region.pitch_by[2] or region.cutoff_by[1]
            else 0.0
        )
        sound = self._read(time, oscillator, modulation)
        if region.volume_by:
            sound *= np.power(10.0, region.volume_by / 20 * oscillator).astype(np.float32)
        if self._filtered:
            cutoff = np.broadcast_to(
                region.cutoff + region.cutoff_by[0] * oscillator + region.cutoff_by[1] * modulation,
                time.shape,
            )
            sound = self._low_pass(sound, cutoff)
        start = len(self._wave)
        at = np.arange(start, start + len(sound)) / self._rate
        self._wave = np.concatenate([self._wave, sound])
        self._held = np.concatenate(
            [self._held, sound * _volume(region.volume, self._key, at).astype(np.float32)]
        )
        self._chunks += 1

    def _read(
        self,
        time: NDArray[np.float64],
        oscillator: NDArray[np.float64] | float,
        modulation: NDArray[np.float64] | float,
    ) -> NDArray[np.float32]:
        """The sample at the pitch of the key, (chunk,)."""
        by_oscillator, by_vibrato, by_envelope = self._region.pitch_by
        if by_oscillator or by_vibrato or by_envelope:
            cents = (
                by_oscillator * oscillator
                + by_vibrato * _triangle(self._region.vibrato, time)
                + by_envelope * modulation
            )
            steps = np.cumsum(self._step * np.power(2.0, cents / 1200))
            position: NDArray[np.float64] = self._position + np.concatenate([[0.0], steps[:-1]])
            self._position += float(steps[-1])
        else:
            position = self._step * np.arange(
                self._chunks * _CHUNK, (self._chunks + 1) * _CHUNK, dtype=np.float64
            )
        wave, loop = self._waveform, self._loop
        if loop is not None:
            position = np.where(
                position < loop[1], position, loop[0] + (position - loop[0]) % (loop[1] - loop[0])
            )
        left = np.minimum(position, len(wave)).astype(np.int64)
        right = left + 1
        if loop is not None:
            # Rounding may put a position on the very end of the loop.
            left = np.where(left >= loop[1], loop[0], left)
            right = np.where(right >= loop[1], loop[0], right)
        padded = np.append(wave, np.zeros(2, np.float32))
        part = (position - np.floor(position)).astype(np.float32)
        low = padded[left]
        return low + part * (padded[np.minimum(right, len(wave))] - low)

    def _low_pass(
        self, sound: NDArray[np.float32], cutoff: NDArray[np.float64]
    ) -> NDArray[np.float32]:
        """A two-pole resonant low-pass whose cutoff, in cents, may move.

        It is the bilinear transform of the analogue one.
        """
        signal = np.concatenate([self._past, sound])
        self._past = signal[-_LAG:]
        windows = np.lib.stride_tricks.sliding_window_view(signal, _WINDOW)[::_HOP] * _HANN
        count = len(windows)
        middles = np.maximum(0, np.arange(count) * _HOP + _HOP - _WINDOW // 2)
        frequencies = np.array([hertz(cents) for cents in cutoff[middles]])
        if (frequencies == frequencies[0]).all():
            frequencies = frequencies[:1]
        response = _response(frequencies, self._region.resonance, self._rate)
        filtered = np.fft.irfft(np.fft.rfft(windows, 2 * _WINDOW) * response, 2 * _WINDOW).astype(
            np.float32
        )
        parts = filtered.reshape(count, -1, _HOP)
        # Sample 0 of this sum is _LAG before the chunk.
        whole = np.zeros((count + parts.shape[1] - 1, _HOP), np.float32)
        whole.ravel()[: len(self._echo)] += self._echo
        for number in range(parts.shape[1]):
            whole[number : number + count] += parts[:, number]
        flat = whole.ravel()
        self._echo = flat[_CHUNK:].copy()
        return flat[_LAG if not self._chunks else 0 : _CHUNK]


def _response(
    frequencies: NDArray[np.float64], resonance: float, rate: int
) -> NDArray[np.complex64]:
    bins = np.tan(np.pi * np.arange(_WINDOW) / (2 * _WINDOW))
    bins = np.append(bins, 1e6)  # half the rate, where the tangent has no value
    ratio = bins[None, :] / np.tan(np.pi * np.clip(frequencies / rate, 1e-4, 0.49))[:, None]
    quality = 10 ** (min(resonance, _MOST_RESONANCE) / 20)
    return (1 / (1 - ratio**2 + 1j * ratio / quality)).astype(np.complex64)


def _triangle(oscillator: Oscillator, time: NDArray[np.float64]) -> NDArray[np.float64]:
    phase = np.maximum(0.0, time - oscillator.delay) * oscillator.rate
    return 1 - np.abs((phase + 0.25) % 1 * 4 - 2)


def _volume(envelope: Envelope, key: int, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """Amplitude while the key is held: up in a straight line, down in decibels."""
    hold, decay = envelope.of_key(key)
    attack = max(envelope.attack, _SHORTEST_FADE)
    rise = np.clip((time - envelope.delay) / attack, 0, 1)
    since = np.maximum(0.0, time - envelope.delay - attack - hold)
    fallen = (
        np.minimum(envelope.sustain, since * _DECAY_DECIBELS / decay)
        if decay > 0
        else np.where(since > 0, envelope.sustain, 0)
    )
    return rise * np.power(10.0, -fallen / 20)


def _level(envelope: Envelope, key: int, time: float) -> float:
    """:func:`_volume` of one moment.

    It is needed for every note, and arrays of one element take ten times as long.
    """
    hold, decay = envelope.of_key(key)
    attack = max(envelope.attack, _SHORTEST_FADE)
    rise = min(1.0, max(0.0, (time - envelope.delay) / attack))
    since = max(0.0, time - envelope.delay - attack - hold)
    fallen = (
        min(envelope.sustain, since * _DECAY_DECIBELS / decay)
        if decay > 0
        else envelope.sustain
        if since > 0
        else 0.0
    )
    return float(rise * 10 ** (-fallen / 20))


def _modulation(envelope: Envelope, key: int, time: NDArray[np.float64]) -> NDArray[np.float64]:
    """From 0 to 1 and down to the sustained level, in straight lines."""
    hold, decay = envelope.of_key(key)
    rise = (
        np.clip((time - envelope.delay) / envelope.attack, 0, 1)
        if envelope.attack > 0
        else (time >= envelope.delay).astype(np.float64)
    )
    since = np.maximum(0.0, time - envelope.delay - envelope.attack - hold)
    fallen = (
        np.minimum(min(1.0, envelope.sustain), since / decay)
        if decay > 0
        else np.where(since > 0, min(1.0, envelope.sustain), 0)
    )
    course: NDArray[np.float64] = rise * (1 - fallen)
    return course

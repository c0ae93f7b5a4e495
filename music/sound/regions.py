"""Regions: how one sample of a preset is played (SoundFont 2.01 technical specification).

A region holds everything that the preset and the instrument set for a sample, resolved: sections 7
and 9.4 of the specification (values of the preset are added to those of the instrument). Modulators
and effects (reverb, chorus) are not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

# Numbers of the generators (section 8.1.2).
_START, _END, _LOOP_START, _LOOP_END = 0, 1, 2, 3
_START_COARSE, _END_COARSE, _LOOP_START_COARSE, _LOOP_END_COARSE = 4, 12, 45, 50
(
    _LFO_TO_PITCH,
    _VIBRATO_TO_PITCH,
    _ENVELOPE_TO_PITCH,
    _CUTOFF,
    _RESONANCE,
    _LFO_TO_CUTOFF,
    _ENVELOPE_TO_CUTOFF,
) = (
    5,
    6,
    7,
    8,
    9,
    10,
    11,
)
_LFO_TO_VOLUME, _PAN, _LFO_DELAY, _LFO_RATE, _VIBRATO_DELAY, _VIBRATO_RATE = 13, 17, 21, 22, 23, 24
# Each envelope: delay, attack, hold, decay, sustain, release, and how a key changes hold and decay,
# in this order.
_MODULATION_ENVELOPE, _VOLUME_ENVELOPE = 25, 33
INSTRUMENT, KEYS, VELOCITIES, _KEY, _VELOCITY, _ATTENUATION = 41, 43, 44, 46, 47, 48
_COARSE, _FINE, SAMPLE, _MODE, _SCALE, _EXCLUSIVE, _ROOT = 51, 52, 53, 54, 56, 57, 58
_ZERO = -12000  # timecents
_DEFAULTS = {
    _CUTOFF: 13500,
    _LFO_DELAY: _ZERO,
    _VIBRATO_DELAY: _ZERO,
    _SCALE: 100,
    _KEY: -1,
    _VELOCITY: -1,
    _ROOT: -1,
}
_DEFAULTS |= {
    first + step: _ZERO
    for first in (_MODULATION_ENVELOPE, _VOLUME_ENVELOPE)
    for step in (0, 1, 2, 3, 5)
}
# What counts in instruments alone, since it is no amount that could be added (section 8.5).
_OF_INSTRUMENTS_ONLY = {
    _START,
    _END,
    _LOOP_START,
    _LOOP_END,
    _START_COARSE,
    _END_COARSE,
    _LOOP_START_COARSE,
    _LOOP_END_COARSE,
}
_OF_INSTRUMENTS_ONLY |= {_KEY, _VELOCITY, _MODE, _EXCLUSIVE, _ROOT}
_COARSE_STEP = 32768


@dataclass(frozen=True)
class Envelope:
    """The course of a note's volume, or of its modulation.

    Attributes:
        delay: Seconds, as are attack, hold, decay (to 100 dB below the peak, of the modulation to
            0) and release (likewise).
        attack: See ``delay``.
        hold: See ``delay``.
        decay: See ``delay``.
        sustain: How far below the peak: decibels of the volume, a share of the modulation.
        release: See ``delay``.
        key_to_hold: Timecents that a key above 60 takes from the hold.
        key_to_decay: Timecents that a key above 60 takes from the decay.
    """

    delay: float
    attack: float
    hold: float
    decay: float
    sustain: float
    release: float
    key_to_hold: int
    key_to_decay: int

    def of_key(self, key: int) -> tuple[float, float]:
        """Hold and decay of a key, seconds."""
        return self.hold * 2 ** (self.key_to_hold * (60 - key) / 1200), self.decay * 2 ** (
            self.key_to_decay * (60 - key) / 1200
        )


@dataclass(frozen=True)
class Oscillator:
    """A low-frequency oscillator: a triangle that begins upwards from 0 after a delay.

    Attributes:
        delay: Seconds.
        rate: Hertz.
    """

    delay: float
    rate: float


@dataclass(frozen=True)
class Region:
    """How one sample of a preset is played.

    Attributes:
        sample: Number of the sample.
        keys: Lowest and highest MIDI key.
        velocities: Lowest and highest velocity.
        root: The key at which the sample sounds as it was recorded, apart from ``tuning``.
        tuning: Semitones up.
        scale: Semitones a key.
        gain: Amplitude.
        pan: -1 (left) to 1.
        loops: Whether the sample is looped.
        offsets: Samples that are added to the sample's start, end, loop start and loop end.
        volume: The volume envelope.
        modulation: The modulation envelope.
        oscillator: The modulation oscillator.
        vibrato: The vibrato oscillator.
        pitch_by: Cents by the oscillator, the vibrato and the modulation envelope.
        cutoff: Of the low-pass filter, in cents above 8.176 Hz; 13500 and more is no filter.
        cutoff_by: Cents by the oscillator and the modulation envelope.
        volume_by: Decibels by the oscillator.
        resonance: The filter's peak in decibels.
        exclusive: Its notes end one another in one part, when not 0.
        fixed_key: Sounds as this key whichever is played, when not negative.
        fixed_velocity: Likewise.
    """

    sample: int
    keys: tuple[int, int]
    velocities: tuple[int, int]
    root: int
    tuning: float
    scale: float
    gain: float
    pan: float
    loops: bool
    offsets: tuple[int, int, int, int]
    volume: Envelope
    modulation: Envelope
    oscillator: Oscillator
    vibrato: Oscillator
    pitch_by: tuple[int, int, int]
    cutoff: int
    cutoff_by: tuple[int, int]
    volume_by: float
    resonance: float
    exclusive: int
    fixed_key: int
    fixed_velocity: int


@dataclass(frozen=True)
class _Zone:
    """The generators of a zone of a preset and of one of its instrument, by number."""

    preset: Mapping[int, int]
    instrument: Mapping[int, int]

    def value(self, generator: int) -> int:
        amount = self.instrument.get(generator, _DEFAULTS.get(generator, 0))
        if generator in _OF_INSTRUMENTS_ONLY:
            return amount
        return amount + self.preset.get(generator, 0)

    def range_of(self, generator: int) -> tuple[int, int]:
        ranges = [
            (entry & 0xFF, entry >> 8 & 0xFF)
            for zone in (self.preset, self.instrument)
            if (entry := zone.get(generator)) is not None
        ]
        return max((low for low, _ in ranges), default=0), min(
            (high for _, high in ranges), default=127
        )

    def offset(self, fine: int, coarse: int) -> int:
        return self.value(fine) + _COARSE_STEP * self.value(coarse)

    def envelope(self, first: int, *, scale: float) -> Envelope:
        delay, attack, hold, decay, sustain, release, key_to_hold, key_to_decay = (
            self.value(first + step) for step in range(8)
        )
        return Envelope(
            _seconds(delay),
            _seconds(attack),
            _seconds(hold),
            _seconds(decay),
            max(0.0, sustain * scale),
            _seconds(release),
            key_to_hold,
            key_to_decay,
        )


def region_of(
    preset: Mapping[int, int], instrument: Mapping[int, int], pitch: int, correction: int
) -> Region:
    """The region of two zones.

    Args:
        preset: Generators of the preset's zone: number -> amount.
        instrument: Those of the instrument's zone, with a sample.
        pitch: The key at which the sample was recorded, above 127 where it is not known.
        correction: Cents by which it is to be tuned up.
    """
    zone = _Zone(preset, instrument)
    return Region(
        sample=instrument[SAMPLE],
        keys=zone.range_of(KEYS),
        velocities=zone.range_of(VELOCITIES),
        root=zone.value(_ROOT) if zone.value(_ROOT) >= 0 else pitch if pitch <= 127 else 60,
        tuning=zone.value(_COARSE) + (zone.value(_FINE) + correction) / 100,
        scale=zone.value(_SCALE) / 100,
        gain=float(10 ** (-max(0, zone.value(_ATTENUATION)) / 200)),
        pan=max(-1.0, min(1.0, zone.value(_PAN) / 500)),
        loops=bool(zone.value(_MODE) & 1),
        offsets=(
            zone.offset(_START, _START_COARSE),
            zone.offset(_END, _END_COARSE),
            zone.offset(_LOOP_START, _LOOP_START_COARSE),
            zone.offset(_LOOP_END, _LOOP_END_COARSE),
        ),
        volume=zone.envelope(_VOLUME_ENVELOPE, scale=0.1),
        modulation=zone.envelope(_MODULATION_ENVELOPE, scale=0.001),
        oscillator=Oscillator(_seconds(zone.value(_LFO_DELAY)), hertz(zone.value(_LFO_RATE))),
        vibrato=Oscillator(_seconds(zone.value(_VIBRATO_DELAY)), hertz(zone.value(_VIBRATO_RATE))),
        pitch_by=(
            zone.value(_LFO_TO_PITCH),
            zone.value(_VIBRATO_TO_PITCH),
            zone.value(_ENVELOPE_TO_PITCH),
        ),
        cutoff=zone.value(_CUTOFF),
        cutoff_by=(zone.value(_LFO_TO_CUTOFF), zone.value(_ENVELOPE_TO_CUTOFF)),
        volume_by=zone.value(_LFO_TO_VOLUME) / 10,
        resonance=max(0, zone.value(_RESONANCE)) / 10,
        exclusive=zone.value(_EXCLUSIVE),
        fixed_key=zone.value(_KEY),
        fixed_velocity=zone.value(_VELOCITY),
    )


def hertz(cents: float) -> float:
    """The frequency of a pitch in cents above 8.176 Hz."""
    return float(8.175798915643707 * 2 ** (max(-20_000.0, min(20_000.0, cents)) / 1200))


def _seconds(timecents: int) -> float:
    """Seconds of a time in timecents; what is below a millisecond counts as 0."""
    return 0.0 if timecents <= -12000 else float(2 ** (min(timecents, 8000) / 1200))

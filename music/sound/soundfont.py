"""SoundFont files: presets, their regions, and the samples that these play (SoundFont 2.01 technical specification; SF3 with Vorbis).

A region is one sample with everything that the preset and the instrument say of it, resolved:
sections 7 and 9.4 of the specification (values of the preset are added to those of the instrument).
Modulators and what effects (reverb, chorus) are sent are not read.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from musiczoo.music.errors import MusicZooError

PERCUSSION_BANK = 128

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
# Each envelope: delay, attack, hold, decay, sustain, release, and what a key changes in hold and
# decay, in this order.
_MODULATION_ENVELOPE, _VOLUME_ENVELOPE = 25, 33
_INSTRUMENT, _KEYS, _VELOCITIES, _KEY, _VELOCITY, _ATTENUATION = 41, 43, 44, 46, 47, 48
_COARSE, _FINE, _SAMPLE, _MODE, _SCALE, _EXCLUSIVE, _ROOT = 51, 52, 53, 54, 56, 57, 58
_NONE = -12000  # timecents
_DEFAULTS = {
    _CUTOFF: 13500,
    _LFO_DELAY: _NONE,
    _VIBRATO_DELAY: _NONE,
    _SCALE: 100,
    _KEY: -1,
    _VELOCITY: -1,
    _ROOT: -1,
}
_DEFAULTS |= {
    first + step: _NONE
    for first in (_MODULATION_ENVELOPE, _VOLUME_ENVELOPE)
    for step in (0, 1, 2, 3, 5)
}
# What a preset may not say, since it is no amount that could be added (section 8.5).
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
_RANGES = (_KEYS, _VELOCITIES)
_COARSE_STEP = 32768
_COMPRESSED = 0x10
_RECORDS = {"phdr": 38, "pbag": 4, "pgen": 4, "inst": 22, "ibag": 4, "igen": 4, "shdr": 46}
_REMEDY = "Use another SF2 or SF3 file; this one may be damaged or cut short."


@dataclass(frozen=True)
class Envelope:
    """The course of a note's volume, or of what is modulated in it.

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
    """What one sample of a preset is played as.

    Attributes:
        sample: Number of the sample.
        keys: Lowest and highest MIDI key.
        velocities: Lowest and highest velocity.
        root: The key at which the sample sounds as it was recorded, but for ``tuning``.
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
        cutoff: Of the low-pass filter, in cents above 8.176 Hz; 13500 and more is none.
        cutoff_by: Cents by the oscillator and the modulation envelope.
        volume_by: Decibels by the oscillator.
        resonance: The filter's peak in decibels.
        exclusive: Its notes end one another in one part, when not 0.
        fixed_key: Sounds as this key whatever is played, when not negative.
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
class Sample:
    """A recording.

    Attributes:
        name: As the file has it.
        waveform: (n,) float32 in [-1, 1].
        loop: First sample of the loop and the first one after it.
        rate: Samples a second.
    """

    name: str
    waveform: NDArray[np.float32]
    loop: tuple[int, int]
    rate: int


class SoundFont:
    """A soundfont file; samples are read when they are first asked for.

    Args:
        path: An SF2 or SF3 file.

    Raises:
        MusicZooError: It cannot be read, or is none.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        try:
            self._data = np.memmap(self.path, np.uint8, "r")
        except (OSError, ValueError) as error:
            raise MusicZooError(
                f"The soundfont cannot be read: {error}.", path=path, remedy=_REMEDY
            ) from error
        chunks = self._chunks()
        try:
            self._wave_start, self._wave_length = chunks["smpl"]
            self._records = {
                name: self._table(*chunks[name], size) for name, size in _RECORDS.items()
            }
            self._presets = {
                (bank, program): index
                for index, record in reversed(list(enumerate(self._records["phdr"][:-1])))
                for program, bank in (struct.unpack_from("<HH", record, 20),)
            }
        except (KeyError, struct.error) as error:
            raise MusicZooError(
                f"This is no soundfont: {error} is missing.", path=path, remedy=_REMEDY
            ) from error
        if not self._presets:
            raise MusicZooError("The soundfont has no presets.", path=path, remedy=_REMEDY)
        self._regions: dict[tuple[int, int], tuple[Region, ...]] = {}
        self._samples: dict[int, Sample] = {}

    def _chunks(self) -> dict[str, tuple[int, int]]:
        """Where each chunk inside the lists begins, and its length."""
        data = self._data
        if len(data) < 12 or bytes(data[:4]) != b"RIFF" or bytes(data[8:12]) != b"sfbk":
            raise MusicZooError("This is no soundfont.", path=self.path, remedy=_REMEDY)
        found: dict[str, tuple[int, int]] = {}

        def walk(position: int, end: int) -> Iterator[tuple[bytes, int, int]]:
            while position + 8 <= end:
                length = int.from_bytes(bytes(data[position + 4 : position + 8]), "little")
                if position + 8 + length > end:
                    raise MusicZooError(
                        "The soundfont is cut short.", path=self.path, remedy=_REMEDY
                    )
                yield bytes(data[position : position + 4]), position + 8, length
                position += 8 + length
                # Chunks are padded to even lengths, but lists in SF3 files often are not.
                position += length % 2 if bytes(data[position : position + 4]) != b"LIST" else 0

        for name, start, length in walk(12, len(data)):
            if name == b"LIST" and length >= 4:
                found |= {
                    inner.decode("latin-1"): (at, count)
                    for inner, at, count in walk(start + 4, start + length)
                }
        return found

    def _table(self, start: int, length: int, size: int) -> list[bytes]:
        content = bytes(self._data[start : start + length])
        return [content[at : at + size] for at in range(0, length - size + 1, size)]

    @cached_property
    def programs(self) -> tuple[tuple[int, int], ...]:
        """(bank, program) of each preset, in order."""
        return tuple(sorted(self._presets))

    def regions(self, bank: int, program: int) -> tuple[Region, ...]:
        """The regions of a preset.

        One that the file lacks is played by the same program of bank 0, drums by the first set of
        drums, and all else by the first preset.

        Raises:
            MusicZooError: What the file says of the preset points outside it.
        """
        wanted = [
            (bank, program),
            (bank, 0) if bank == PERCUSSION_BANK else (0, program),
            self.programs[0],
        ]
        preset = next(name for name in wanted if name in self._presets)
        if preset not in self._regions:
            try:
                self._regions[preset] = tuple(self._resolved(self._presets[preset]))
            except (IndexError, struct.error) as error:
                raise MusicZooError(
                    "The soundfont is damaged.",
                    path=self.path,
                    where=f"preset {preset[0]}:{preset[1]}",
                    remedy=_REMEDY,
                ) from error
        return self._regions[preset]

    def _resolved(self, preset: int) -> Iterator[Region]:
        records = self._records
        for outer in _zones(
            records["phdr"], 24, records["pbag"], records["pgen"], preset, _INSTRUMENT
        ):
            for inner in _zones(
                records["inst"], 20, records["ibag"], records["igen"], outer[_INSTRUMENT], _SAMPLE
            ):
                region = self._region(outer, inner)
                if (
                    region.keys[0] <= region.keys[1]
                    and region.velocities[0] <= region.velocities[1]
                ):
                    yield region

    def _region(self, outer: Mapping[int, int], inner: Mapping[int, int]) -> Region:
        def value(generator: int) -> int:
            amount = inner.get(generator, _DEFAULTS.get(generator, 0))
            return amount if generator in _OF_INSTRUMENTS_ONLY else amount + outer.get(generator, 0)

        def range_of(generator: int) -> tuple[int, int]:
            ranges = [
                (entry & 0xFF, entry >> 8 & 0xFF)
                for zone in (outer, inner)
                if (entry := zone.get(generator)) is not None
            ]
            return max((low for low, _ in ranges), default=0), min(
                (high for _, high in ranges), default=127
            )

        def envelope(first: int, *, scale: float) -> Envelope:
            delay, attack, hold, decay, sustain, release, key_to_hold, key_to_decay = (
                value(first + step) for step in range(8)
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

        number = inner[_SAMPLE]
        pitch, correction = struct.unpack_from("<Bb", self._records["shdr"][number], 40)
        return Region(
            sample=number,
            keys=range_of(_KEYS),
            velocities=range_of(_VELOCITIES),
            root=value(_ROOT) if value(_ROOT) >= 0 else pitch if pitch <= 127 else 60,
            tuning=value(_COARSE) + (value(_FINE) + correction) / 100,
            scale=value(_SCALE) / 100,
            gain=float(10 ** (-max(0, value(_ATTENUATION)) / 200)),
            pan=max(-1.0, min(1.0, value(_PAN) / 500)),
            loops=bool(value(_MODE) & 1),
            offsets=(
                value(_START) + _COARSE_STEP * value(_START_COARSE),
                value(_END) + _COARSE_STEP * value(_END_COARSE),
                value(_LOOP_START) + _COARSE_STEP * value(_LOOP_START_COARSE),
                value(_LOOP_END) + _COARSE_STEP * value(_LOOP_END_COARSE),
            ),
            volume=envelope(_VOLUME_ENVELOPE, scale=0.1),
            modulation=envelope(_MODULATION_ENVELOPE, scale=0.001),
            oscillator=Oscillator(_seconds(value(_LFO_DELAY)), hertz(value(_LFO_RATE))),
            vibrato=Oscillator(_seconds(value(_VIBRATO_DELAY)), hertz(value(_VIBRATO_RATE))),
            pitch_by=(value(_LFO_TO_PITCH), value(_VIBRATO_TO_PITCH), value(_ENVELOPE_TO_PITCH)),
            cutoff=value(_CUTOFF),
            cutoff_by=(value(_LFO_TO_CUTOFF), value(_ENVELOPE_TO_CUTOFF)),
            volume_by=value(_LFO_TO_VOLUME) / 10,
            resonance=max(0, value(_RESONANCE)) / 10,
            exclusive=value(_EXCLUSIVE),
            fixed_key=value(_KEY),
            fixed_velocity=value(_VELOCITY),
        )

    def sample(self, number: int) -> Sample:
        """A recording by its number.

        Raises:
            MusicZooError: It lies outside the file, or is compressed in a way that cannot be read.
        """
        if number not in self._samples:
            self._samples[number] = self._read(number)
        return self._samples[number]

    def _read(self, number: int) -> Sample:
        record = self._records["shdr"][number]
        name = record[:20].split(b"\0")[0].decode("latin-1")
        start, end, loop_start, loop_end, rate = struct.unpack_from("<IIIII", record, 20)
        compressed = bool(struct.unpack_from("<H", record, 44)[0] & _COMPRESSED)
        width = 1 if compressed else 2
        if not 0 <= start <= end or end * width > self._wave_length or not rate:
            raise MusicZooError(
                "The soundfont is damaged.", path=self.path, where=f"sample {name}", remedy=_REMEDY
            )
        content = self._data[self._wave_start + start * width : self._wave_start + end * width]
        if compressed:  # loops count from the beginning of the sample, starts and ends are bytes
            return Sample(
                name, _decompressed(bytes(content), self.path, name), (loop_start, loop_end), rate
            )
        waveform = np.frombuffer(bytes(content), "<i2").astype(np.float32) / np.float32(32768)
        return Sample(name, waveform, (loop_start - start, loop_end - start), rate)


def _zones(
    headers: list[bytes],
    first_bag: int,
    bags: list[bytes],
    generators: list[bytes],
    index: int,
    last: int,
) -> Iterator[dict[int, int]]:
    """The zones of a preset or instrument, each with what its global zone says; ``last`` is the generator that a zone must have."""
    begin, end = (
        struct.unpack_from("<H", headers[number], first_bag)[0] for number in (index, index + 1)
    )
    common: dict[int, int] = {}
    for number in range(begin, end):
        start, stop = (struct.unpack_from("<H", bags[at])[0] for at in (number, number + 1))
        zone: dict[int, int] = {}
        for record in generators[start:stop]:
            generator, amount = struct.unpack("<HH", record)
            signed = generator not in (*_RANGES, _INSTRUMENT, _SAMPLE) and amount >= 0x8000
            zone[generator] = amount - 0x10000 if signed else amount
        if last in zone:
            yield common | zone
        elif number == begin:
            common = zone


def hertz(cents: float) -> float:
    """The frequency of a pitch in cents above 8.176 Hz."""
    return float(8.175798915643707 * 2 ** (max(-20_000.0, min(20_000.0, cents)) / 1200))


def _seconds(timecents: int) -> float:
    """Seconds of a time in timecents; what is below a millisecond is none."""
    return 0.0 if timecents <= -12000 else float(2 ** (min(timecents, 8000) / 1200))


def _decompressed(content: bytes, path: Path, name: str) -> NDArray[np.float32]:
    try:
        import soundfile
    except ImportError as error:
        raise MusicZooError(
            "The samples of an SF3 file are compressed; they are read by soundfile, which is not"
            " installed.",
            path=path,
            remedy="Install it (pip install soundfile), or use an SF2 file.",
        ) from error
    try:
        samples, _ = soundfile.read(io.BytesIO(content), dtype="float32", always_2d=True)
    except (RuntimeError, ValueError) as error:
        raise MusicZooError(
            f"The soundfont is damaged: {error}", path=path, where=f"sample {name}", remedy=_REMEDY
        ) from error
    return np.ascontiguousarray(samples[:, 0])

"""SoundFont files: presets, their regions, and the samples that these play.

SoundFont 2.01 technical specification; SF3 with Vorbis.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.regions import INSTRUMENT, KEYS, SAMPLE, VELOCITIES, Region, region_of
from musiczoo.music.sound.regions import Envelope as Envelope  # users import these from here
from musiczoo.music.sound.regions import Oscillator as Oscillator
from musiczoo.music.sound.regions import hertz as hertz

PERCUSSION_BANK = 128

_COMPRESSED = 0x10
_RECORDS = {"phdr": 38, "pbag": 4, "pgen": 4, "inst": 22, "ibag": 4, "igen": 4, "shdr": 46}
_REMEDY = "Use another SF2 or SF3 file; this one may be damaged or cut short."


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
    """A soundfont file; samples are read when they are first used.

    Args:
        path: An SF2 or SF3 file.

    Raises:
        MusicZooError: It cannot be read, or is not a soundfont.
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
            MusicZooError: The records of the preset point outside the file.
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
            records["phdr"], 24, records["pbag"], records["pgen"], preset, INSTRUMENT
        ):
            for inner in _zones(
                records["inst"], 20, records["ibag"], records["igen"], outer[INSTRUMENT], SAMPLE
            ):
                pitch, correction = struct.unpack_from("<Bb", records["shdr"][inner[SAMPLE]], 40)
                region = region_of(outer, inner, pitch, correction)
                if (
                    region.keys[0] <= region.keys[1]
                    and region.velocities[0] <= region.velocities[1]
                ):
                    yield region

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
    """The zones of a preset or instrument, each with the generators of its global zone.

    ``last`` is the generator that a zone must have.
    """
    begin, end = (
        struct.unpack_from("<H", headers[number], first_bag)[0] for number in (index, index + 1)
    )
    common: dict[int, int] = {}
    for number in range(begin, end):
        start, stop = (struct.unpack_from("<H", bags[at])[0] for at in (number, number + 1))
        zone: dict[int, int] = {}
        for record in generators[start:stop]:
            generator, amount = struct.unpack("<HH", record)
            signed = generator not in (KEYS, VELOCITIES, INSTRUMENT, SAMPLE) and amount >= 0x8000
            zone[generator] = amount - 0x10000 if signed else amount
        if last in zone:
            yield common | zone
        elif number == begin:
            common = zone


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

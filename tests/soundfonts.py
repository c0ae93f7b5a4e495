"""Soundfonts made for tests (SoundFont 2.01 technical specification): a few presets, instruments and samples, written as bytes."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

#: Generators by number; ranges are (low, high), the rest signed numbers.
Zone = Mapping[int, int | tuple[int, int]]
INSTRUMENT, KEYS, SAMPLE = 41, 43, 53


@dataclass
class MadeSample:
    """A recording: 16-bit samples in [-1, 1], or bytes that are written as they are (SF3); the loop is counted from its beginning."""

    waveform: NDArray[np.floating] | bytes
    loop: tuple[int, int] = (0, 0)
    rate: int = 44100
    root: int = 69
    correction: int = 0


@dataclass
class MadeSoundfont:
    """Presets as (bank, program, zones) and instruments as zones; a zone without instrument or sample is a global one."""

    samples: Sequence[MadeSample]
    instruments: Sequence[Sequence[Zone]]
    presets: Sequence[tuple[int, int, Sequence[Zone]]] = field(
        default_factory=lambda: [(0, 0, [{INSTRUMENT: 0}])]
    )

    def write(self, path: Path) -> Path:
        """Writes the file."""
        records: dict[bytes, bytes] = {b"pmod": b"\0" * 10, b"imod": b"\0" * 10}
        records[b"phdr"], records[b"pbag"], records[b"pgen"] = _zoned(
            [
                (struct.pack("<20sHH", b"preset", program, bank), b"\0" * 12, zones)
                for bank, program, zones in self.presets
            ],
            (struct.pack("<20sHH", b"EOP", 0, 0), b"\0" * 12),
        )
        records[b"inst"], records[b"ibag"], records[b"igen"] = _zoned(
            [(b"instrument".ljust(20, b"\0"), b"", zones) for zones in self.instruments],
            (b"EOI".ljust(20, b"\0"), b""),
        )
        sound, headers = b"", b""
        for sample in self.samples:
            packed = isinstance(sample.waveform, bytes)
            content = (
                sample.waveform
                if packed
                else np.rint(sample.waveform * 32767).astype("<i2").tobytes() + b"\0" * 92
            )
            assert isinstance(content, bytes)
            start, size = (
                (len(sound), len(content)) if packed else (len(sound) // 2, len(sample.waveform))
            )
            loop = sample.loop if packed else (start + sample.loop[0], start + sample.loop[1])
            headers += struct.pack(
                "<20sIIIIIBbHH",
                b"sample",
                start,
                start + size,
                *loop,
                sample.rate,
                sample.root,
                sample.correction,
                0,
                17 if packed else 1,
            )
            sound += content
        records[b"shdr"] = headers + struct.pack("<20sIIIIIBbHH", b"EOS", *[0] * 9)
        info = (
            chunk(b"ifil", struct.pack("<HH", 2, 1))
            + chunk(b"isng", b"EMU8000\0")
            + chunk(b"INAM", b"made")
        )
        order = (b"phdr", b"pbag", b"pmod", b"pgen", b"inst", b"ibag", b"imod", b"igen", b"shdr")
        body = chunk(b"LIST", b"INFO" + info) + chunk(b"LIST", b"sdta" + chunk(b"smpl", sound))
        body += chunk(b"LIST", b"pdta" + b"".join(chunk(name, records[name]) for name in order))
        path.write_bytes(chunk(b"RIFF", b"sfbk" + body))
        return path


def chunk(name: bytes, data: bytes) -> bytes:
    return name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2)


def _zoned(
    entries: Sequence[tuple[bytes, bytes, Sequence[Zone]]], last: tuple[bytes, bytes]
) -> tuple[bytes, bytes, bytes]:
    headers, bags, generators = b"", b"", b""
    for before, after, zones in entries:
        headers += before + struct.pack("<H", len(bags) // 4) + after
        for zone in zones:
            bags += struct.pack("<HH", len(generators) // 4, 0)
            # Ranges first, the instrument or sample last (section 8.1.2).
            for number, amount in sorted(
                zone.items(),
                key=lambda item: (item[0] in (INSTRUMENT, SAMPLE), not isinstance(item[1], tuple)),
            ):
                generators += (
                    struct.pack("<HBB", number, *amount)
                    if isinstance(amount, tuple)
                    else struct.pack("<Hh", number, amount)
                )
    headers += last[0] + struct.pack("<H", len(bags) // 4) + last[1]
    return headers, bags + struct.pack("<HH", len(generators) // 4, 0), generators + b"\0" * 4


def sine(periods: int = 10, period: int = 100, amplitude: float = 0.5) -> MadeSample:
    """A looped sine of 441 Hz at its root."""
    return MadeSample(
        amplitude * np.sin(2 * np.pi * np.arange(periods * period) / period),
        (period, (periods - 1) * period),
    )


def sine_soundfont(path: Path, **generators: int) -> Path:
    """One preset that plays a sine without envelope at any key; generators are ``g38=1200``."""
    zone: dict[int, int | tuple[int, int]] = {
        int(name[1:]): amount for name, amount in generators.items()
    }
    return MadeSoundfont([sine()], [[{**zone, 54: 1, SAMPLE: 0}]]).write(path)

"""A sample-playing synthesizer: notes through a soundfont to samples, by array operations.

Each note is played by the regions of its preset that its key and velocity lie in
(:mod:`musiczoo.music.sound.sample_voice`), and the results are added up. As in TinySoundFont, which
SMART renders with (arXiv 2504.16839), amplitude is proportional to velocity; the default modulator
of the SoundFont specification would square it. What differs from TinySoundFont:

- every note is played, where it has no more than 256 voices;
- releases fall by 100 dB in their time, as the specification has it, where its tails are about 1 dB
  louder;
- the filter stays where the modulation envelope has it when a key is released;
- controllers, pedals and pitch bends are left out (pieces that models generate have none).

Neither has reverb or chorus. (symusic's own synthesizer is not used: the releases of 0.5 choose
wrong samples in soundfonts with several a preset, so that a piano's A4 sounds two octaves too high,
and take no notice of velocities.)

The result depends on the notes, the soundfont and the rate alone, to the last bit: sound that is
kept from earlier notes to save time is computed in chunks of one size, in one order.
"""

from __future__ import annotations

from collections import OrderedDict
from functools import lru_cache
from math import sqrt
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from musiczoo.music.sound.note_table import Performance
from musiczoo.music.sound.regions import Region
from musiczoo.music.sound.sample_voice import Voice
from musiczoo.music.sound.soundfont import PERCUSSION_BANK, SoundFont

_CHOKE_SECONDS = 0.005
_KEPT_BYTES = 256 * 2**20

_VoiceKey = tuple[int, int, int, int]


def synthesizer(soundfont: str | Path, rate: int) -> Synthesizer:
    """The synthesizer of a soundfont file, kept for the next call in this process.

    Raises:
        MusicZooError: The file cannot be read, or is no soundfont.
    """
    path = Path(soundfont)
    return _synthesizer(path, path.stat().st_mtime_ns if path.is_file() else 0, rate)


@lru_cache(maxsize=4)
def _synthesizer(path: Path, modified: int, rate: int) -> Synthesizer:
    return Synthesizer(SoundFont(path), rate)


class Synthesizer:
    """Plays performances on a soundfont.

    Args:
        soundfont: The file.
        rate: Samples a second.
    """

    def __init__(self, soundfont: SoundFont, rate: int) -> None:
        self.soundfont = soundfont
        self.rate = rate
        # The voice that was played last stands last.
        self._voices: OrderedDict[_VoiceKey, Voice] = OrderedDict()
        self._kept = 0

    def render(self, played: Performance, frames: int) -> NDArray[np.float32]:
        """Plays notes.

        Args:
            played: The notes.
            frames: Length of the result; what sounds later is cut.

        Returns:
            (2, frames), not limited to [-1, 1].

        Raises:
            MusicZooError: The soundfont is damaged where it is needed.
        """
        # One channel a place between left and right; most presets have very few.
        places: dict[float, NDArray[np.float32]] = {}
        count = int(np.searchsorted(played.onset, frames / self.rate))
        starts = np.rint(played.onset[:count] * self.rate).astype(np.int64)
        ends = np.rint(
            (played.onset[:count] + np.minimum(played.duration[:count], frames)) * self.rate
        ).astype(np.int64)
        columns = (
            starts,
            np.maximum(starts + 1, ends),
            played.pitch,
            played.velocity,
            played.program,
            played.drum,
        )
        notes = list(zip(*(column[:count].tolist() for column in columns), strict=True))
        regions = [self._regions(*note[2:]) for note in notes]
        stops = self._stops(notes, regions, frames)
        for (start, end, pitch, velocity, program, drum), stop, sounding in zip(
            notes, stops, regions, strict=True
        ):
            for number, region in sounding:
                if region.pan not in places:
                    places[region.pan] = np.zeros(frames, np.float32)
                self._add(
                    places[region.pan][start:stop],
                    end - start,
                    (drum, program, number, pitch),
                    region,
                    velocity,
                )
        mixed = np.zeros((2, frames), np.float32)
        for pan, channel in places.items():
            mixed[0] += channel * np.float32(sqrt((1 - pan) / 2))
            mixed[1] += channel * np.float32(sqrt((1 + pan) / 2))
        return mixed

    def _regions(
        self, pitch: int, velocity: int, program: int, drum: bool
    ) -> list[tuple[int, Region]]:
        """The regions that a note sounds in, with their numbers."""
        return [
            (number, region)
            for number, region in enumerate(
                self.soundfont.regions(PERCUSSION_BANK if drum else 0, program)
            )
            if region.keys[0] <= pitch <= region.keys[1]
            and region.velocities[0] <= velocity <= region.velocities[1]
        ]

    def _stops(
        self, notes: list[tuple[int, ...]], regions: list[list[tuple[int, Region]]], frames: int
    ) -> list[int]:
        """Where each note is cut at the latest.

        One of an exclusive class (an open hi-hat) ends shortly after the next of its class begins.
        """
        stops = [frames] * len(notes)
        last: dict[tuple[int, ...], int] = {}
        for index, sounding in enumerate(regions):
            for exclusive in {region.exclusive for _, region in sounding} - {0}:
                before = last.get((*notes[index][4:], exclusive))
                if before is not None and notes[before][0] < notes[index][0]:
                    stops[before] = min(frames, notes[index][0] + round(_CHOKE_SECONDS * self.rate))
                last[*notes[index][4:], exclusive] = index
        return stops

    def _add(
        self, channel: NDArray[np.float32], held: int, key: _VoiceKey, region: Region, velocity: int
    ) -> None:
        """Adds a note to where it sounds; ``held`` samples are as long as its key is pressed."""
        voice = self._voices.pop(key, None)
        if voice is None:
            pitch = region.fixed_key if region.fixed_key >= 0 else key[3]
            voice = Voice(self.soundfont.sample(region.sample), region, pitch, self.rate)
        loudness = region.fixed_velocity if region.fixed_velocity >= 0 else velocity
        before = voice.nbytes
        sound = voice.note(held, len(channel), region.gain * loudness / 127)
        channel[: len(sound)] += sound
        self._voices[key] = voice
        self._kept += voice.nbytes - before
        while self._kept > _KEPT_BYTES:
            self._kept -= self._voices.popitem(last=False)[1].nbytes

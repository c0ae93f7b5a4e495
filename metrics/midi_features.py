"""The eight symbolic features of SMART, which compare models before and after tuning.

Number of notes, polyphony rate, empty-beat rate, scale consistency, pitch range, velocity range,
and the distributions of pitches and of velocities pooled over pieces (SMART, arXiv 2504.16839,
section 4; most are MusPy's, arXiv 2008.01951).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric
from torchmetrics.utilities.data import dim_zero_cat

from musiczoo.metrics.sounding import Sounding, music_of, sounding
from musiczoo.models.base.generative import Generated
from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    from symusic.core import ScoreTick

Rule = Literal["sounding", "muspy"]
Integers = NDArray[np.int64]

FEATURE_NAMES = (
    "notes",
    "polyphony_rate",
    "empty_beat_rate",
    "scale_consistency",
    "pitch_range",
    "velocity_range",
)
"""The features that are one number a piece."""

POLYPHONY_THRESHOLD = 2
"""A moment is polyphonic when *more* than two pitches sound, so a dyad is not.

As in MusPy, whose function SMART calls.
"""

_MAJOR = (0, 2, 4, 5, 7, 9, 11)
# Row r: the classes of the major scale on r. The natural minor scales are the same twelve sets of
# classes.
_SCALES = np.zeros((12, 12), dtype=np.int64)
for _root in range(12):
    _SCALES[_root, [(_root + step) % 12 for step in _MAJOR]] = 1


@dataclass(frozen=True)
class MidiFeatures:
    """The features of one piece.

    Attributes:
        notes: Notes of all tracks.
        polyphony_rate: Part of the length in which more than ``threshold`` different pitches sound,
            0 to 1; drums have no pitch. NaN where nothing has a length.
        empty_beat_rate: Part of the beats (quarter notes) in which nothing sounds, drums included.
            NaN where nothing has a length.
        scale_consistency: The largest part of the notes that lie in one major or natural minor
            scale; NaN without pitched notes.
        pitch_range: Semitones from the lowest to the highest note that is no drum; 0 without any.
        velocity_range: Largest minus smallest velocity, drums included; 0 without notes.
        pitches: (128,) number of notes of each pitch, drums included as in SMART's plots.
        velocities: (128,) number of notes of each velocity, drums included.
    """

    notes: int
    polyphony_rate: float
    empty_beat_rate: float
    scale_consistency: float
    pitch_range: int
    velocity_range: int
    pitches: Integers
    velocities: Integers

    def numbers(self) -> dict[str, float]:
        """The features of :data:`FEATURE_NAMES` by name."""
        return {name: float(getattr(self, name)) for name in FEATURE_NAMES}


def midi_features(
    piece: ScoreTick | Tune, *, threshold: int = POLYPHONY_THRESHOLD, rule: Rule = "sounding"
) -> MidiFeatures:
    r"""The features of a piece, on the ticks of its file.

    Under ``rule="muspy"`` every number is that of MusPy 0.5.0. Our rule differs where MusPy counts
    what does not sound:

    * Empty beats: a note fills the beats that it sounds in. MusPy's notes also fill the beat that
      begins where they end, and its pieces that end on a beat have one beat more.
    * Length: to the end of the last note; MusPy counts to the last controller too.
    * Pitch range of drums alone: 0; MusPy's is -127.

    MusPy raises where there are no tracks; rates of such pieces are NaN under both rules. The
    velocity range of notated music belongs to the conversion
    (:data:`musiczoo.music.abc.dynamics.VELOCITY`), not to a performance.

    Args:
        piece: A score in ticks, or a tune, which is converted into one.
        threshold: A moment is polyphonic when more pitches than this sound.
        rule: ``"sounding"`` or ``"muspy"``.

    Raises:
        MusicZooError: No such rule, or a tune with music code that cannot be read.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> found = midi_features(read_abc("L:1/4\nK:C\n[CEG]2 z2|^C4|\n"))
        >>> list(found.numbers().values())
        [4.0, 0.25, 0.25, 0.75, 7.0, 0.0]
    """
    if rule not in get_args(Rule):
        raise MusicZooError(
            f"There is no rule {rule!r}.", where="rule", remedy="Choose sounding or muspy."
        )
    notes = sounding(piece)
    pitched = notes.only(~notes.drum)
    length = int(notes.end.max(initial=0))
    if rule == "muspy":
        length = max(length, notes.last_control)
    polyphonic = _polyphonic_ticks(pitched.start, pitched.end, pitched.pitch, threshold)
    return MidiFeatures(
        notes.count,
        polyphonic / length if length > 0 else math.nan,
        _empty_beat_rate(notes.start, notes.end, notes.resolution, length, rule),
        _scale_consistency(pitched.pitch),
        _pitch_range(notes, pitched, rule),
        int(np.ptp(notes.velocity)) if notes.count else 0,
        np.bincount(notes.pitch, minlength=128),
        np.bincount(notes.velocity, minlength=128),
    )


def _pitch_range(notes: Sounding, pitched: Sounding, rule: Rule) -> int:
    if rule == "muspy":
        lowest, highest = pitched.pitch.min(initial=127), pitched.pitch.max(initial=0)
        return int(highest - lowest) if notes.count else 0
    return int(np.ptp(pitched.pitch)) if pitched.count else 0


def _polyphonic_ticks(start: Integers, end: Integers, pitch: Integers, threshold: int) -> int:
    """Ticks in which more than ``threshold`` pitches sound.

    A pitch that several notes play at once counts once.

    It works on the notes' ends, not on a piano roll: its cost does not grow with the resolution.
    """
    start, end, pitch = (values[end > start] for values in (start, end, pitch))
    if not len(start):
        return 0
    order = np.lexsort((start, pitch))
    start, end, pitch = start[order], end[order], pitch[order]
    # The latest end so far among the notes of the same pitch: pitches are moved apart by more than
    # the length of the piece.
    apart = pitch * (int(end.max()) - min(0, int(start.min())) + 1)
    latest = np.maximum.accumulate(end + apart) - apart
    first = np.ones(len(start), dtype=bool)
    first[1:] = (pitch[1:] != pitch[:-1]) | (start[1:] > latest[:-1])
    last = np.append(first[1:], True)
    times = np.concatenate([start[first], latest[last]])
    changes = np.ones(len(times), dtype=np.int64)
    changes[len(times) // 2 :] = -1
    order = np.argsort(times, kind="stable")
    times, together = times[order], np.cumsum(changes[order])
    return int(np.diff(times)[together[:-1] > threshold].sum())


def _empty_beat_rate(
    start: Integers, end: Integers, resolution: int, length: int, rule: Rule
) -> float:
    if length < 1:
        return math.nan
    first = start // resolution
    if rule == "muspy":
        beats, last = length // resolution + 1, end // resolution
    else:
        beats, last = -(-length // resolution), np.maximum(first, (end - 1) // resolution)
    return 1 - _covered(first, last) / beats


def _covered(first: Integers, last: Integers) -> int:
    """The number of whole numbers in at least one span from ``first`` to ``last``, included."""
    if not len(first):
        return 0
    order = np.argsort(first, kind="stable")
    first, last = first[order], last[order]
    before = np.concatenate([[first[0] - 1], np.maximum.accumulate(last)[:-1]])
    return int(np.maximum(0, last - np.maximum(first - 1, before)).sum())


def _scale_consistency(pitch: Integers) -> float:
    if not len(pitch):
        return math.nan
    return int((_SCALES @ np.bincount(pitch % 12, minlength=12)).max()) / len(pitch)


class MidiFeatureStatistics(Metric):
    r"""The features of many pieces.

    They are the mean of each feature that is a number, and the pooled distributions of pitches and
    velocities. Pieces without notes (and results of generation that are no pieces) are left out and
    counted in ``skipped``, as SMART does.

    Args:
        threshold: See :func:`midi_features`.
        rule: See :func:`midi_features`.
        settings: Of :class:`torchmetrics.Metric`.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> metric = MidiFeatureStatistics()
        >>> metric.update([read_abc("L:1/4\nK:C\nCDEF|\n"), read_abc("L:1/4\nK:C\nC4|c4|\n")])
        >>> found = metric.compute()
        >>> found["notes"].item(), found["pitch_range"].item()
        (3.0, 8.5)
        >>> found["pitch_distribution"][60].item()
        0.3333333333333333
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = False

    rows: list[Tensor]
    pitches: Tensor
    velocities: Tensor
    skipped: Tensor

    def __init__(
        self, threshold: int = POLYPHONY_THRESHOLD, rule: Rule = "sounding", **settings: Any
    ) -> None:
        super().__init__(**settings)
        self.threshold = threshold
        self.rule: Rule = rule
        self.add_state("rows", [], dist_reduce_fx="cat")
        for name in ("pitches", "velocities"):
            self.add_state(name, torch.zeros(128, dtype=torch.int64), dist_reduce_fx="sum")
        self.add_state("skipped", torch.tensor(0), dist_reduce_fx="sum")

    def update(self, pieces: Iterable[ScoreTick | Tune | Generated]) -> None:
        """Adds pieces: scores, tunes, or results of generation.

        Raises:
            MusicZooError: A tune with music code that cannot be read.
        """
        # Also without pieces: all processes must gather rows of the same kind.
        self.rows.append(
            torch.zeros(0, len(FEATURE_NAMES), dtype=torch.float64, device=self.pitches.device)
        )
        for piece in pieces:
            found = music_of(
                piece, lambda music: midi_features(music, threshold=self.threshold, rule=self.rule)
            )
            if found is None or not found.notes:
                self.skipped += 1
                continue
            self.rows.append(
                torch.tensor(
                    [list(found.numbers().values())],
                    dtype=torch.float64,
                    device=self.pitches.device,
                )
            )
            self.pitches += torch.from_numpy(found.pitches).to(self.pitches)
            self.velocities += torch.from_numpy(found.velocities).to(self.velocities)

    def values(self) -> Tensor:
        """The features of the pieces of this process, for histograms.

        Returns:
            (pieces, features) float64 in the order of :data:`FEATURE_NAMES`; NaN where undefined.
        """
        if not len(self.rows):
            return torch.zeros(0, len(FEATURE_NAMES), dtype=torch.float64)
        rows: Tensor = dim_zero_cat(self.rows)
        return rows

    def compute(self) -> dict[str, Tensor]:
        """Means by name, and the shares ``pitch_distribution`` and ``velocity_distribution``.

        NaN before the first piece.

        Returns:
            Scalars, each over the pieces where the feature is defined, and twice (128,), all
            float64.
        """
        means = self.values().nanmean(dim=0)
        return {
            **dict(zip(FEATURE_NAMES, means, strict=True)),
            "pitch_distribution": self.pitches.double() / self.pitches.sum(),
            "velocity_distribution": self.velocities.double() / self.velocities.sum(),
        }

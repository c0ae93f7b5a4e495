"""What a model writes, in figures: a portrait of one model, to be laid beside that of another one of the same prompts.

The measures are those by which SMART is told from its base model (arXiv 2504.16839, sections 4.1,
4.2 and 5.2): eight symbolic features, each rating of the reward, the mean piano roll of the first
sixteen beats, and diversity.
"""

from __future__ import annotations

import io
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from musiczoo.models.base.generative import Generated
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError

Floats = NDArray[np.float64]
FIGURES, ARRAYS = "portrait.json", "portrait.npz"
_FORMAT = 1


@dataclass(frozen=True, eq=False)
class Portrait:
    """What one model made of ``n`` prompts, one completion each.

    Attributes:
        name: Of the model, for tables and pictures.
        prompts: The prompts as text; the same ones in every portrait that is compared with this
            one.
        settings: How it was made, as plain JSON values: seed, sampling, limits, reward, reference.
        features: The numbers of :data:`musiczoo.metrics.midi_features.FEATURE_NAMES`, each (n,)
            float64. NaN throughout for completions without notes, as in the paper's own analysis,
            and where a feature is not defined.
        left_out: How many completions have no features, by reason.
        pitches: (128,) notes of each pitch, all completions together.
        velocities: (128,) notes of each velocity, all completions together.
        rewards: The value of the reward under its name, then its details, each (n,) float64; NaN
            where there is none.
        unscored: How many completions have no reward, by reason.
        roll: (128, steps) in which part of the completions a pitch sounds at a step of the first
            sixteen beats.
        diversity: ``piano_roll`` and ``onsets``, the mean distance of two completions in these
            views, and ``distinct_1`` to ``distinct_4``, the different n-grams of tokens as part of
            all.
        ended: (n,) bool: the model ended the piece by itself.
        lengths: (n,) sampled tokens.
        divergence: (n,) KL(model || reference) of each completion, in nats a token; None without a
            reference.
        results: The completions themselves; they are not saved.
    """

    name: str
    prompts: tuple[str, ...]
    settings: Mapping[str, Any]
    features: Mapping[str, Floats]
    left_out: Mapping[str, int]
    pitches: NDArray[np.int64]
    velocities: NDArray[np.int64]
    rewards: Mapping[str, Floats]
    unscored: Mapping[str, int]
    roll: Floats
    diversity: Mapping[str, float]
    ended: NDArray[np.bool_]
    lengths: NDArray[np.int64]
    divergence: Floats | None = None
    results: Sequence[Generated] = field(default=(), repr=False)

    @property
    def kl(self) -> float:
        """The mean divergence of all sampled tokens, in nats a token; NaN without a reference."""
        if self.divergence is None:
            return math.nan
        known = ~np.isnan(self.divergence) & (self.lengths > 0)
        weight = self.lengths[known]
        return (
            float((self.divergence[known] * weight).sum() / weight.sum())
            if known.any()
            else math.nan
        )

    def save(self, folder: str | Path) -> Path:
        """Writes the portrait, without the completions, into a folder, which is made: ``portrait.json`` and ``portrait.npz``.

        Raises:
            MusicZooError: The folder cannot be made or written to.
        """
        folder = Path(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise MusicZooError(
                f"The folder cannot be made ({error.strerror}).", path=folder
            ) from error
        arrays = {f"feature.{name}": values for name, values in self.features.items()}
        arrays |= {f"reward.{name}": values for name, values in self.rewards.items()}
        arrays |= {name: getattr(self, name) for name in _FIELDS if getattr(self, name) is not None}
        stream = io.BytesIO()
        # By number: names of rewards may hold characters that make no file name.
        named: Any = {str(number): values for number, values in enumerate(arrays.values())}
        np.savez_compressed(stream, **named)
        figures = {
            "format": _FORMAT,
            "name": self.name,
            "settings": dict(self.settings),
            "left_out": dict(self.left_out),
            "unscored": dict(self.unscored),
            "diversity": {
                name: None if math.isnan(value) else value for name, value in self.diversity.items()
            },
            "prompts": list(self.prompts),
            "arrays": list(arrays),
        }
        # The figures last: they say that the portrait is whole.
        write_atomically(folder / ARRAYS, stream.getvalue())
        write_atomically(
            folder / FIGURES,
            f"{json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False)}\n".encode(),
        )
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Portrait:
        """The portrait that :meth:`save` wrote.

        Raises:
            MusicZooError: There is none, or it is damaged.
        """
        folder = Path(folder)
        try:
            figures = json.loads((folder / FIGURES).read_text("utf-8"))
            if figures["format"] != _FORMAT:
                raise MusicZooError(
                    "The portrait is of another version.",
                    path=folder / FIGURES,
                    remedy="pip install --upgrade musiczoo",
                )
            with np.load(folder / ARRAYS, allow_pickle=False) as kept:
                arrays = {name: kept[str(number)] for number, name in enumerate(figures["arrays"])}
            n = len(figures["prompts"])
            if wrong := [
                name
                for name, values in arrays.items()
                if name not in _POOLED and values.shape != (n,)
            ]:
                raise MusicZooError(
                    f"The portrait's {wrong[0]} is not of {n} completions.", path=folder / ARRAYS
                )
            return cls(
                name=str(figures["name"]),
                prompts=tuple(figures["prompts"]),
                settings=figures["settings"],
                features=_of_kind(arrays, "feature."),
                left_out=figures["left_out"],
                rewards=_of_kind(arrays, "reward."),
                unscored=figures["unscored"],
                diversity={
                    name: math.nan if value is None else float(value)
                    for name, value in figures["diversity"].items()
                },
                **{name: arrays[name] for name in _FIELDS if name in arrays},
            )
        except FileNotFoundError as error:
            raise MusicZooError("There is no portrait in this folder.", path=folder) from error
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            zipfile.BadZipFile,
        ) as error:
            raise MusicZooError(
                f"The portrait cannot be read ({type(error).__name__}: {error}).", path=folder
            ) from error


_POOLED = ("pitches", "velocities", "roll")
_FIELDS = (*_POOLED, "ended", "lengths", "divergence")


def _of_kind(arrays: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {
        name.removeprefix(kind): values for name, values in arrays.items() if name.startswith(kind)
    }

"""The evaluation of one model in figures, to be compared with that of another on the same prompts.

The measures are those by which SMART compares its model with the base model (arXiv 2504.16839,
sections 4.1, 4.2 and 5.2): eight symbolic features, each rating of the reward, the mean piano roll
of the first sixteen beats, and diversity.
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

from musiczoo.comparison.measures import Floats, Measures
from musiczoo.models.base.generative import Generated
from musiczoo.music.atomic import make_folder, write_atomically
from musiczoo.music.errors import MusicZooError

# The names that the files had until 0.1; evaluations of that version are read.
FIGURES, ARRAYS = "portrait.json", "portrait.npz"
_FORMAT = 1
_POOLED = ("pitches", "velocities", "roll")
_MEASURED = (*_POOLED, "ended", "lengths")


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What one model generated from ``n`` prompts, one completion each, in figures.

    Attributes:
        name: Of the model, for tables and pictures.
        prompts: The prompts as text; the same ones in every evaluation that is compared with this
            one.
        settings: How it was made, as plain JSON values: seed, sampling, limits, reward, reference.
        measures: What is measured without a reward. Each measure is an attribute of the evaluation
            too: ``features``, ``left_out``, ``pitches``, ``velocities``, ``roll``, ``diversity``,
            ``ended`` and ``lengths`` (:class:`musiczoo.comparison.measures.Measures`).
        rewards: The value of the reward under its name, then its details, each (n,) float64; NaN
            where there is none.
        unscored: The number of completions without a reward, by reason.
        divergence: (n,) KL(model || reference) of each completion, in nats a token; None without a
            reference.
        results: The completions themselves; they are not saved.
    """

    name: str
    prompts: tuple[str, ...]
    settings: Mapping[str, Any]
    measures: Measures
    rewards: Mapping[str, Floats]
    unscored: Mapping[str, int]
    divergence: Floats | None = None
    results: Sequence[Generated] = field(default=(), repr=False)

    @property
    def features(self) -> Mapping[str, Floats]:
        """The eight features, each (n,) float64."""
        return self.measures.features

    @property
    def left_out(self) -> Mapping[str, int]:
        """The number of completions without features, by reason."""
        return self.measures.left_out

    @property
    def pitches(self) -> NDArray[np.int64]:
        """(128,) notes of each pitch."""
        return self.measures.pitches

    @property
    def velocities(self) -> NDArray[np.int64]:
        """(128,) notes of each velocity."""
        return self.measures.velocities

    @property
    def roll(self) -> Floats:
        """(128, steps) the mean piano roll."""
        return self.measures.roll

    @property
    def diversity(self) -> Mapping[str, float]:
        """Mean distances of two completions, and shares of distinct n-grams."""
        return self.measures.diversity

    @property
    def ended(self) -> NDArray[np.bool_]:
        """(n,) bool: the model ended the piece itself."""
        return self.measures.ended

    @property
    def lengths(self) -> NDArray[np.int64]:
        """(n,) sampled tokens."""
        return self.measures.lengths

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
        """Writes ``portrait.json`` and ``portrait.npz``: all but the completions.

        Args:
            folder: Made if it does not exist.

        Raises:
            MusicZooError: The folder cannot be made or written to.
        """
        folder = make_folder(folder)
        arrays = {f"feature.{name}": values for name, values in self.features.items()}
        arrays |= {f"reward.{name}": values for name, values in self.rewards.items()}
        arrays |= {name: getattr(self.measures, name) for name in _MEASURED}
        if self.divergence is not None:
            arrays["divergence"] = self.divergence
        stream = io.BytesIO()
        # By number: names of rewards may hold characters that no file name may have.
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
        # The figures last: where they stand, the evaluation is whole.
        write_atomically(folder / ARRAYS, stream.getvalue())
        write_atomically(
            folder / FIGURES,
            f"{json.dumps(figures, indent=1, ensure_ascii=False, allow_nan=False)}\n".encode(),
        )
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> Evaluation:
        """The evaluation that :meth:`save` wrote.

        Raises:
            MusicZooError: There is none, or it is damaged.
        """
        folder = Path(folder)
        try:
            return cls._read(folder)
        except FileNotFoundError as error:
            raise MusicZooError("There is no evaluation in this folder.", path=folder) from error
        except (
            OSError,
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            zipfile.BadZipFile,
        ) as error:
            raise MusicZooError(
                f"The evaluation cannot be read ({type(error).__name__}: {error}).", path=folder
            ) from error

    @classmethod
    def _read(cls, folder: Path) -> Evaluation:
        figures = json.loads((folder / FIGURES).read_text("utf-8"))
        if figures["format"] != _FORMAT:
            raise MusicZooError(
                "The evaluation is of another version.",
                path=folder / FIGURES,
                remedy="pip install --upgrade musiczoo",
            )
        with np.load(folder / ARRAYS, allow_pickle=False) as kept:
            arrays = {name: kept[str(number)] for number, name in enumerate(figures["arrays"])}
        n = len(figures["prompts"])
        for name, values in arrays.items():
            if name not in _POOLED and values.shape != (n,):
                raise MusicZooError(
                    f"The evaluation's {name} is not of {n} completions.", path=folder / ARRAYS
                )
        diversity = {
            name: math.nan if value is None else float(value)
            for name, value in figures["diversity"].items()
        }
        return cls(
            name=str(figures["name"]),
            prompts=tuple(figures["prompts"]),
            settings=figures["settings"],
            measures=Measures(
                features=_of_kind(arrays, "feature."),
                left_out=figures["left_out"],
                diversity=diversity,
                **{name: arrays[name] for name in _MEASURED},
            ),
            rewards=_of_kind(arrays, "reward."),
            unscored=figures["unscored"],
            divergence=arrays.get("divergence"),
        )


Portrait = Evaluation  # the name until 0.1


def _of_kind(arrays: Mapping[str, Any], kind: str) -> dict[str, Any]:
    return {
        name.removeprefix(kind): values for name, values in arrays.items() if name.startswith(kind)
    }

"""Prompts of REMI tokens: those of SMART.

Jonason, Casini and Sturm 2025, arXiv 2504.16839, sections 3.5 and 5.3, and the published code.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, Literal, get_args

from torch import Tensor

from musiczoo.datamodules.midi import MidiDataModule
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.remi import Remi

Variant = Literal["note", "bare", "nothing"]
Split = Literal["train", "validation", "test"]


class ProceduralPrompts:
    """Prompts made up at random, each token uniformly among those of its kind in the vocabulary.

    "Each iteration, we procedurally generate 8 prompts formatted according to the REMI+ syntax,
    including a token indicating the start of a new bar, a random time signature token and a random
    tempo token" (section 3.5). The published code's default adds a first note.

    Args:
        variant: ``"note"``: bar, time signature, position 0, tempo, pitch, velocity, duration (the
            published code's default); ``"bare"``: the first four of these (its variant without
            starting note); ``"nothing"``: BOS alone.
        representation: Of the model; SMART's when None.

    Raises:
        MusicZooError: Another variant, or a vocabulary without time signatures or tempos.

    Example:
        >>> source = ProceduralPrompts("bare")
        >>> [ids] = source.draw(1, random.Random(0))
        >>> [source.representation.vocabulary[index] for index in ids]
        ['Bar_None', 'TimeSig_6/4', 'Position_0', 'Tempo_56.67']
    """

    def __init__(self, variant: Variant = "note", representation: Remi | None = None) -> None:
        _check_choice("variant", variant, get_args(Variant))
        self.name = f"procedural-{variant}"
        self.variant = variant
        self.representation = representation or Remi.smart()
        kinds = {
            "note": (
                "Bar",
                "TimeSig",
                "Position_0",
                "Tempo",
                "Program",
                "Pitch",
                "Velocity",
                "Duration",
            ),
            "bare": ("Bar", "TimeSig", "Position_0", "Tempo"),
            "nothing": ("BOS",),
        }[variant]
        index = self.representation.index
        choices = {
            kind: [index[kind]] if kind in index else self.representation.of_type(kind)
            for kind in kinds
        }
        if self.representation.one_stream:
            choices.pop("Program", None)
        if missing := [kind for kind, ids in choices.items() if not ids]:
            raise MusicZooError(
                f"The vocabulary has no {' and no '.join(missing)}.",
                where="representation",
                remedy="Use prompts of its own tokens.",
            )
        self._choices = list(choices.values())

    def draw(self, count: int, rng: random.Random) -> list[Any]:
        """``count`` prompts, (tokens,) ids each."""
        names = self.representation.vocabulary
        return [
            self.representation.encode_text(
                " ".join(names[rng.choice(ids)] for ids in self._choices)
            )
            for _ in range(count)
        ]


class CorpusPrompts:
    """The first time signature and tempo of real pieces, as a bar that begins with them.

    "We therefore ran another SMART training run with the same settings except for the prompts being
    sampled from the training split of the pretraining dataset" (section 5.3).

    Args:
        data: Gives the pieces; its ``representation`` must be the model's.
        split: Of which split.
    """

    def __init__(self, data: MidiDataModule, split: Split = "train") -> None:
        _check_choice("split", split, get_args(Split))
        self.name = f"corpus-{split}"
        self.data = data
        self.split = split
        self._prompts: list[Tensor] = []

    @property
    def prompts(self) -> Sequence[Tensor]:
        """One prompt for each piece of the split.

        Raises:
            MusicZooError: The split has no pieces, or their tokens are no REMI.
        """
        if not self._prompts:
            representation = self.data.representation
            if not isinstance(representation, Remi):
                raise MusicZooError(
                    "These prompts are made of REMI tokens.",
                    where="data",
                    remedy="Give it representation=Remi.smart().",
                )
            indices: Sequence[int] = getattr(self.data.splits, self.split)
            self._prompts = [_opening(representation, self.data.tokens(index)) for index in indices]
            if not self._prompts:
                raise MusicZooError(
                    f"There are no pieces for {self.split}.",
                    where="split",
                    remedy="Give the split a fraction.",
                )
        return self._prompts

    def draw(self, count: int, rng: random.Random) -> list[Any]:
        """``count`` prompts, (tokens,) ids each."""
        return [rng.choice(self.prompts) for _ in range(count)]


def _opening(representation: Remi, tokens: Tensor) -> Tensor:
    names = [representation.vocabulary[number] for number in tokens.tolist()]
    found = {
        kind: next((name for name in names if name.startswith(kind)), None)
        for kind in ("TimeSig", "Tempo")
    }
    meter = [found["TimeSig"]] if found["TimeSig"] else []
    tempo = ["Position_0", found["Tempo"]] if found["Tempo"] else []
    return representation.encode_text(" ".join(["Bar_None", *meter, *tempo]))


def _check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    if value not in choices:
        raise MusicZooError(
            f"There is no {name} {value!r}.",
            where=name,
            remedy=f"Choose of {', '.join(choices)}.",
        )

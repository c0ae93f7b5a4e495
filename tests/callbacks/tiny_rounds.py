"""Preference rounds in a size for tests: a policy that writes readable tunes which depend on each bit of its weights."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning
import torch

from musiczoo.callbacks.preference.callback import PreferenceRounds
from musiczoo.datamodules.scores import ScoreDataModule
from musiczoo.models.adapters import fingerprint
from musiczoo.models.bar_stream.module import BarStreamModule
from musiczoo.models.base.generative import Generated
from musiczoo.models.prompts import Prompt
from musiczoo.music.abc import Tune, read_abc
from musiczoo.music.abc.cleaning import clean, with_prompt
from musiczoo.music.corpora.corpus import Work
from musiczoo.music.corpora.reading import work_of
from musiczoo.music.recipes.labels import Labels
from tests.small_runs import QUIET, KeepEverywhere, small_model

JIG, REEL = Labels("Traditional", "Here", "jig"), Labels("Traditional", "Here", "reel")
PROMPTS = [JIG, REEL]
SAMPLES, CHUNK, STEPS = 6, 4, 3
CHUNKS = SAMPLES * len(PROMPTS) // CHUNK


class Killed(BaseException):
    """Stands for the death of the process: nothing may tidy up after it."""


def tune(seed: int, voices: int = 2) -> Tune:
    rng = random.Random(seed)
    bars = rng.randrange(2, 10)
    rhythms = ("CDEF", "C2D2", "CD2E", "C4", "C3D")
    lines = []
    for voice in range(1, voices + 1):
        cut = (rng.choice(rhythms) for _ in range(bars))
        lines.append(
            f"V:{voice}\n"
            + " ".join(
                "".join(rng.choice("CDEFGAB") if c.isalpha() else c for c in bar) + " |"
                for bar in cut
            )
        )
    return read_abc("X:1\nM:4/4\nL:1/4\nK:G\n" + "\n".join(lines) + "\n")


def works(count: int = 8) -> list[Work]:
    return [replace(work_of(tune(seed)), labels=PROMPTS[seed % 2]) for seed in range(count)]


def data(count: int = 8, **settings: Any) -> ScoreDataModule:
    return ScoreDataModule(
        works(count),
        batch_size=2,
        progress=False,
        **({"val_fraction": 0.0, "prompts": True} | settings),
    )


def notes(pieces: Sequence[Generated]) -> list[float]:
    """The reward of most tests: the more notes the better."""
    return [float(len(list(piece.piece.notes()))) for piece in pieces if piece.piece is not None]


def written(module: BarStreamModule, labels: Labels, piece: Tune, stop: Any = "end") -> Generated:
    """A tune as if the model had written it."""
    prompted = with_prompt(clean(piece), labels.period, labels.composer, labels.instrumentation)
    tokens = module.representation.encode(prompted, max_length=10_000)
    nothing = torch.zeros(tokens.shape)
    text = module.representation.decode_text(tokens)
    return Generated(
        module.representation.decode(tokens),
        text,
        tokens,
        nothing,
        nothing.bool(),
        stop,
        None,
        labels,
    )


class Writer:
    """Instead of ``module.generate``: random tunes by the generator and the weights; counts its calls."""

    def __init__(
        self, module: BarStreamModule, by_weights: bool = True, die_at: int | None = None
    ) -> None:
        self.module = module
        self.by_weights = by_weights
        self.die_at = die_at
        self.calls: list[list[Labels]] = []

    def __call__(
        self,
        prompts: Sequence[Labels],
        sampling: Any,
        max_length: Any,
        generator: Any,
        **options: Any,
    ) -> list[Generated]:
        if len(self.calls) == self.die_at:
            raise Killed
        assert not options
        self.calls.append(list(prompts))
        salt = fingerprint(self.module.net.state_dict()) if self.by_weights else ""
        seeds = torch.randint(2**62, (len(prompts),), generator=generator).tolist()
        return [
            self.piece(labels, random.Random(f"{seed}{salt}"))
            for labels, seed in zip(prompts, seeds, strict=True)
        ]

    def piece(self, labels: Labels, rng: random.Random) -> Generated:
        return written(self.module, labels, tune(rng.randrange(2**32)))


def model(
    writer: Callable[..., Any] = Writer,
    dropout: float = 0.1,
    prompts: Sequence[Labels] = PROMPTS,
    **settings: Any,
) -> BarStreamModule:
    torch.manual_seed(0)
    module = small_model(dropout, **({"optimizer": adamw, "warmup_steps": 2} | settings))
    module.prompts = tuple(
        Prompt(one.period, one.composer, one.instrumentation, 4) for one in prompts
    )
    module.generate = writer(module)  # type: ignore[method-assign]
    return module


def adamw(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=1e-3)


def sgd(parameters: Any) -> torch.optim.Optimizer:
    # Adam divides a gradient by its own size, which makes rounding errors of near-zero gradients as
    # large as the learning rate.
    return torch.optim.SGD(parameters, lr=0.05, momentum=0.9)


def rounds(folder: Path, **settings: Any) -> PreferenceRounds:
    own = {
        "rounds": 2,
        "steps": STEPS,
        "samples": SAMPLES,
        "chunk": CHUNK,
        "min_works": 1,
        "fraction": 0.34,
        "crops": 2,
        "batch_size": 2,
    }
    return PreferenceRounds(
        **({"reward": notes, "folder": folder, "progress": False} | own | settings)
    )


def fit(
    callback: PreferenceRounds, module: BarStreamModule | None = None, **settings: Any
) -> BarStreamModule:
    module = model() if module is None else module
    checkpoint, source = settings.pop("checkpoint", None), settings.pop("source", None)
    callbacks = [callback, *settings.pop("callbacks", [])]
    trainer = lightning.Trainer(**(QUIET | {"callbacks": callbacks} | settings))
    trainer.fit(
        module, data() if source is None else source, ckpt_path=checkpoint, weights_only=True
    )
    return module


def keep_everywhere(folder: Path, rounds: Path) -> KeepEverywhere:
    """Checkpoints with the folder of the rounds as it was."""
    return KeepEverywhere(
        folder,
        rounds,
        lambda module: len(module.generate.calls),
        lambda epoch: f"round{epoch + 1}-",
    )


def policies(folder: Path) -> dict[str, bytes]:
    """The weights that a run has kept of its rounds, by place."""
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.glob("round-*/policy/model.safetensors"))
    }

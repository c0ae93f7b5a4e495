"""A MIDI-LLaMA in a size for tests, and questions about small pieces."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from musiczoo.hub.checkpoint import save_checkpoint
from musiczoo.llm.records import QARecord
from musiczoo.models.causal_lm import TextLM
from musiczoo.models.midi_llama import MidiLlamaModule
from musiczoo.models.musicbert import MusicBertModule
from musiczoo.music.abc import Tune, read_abc
from musiczoo.music.corpora.corpus import Work
from musiczoo.music.corpora.reading import work_of


def encoder() -> MusicBertModule:
    torch.manual_seed(3)
    return MusicBertModule(layers=1, hidden=32, heads=2, positions=66, dropout=0.2).eval()


def language_model(**settings: Any) -> TextLM:
    sizes = {"layers": 2, "hidden": 32, "heads": 2, "intermediate": 48, "positions": 160}
    model = TextLM(**{**sizes, "seed": 4, **settings}).eval()
    with torch.no_grad():
        # An untrained output layer hardly prefers any token, whatever a frozen net comes to see.
        model.net.lm_head.weight.mul_(15.0)
    return model


def build(**settings: Any) -> MidiLlamaModule:
    """With parts that have no name: it cannot be saved as a folder."""
    own = {"encoder": encoder(), "language_model": language_model(), "segments": 3}
    return MidiLlamaModule(**{**own, "encoder_sha256": "", **settings})


def named(folder: Path, **settings: Any) -> MidiLlamaModule:
    """With parts that are checkpoint folders."""
    if not folder.is_dir():
        folder.mkdir(parents=True)
        save_checkpoint(encoder(), folder / "encoder")
        save_checkpoint(language_model(), folder / "lm")
    own = {"encoder": f"local-dir:{folder}/encoder", "lm": f"local-dir:{folder}/lm", "segments": 3}
    return MidiLlamaModule(**{**own, **settings})


def adamw(parameters: Any) -> torch.optim.Optimizer:
    return torch.optim.AdamW(parameters, lr=3e-3)


def tune(seed: int) -> Tune:
    rng = random.Random(seed)
    key = rng.choice(["C", "Am", "G", "Ddor"])
    bars = "|".join("".join(rng.choices("CDEFGABcd", k=4)) for _ in range(rng.randrange(2, 6)))
    return read_abc(f"X:{seed}\nM:4/4\nL:1/4\nK:{key}\n{bars}|]\n")


def works(count: int) -> list[Work]:
    return [work_of(tune(seed)) for seed in range(count)]


def records(some: Sequence[Work], splits: str = "") -> list[QARecord]:
    """Two questions a work; splits are letters for train, validation and test."""
    found = []
    names = {"t": "train", "v": "validation", "s": "test"}
    for number, work in enumerate(some):
        source = {"split": names[splits[number % len(splits)]]} if splits else {}
        key = work.tune.field("K") or ""
        found.append(QARecord(f"{number}:key", work.id, "Which key?", key, "key", source=source))
        bars = str(work.bars)
        found.append(QARecord(f"{number}:n", work.id, "How many bars?", bars, "n", source=source))
    return found

"""Bits per character of held-out works, by the net and by a character n-gram model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from rich.console import Console
from rich.progress import track

from musiczoo.datamodules import ScoreDataModule
from musiczoo.datamodules.keys import KeyRule, possible_keys
from musiczoo.datamodules.resumable import Draw
from musiczoo.metrics import BitsPerSymbol, CharacterNgram
from musiczoo.models.base import GenerativeModule
from musiczoo.music.abc import Tune, is_rest_bar, signature_key, transpose
from musiczoo.representations.bar_stream import BOS, BarStreamPatches

ORDER = 8
"""Characters of an n-gram."""
KEY_RULES: tuple[KeyRule, ...] = ("original", "finetune", "pretrain")
CONSOLE = Console(stderr=True)
_UNCUT = 10**6

Item = TypeVar("Item")


def watched(items: Sequence[Item], what: str) -> Iterable[Item]:
    """The items, with a progress bar on standard error."""
    return track(items, description=what, console=CONSOLE)


def bits_per_character(
    model: GenerativeModule,
    texts: dict[str, list[torch.Tensor]],
    training: Sequence[Tune],
    rules: Sequence[KeyRule],
    batch_size: int,
) -> dict[str, dict[str, Any]]:
    """Bits of the net and of the n-gram models: a row for each source, and one for all.

    Args:
        model: The net.
        texts: The held-out works of each source (:func:`held_out_texts`).
        training: The works that the n-grams are counted in.
        rules: The keys in which a training work is counted; one n-gram model for each rule.
        batch_size: Works that the net reads at once.
    """
    representation: BarStreamPatches = model.representation
    texts = {**texts, "all": [piece for pieces in texts.values() for piece in pieces]}
    rows: dict[str, dict[str, Any]] = {}
    for source, pieces in texts.items():
        per_character, per_target = net_bits(model, pieces, batch_size)
        rows[source] = {
            "works": len(pieces),
            "characters": sum(len(representation.decode_text(piece)) for piece in pieces),
            "net": per_character,
            "net_per_target": per_target,
        }
    for rule in rules:
        baseline = ngram(training, representation, rule)
        for source, pieces in texts.items():
            rows[source][f"ngram_{rule}"] = ngram_bits(baseline, representation, pieces)
    return rows


def held_out_texts(data: ScoreDataModule, held: Sequence[int]) -> dict[str, list[torch.Tensor]]:
    """The held-out works of each source as validation reads them: in the original key, cropped."""
    items = data.items(held, training=False)
    found: dict[str, list[torch.Tensor]] = {}
    for place, work in enumerate(items.works):
        found.setdefault(work.source, []).append(items[Draw(0, place)])
    return found


def net_bits(
    model: GenerativeModule, patches: Sequence[torch.Tensor], batch_size: int
) -> tuple[float, float]:
    """Bits of the net per character of text and per target: one total, divided by both counts.

    The total covers every target: each character after the begin patch, the marks that end patches,
    and the end patch.
    """
    representation: BarStreamPatches = model.representation
    characters, targets = BitsPerSymbol("character"), BitsPerSymbol("target")
    ordered = sorted(patches, key=len)
    with torch.inference_mode():
        for start in range(0, len(ordered), batch_size):
            some = ordered[start : start + batch_size]
            batch = {
                name: value.to(model.device) for name, value in representation.collate(some).items()
            }
            scores = model.log_probs(batch)
            characters.update(
                scores, symbols=sum(len(representation.decode_text(piece)) for piece in some)
            )
            targets.update(scores)
    return float(characters.compute()), float(targets.compute())


def ngram_bits(
    model: CharacterNgram, representation: BarStreamPatches, patches: Sequence[torch.Tensor]
) -> float:
    """Bits per character of the same texts; the end of a piece is one more target."""
    bits = BitsPerSymbol("character")
    for piece in patches:
        text = representation.decode_text(piece)
        # A crop of the head of a long piece has no end.
        ended = int(piece[-1, 0]) == BOS
        bits.update(
            torch.from_numpy(model.log2_probs(text, ended=ended)) * np.log(2), symbols=len(text)
        )
    return float(bits.compute())


def ngram(tunes: Sequence[Tune], representation: BarStreamPatches, rule: KeyRule) -> CharacterNgram:
    """An n-gram model of whole training texts, each in every key that the rule may choose."""
    texts = []
    whole = BarStreamPatches(representation.patch_size, omit_rests=False)
    for tune in watched(tunes, f"n-grams, keys: {rule}"):
        # Most of the time goes into finding the rests that can be left out; a tune without rests
        # needs no search.
        has_rests = any(is_rest_bar(bar.text) for voice in tune.voices for bar in voice.bars)
        writer = representation if has_rests else whole
        for key in possible_keys(rule, signature_key(tune)):
            moved = tune if key is None else transpose(tune, key)
            texts.append(writer.decode_text(writer.encode(moved, max_length=_UNCUT)))
    return CharacterNgram(texts, ORDER)

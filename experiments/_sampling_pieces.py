"""Generated pieces and their figures: validity, bar alignment, copied spans."""

from __future__ import annotations

import argparse
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch

from experiments._sampling_bits import CONSOLE, watched
from musiczoo.metrics import (
    BarAlignmentError,
    CopyRate,
    SpanIndex,
    Validity,
    is_readable,
    longest_run,
    span_hashes,
)
from musiczoo.models.bar_stream.guards import Guard
from musiczoo.models.base import Generated, GenerativeModule
from musiczoo.models.sampling import Sampling
from musiczoo.music.abc import Tune


def span_indices(tunes: Sequence[Tune], bars: int) -> dict[str, SpanIndex]:
    """Spans of the training works: of all voices, and of the top voice."""
    whole, top = [], []
    for tune in watched(tunes, "spans of the training corpus"):
        whole.append(span_hashes(tune, bars)[0])
        top.append(span_hashes(tune, bars, "top")[0])
    return {
        "all_voices": SpanIndex(np.concatenate(whole), bars),
        "top_voice": SpanIndex(np.concatenate(top), bars, "top"),
    }


def copying(pieces: Sequence[Tune], indices: dict[str, SpanIndex]) -> dict[str, Any]:
    """Copy rates, and how long the longest copied passages are."""
    found: dict[str, Any] = {}
    for name, index in indices.items():
        metric = CopyRate(index)
        metric.update(pieces)
        found[name] = {
            "percent": float(metric.compute()),
            "copied": int(metric.copied),
            "spans": int(metric.spans),
        }
    runs = [
        longest_run(*indices["all_voices"].copied(piece), indices["all_voices"].bars)
        for piece in pieces
    ]
    found["pieces_with_a_copied_span"] = sum(run > 0 for run in runs)
    found["longest_copied_passage_in_bars"] = max(runs, default=0)
    return found


def sampled(
    model: GenerativeModule,
    prompts: Sequence[str],
    guard: Guard | None,
    options: argparse.Namespace,
) -> tuple[list[Generated], dict[str, float]]:
    """The pieces of the prompts, and the seconds that they took."""
    CONSOLE.print(
        f"{len(prompts)} pieces {'without a guard' if guard is None else 'with BarDurations'}"
    )
    began, began_computing = time.monotonic(), time.process_time()
    results = model.generate(
        prompts,
        sampling_of(options, model),
        options.max_length,
        torch.Generator().manual_seed(options.seed),
        batch_size=options.batch_size,
        guard=guard,
        # The progress bar of generate() goes to standard output, where --json prints the document.
        progress=not options.json,
    )
    return results, {
        "seconds": round(time.monotonic() - began, 1),
        "processor_seconds": round(time.process_time() - began_computing, 1),
    }


def measured(
    results: Sequence[Generated], times: dict[str, float], indices: dict[str, SpanIndex]
) -> dict[str, Any]:
    """All figures of one set of generated pieces."""
    validity, alignment = Validity(), BarAlignmentError()
    validity.update(results)
    alignment.update(results)
    readable = [
        result.piece for result in results if result.piece is not None and is_readable(result)
    ]
    return {
        "percent": {name: float(value) for name, value in validity.compute().items()},
        "stops": dict(Counter(result.stop for result in results)),
        "bar_alignment_error": {
            "percent": float(alignment.compute()),
            "misaligned": int(alignment.misaligned),
            "bars": int(alignment.bars),
            "pieces_aligned_throughout": int(alignment.aligned_pieces),
            "pieces": int(alignment.pieces),
        },
        "copy_rate": copying(readable, indices),
        "voices": dict(sorted(Counter(len(piece.voices) for piece in readable).items())),
        "bars_median": (
            float(np.median([max(len(voice.bars) for voice in piece.voices) for piece in readable]))
            if readable
            else 0.0
        ),
        "patches": sum(len(result.tokens) for result in results),
        **times,
    }


def sampling_of(options: argparse.Namespace, model: GenerativeModule) -> Sampling:
    """The settings that the options give; the checkpoint's own for the others."""
    given = {item.name: getattr(options, item.name) for item in fields(Sampling)}
    return replace(
        model.sampling, **{name: value for name, value in given.items() if value is not None}
    )

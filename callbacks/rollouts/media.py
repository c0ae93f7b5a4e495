"""MIDI and sound of completions, to listen to while a policy is tuned."""

from __future__ import annotations

import importlib.util
import logging
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from musiczoo.callbacks.rollouts.completions import Completion
from musiczoo.models.base.generative import Generated
from musiczoo.music import write
from musiczoo.music.errors import MusicZooError

KEPT = ("midi", "audio", "scores")
_log = logging.getLogger(__name__)


def kept_kinds(keep: str | Sequence[str]) -> frozenset[str]:
    """What is to be kept of the completions of each step.

    Args:
        keep: Some of ``"midi"``, ``"audio"`` and ``"scores"``.

    Raises:
        MusicZooError: Another kind.
    """
    kinds = frozenset([keep] if isinstance(keep, str) else keep)
    if unknown := sorted(kinds - {*KEPT}):
        raise MusicZooError(
            f"There is no {', '.join(unknown)} to keep.",
            where="keep",
            remedy=f"Choose of {', '.join(KEPT)}.",
        )
    return kinds


def write_completions(
    folder: Path,
    completions: Sequence[Completion],
    results: Mapping[int, Generated],
    renderers: Sequence[Any],
    kinds: Collection[str],
) -> None:
    """Writes the completions that this process has sampled, ``03-5.mid`` completion 5 of prompt 3.

    Args:
        folder: The folder, which is there.
        completions: Of all processes.
        results: This process's pieces, by number of the completion.
        renderers: Those of the reward; the clips of the first one are written as they were scored.
            Without one, pieces are rendered here.
        kinds: ``"midi"``, ``"audio"`` or both.
    """
    size = sum(completion.group == 0 for completion in completions)
    for completion in completions:
        if completion.number in results:
            base = folder / f"{completion.group:02d}-{completion.number % size}"
            _write(base, results[completion.number], renderers, kinds)


def write_preview(
    folder: Path,
    completions: Sequence[Completion],
    results: Mapping[int, Generated],
    renderers: Sequence[Any],
) -> None:
    """Writes the best, the middle and the worst completion of a step, named by their rewards.

    Each is written as MIDI and sound.

    Args:
        folder: The folder, which is there.
        completions: Of all processes; each writes what it has sampled.
        results: This process's pieces, by number of the completion.
        renderers: Those of the reward.
    """
    ranked = sorted(
        (one for one in completions if not math.isnan(one.reward)),
        key=lambda one: (one.reward, one.number),
    )
    if not ranked:
        return
    for name, one in (
        ("best", ranked[-1]),
        ("middle", ranked[len(ranked) // 2]),
        ("worst", ranked[0]),
    ):
        if one.number in results:
            _write(
                folder / f"{name}_{one.reward:.3f}",
                results[one.number],
                renderers,
                ("midi", "audio"),
            )


def _write(base: Path, result: Generated, renderers: Sequence[Any], kinds: Collection[str]) -> None:
    """Writes one piece; an error is logged, because hours of training would end with it."""
    if result.piece is None:
        return
    try:
        if "midi" in kinds:
            write(result.piece, base.with_name(base.name + ".mid"))
        if "audio" in kinds:
            _write_sound(base, result.piece, renderers)
    except (MusicZooError, OSError) as error:
        _log.warning("%s cannot be written: %s", base, error)


def _write_sound(base: Path, piece: Any, renderers: Sequence[Any]) -> None:
    from musiczoo.music.sound.audio import write_flac, write_wav
    from musiczoo.music.sound.rendering import Rendering, render_clip

    if renderers:
        clip, rate = renderers[0].clips([piece])[0], renderers[0].rendering.sample_rate
    else:
        rendering = Rendering()
        clip, rate = render_clip(piece, rendering), rendering.sample_rate
    if clip.samples is None:
        _log.warning("%s has no sound: %s", base, clip.reason)
    else:
        # FLAC is half as large and needs the package soundfile.
        kind, store = (
            (".flac", write_flac) if importlib.util.find_spec("soundfile") else (".wav", write_wav)
        )
        store(base.with_name(base.name + kind), clip.samples, rate)

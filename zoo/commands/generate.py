"""The command ``musiczoo generate``: new pieces from a model, as files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from musiczoo.compose import (
    Draft,
    alignment_of,
    deliver,
    device_of,
    formats_of,
    labels_of,
    list_prompts,
    make_folder,
    new_parser,
    sampling_of,
    scores_of,
)
from musiczoo.hub.opening import open_model
from musiczoo.models.bar_stream.guards import Countdown, Guards
from musiczoo.models.phi3_remi import Phi3RemiModule
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.bar_stream import prompt_lines


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = new_parser("generate", "Writes new pieces.", aligned=False)
    parser.add_argument(
        "--prompt",
        type=Path,
        metavar="FILE",
        help="to go on from: interleaved ABC, or of MIDI models names of tokens",
    )
    return parser


def run(words: Sequence[str]) -> list[Path]:
    """Generates and writes pieces.

    Args:
        words: The options.

    Returns:
        The files written. A format that cannot be made (sound without a soundfont) is reported and
        left out.

    Raises:
        MusicZooError: The model, the prompt or an option cannot be used, or not one piece could be
            written.
        SystemExit: Wrong usage.
    """
    options = parser().parse_args(words)
    if options.list_prompts:
        list_prompts(options)
        return []
    text = "" if options.prompt is None else _text(options.prompt)
    opened = open_model(options.model)
    if isinstance(opened, Phi3RemiModule):
        return _perform(opened, text, options)
    formats = formats_of(options)
    guard = _guard(options)
    model = scores_of(opened, options)
    sampling = sampling_of(options, model)
    if labels := labels_of(options, model):
        text = (
            "\n".join(prompt_lines(labels.period, labels.composer, labels.instrumentation))
            + f"\n{text}"
        )
    make_folder(options)
    results = model.generate(
        [text] * options.count,
        sampling,
        options.max_length,
        torch.Generator().manual_seed(options.seed),
        batch_size=options.batch_size,
        guard=guard,
        progress=not options.quiet,
    )
    return deliver(
        [Draft(result.piece, result, result.error, {}) for result in results], formats, options
    )


def _perform(model: Phi3RemiModule, text: str, options: argparse.Namespace) -> list[Path]:
    """Performed music: MIDI unless formats are asked for, always grammatical.

    A prompt is the names of tokens.
    """
    if options.formats == parser().get_default("formats"):
        options.formats = "mid"
    formats = formats_of(options)
    sampling = sampling_of(options, model)
    make_folder(options)
    results = model.to(device_of(options.device)).generate(
        [text] * options.count,
        sampling,
        options.max_length,
        torch.Generator().manual_seed(options.seed),
        batch_size=options.batch_size,
        guard="grammar",
        progress=not options.quiet,
    )
    return deliver(
        [Draft(result.piece, result, result.error, {}) for result in results], formats, options
    )


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except OSError as error:
        raise MusicZooError(f"The prompt cannot be read ({error.strerror}).", path=path) from None
    except UnicodeDecodeError:
        raise MusicZooError(
            "The prompt is not ASCII text.", path=path, remedy="Clean it first."
        ) from None


def _guard(options: argparse.Namespace) -> Guards | None:
    alignment = alignment_of(options)
    guards = [] if alignment is None else [alignment]
    if options.min_bars is not None or options.max_bars is not None:
        low = options.min_bars or 1
        guards.append(
            Countdown(low, max(low, 1000) if options.max_bars is None else options.max_bars)
        )
    return Guards(guards) if guards else None

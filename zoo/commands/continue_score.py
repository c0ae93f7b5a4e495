"""The command ``musiczoo continue``: goes on from a score in its own voices."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import torch

from musiczoo.compose import (
    Draft,
    alignment_of,
    deliver,
    formats_of,
    labels_of,
    list_prompts,
    make_folder,
    model_of,
    new_parser,
    sampling_of,
)
from musiczoo.music import read
from musiczoo.music.errors import MusicZooError


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = new_parser(
        "continue",
        "Goes on from a score: its header and its bars stay, and the model writes the bars behind"
        " them.",
        aligned=True,
    )
    parser.add_argument(
        "score", type=Path, nargs="?", help="ABC, MusicXML, MIDI, or what else musiczoo reads"
    )
    parser.add_argument(
        "--bars",
        type=int,
        metavar="N",
        help="keep the first N bars and let the model write the rest; all if not given",
    )
    return parser


def run(words: Sequence[str]) -> list[Path]:
    """Continues a score, once or several times, and writes what comes out.

    Args:
        words: The options.

    Returns:
        The files written.

    Raises:
        MusicZooError: The model, the score or an option cannot be used, or not one piece could be
            written.
        SystemExit: Wrong usage.
    """
    options = parser().parse_args(words)
    if options.list_prompts:
        list_prompts(options)
        return []
    if options.score is None:
        raise MusicZooError(
            "There is no score to go on from.",
            remedy="Name its file: musiczoo continue MODEL SCORE.",
        )
    formats = formats_of(options)
    score = read(options.score)
    model = model_of(options)
    sampling = sampling_of(options, model)
    labels = labels_of(options, model)
    make_folder(options)
    results = model.continue_pieces(
        [score] * options.count,
        options.bars,
        labels,
        sampling,
        options.max_length,
        torch.Generator().manual_seed(options.seed),
        min_bars=options.min_bars,
        max_bars=options.max_bars,
        guard=alignment_of(options),
        new_labels=options.new_labels,
        batch_size=options.batch_size,
        progress=not options.quiet,
    )
    drafts = [
        Draft(
            result.piece,
            result.generated,
            result.error,
            {"opening_bars": result.opening_bars, "planned_bars": result.planned_bars},
        )
        for result in results
    ]
    return deliver(drafts, formats, options)

"""The command ``musiczoo continue``: continues a score in its own voices."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from musiczoo.commands.composition_options import composed, list_prompts, new_parser
from musiczoo.compose import continue_score
from musiczoo.music import read
from musiczoo.music.errors import MusicZooError


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = new_parser(
        "continue",
        "Continues a score: its header and its bars stay, and the model writes the bars behind"
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
    """Continues a score, once or several times, and writes the pieces.

    Args:
        words: The options.

    Returns:
        The files written.

    Raises:
        MusicZooError: The score cannot be read; see also :func:`composed`.
        SystemExit: Wrong usage.
    """
    options = parser().parse_args(words)
    if options.list_prompts:
        list_prompts(options)
        return []
    if options.score is None:
        raise MusicZooError(
            "There is no score to continue.",
            remedy="Name its file: musiczoo continue MODEL SCORE.",
        )
    score = read(options.score)
    quiet, bars = options.quiet, options.bars
    return composed(
        options,
        lambda model, settings: continue_score(model, score, settings, bars, progress=not quiet),
        score=True,
    )

"""The command ``musiczoo continue``: continues a score in its own voices."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from musiczoo.commands.composition_options import Compose, composed, new_parser
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
    """Continues a score, once or several times, and writes the pieces; see :func:`composed`."""
    return composed(parser(), words, _prepare, score=True)


def _prepare(options: argparse.Namespace) -> Compose:
    if options.score is None:
        raise MusicZooError(
            "There is no score to continue.",
            remedy="Name its file: musiczoo continue MODEL SCORE.",
        )
    score, bars = read(options.score), options.bars
    return lambda model, settings: continue_score(
        model, score, settings, bars, progress=not options.quiet
    )

"""The command ``musiczoo generate``: new pieces from a model, as files."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from musiczoo.commands.composition_options import Compose, composed, new_parser
from musiczoo.compose import generate
from musiczoo.music.errors import MusicZooError


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = new_parser("generate", "Generates new pieces.", aligned=False)
    parser.add_argument(
        "--prompt",
        type=Path,
        metavar="FILE",
        help="to be continued: interleaved ABC, or names of tokens for models of performances",
    )
    return parser


def run(words: Sequence[str]) -> list[Path]:
    """Generates and writes pieces; see :func:`composed`."""
    return composed(parser(), words, _prepare)


def _prepare(options: argparse.Namespace) -> Compose:
    text = "" if options.prompt is None else _text(options.prompt)
    return lambda model, settings: generate(model, settings, text, progress=not options.quiet)


def _text(path: Path) -> str:
    try:
        return path.read_text("ascii")
    except OSError as error:
        raise MusicZooError(f"The prompt cannot be read ({error.strerror}).", path=path) from None
    except UnicodeDecodeError:
        raise MusicZooError(
            "The prompt is not ASCII text.", path=path, remedy="Clean it first."
        ) from None

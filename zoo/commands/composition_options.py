"""What ``musiczoo generate`` and ``musiczoo continue`` share: options, and what they print."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from musiczoo.compose import (
    DEFAULT_FORMATS,
    FORMATS,
    ComposeSettings,
    Draft,
    check,
    open_composer,
    prompts_of,
    write_pieces,
)
from musiczoo.hub.opening import MODEL_HELP
from musiczoo.models.base.generative import GenerativeModule
from musiczoo.models.sampling import Sampling
from musiczoo.music.atomic import make_folder
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes.labels import Labels

Compose = Callable[[GenerativeModule, ComposeSettings], list[Draft]]
"""Gives the pieces of a command."""
_FORMATS = ",".join(DEFAULT_FORMATS["notation"])


def new_parser(command: str, description: str, *, aligned: bool) -> argparse.ArgumentParser:
    """A parser with the options that both commands have.

    Args:
        command: ``"generate"`` or ``"continue"``.
        description: What it does.
        aligned: Whether bars are aligned unless the user chooses otherwise.
    """
    parser = argparse.ArgumentParser(
        prog=f"musiczoo {command}",
        description=description,
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument("model", help=MODEL_HELP)
    labels = "What the piece is to be like; --list-prompts shows the labels of the training data."
    _label_options(parser.add_argument_group("labels", labels))
    sampling = "Settings that are not given are those that the checkpoint recommends."
    _sampling_options(parser.add_argument_group("sampling", sampling))
    guards = "What may be generated is steered; nothing is thrown away."
    _guard_options(parser.add_argument_group("guards", guards), aligned)
    _output_options(parser.add_argument_group("output"))
    return parser


def _label_options(labels: argparse._ArgumentGroup) -> None:
    labels.add_argument("--period", help="such as Baroque; Traditional for folk tunes")
    labels.add_argument(
        "--composer",
        help="as listed on IMSLP: Bach, Johann Sebastian; for folk tunes the collection",
    )
    labels.add_argument(
        "--instrumentation", help="such as Choral; for folk tunes the rhythm, such as reel"
    )
    labels.add_argument(
        "--new-labels",
        action="store_true",
        help="allow labels that the model was not trained with",
    )
    labels.add_argument(
        "--list-prompts",
        action="store_true",
        help="show the labels that the model was trained with, and do nothing else",
    )


def _sampling_options(sampling: argparse._ArgumentGroup) -> None:
    sampling.add_argument("--count", type=int, default=1, help="pieces")
    sampling.add_argument("--seed", type=int, default=0, help="the same seed gives the same pieces")
    for option, kind, text in (
        ("--top-k", int, "keep the k likeliest tokens; 0 keeps all"),
        ("--top-p", float, "keep the likeliest tokens up to this probability; 1 keeps all"),
        ("--min-p", float, "keep tokens of this share of the best one's probability"),
        ("--temperature", float, "above 1 bolder, below 1 safer, 0 always the most probable"),
    ):
        sampling.add_argument(option, type=kind, default=argparse.SUPPRESS, help=text)
    sampling.add_argument(
        "--max-length",
        type=int,
        metavar="N",
        help="patches or tokens of a piece at most (musiczoo list NAME: lengths in)",
    )
    sampling.add_argument("--batch-size", type=int, default=16, help="pieces at once")
    sampling.add_argument("--device", default="auto", help="auto, cpu, cuda, mps")


def _guard_options(guards: argparse._ArgumentGroup, aligned: bool) -> None:
    guards.add_argument(
        "--align",
        action=argparse.BooleanOptionalAction,
        default=aligned,
        help="the voices of every bar have one length",
    )
    guards.add_argument(
        "--meter",
        action="store_true",
        help="as --align, and every bar is as long as the meter states",
    )
    for option, limit in (("--min-bars", "least"), ("--max-bars", "most")):
        guards.add_argument(
            option,
            type=int,
            metavar="N",
            help=f"bars of the piece at {limit}; it ends where its countdown ends",
        )


def _output_options(output: argparse._ArgumentGroup) -> None:
    output.add_argument(
        "--output", type=Path, default=Path("."), metavar="FOLDER", help="made if it does not exist"
    )
    output.add_argument(
        "--name", default="piece", help="files are called NAME-1.abc, NAME-2.abc ..."
    )
    output.add_argument(
        "--formats",
        default=_FORMATS,
        help=f"of {', '.join(FORMATS)}; models of performances write mid unless others are chosen",
    )
    output.add_argument(
        "--json",
        action="store_true",
        help="print one JSON document: files, why each piece stopped, figures",
    )
    output.add_argument("--quiet", action="store_true", help="no progress bar")


def settings_of(options: argparse.Namespace) -> ComposeSettings:
    """What the options ask for."""
    names = [item.name for item in fields(ComposeSettings)]
    sampling = [item.name for item in fields(Sampling) if hasattr(options, item.name)]
    labels = [item.name for item in fields(Labels) if getattr(options, item.name)]
    return ComposeSettings(
        sampling={name: getattr(options, name) for name in sampling},
        labels={name: getattr(options, name) for name in labels},
        **{name: getattr(options, name) for name in names if name not in ("sampling", "labels")},
    )


def formats_of(text: str, model: GenerativeModule) -> list[str]:
    """The formats to write.

    Args:
        text: Formats with commas between; the option's default stands for the model's own.
        model: What generates the pieces.

    Raises:
        MusicZooError: One that does not exist.
    """
    if text == _FORMATS:
        return list(DEFAULT_FORMATS.get(model.writes or "", ()))
    formats = [name.strip().lstrip(".").lower() for name in text.split(",") if name.strip()]
    if unknown := [name for name in formats if name not in FORMATS]:
        raise MusicZooError(
            f"There is no format {', '.join(unknown)}.",
            where="--formats",
            remedy=f"Choose of {', '.join(FORMATS)}.",
        )
    return formats


def composed(
    parser: argparse.ArgumentParser,
    words: Sequence[str],
    prepare: Callable[[argparse.Namespace], Compose],
    *,
    score: bool = False,
) -> list[Path]:
    """Runs a command: opens the model, lets it compose, and writes the pieces.

    Args:
        parser: Of :func:`new_parser`, with the command's own options.
        words: The options.
        prepare: Reads what the options name, before the model is opened.
        score: Whether the model continues a score.

    Returns:
        The files written; none for ``--list-prompts``. A format that cannot be made (sound without
        a soundfont) is reported and left out.

    Raises:
        MusicZooError: The model or an option cannot be used, or no piece could be written.
        SystemExit: Wrong usage.
    """
    options = parser.parse_args(words)
    if options.list_prompts:
        list_prompts(options)
        return []
    compose = prepare(options)
    model = open_composer(options.model, options.device)
    formats = formats_of(options.formats, model)
    settings = settings_of(options)
    check(model, settings, score=score)
    make_folder(options.output)
    return deliver(compose(model, settings), formats, options)


def list_prompts(options: argparse.Namespace) -> None:
    """Shows the labels that a model was trained with, the most frequent first."""
    prompts = prompts_of(open_composer(options.model, options.device))
    names = ("period", "composer", "instrumentation", "count")
    if options.json:
        rows = [{name: getattr(prompt, name) for name in names} for prompt in prompts]
        _print_json({"model": options.model, "prompts": rows})
        return
    if not prompts:
        Console(stderr=True).print(
            "The labels that the model was trained with are not known; it takes any.", markup=False
        )
        return
    table = Table(*names[:-1], "works")
    for prompt in prompts:
        table.add_row(*(str(getattr(prompt, name)) for name in names))
    Console().print(table)


def deliver(
    drafts: Sequence[Draft], formats: Sequence[str], options: argparse.Namespace
) -> list[Path]:
    """Writes pieces to files and reports what became of each.

    Args:
        drafts: The pieces.
        formats: What to write.
        options: Of the command.

    Raises:
        MusicZooError: No piece could be written.
    """
    written = write_pieces(drafts, options.output / options.name, formats)
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    for problem in written.problems:
        console.print(f"musiczoo: {' '.join(problem.split())}", markup=False)
    if options.json:
        _print_json({"model": options.model, "seed": options.seed, "pieces": written.records})
    if not written.files:
        raise MusicZooError(
            "No piece could be written.",
            path=options.output,
            remedy="Try another seed, or --align.",
        )
    if not options.json:
        for path in written.files:
            console.print(str(path), markup=False)
    return written.files


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(f"{json.dumps(document, indent=2)}\n")

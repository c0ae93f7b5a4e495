"""The command ``musiczoo study``: writes the blinded sheets of a study, and reads the answers."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
from rich.text import Text

from musiczoo.music.atomic import make_folder, write_atomically
from musiczoo.music.errors import MusicZooError
from musiczoo.studies.analysis import Analysis, analyse
from musiczoo.studies.anonymous import PICTURES
from musiczoo.studies.design import KINDS, Aspect
from musiczoo.studies.making import Made, make_study
from musiczoo.studies.material import Material, read_captions, read_pieces
from musiczoo.studies.pictures import analysis_picture
from musiczoo.studies.report import answers_table, report_page, show


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="musiczoo study",
        description="Listening studies: blinded sheets out, statistics of the answers in.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="make|analyse")
    _make_options(
        commands.add_parser(
            "make",
            help="write sheets and key",
            description="Writes one blinded HTML file a participant, and the key.",
        )
    )
    _analyse_options(
        commands.add_parser(
            "analyse",
            help="analyse the answers",
            description="Reads what the participants sent back.",
        )
    )
    return parser


def _make_options(make: argparse.ArgumentParser) -> None:
    make.add_argument(
        "kind",
        choices=KINDS,
        help=(
            "ab: which of two pieces; rating: 1 to 10; captions: which of two captions, on five"
            " dimensions"
        ),
    )
    _material_options(make.add_argument_group("material"))
    _sheet_options(make.add_argument_group("sheets"))
    make.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="gets sheets/ for the participants, and key.json for you alone",
    )
    make.add_argument("--json", action="store_true", help="print one JSON document")
    make.add_argument("--quiet", action="store_true", help="no progress bar")


def _material_options(pieces: argparse._ArgumentGroup) -> None:
    pieces.add_argument(
        "--system",
        action="append",
        default=[],
        metavar="NAME=FOLDER",
        help="pieces of a system (ABC, MusicXML, MIDI); twice or more often",
    )
    pieces.add_argument("--pieces", type=Path, metavar="FOLDER", help="for captions: the clips")
    pieces.add_argument(
        "--captions",
        type=Path,
        metavar="FILE",
        help="CSV or JSON with item, caption and, where they differ, system",
    )
    pieces.add_argument(
        "--labels",
        type=Path,
        metavar="FILE",
        help="CSV or JSON with item and any other columns; the analysis counts by them",
    )
    pieces.add_argument(
        "--show-label",
        action="append",
        default=[],
        metavar="COLUMN",
        help="a label that participants see",
    )
    pieces.add_argument(
        "--pair",
        choices=("name", "order"),
        default="name",
        help="versions of an item have one name, or one place in the alphabet",
    )
    pieces.add_argument("--against", metavar="NAME", help="compare only with this system")


def _sheet_options(sheets: argparse._ArgumentGroup) -> None:
    sheets.add_argument(
        "--participants",
        required=True,
        metavar="N|NAMES",
        help="how many, or their names: anna,ben,carla",
    )
    sheets.add_argument(
        "--items", type=int, metavar="N", help="items that one participant judges (default: all)"
    )
    sheets.add_argument(
        "--aspect",
        action="append",
        default=[],
        metavar="NAME=QUESTION",
        help="a question; as often as wanted (default: the papers' questions)",
    )
    sheets.add_argument(
        "--instructions",
        type=Path,
        metavar="FILE",
        help="plain text that replaces the instructions",
    )
    sheets.add_argument(
        "--title", default="Listening study", help="of the sheets (default: %(default)s)"
    )
    sheets.add_argument(
        "--picture",
        choices=PICTURES,
        default="score",
        help="what is seen of the music (default: %(default)s)",
    )
    sheets.add_argument("--no-sound", dest="sound", action="store_false", help="nothing is heard")
    sheets.add_argument(
        "--seconds",
        type=float,
        metavar="S",
        help="sound fades out and ends there (default: the whole piece)",
    )
    sheets.add_argument(
        "--soundfont",
        type=Path,
        metavar="FILE",
        help="an SF2 or SF3 file (default: one of the system)",
    )
    sheets.add_argument(
        "--seed", type=int, help="for order, sides and names (default: drawn, and kept in the key)"
    )


def _analyse_options(analyse: argparse.ArgumentParser) -> None:
    analyse.add_argument("key", type=Path, help="the key.json of the study")
    analyse.add_argument(
        "answers", type=Path, nargs="+", help="files that the sheets exported, or folders of them"
    )
    analyse.add_argument(
        "--output",
        type=Path,
        metavar="FOLDER",
        help="gets report.html, report.png, analysis.json and answers.csv",
    )
    analyse.add_argument("--json", action="store_true", help="print one JSON document")


def run(words: Sequence[str]) -> Made | Analysis:
    """Makes or analyses a study.

    Args:
        words: ``make`` or ``analyse``, and its options.

    Returns:
        The sheets and the key, or the analysis.

    Raises:
        MusicZooError: Files or settings that cannot be used.
        SystemExit: Wrong usage.
    """
    options = parser().parse_args(words)
    return _make(options) if options.command == "make" else _analyse(options)


def _make(options: argparse.Namespace) -> Made:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(
        *columns, console=console, transient=True, disable=options.quiet or options.json
    ) as bar:
        reading = bar.add_task("reading", total=None)
        material = _material(
            options, lambda done, total: bar.update(reading, completed=done, total=total)
        )
        rendering = bar.add_task("engraving and playing", total=len(material.versions))
        made = make_study(
            options.kind,
            material,
            _participants(options.participants),
            options.output,
            aspects=[_aspect(text) for text in options.aspect] or None,
            seed=options.seed,
            items_each=options.items,
            against=options.against,
            picture=options.picture,
            sound=options.sound,
            seconds=options.seconds,
            soundfont=options.soundfont,
            show_labels=options.show_label,
            instructions=_text(options.instructions) if options.instructions else None,
            title=options.title,
            progress=lambda done, total: bar.update(rendering, completed=done, total=total),
        )
    if options.json:
        _print_json(_facts(made))
    else:
        _show_made(made, console)
    return made


def _participants(text: str) -> int | list[str]:
    """How many there are, or their names."""
    return int(text) if text.isdecimal() else [name.strip() for name in text.split(",")]


def _facts(made: Made) -> dict[str, Any]:
    return {
        "key": str(made.key_path),
        "sheets": [str(path) for path in made.sheets],
        "bytes": [path.stat().st_size for path in made.sheets],
        "seed": made.key.seed,
        "items": len(made.key.record["sources"]),
        "trials": {participant: len(trials) for participant, trials in made.key.trials.items()},
        "skipped": [{"what": row.what, "reason": row.reason} for row in made.skipped],
    }


def _show_made(made: Made, console: Console) -> None:
    for row in made.skipped:
        console.print(Text(f"left out: {row.what}: {row.reason}"))
    pages = " or ".join(map(str, sorted({len(rows) for rows in made.key.trials.values()})))
    largest = max(path.stat().st_size for path in made.sheets) / 2**20
    lines = (
        f"{len(made.sheets)} sheets of {pages} pages, {largest:.1f} MB at most, in"
        f" {made.sheets[0].parent}. Send each participant theirs.",
        f"The key is {made.key_path}. Keep it to yourself until all answers are in; seed"
        f" {made.key.seed}.",
    )
    for line in lines:
        console.print(Text(line))


def _material(options: argparse.Namespace, progress: Any) -> Material:
    if options.kind == "captions":
        if options.system or options.pieces is None or options.captions is None:
            raise MusicZooError(
                "A study of captions takes clips and a table.",
                where="captions",
                remedy=(
                    "Give --pieces FOLDER and --captions FILE with the columns item, system and"
                    " caption."
                ),
            )
        return read_captions(
            options.pieces, options.captions, labels=options.labels, progress=progress
        )
    folders: dict[str, Path] = {}
    for text in options.system:
        name, equals, folder = text.partition("=")
        if not equals or not name.strip() or not folder or name.strip() in folders:
            raise MusicZooError(
                f"{text!r} names no system, or one that is named already.",
                where="--system",
                remedy="Write NAME=FOLDER.",
            )
        folders[name.strip()] = Path(folder)
    if options.pieces is not None:
        raise MusicZooError(
            "--pieces belongs to studies of captions.",
            where="--pieces",
            remedy="Name folders by --system NAME=FOLDER.",
        )
    return read_pieces(
        folders,
        pair=options.pair,
        captions=options.captions,
        labels=options.labels,
        progress=progress,
    )


def _aspect(text: str) -> Aspect:
    name, _, question = text.partition("=")
    if not name.strip():
        raise MusicZooError(
            f"{text!r} names no aspect.",
            where="--aspect",
            remedy="Write NAME=QUESTION, or NAME alone.",
        )
    return Aspect(name.strip(), question.strip() or f"{name.strip()[0].upper()}{name.strip()[1:]}")


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise MusicZooError(
            f"The instructions cannot be read ({error}).",
            path=path,
            remedy="Give a text file in UTF-8.",
        ) from None


def _analyse(options: argparse.Namespace) -> Analysis:
    analysis = analyse(options.key, options.answers)
    if options.output is not None:
        make_folder(options.output)
        picture = analysis_picture(analysis, options.output / "report.png")
        write_atomically(options.output / "report.html", report_page(analysis, picture).encode())
        write_atomically(
            options.output / "analysis.json",
            (json.dumps(analysis.to_json(), indent=1, ensure_ascii=False) + "\n").encode(),
        )
        write_atomically(options.output / "answers.csv", answers_table(analysis).encode())
    if options.json:
        _print_json(analysis.to_json())
    else:
        console = Console(highlight=False)
        show(analysis, console)
        if options.output is not None:
            console.print(Text(f"Report: {options.output / 'report.html'}"), soft_wrap=True)
    return analysis


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")

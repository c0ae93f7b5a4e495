"""The files of ``musiczoo compare``: reports, pictures, evaluations, and examples to listen to."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rich.text import Text

from musiczoo.comparison.evaluation import Evaluation
from musiczoo.comparison.figures import PICTURES
from musiczoo.comparison.soundfonts import sound_table
from musiczoo.comparison.tables import describe, markdown, notes, tables
from musiczoo.music import write
from musiczoo.music.atomic import make_folder, write_atomically
from musiczoo.music.errors import MusicZooError


def write_comparison(
    folder: Path,
    evaluations: Sequence[Evaluation],
    sounds: Sequence[dict[str, Any]] = (),
    *,
    about: Mapping[str, Any] | None = None,
    examples: int = 5,
) -> dict[str, Any]:
    """Writes the reports, the pictures, the evaluations and the examples.

    The files are ``report.json``, ``report.md``, the pictures, ``portraits/0`` for the evaluation
    of the first model, and ``examples/03-NAME.mid`` for prompt 3.

    Args:
        folder: Made if it does not exist.
        evaluations: Of the same prompts, the base first.
        sounds: Rows of :func:`musiczoo.comparison.soundfonts.reference_rows`.
        about: More for the report, as plain JSON values.
        examples: Completions of each model that are written as MIDI.

    Returns:
        The content of ``report.json``.

    Raises:
        MusicZooError: Something cannot be written, or the evaluations do not fit together.
            Completions that cannot be written are listed in the report's ``problems``.
    """
    described = describe(evaluations)
    make_folder(folder)
    pictures = [
        name
        for name in PICTURES
        if name != "rewards.png" or any(one.rewards for one in evaluations)
    ]
    for name in pictures:
        PICTURES[name](evaluations, folder / name)
    for number, one in enumerate(evaluations):
        one.save(folder / "portraits" / str(number))
    document = {
        **(about or {}),
        "divergence": next(
            (one.settings["divergence"] for one in evaluations if one.divergence is not None), None
        ),
        **described,
        "sounds": list(sounds),
        "pictures": pictures,
        "problems": _write_examples(evaluations, folder / "examples", examples),
    }
    report = _markdown_report(described, sounds, pictures)
    write_atomically(folder / "report.md", report.encode())
    write_atomically(folder / "report.json", f"{_text(document)}\n".encode())
    return document


def show_comparison(document: Mapping[str, Any], folder: Path, *, as_json: bool) -> None:
    """Shows what :func:`write_comparison` returned, as tables or as JSON, on standard output.

    Problems are shown on standard error.
    """
    errors = Console(stderr=True, highlight=False, soft_wrap=True)
    for problem in document["problems"]:
        errors.print(f"musiczoo: {problem}", markup=False)
    if as_json:
        sys.stdout.write(f"{_text(document)}\n")
        return
    console = Console(highlight=False)
    sounds = [sound_table(document["sounds"])] if document["sounds"] else []
    for title, header, rows in [*tables(document), *sounds]:
        table = Table(title=Text(title), box=SIMPLE)
        for name in header:
            table.add_column(Text(name))
        for row in rows:
            table.add_row(*map(Text, row))
        console.print(table)
    for note in notes(document):
        console.print(Text(note))
    console.print(
        Text(
            "\n".join(
                str(folder / name) for name in ("report.json", "report.md", *document["pictures"])
            )
        ),
        soft_wrap=True,
    )


def _markdown_report(
    described: Mapping[str, Any], sounds: Sequence[dict[str, Any]], pictures: Sequence[str]
) -> str:
    lines = [f"# {', '.join(described['names'])}", "", markdown(described)]
    if sounds:
        title, header, rows = sound_table(sounds)
        lines += [
            f"## {title}",
            "",
            *(f"| {' | '.join(row)} |" for row in (header, ["---"] * len(header), *rows)),
            "",
        ]
    lines += [f"![{name.partition('.')[0]}]({name})\n" for name in pictures]
    return "\n".join(lines)


def _text(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)


def _write_examples(evaluations: Sequence[Evaluation], folder: Path, count: int) -> list[str]:
    """Writes the first completions of each model; returns what could not be written, and why."""
    problems = []
    if count:
        make_folder(folder)
    for one in evaluations:
        label = "".join(
            letter if letter.isalnum() or letter in "-_." else "_" for letter in one.name
        )[-60:]
        for index, result in enumerate(one.results[:count]):
            path = folder / f"{index:02d}-{label}.mid"
            try:
                if result.piece is None:
                    raise result.error or MusicZooError("There is no piece.")
                write(result.piece, path)
            except MusicZooError as error:
                problems.append(f"{path} is not written: {error}")
    return problems

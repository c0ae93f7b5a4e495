"""An analysis for people, as tables on the terminal and as a page with the picture.

Every answer is also given as a table for other programs.
"""

from __future__ import annotations

import base64
import csv
import html
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from musiczoo.studies.pictures import p_text

if TYPE_CHECKING:
    from rich.console import Console

    from musiczoo.studies.analysis import Analysis, Rating


@dataclass(frozen=True)
class Table:
    """A titled table of texts with the sentences that belong below it."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    notes: tuple[str, ...] = ()


def tables(analysis: Analysis) -> list[Table]:
    """The result as tables of texts."""
    found = [*_preferences(analysis), *_ratings(analysis)]
    if analysis.problems:
        rows = [(row.kind, row.where, str(row.count), row.reason) for row in analysis.problems]
        found.append(
            Table(
                "Answers that are not used or not there",
                ("kind", "where", "answers", "reason"),
                rows,
            )
        )
    return found


def summary(analysis: Analysis) -> list[str]:
    """Numbers of participants, answers and choices, in sentences."""
    lines = [
        f"{len(analysis.participants)} of {analysis.expected} participants, {analysis.judgements}"
        f" answers, median {analysis.median_seconds:.0f} s on a page."
    ]
    if analysis.unheard:
        lines.append(
            f"{analysis.unheard} answers were given without playing everything on the page."
        )
    if analysis.preferences:
        first, neither, second = analysis.sides
        lines.append(
            f"Side A was chosen {first} times, side B {second} times, neither {neither} times."
        )
    if analysis.comments:
        lines.append(f"{len(analysis.comments)} comments: see the table of answers.")
    return lines


def show(analysis: Analysis, console: Console) -> None:
    """Print the result on a terminal."""
    from rich.table import Table as RichTable
    from rich.text import Text

    for line in summary(analysis):
        console.print(Text(line))
    for table in tables(analysis):
        drawn = RichTable(title=Text(table.title), title_justify="left")
        for number, column in enumerate(table.columns):
            drawn.add_column(
                Text(column),
                justify=(
                    "left"
                    if number == 0 or (table.rows and not _is_number(table.rows[0][number]))
                    else "right"
                ),
            )
        for row in table.rows:
            drawn.add_row(*map(Text, row))
        console.print(drawn)
        for note in table.notes:
            console.print(Text(note))


def report_page(analysis: Analysis, picture: bytes, *, title: str = "Result of the study") -> str:
    """The result as one HTML page with the picture inside."""

    def cells(row: Sequence[str], name: str) -> str:
        return "<tr>" + "".join(f"<{name}>{html.escape(text)}</{name}>" for text in row) + "</tr>"

    parts = [
        f"<h1>{html.escape(title)}</h1>",
        *(f"<p>{html.escape(line)}</p>" for line in summary(analysis)),
    ]
    source = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
    parts.append(
        f'<img alt="The result as a picture; the tables below hold its numbers" src="{source}">'
    )
    for table in tables(analysis):
        parts += [
            f"<h2>{html.escape(table.title)}</h2>",
            "<table>",
            cells(table.columns, "th"),
            *(cells(row, "td") for row in table.rows),
            "</table>",
        ]
        parts += [f"<p>{html.escape(note)}</p>" for note in table.notes]
    style = (
        "body{font:1rem/1.5 system-ui,sans-serif;max-width:72rem;margin:1rem auto;padding:0"
        " 1rem;color:#1d2430}img{max-width:100%}table{border-collapse:collapse;margin:.5rem"
        " 0}td,th{border-bottom:1px solid #d5d9e0;padding:.25rem .8rem;text-align:left}"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta'
        f' charset="utf-8">\n<title>{html.escape(title)}</title>\n<style>{style}</style>\n'
        f"</head>\n<body>\n{chr(10).join(parts)}\n</body>\n</html>\n"
    )


def answers_table(analysis: Analysis) -> str:
    """Every answer used, un-blinded, as CSV for other programs."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(
        [
            "participant",
            "item",
            "aspect",
            "system_a",
            "system_b",
            "value",
            "side",
            "listened",
            "seconds",
            "comment",
        ]
    )
    for row in analysis.table:
        systems = [*row.systems, ""][:2]
        writer.writerow(
            [
                row.participant,
                row.item,
                row.aspect,
                *systems,
                row.value,
                row.side,
                int(row.listened),
                row.seconds,
                row.comment,
            ]
        )
    return stream.getvalue()


def _preferences(analysis: Analysis) -> list[Table]:
    found = []
    for first, second in dict.fromkeys((row.first, row.second) for row in analysis.preferences):
        columns = (
            "aspect",
            "items",
            f"{first} wins",
            "ties",
            f"{second} wins",
            f"share of {first} [95 %]",
            "p",
            "p (Holm)",
            "votes",
            "alpha",
        )
        mine = [row for row in analysis.preferences if (row.first, row.second) == (first, second)]
        rows = [
            (
                row.aspect,
                str(row.items),
                str(row.wins),
                str(row.ties),
                str(row.losses),
                (
                    "-"
                    if row.test.share is None
                    else f"{row.test.share:.2f} [{row.test.low:.2f}, {row.test.high:.2f}]"
                ),
                p_text(row.test.p_value),
                p_text(row.p_holm),
                "/".join(map(str, row.votes)),
                _number(row.alpha),
            )
            for row in mine
        ]
        notes = (
            (
                "A system wins an item when more participants prefer it than the other or neither."
                " p: exact two-sided binomial test of wins against losses, without ties; Holm:"
                f" corrected for all {len(analysis.preferences)} tests. Votes:"
                f" {first}/neither/{second}. Alpha: Krippendorff's, nominal."
            ),
        )
        found.append(Table(f"{first} against {second}", columns, rows, notes))
        labelled = [
            (row.aspect, f"{label}: {value}", *map(str, outcome))
            for row in mine
            for label, values in row.by_label.items()
            for value, outcome in values.items()
        ]
        if labelled:
            found.append(
                Table(
                    f"{first} against {second} by label",
                    ("aspect", "label", f"{first} wins", "ties", f"{second} wins"),
                    labelled,
                )
            )
    return found


def _ratings(analysis: Analysis) -> list[Table]:
    found = []
    for rating in analysis.ratings:
        columns = ("system", "ratings", "mean", "sd", "effect", "95 %", "df", "p", "p (Holm)")
        alpha = f"Krippendorff's alpha (interval): {_number(rating.alpha)}."
        notes = (*_model_notes(rating), alpha)
        found.append(Table(f"Ratings: {rating.aspect}", columns, _rating_rows(rating), notes))
        labels = dict.fromkeys(
            (label, value)
            for system in rating.systems
            for label, row in system.by_label.items()
            for value in row
        )
        labelled = [
            (
                f"{label}: {value}",
                *(_number(system.by_label.get(label, {}).get(value)) for system in rating.systems),
            )
            for label, value in labels
        ]
        if labelled:
            found.append(
                Table(
                    f"Mean ratings by label: {rating.aspect}",
                    ("label", *(system.system for system in rating.systems)),
                    labelled,
                )
            )
    return found


def _rating_rows(rating: Rating) -> list[tuple[str, ...]]:
    """A row for each system: its ratings, and its effect where it was tested."""
    model = rating.model
    effects = {} if model is None else {effect.system: effect for effect in model.effects}
    corrected = dict(zip(effects, rating.p_holm, strict=True))
    rows = []
    for system in rating.systems:
        tested: tuple[str, ...] = ("",) * 5
        if (effect := effects.get(system.system)) is not None:
            tested = (
                f"{effect.estimate:+.2f}",
                f"[{effect.low:+.2f}, {effect.high:+.2f}]",
                str(effect.degrees),
                p_text(effect.p_value),
                p_text(corrected[system.system]),
            )
        mean, deviation = f"{system.mean:.2f}", _number(system.deviation)
        rows.append((system.system, str(system.ratings), mean, deviation, *tested))
    return rows


def _model_notes(rating: Rating) -> list[str]:
    model = rating.model
    if model is None:
        return ["No model was fitted: it needs two participants and ratings of every system."]
    deviations = ", ".join(f"{name} {value:.2f}" for name, value in model.deviations.items())
    first = f"rating ~ system against {model.baseline}: {model.model}; t tests."
    return [first + (f" Deviations: {deviations}." if deviations else ""), *model.notes]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _is_number(text: str) -> bool:
    return text[:1].isdigit() or text[:1] in "+-[<"

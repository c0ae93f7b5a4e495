"""The command ``musiczoo list``: the models that can be loaded by name."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence

from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table

from musiczoo.hub.registry import Entry, list_models


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="musiczoo list", description="Shows the models that musiczoo.load knows by name."
    )
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    return parser


def run(words: Sequence[str]) -> list[Entry]:
    """Shows the models.

    Args:
        words: The options.

    Returns:
        The rows shown.

    Raises:
        SystemExit: Wrong usage.
    """
    options = parser().parse_args(words)
    rows = list_models()
    if options.json:
        columns = ("name", "summary", "parameters", "licence", "origin", "where")
        sys.stdout.write(
            json.dumps(
                [{name: getattr(row, name) for name in columns} for row in rows],
                indent=1,
                ensure_ascii=False,
            )
            + "\n"
        )
        return rows
    table = Table(box=SIMPLE)
    for column in ("name", "parameters", "weights", "licence"):
        table.add_column(
            column, no_wrap=column == "name", justify="right" if column == "parameters" else "left"
        )
    table.add_column("what it is", ratio=1)
    for row in rows:
        size = "" if row.parameters is None else f"{row.parameters / 1e6:.3g} M"
        table.add_row(
            row.name,
            size,
            row.where,
            row.licence,
            f"{row.summary}; {row.origin}" if row.origin else row.summary,
        )
    console = Console()
    console.print(table)
    console.print(
        'Others: musiczoo.load("local-dir:PATH") for a checkpoint folder,'
        ' musiczoo.load("hf-hub:org/name@revision") for one on the Hub.',
        markup=False,
        highlight=False,
    )
    return rows

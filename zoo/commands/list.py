"""The command ``musiczoo list``: the models that have a name, or all about one of them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from musiczoo.hub.registry import Entry, architecture, entry, list_models, resolve

# Methods by which a class has a capability of musiczoo.models.base.capabilities.
_CAPABILITIES = {
    "continue_pieces": "continues pieces",
    "features": "gives features of pieces",
    "answer": "answers questions",
    "classify": "classifies pieces",
    "log_probs": "gives log-probabilities",
    "log_distribution": "gives the distribution of every token",
}


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="musiczoo list", description="Shows the models that musiczoo.load knows by name."
    )
    parser.add_argument("name", nargs="?", metavar="NAME", help="show all about this model")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    return parser


def run(words: Sequence[str]) -> list[Entry]:
    """Shows the models, or all about one.

    Args:
        words: The options.

    Returns:
        The rows shown.

    Raises:
        MusicZooError: There is no such model.
        SystemExit: Wrong usage.
    """
    options = parser().parse_args(words)
    rows = list_models() if options.name is None else [entry(options.name)]
    if options.json:
        shown: Any = [about(row) for row in rows]
        document = shown if options.name is None else shown[0]
        sys.stdout.write(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
    elif options.name is None:
        _show_all(rows)
    else:
        _show_one(about(rows[0]))
    return rows


def about(row: Entry) -> dict[str, Any]:
    """All that is known of a model without its weights, as plain JSON values.

    Returns:
        The fields of the row, how to load it, and what its architecture can do; None in place of
        the latter where the module of the architecture cannot be imported.
    """
    kind = architecture(row.architecture)
    names = ("name", "summary", "parameters", "licence", "origin", "where", "architecture")
    of_class: dict[str, Any] = {"prompts": None, "length_unit": None, "capabilities": None}
    try:
        module: Any = resolve(kind.module)
    except ImportError:
        pass
    else:
        able = [text for method, text in _CAPABILITIES.items() if hasattr(module, method)]
        is_generative = hasattr(module, "generate")
        of_class = {
            "prompts": list(module.prompt_kinds) if is_generative else [],
            "length_unit": module.length_unit if is_generative else None,
            "capabilities": able,
        }
    needs_path = row.folder is None and row.repository is None
    weights = ', weights="PATH"' if needs_path else ""
    return {
        **{name: getattr(row, name) for name in names},
        "architecture_summary": kind.summary,
        "writes": kind.writes,
        **of_class,
        "load": f'musiczoo.load("{row.name}"{weights})',
    }


def _show_all(rows: Sequence[Entry]) -> None:
    """One line a model."""
    lines = [("name", "writes", "size", "weights", "what it is")]
    for row in rows:
        size = "" if row.parameters is None else _size(row.parameters)
        weights = "included" if row.folder else "Hub" if row.repository else "your file"
        writes = architecture(row.architecture).writes or ""
        lines.append((row.name, writes, size, weights, row.line or row.summary))
    console = Console(highlight=False)
    widths = [max(len(line[column]) for line in lines) for column in range(4)]
    rest = max(console.width - sum(widths) - 2 * len(widths), len(lines[0][-1]))
    table = Table(box=None, padding=(0, 2, 0, 0), header_style="bold", pad_edge=False)
    for title, width in zip(lines[0], [*widths, rest], strict=True):
        justify: Any = "right" if title == "size" else "left"
        table.add_column(title, width=width, no_wrap=True, justify=justify)
    for line in lines[1:]:
        table.add_row(*map(Text, line))
    console.print(table)
    console.print(
        "\nmusiczoo list NAME shows all about one model: licence, origin, prompts.\nmusiczoo.load"
        ' opens "local-dir:PATH" and "hf-hub:org/name@revision" too.',
        markup=False,
    )


def _show_one(found: dict[str, Any]) -> None:
    """One line a fact."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    size = found["parameters"]
    facts = {
        "name": found["name"],
        "what it is": found["summary"],
        "architecture": f"{found['architecture']}: {found['architecture_summary']}",
        "parameters": "those of the file" if size is None else f"{size:,}",
        "writes": found["writes"],
        "prompts": ", ".join(found["prompts"] or ()),
        "lengths in": found["length_unit"],
        "can": "; ".join(found["capabilities"] or ()),
        "weights": found["where"],
        "licence": found["licence"],
        "origin": found["origin"],
        "load": found["load"],
    }
    if "labels" in (found["prompts"] or ()):
        facts["its labels"] = f"musiczoo generate {found['name']} --list-prompts"
    for name, value in facts.items():
        if value:
            table.add_row(name, Text(str(value)))
    Console(highlight=False).print(table)


def _size(parameters: int) -> str:
    """Such as ``3.59 M`` or ``8.03 B``."""
    return f"{parameters / 1e9:.3g} B" if parameters >= 1e9 else f"{parameters / 1e6:.3g} M"

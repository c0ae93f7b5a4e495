"""The command ``musiczoo corpus``: reads folders of music into the cache, and names them."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

from musiczoo.music.corpora import (
    AUTO,
    BUILT_IN,
    NO_RECIPE,
    cached_corpus,
    check_name,
    corpus_names,
    corpus_of,
    find_source,
    forget,
    register,
    registered,
)
from musiczoo.music.corpora.cache import Source
from musiczoo.music.corpora.report import report, write_report
from musiczoo.music.errors import MusicZooError
from musiczoo.music.recipes import RECIPES, Recipe, recipe_named

_SHOWN = 12


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="musiczoo corpus", description="Corpora: read them, name them, show them."
    )
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="prepare|list|show|remove"
    )
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--cache", metavar="FOLDER", help="instead of MUSICZOO_CACHE or the user's cache folder"
    )
    common.add_argument(
        "--json",
        action="store_true",
        help="one JSON document on standard output, and nothing else there",
    )
    prepare = commands.add_parser(
        "prepare",
        parents=[common],
        help="read a folder",
        description=(
            "Reads a folder with files in any mix of formats into the cache. May be interrupted at"
            " any time: the next run continues. Only new and changed files are read again."
        ),
    )
    prepare.add_argument("path", metavar="PATH", help="a folder, a file, or the name of a corpus")
    prepare.add_argument(
        "--as",
        dest="name",
        metavar="NAME",
        help="the name under which the corpus is found from now on",
    )
    prepare.add_argument(
        "--recipe",
        default=AUTO,
        metavar="NAME",
        help=(
            f"{', '.join(RECIPES)}; {AUTO} (what the folder looks like; the default) or {NO_RECIPE}"
        ),
    )
    prepare.add_argument(
        "--workers", type=int, metavar="N", help="processes; one a core if not given"
    )
    prepare.add_argument("--quiet", action="store_true", help="no progress bar")
    commands.add_parser("list", parents=[common], help="corpora and recipes by name")
    for name, words in (
        ("show", "one corpus or recipe"),
        ("remove", "take a name back and clear its cache; the corpus's own files stay"),
    ):
        commands.add_parser(name, parents=[common], help=words).add_argument("name", metavar="NAME")
    return parser


def run(words: Sequence[str]) -> dict[str, Any]:
    """Runs the command.

    Args:
        words: The options.

    Returns:
        The document of ``--json``.

    Raises:
        MusicZooError: No such corpus, folder or recipe, nothing in it could be read, or the cache
            cannot be written to.
        SystemExit: Wrong usage.
    """
    options = parser().parse_args(words)
    if options.command == "prepare" and options.workers is not None and options.workers < 1:
        raise MusicZooError("There must be one process at least.", where="--workers")
    out = Console(file=sys.stdout, highlight=False, soft_wrap=True)
    if options.command == "prepare":
        result = _prepare(options)
    elif options.command == "list":
        result = _list(options.cache)
    elif options.command == "show":
        result = _show(options.name, options.cache)
    else:
        result = {
            "name": options.name,
            "removed": [str(path) for path in forget(options.name, cache=options.cache)],
        }
    if options.json:
        sys.stdout.write(json.dumps(result, ensure_ascii=False) + "\n")
    else:
        {"prepare": _show_report, "list": _show_list, "show": _show_one, "remove": _show_removed}[
            options.command
        ](out, result)
    return result


def _prepare(options: argparse.Namespace) -> dict[str, Any]:
    source = find_source(options.path, recipe=options.recipe, cache=options.cache)
    if options.name:
        if source.files is not None:
            raise MusicZooError(
                "Only a folder can be given a name.", where="--as", remedy="Leave --as out."
            )
        check_name(options.name, source.root, cache=options.cache)
        source = Source(
            options.name,
            source.title,
            source.root,
            source.licence,
            source.restricted,
            recipe=source.recipe,
        )
    corpus = corpus_of(
        source,
        cache=options.cache,
        workers=options.workers,
        progress=not (options.quiet or options.json),
    )
    if options.name:
        # After the reading: a name never stands for a folder that cannot be read.
        register(
            options.name,
            source.root,
            recipe=source.recipe.name if source.recipe else NO_RECIPE,
            cache=options.cache,
        )
    beside = write_report(corpus)
    return report(corpus) | {
        "recipe": source.recipe.name if source.recipe else None,
        "report": str(beside),
        "registered": options.name,
    }


def _list(cache: str | None) -> dict[str, Any]:
    own = registered(cache=cache)
    return {
        "corpora": [
            (
                {
                    "name": name,
                    "kind": "registered",
                    "title": own[name]["path"],
                    "recipe": own[name]["recipe"],
                }
                if name in own
                else {
                    "name": name,
                    "kind": "built-in",
                    "title": BUILT_IN[name].title,
                    "restricted": BUILT_IN[name].restricted,
                }
            )
            for name in corpus_names(cache=cache)
        ],
        "recipes": [
            {"name": name, "title": recipe.title, "publisher": recipe.publisher}
            for name, recipe in RECIPES.items()
        ],
    }


def _show(name: str, cache: str | None) -> dict[str, Any]:
    if name in RECIPES and name not in corpus_names(cache=cache):
        return {"recipe": _described(recipe_named(name))}
    source = find_source(name, cache=cache)
    found: dict[str, Any] = {
        "name": source.name,
        "title": source.title,
        "folder": str(source.root),
        "licence": source.licence,
        "restricted": source.restricted,
        "recipe": _described(source.recipe) if source.recipe else None,
    }
    table = cached_corpus(source, cache=cache)
    return found | (
        {"cached": False} if table is None else {"cached": True, "account": report(table)}
    )


def _described(recipe: Recipe) -> dict[str, Any]:
    words = (
        "name",
        "title",
        "publisher",
        "licence",
        "restricted",
        "layout",
        "labels",
        "duplicates",
    )
    return {word: getattr(recipe, word) for word in words}


def _show_report(out: Console, found: dict[str, Any]) -> None:
    out.print(
        f"{found['name']}: {found['files']:,} files: {found['read']:,} read, {found['skipped']:,}"
        f" skipped, {found['left_out']:,} left out."
    )
    out.print(
        f"{found['works']:,} works in {found['clusters']:,} clusters of near-duplicates;"
        f" {found['labelled']:,} with labels for prompts, {found['tagged']:,} with tags."
    )
    for title, reasons in (
        ("skipped", found["reasons"]["skipped"]),
        ("left out", found["reasons"]["left_out"]),
        (
            f"{found['tunes_skipped']:,} tunes skipped in files that were read otherwise",
            found["reasons"]["tunes_skipped"],
        ),
    ):
        _show_reasons(out, title, reasons)
    if found["licence"]:
        out.print(f"Licence: {found['licence']}", markup=False)
    if found.get("report"):
        out.print(f"Every file: {found['report']}", markup=False)


def _show_reasons(out: Console, title: str, reasons: dict[str, int]) -> None:
    if not reasons:
        return
    table = Table(
        box=None,
        show_header=False,
        padding=(0, 1),
        title=f"{title}:",
        title_justify="left",
        title_style="bold",
    )
    table.add_column(justify="right")
    table.add_column(overflow="fold")
    for reason, count in list(reasons.items())[:_SHOWN]:
        table.add_row(f"{count:,}", reason.replace("[", r"\["))
    if len(reasons) > _SHOWN:
        table.add_row(
            f"{sum(list(reasons.values())[_SHOWN:]):,}", f"of {len(reasons) - _SHOWN} other kinds"
        )
    out.print(table)


def _show_list(out: Console, found: dict[str, Any]) -> None:
    table = Table("name", "kind", "what it is", box=None, padding=(0, 1), header_style="bold")
    for row in found["corpora"]:
        title = row["title"] + (" (use is restricted)" if row.get("restricted") else "")
        table.add_row(row["name"], row["kind"], title.replace("[", r"\["))
    for row in found["recipes"]:
        table.add_row(row["name"], "recipe", row["title"])
    out.print(table)


def _show_one(out: Console, found: dict[str, Any]) -> None:
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    own = {
        name: value
        for name, value in found.items()
        if name not in ("recipe", "account", "restricted", "cached") and value
    }
    recipe = {
        ("recipe" if name == "name" else name): value
        for name, value in (found.get("recipe") or {}).items()
        if value is not False
    }
    for name, value in {
        **own,
        **{name: value for name, value in recipe.items() if name not in own},
    }.items():
        text = "use is restricted" if value is True else str(value)
        table.add_row(name, text.replace("[", r"\["))
    out.print(table)
    if "account" in found:
        _show_report(out, found["account"])
    elif "cached" in found:
        out.print(f"Not read yet: musiczoo corpus prepare {found['name']}", markup=False)


def _show_removed(out: Console, found: dict[str, Any]) -> None:
    for path in found["removed"]:
        out.print(f"removed {path}", markup=False)

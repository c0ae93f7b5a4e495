"""The options of ``musiczoo qa``, and the sources of texts and answers that they name."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from musiczoo.music.corpora import cache_folder
from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    from musiczoo.llm.text_sources import TextSource
    from musiczoo.llm.writer import Writer


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="musiczoo qa",
        description=(
            "Questions and answers about music: tags from texts about works, a set of questions,"
            " and its audit."
        ),
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="mine|make|audit")
    _mine_options(
        commands.add_parser(
            "mine",
            help="mine tags from texts",
            description=(
                "Reads a text about each work and mines genre, style, emotion, background and"
                " expressive intent, each with the sentence that it rests on. A run that was"
                " stopped continues."
            ),
        )
    )
    _make_options(
        commands.add_parser(
            "make",
            help="make questions and answers",
            description=(
                "Cuts clips and writes questions and answers about them, from mined tags and from"
                " the notes. Without a model all are in musiczoo's own wordings."
            ),
        )
    )
    _audit_options(
        commands.add_parser(
            "audit",
            help="check a sample by two people",
            description=(
                "With a file of mined tags: draws a sheet for each of two reviewers. With two"
                " filled sheets: acceptance and agreement."
            ),
        )
    )
    return parser


def _mine_options(mine: argparse.ArgumentParser) -> None:
    _works_option(mine)
    texts = mine.add_argument_group("texts (one of them)")
    texts.add_argument(
        "--text-folder", type=Path, metavar="FOLDER", help="files named after composer and title"
    )
    texts.add_argument(
        "--url-list", type=Path, metavar="FILE", help="CSV with title, composer and url"
    )
    texts.add_argument(
        "--url-template", metavar="URL", help="an address with {title} and {composer} in it"
    )
    texts.add_argument(
        "--most-characters",
        type=int,
        default=12_000,
        metavar="N",
        help="of a text (default: %(default)s)",
    )
    _writer_options(mine.add_argument_group("model"))
    mine.add_argument(
        "--output", type=Path, required=True, metavar="FILE", help="JSON lines, one a work"
    )
    _common_options(mine)


def _make_options(make: argparse.ArgumentParser) -> None:
    make.add_argument("mined", type=Path, metavar="MINED", help="what musiczoo qa mine has written")
    make.add_argument("works", metavar="WORKS", help="the works that were mined")
    make.add_argument("--music", type=Path, metavar="FOLDER", help="of the files of a table")
    pairs = make.add_argument_group("pairs")
    for name, default, text in (
        ("--clips", 3, "clips of a piece, at most"),
        ("--each", 2, "pairs in our wordings for each tag and clip"),
        ("--written", 3, "pairs that the model writes for each tag"),
        ("--captions", 1, "captions that the model writes of a work"),
        ("--seed", 0, "of splits and wordings"),
    ):
        text = f"{text} (default: %(default)s)"
        pairs.add_argument(name, type=int, default=default, metavar="N", help=text)
    pairs.add_argument(
        "--seconds", type=float, default=20.0, metavar="S", help="of a clip (default: %(default)s)"
    )
    for name in ("--validation", "--test"):
        pairs.add_argument(
            name, type=float, default=0.1, metavar="PART", help="of the works (default: 0.1)"
        )
    _writer_options(make.add_argument_group("model (none by default)"))
    make.add_argument(
        "--output",
        type=Path,
        required=True,
        metavar="FOLDER",
        help="gets qa.jsonl, qa.parquet, report.json and clips/",
    )
    _common_options(make)


def _audit_options(audit: argparse.ArgumentParser) -> None:
    audit.add_argument(
        "files", type=Path, nargs="+", help="mined tags, or the two sheets that were filled in"
    )
    audit.add_argument("--output", type=Path, metavar="FOLDER", help="gets the sheets")
    audit.add_argument(
        "--works", type=int, default=100, metavar="N", help="in the sample (default: %(default)s)"
    )
    audit.add_argument("--seed", type=int, default=0, help="of the sample (default: %(default)s)")
    audit.add_argument("--json", action="store_true", help="print one JSON document")


def _works_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "works",
        metavar="WORKS",
        help="CSV with midi, title and composer; a folder of music; or the name of a corpus",
    )


def _writer_options(model: argparse._ArgumentGroup) -> None:
    model.add_argument("--model", metavar="NAME", help="of the endpoint")
    model.add_argument("--local", metavar="MODEL", help="a model of transformers, run here")
    model.add_argument("--base-url", metavar="URL", help="such as http://localhost:8000/v1")
    model.add_argument(
        "--key-variable",
        default="OPENAI_API_KEY",
        metavar="NAME",
        help="environment variable with the key (default: %(default)s)",
    )
    model.add_argument(
        "--answer-format",
        choices=("json_schema", "json_object", "text"),
        default="json_schema",
        help="how the schema is asked for (default: %(default)s)",
    )
    model.add_argument(
        "--timeout", type=float, default=60.0, metavar="S", help="of a request (default: 60)"
    )
    model.add_argument(
        "--concurrency", type=int, default=4, metavar="N", help="requests at a time (default: 4)"
    )
    model.add_argument("--requests-a-minute", type=float, metavar="N", help="at most")
    model.add_argument(
        "--max-tokens", type=int, default=2048, metavar="N", help="of an answer (default: 2048)"
    )
    for name, what in (("--price-in", "requests"), ("--price-out", "answers")):
        model.add_argument(
            name, type=float, default=0.0, metavar="P", help=f"of a million tokens of {what}"
        )
    model.add_argument("--most-cost", type=float, metavar="P", help="that may be spent in a run")
    model.add_argument(
        "--cache", type=Path, metavar="FOLDER", help="of answers and pages (default: the user's)"
    )


def _common_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--dry-run", action="store_true", help="show the first request, and what it would cost"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def text_source(options: argparse.Namespace) -> TextSource:
    """The source of texts that the options name.

    Raises:
        MusicZooError: None or several, or one that cannot be read.
    """
    from musiczoo.llm.pages import Pages
    from musiczoo.llm.text_sources import HttpSource, TextFolder, UrlList

    given = (options.text_folder, options.url_list, options.url_template)
    if sum(one is not None for one in given) != 1:
        raise MusicZooError(
            "Texts come from one source.",
            where="texts",
            remedy="Give one of --text-folder, --url-list and --url-template.",
        )
    if options.text_folder is not None:
        return TextFolder(options.text_folder)
    pages = Pages(_cache(options) / "pages")
    if options.url_list is not None:
        return UrlList(options.url_list, pages)
    return HttpSource(options.url_template, pages)


def writer_of(options: argparse.Namespace) -> Writer | None:
    """The model that the options name; None where they name none.

    Raises:
        MusicZooError: Two models, a missing key, or a package that is not installed.
    """
    if options.model is not None and options.local is not None:
        raise MusicZooError("One model writes.", remedy="Give --model or --local.")
    answers = _cache(options) / "answers"
    if options.local is not None:
        from musiczoo.llm.local_writer import LocalWriter

        return LocalWriter(options.local, cache=answers, max_tokens=options.max_tokens)
    if options.model is None:
        return None
    from musiczoo.llm.endpoint import Endpoint, EndpointSettings

    settings = EndpointSettings(
        model=options.model,
        base_url=options.base_url,
        key_variable=options.key_variable,
        answer_format=options.answer_format,
        max_tokens=options.max_tokens,
        timeout=options.timeout,
        concurrency=options.concurrency,
        requests_a_minute=options.requests_a_minute,
        prices=(options.price_in, options.price_out),
        most_cost=options.most_cost,
    )
    return Endpoint(settings, cache=answers)


def _cache(options: argparse.Namespace) -> Path:
    return Path(options.cache) if options.cache is not None else cache_folder() / "qa"

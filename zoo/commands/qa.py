"""The command ``musiczoo qa``: mines tags, makes sets of questions and answers, and audits tags."""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from musiczoo.commands.qa_options import parser as parser
from musiczoo.commands.qa_options import text_source, writer_of
from musiczoo.datamodules.splits import split_by_cluster
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    from musiczoo.llm.audit import Audit
    from musiczoo.llm.mined_works import MinedWork
    from musiczoo.llm.works_table import WorksTable

_SPLITS = ("train", "validation", "test")
Document = dict[str, Any]


def run(words: Sequence[str]) -> Document:
    """Mines, makes or audits.

    Args:
        words: ``mine``, ``make`` or ``audit``, and its options.

    Returns:
        The document of ``--json``.

    Raises:
        MusicZooError: Files or settings that cannot be used, or a model that answers nothing.
        SystemExit: Wrong usage.
    """
    options = parser().parse_args(words)
    made: Document = {"mine": _mine, "make": _make, "audit": _audit}[options.command](options)
    if options.json:
        sys.stdout.write(json.dumps(made, ensure_ascii=False) + "\n")
    return made


def _mine(options: argparse.Namespace) -> Document:
    from musiczoo.llm.mining import mine, plan
    from musiczoo.llm.works_table import read_works

    source = text_source(options)
    table = read_works(options.works)
    if options.dry_run:
        planned = plan(
            table.works,
            source,
            prices=(options.price_in, options.price_out),
            path=options.output,
            most_characters=options.most_characters,
        )
        document = asdict(planned)
        return _shown(options, document, lambda out: _show_plan(out, document))
    writer = writer_of(options)
    if writer is None:
        raise MusicZooError("No model is named.", remedy="Give --model or --local.")
    with _progress(options) as show:
        report = mine(
            table.works,
            source,
            writer,
            options.output,
            most_characters=options.most_characters,
            progress=lambda done, total: show("mining", done, total),
        )
    document = report.to_json() | {"output": str(options.output)}
    return _shown(options, document, lambda out: _show_mined(out, document))


def _make(options: argparse.Namespace) -> Document:
    from musiczoo.llm.mined_works import read_mined
    from musiczoo.llm.qa_set import SetSettings, make_set
    from musiczoo.llm.works_table import read_works

    mined = read_mined(options.mined)
    table = read_works(options.works, root=options.music)
    settings = SetSettings(
        clips=options.clips,
        seconds=options.seconds,
        each=options.each,
        written=options.written,
        captions=options.captions,
        seed=options.seed,
    )
    if options.dry_run:
        document = _planned_pairs(mined, options)
        return _shown(options, document, lambda out: _show_plan(out, document))
    writer = writer_of(options)
    with _progress(options) as show:
        splits = _splits(mined, table, options, show)
        report = make_set(
            mined, table.root, options.output, splits, settings, writer=writer, progress=show
        )
    document = report.to_json() | {"output": str(options.output)}
    text = json.dumps(document, indent=1, ensure_ascii=False) + "\n"
    write_atomically(options.output / "report.json", text.encode())
    return _shown(options, document, lambda out: _show_made(out, document))


def _splits(
    mined: Sequence[MinedWork],
    table: WorksTable,
    options: argparse.Namespace,
    show: Callable[[str, int, int], None],
) -> dict[str, str]:
    """The split of each work, by clusters of near-duplicates."""
    from musiczoo.llm.pieces import near_works
    from musiczoo.llm.works_table import groups

    works = [row.work for row in mined if row.tags]
    if not works:
        raise MusicZooError("No work has a tag.", path=options.mined)
    near: Sequence[int] = ()
    if not all(work.cluster for work in works):
        near = near_works(
            works, table.root, progress=lambda done, total: show("comparing", done, total)
        )
    names = [works[first].midi for first in groups(works, near)]
    parts = split_by_cluster(
        names, validation=options.validation, test=options.test, seed=options.seed
    )
    return {
        works[index].midi: split
        for split, indices in zip(_SPLITS, parts, strict=True)
        for index in indices
    }


def _planned_pairs(mined: Sequence[MinedWork], options: argparse.Namespace) -> Document:
    """What the writing of pairs would cost; four characters count as a token."""
    from musiczoo.llm.written_pairs import writing_messages

    requests = [
        writing_messages(
            {name: tag.value for name, tag in row.tags.items()}, options.written, options.captions
        )
        for row in mined
        if row.tags
    ]
    tags = sum(len(row.tags) for row in mined)
    asked = sum(len(turn["content"]) for messages in requests for turn in messages) // 4
    written = 60 * (tags * options.written + len(requests) * options.captions)
    cost = (asked * options.price_in + written * options.price_out) / 1e6
    return {
        "works": len(requests),
        "calls": len(requests),
        "prompt_tokens": asked,
        "answer_tokens": written,
        "cost": cost,
        "messages": requests[0] if requests else [],
    }


def _audit(options: argparse.Namespace) -> Document:
    from musiczoo.llm.audit import draw_sample, read_audit, write_sheets
    from musiczoo.llm.mined_works import read_mined

    if len(options.files) == 2:
        audit = read_audit(*options.files)
        return _shown(options, audit.to_json(), lambda out: _show_audit(out, audit))
    if len(options.files) != 1 or options.output is None:
        raise MusicZooError(
            "An audit begins with one file of mined tags, and ends with two sheets.",
            remedy="Give mined tags and --output FOLDER, or the two sheets.",
        )
    sample = draw_sample(read_mined(options.files[0]), options.works, seed=options.seed)
    paths = write_sheets(sample, options.output, seed=options.seed)
    document = {
        "works": len(sample),
        "tags": sum(len(work.tags) for work in sample),
        "sheets": [str(path) for path in paths],
    }
    return _shown(options, document, lambda out: _show_drawn(out, document))


@contextlib.contextmanager
def _progress(options: argparse.Namespace) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar; gives the function that takes a word, what is done, and all there is."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    console = Console(stderr=True)
    hidden = options.quiet or options.json
    with Progress(*columns, console=console, transient=True, disable=hidden) as bar:
        task = bar.add_task("reading", total=None)
        yield lambda word, done, total: bar.update(
            task, description=word, completed=done, total=total
        )


def _shown(
    options: argparse.Namespace, document: Document, show: Callable[[Console], None]
) -> Document:
    if not options.json:
        show(Console(highlight=False, soft_wrap=True))
    return document


def _show_plan(out: Console, found: Document) -> None:
    for turn in found["messages"]:
        out.print(Text(f"[{turn['role']}]\n{turn['content']}\n"))
    if "looked_at" in found:
        out.print(
            f"Of the first {found['looked_at']} of {found['works']:,} works {found['found']} have"
            " a text."
        )
    out.print(
        f"{found['calls']:,} calls, about {found['prompt_tokens']:,} tokens of requests and"
        f" {found['answer_tokens']:,} of answers; estimated cost {found['cost']:.2f}."
    )


def _show_mined(out: Console, found: Document) -> None:
    out.print(
        f"{found['works']:,} works ({found['earlier']:,} from earlier): {found['mined']:,} with"
        f" tags, {found['without_tags']:,} without; {found['no_text']:,} have no text,"
        f" {found['unread']:,} texts cannot be read, {found['no_answer']:,} got no answer."
    )
    table = Table("tag", "valid", "unknown", "dropped", box=None, header_style="bold")
    for name, counts in found["tags"].items():
        table.add_row(name, *(f"{counts[kind]:,}" for kind in ("valid", "unknown", "dropped")))
    out.print(table)
    _show_counts(out, found["dropped"])
    _show_counts(out, found["reasons"])
    _show_usage(out, found["usage"])
    out.print(Text(f"Tags: {found['output']}"))


def _show_made(out: Console, found: Document) -> None:
    records = ", ".join(f"{count:,} {split}" for split, count in found["records"].items())
    clips = ", ".join(f"{count:,} {kind}" for kind, count in found["clips"].items())
    out.print(f"{found['works']:,} works; clips: {clips or 'none'}; records: {records or 'none'}.")
    if found["without_tags"]:
        out.print(f"{found['without_tags']:,} works without a tag are left out.")
    if found["no_answer"]:
        out.print(f"The model wrote nothing about {found['no_answer']:,} works.")
    _show_counts(out, found["left_out"])
    _show_counts(out, found["dropped"])
    _show_usage(out, found["usage"])
    out.print(Text(f"Questions and answers: {found['output']}"))


def _show_usage(out: Console, usage: Document) -> None:
    if usage["calls"] or usage["cached"]:
        out.print(
            f"{usage['calls']:,} calls ({usage['invalid']:,} unusable, {usage['retries']:,}"
            f" retries), {usage['cached']:,} answers from the cache; {usage['prompt_tokens']:,} and"
            f" {usage['answer_tokens']:,} tokens; cost {usage['cost']:.2f}."
        )


def _show_counts(out: Console, counts: dict[str, int]) -> None:
    for reason, count in sorted(counts.items(), key=lambda pair: -pair[1])[:12]:
        out.print(Text(f"{count:,} x {reason}"))


def _show_drawn(out: Console, found: Document) -> None:
    out.print(f"{found['works']:,} works with {found['tags']:,} tags.")
    for path in found["sheets"]:
        out.print(Text(f"Sheet: {path}"))
    out.print("Write acceptable or unacceptable in the column verdict of each row.")


def _show_audit(out: Console, audit: Audit) -> None:
    out.print(f"{audit.works:,} works; {audit.open:,} tags without both verdicts.")
    heads = ("tags", "judged", "accepted", "first", "second", "both", "agreement", "kappa")
    table = Table(*heads, box=None, header_style="bold")
    for name, one in audit.groups.items():
        parts = (one.accepted, *one.by_reviewer, one.both, one.agreement)
        cells = ["" if part is None else f"{100 * part:.1f} %" for part in parts]
        kappa = "" if one.kappa is None else f"{one.kappa:.3f}"
        table.add_row(name, f"{one.tags:,}", *cells, kappa)
    out.print(table)

"""Mines tags from texts about works, work by work, so that a killed run continues."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from musiczoo.llm.mined_works import MinedFile, MinedTag, MinedWork, read_mined
from musiczoo.llm.tags import TAG_NAMES, Tags, checked, mining_messages
from musiczoo.llm.text_sources import TextSource
from musiczoo.llm.threads import in_threads
from musiczoo.llm.works_table import WorkRow
from musiczoo.llm.writer import Message, NoAnswer, Usage, Writer
from musiczoo.music.errors import MusicZooError

MOST_CHARACTERS = 12_000
"""Of a text; the rest of a longer one is not given to the model."""

GIVE_UP = 8
"""Works in a row without an answer, after which the endpoint counts as broken."""

# English prose has about four characters a token; an answer of five tags is rarely longer.
_CHARACTERS_A_TOKEN = 4
_ANSWER_TOKENS = 350


@dataclass
class MiningReport:
    """What a run of mining has done.

    Attributes:
        works: All works.
        earlier: Those that an earlier run has finished.
        mined: Works with one valid tag or more.
        without_tags: Works whose text gave no valid tag.
        no_text: Works without a text.
        unread: Works whose text could not be read.
        no_answer: Works that the model did not answer about.
        tags: For each tag how often it is ``valid``, ``unknown`` and ``dropped``.
        dropped: Why tags were dropped, with counts.
        reasons: Why there is no text or no answer, with counts.
        usage: Of the writer, in this run.
    """

    works: int = 0
    earlier: int = 0
    mined: int = 0
    without_tags: int = 0
    no_text: int = 0
    unread: int = 0
    no_answer: int = 0
    tags: dict[str, dict[str, int]] = field(default_factory=dict)
    dropped: dict[str, int] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        return asdict(self)


@dataclass(frozen=True)
class MiningPlan:
    """What mining would do.

    Attributes:
        works: Works that are not finished.
        looked_at: The first of them, whose texts were looked for.
        found: Those of them that have a text.
        calls: Requests that all works would need, by that share.
        prompt_tokens: Estimated, of all requests.
        answer_tokens: Estimated.
        cost: Estimated, by the prices.
        messages: The first request.
    """

    works: int
    looked_at: int
    found: int
    calls: int
    prompt_tokens: int
    answer_tokens: int
    cost: float
    messages: Sequence[Message]


def mine(
    works: Sequence[WorkRow],
    source: TextSource,
    writer: Writer,
    path: str | Path,
    *,
    most_characters: int = MOST_CHARACTERS,
    give_up: int = GIVE_UP,
    progress: Callable[[int, int], None] | None = None,
) -> MiningReport:
    """Mines the tags of works and writes them row by row.

    Rows of works that are finished stay as they are; those without an answer are asked for again.

    Args:
        works: The works.
        source: Finds their texts.
        writer: Reads the texts.
        path: JSON lines of :class:`musiczoo.llm.mined_works.MinedWork`.
        most_characters: Of a text.
        give_up: Works in a row without an answer, after which the run ends.
        progress: Is called with the works that are done, and all works.

    Raises:
        MusicZooError: The file is of another model, the endpoint refuses all requests or answers
            none. The rows that are finished stay.
    """
    file = MinedFile(path)
    try:
        _check_writer(file, writer)
        left = [work for work in works if not _finished(file.rows, work)]
        silent = 0

        def mined(work: WorkRow) -> MinedWork:
            return mine_work(work, source, writer, most_characters=most_characters)

        for number, (_, row) in enumerate(in_threads(mined, left, writer.concurrency), 1):
            file.append(row)
            silent = silent + 1 if row.status == "no answer" else 0
            if progress is not None:
                progress(len(works) - len(left) + number, len(works))
            if silent >= give_up:
                raise MusicZooError(
                    f"{silent} works in a row got no answer. {row.reason}",
                    path=path,
                    remedy="What is finished is kept: run the same command again to continue.",
                )
    except BaseException:
        file.close()
        raise
    file.close([work.midi for work in works])
    rows = [file.rows[work.midi] for work in works]
    return _report(rows, len(works) - len(left), writer.usage)


def mine_work(
    work: WorkRow, source: TextSource, writer: Writer, *, most_characters: int = MOST_CHARACTERS
) -> MinedWork:
    """The tags of one work.

    Args:
        work: The work.
        source: Finds its text.
        writer: Reads the text.
        most_characters: Of the text.

    Raises:
        MusicZooError: The writer will answer no request.
    """
    try:
        text = source.find(work.title, work.composer)
    except MusicZooError as error:
        return MinedWork(work, "unread", reason=error.message)
    if text is None:
        return MinedWork(work, "no text", reason="No text is surely about this work.")
    given = shortened(text.text, most_characters)
    known: dict[str, Any] = {
        "origin": text.origin,
        "text_sha256": text.sha256,
        "writer": writer.name,
    }
    try:
        answer = writer.ask(mining_messages(work.title, work.composer, given), Tags)
    except NoAnswer as error:
        return MinedWork(work, "no answer", reason=error.message, **known)
    found = checked(answer.value, given)
    tags = {name: MinedTag(*pair) for name, pair in found.valid.items()}
    return MinedWork(
        work, "mined", tags=tags, unknown=found.unknown, dropped=dict(found.dropped), **known
    )


def plan(
    works: Sequence[WorkRow],
    source: TextSource,
    *,
    prices: tuple[float, float] = (0.0, 0.0),
    path: str | Path | None = None,
    most_characters: int = MOST_CHARACTERS,
    look_at: int = 20,
) -> MiningPlan:
    """What :func:`mine` would ask and cost; no model is asked, and nothing is written.

    Args:
        works: The works.
        source: Finds texts; those of the first works are looked for, and the others counted alike.
        prices: Of a million tokens of requests, and of answers.
        path: The file of an earlier run, if there is one.
        most_characters: Of a text.
        look_at: How many works to look for.
    """
    earlier = read_mined(path) if path is not None and Path(path).exists() else []
    rows = {row.work.midi: row for row in earlier}
    left = [work for work in works if not _finished(rows, work)]
    requests = [*_requests(left[:look_at], source, most_characters)]
    seen = min(look_at, len(left))
    calls = round(len(left) * len(requests) / seen) if seen else 0
    characters = sum(len(turn["content"]) for messages in requests for turn in messages)
    each = characters / len(requests) / _CHARACTERS_A_TOKEN if requests else 0.0
    tokens = (round(calls * each), calls * _ANSWER_TOKENS)
    cost = sum(count * price for count, price in zip(tokens, prices, strict=True)) / 1e6
    first = requests[0] if requests else []
    return MiningPlan(len(left), seen, len(requests), calls, *tokens, cost, first)


def shortened(text: str, most: int) -> str:
    """The beginning of a text, to the end of a paragraph or word.

    >>> shortened("One two three", 9)
    'One two'
    """
    if len(text) <= most:
        return text
    cut = text[:most]
    end = cut.rfind("\n") if cut.rfind("\n") > most // 2 else cut.rfind(" ")
    return cut[:end] if end > 0 else cut


def _requests(
    works: Iterable[WorkRow], source: TextSource, most_characters: int
) -> Iterable[list[Message]]:
    for work in works:
        text = None
        with contextlib.suppress(MusicZooError):  # mine() gives the reason
            text = source.find(work.title, work.composer)
        if text is not None:
            given = shortened(text.text, most_characters)
            yield mining_messages(work.title, work.composer, given)


def _finished(rows: Mapping[str, MinedWork], work: WorkRow) -> bool:
    row = rows.get(work.midi)
    return row is not None and row.status in ("mined", "no text") and row.work == work


def _check_writer(file: MinedFile, writer: Writer) -> None:
    others = {row.writer for row in file.rows.values() if row.writer} - {writer.name}
    if others:
        raise MusicZooError(
            f"The file holds tags of {', '.join(sorted(others))}, not of {writer.name}.",
            path=file.path,
            remedy="Choose another --output, or the same model.",
        )


def _report(rows: Sequence[MinedWork], earlier: int, usage: Usage) -> MiningReport:
    kinds = Counter(row.status for row in rows)
    with_tags = sum(bool(row.tags) for row in rows)
    return MiningReport(
        works=len(rows),
        earlier=earlier,
        mined=with_tags,
        without_tags=kinds["mined"] - with_tags,
        no_text=kinds["no text"],
        unread=kinds["unread"],
        no_answer=kinds["no answer"],
        tags={
            name: {
                "valid": sum(name in row.tags for row in rows),
                "unknown": sum(name in row.unknown for row in rows),
                "dropped": sum(name in row.dropped for row in rows),
            }
            for name in TAG_NAMES
        },
        dropped=dict(Counter(reason for row in rows for reason in row.dropped.values())),
        reasons=dict(Counter(row.reason for row in rows if row.reason)),
        usage=usage,
    )

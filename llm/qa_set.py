"""A set of questions and answers about clips, from mined tags and from the notes."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from musiczoo.llm.clips import COUNT, SECONDS, CutClip, cut_clips
from musiczoo.llm.mined_works import MinedWork
from musiczoo.llm.pieces import open_piece
from musiczoo.llm.records import QARecord, iterate_records, write_records
from musiczoo.llm.score_facts import Fact, score_facts
from musiczoo.llm.tag_pairs import (
    Subject,
    caption_record,
    known_of,
    template_records,
    written_records,
)
from musiczoo.llm.threads import in_threads
from musiczoo.llm.writer import NoAnswer, Usage, Writer
from musiczoo.llm.written_pairs import CheckedPairs, written_pairs
from musiczoo.music.atomic import make_folder, write_atomically
from musiczoo.music.errors import MusicZooError

CLIPS = "clips"
Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class SetSettings:
    """How a set is made.

    Attributes:
        clips: Clips of a piece, at most.
        seconds: Of a clip, at most.
        each: Pairs in our wordings for each tag and clip.
        written: Pairs that a model writes for each tag of a work; 0 asks no model.
        captions: Captions that a model writes of a work, besides that of each clip in our wordings.
        seed: Of the choice of wordings.
    """

    clips: int = COUNT
    seconds: float = SECONDS
    each: int = 2
    written: int = 3
    captions: int = 1
    seed: int = 0


@dataclass
class SetReport:
    """What a set holds.

    Attributes:
        works: Works with a record.
        without_tags: Works that have no valid tag and are left out.
        left_out: Why other works are left out, with counts.
        clips: By alignment.
        records: By split.
        tags: Records by tag.
        no_answer: Works about which the model wrote nothing.
        dropped: Why pairs and captions of the model are not used, with counts.
        usage: Of the writer.
    """

    works: int = 0
    without_tags: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    clips: Counter[str] = field(default_factory=Counter)
    records: Counter[str] = field(default_factory=Counter)
    tags: Counter[str] = field(default_factory=Counter)
    no_answer: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    usage: Usage = field(default_factory=Usage)

    def to_json(self) -> dict[str, Any]:
        """The report as plain JSON values."""
        counts = {
            name: dict(some) for name, some in vars(self).items() if isinstance(some, Counter)
        }
        return {**vars(self), **counts, "usage": asdict(self.usage)}


def make_set(
    works: Sequence[MinedWork],
    root: Path,
    folder: str | Path,
    splits: Mapping[str, str],
    settings: SetSettings | None = None,
    *,
    writer: Writer | None = None,
    progress: Progress | None = None,
) -> SetReport:
    """Writes ``qa.jsonl``, ``qa.parquet`` and the MIDI files of the clips.

    Works without a valid tag are left out. Answers of the model are kept in its cache, so that a
    run that is begun again pays for none twice; all else follows from the seed.

    Args:
        works: Mined works.
        root: Folder of their music.
        folder: Gets the files.
        splits: File of a work -> ``"train"``, ``"validation"`` or ``"test"``.
        settings: How the set is made.
        writer: Writes further pairs and captions; None for those in our wordings alone.
        progress: Is called with a word, what is done, and all there is.

    Raises:
        MusicZooError: Nothing can be written, or the model refuses all requests.
    """
    settings = settings or SetSettings()
    folder = make_folder(folder)
    make_folder(folder / CLIPS)
    tagged = [work for work in works if work.tags]
    report = SetReport(without_tags=len(works) - len(tagged))
    written: dict[str, CheckedPairs] = {}
    # Before the first request: a set that cannot be written must not cost anything.
    if missing := [work.work.midi for work in tagged if work.work.midi not in splits]:
        raise MusicZooError("A work has no split.", where=missing[0])
    if writer is not None and settings.written:
        written = _write_all(tagged, writer, settings, report, progress)
        report.usage = writer.usage

    def records() -> Iterator[QARecord]:
        for number, work in enumerate(tagged, 1):
            cut = _cut(work, root, settings, report)
            if cut is not None:
                subjects = _subjects(work, cut.clips, folder, splits)
                pairs = written.get(work.work.midi)
                for subject, facts in zip(subjects, cut.facts, strict=True):
                    made = _clip_records(work, subject, facts, settings, pairs)
                    _count(report, subject, made)
                    yield from made
            if progress is not None:
                progress("cutting", number, len(tagged))

    path = write_records(folder / "qa.jsonl", records())
    write_records(folder / "qa.parquet", iterate_records(path))
    return report


def _write_all(
    works: Sequence[MinedWork],
    writer: Writer,
    settings: SetSettings,
    report: SetReport,
    progress: Progress | None,
) -> dict[str, CheckedPairs]:
    """What the model writes of each work, by the work's file."""

    def written(work: MinedWork) -> CheckedPairs | None:
        tags = {name: tag.value for name, tag in work.tags.items()}
        try:
            return written_pairs(writer, tags, each=settings.written, captions=settings.captions)
        except NoAnswer:
            return None

    found: dict[str, CheckedPairs] = {}
    for number, (work, pairs) in enumerate(in_threads(written, works, writer.concurrency), 1):
        if pairs is None:
            report.no_answer += 1
        else:
            found[work.work.midi] = pairs
            report.dropped.update(pairs.dropped)
        if progress is not None:
            progress("writing", number, len(works))
    return found


@dataclass(frozen=True)
class _Cut:
    """The clips of a work, and the facts of each."""

    clips: Sequence[CutClip]
    facts: Sequence[tuple[Fact, ...]]


def _cut(work: MinedWork, root: Path, settings: SetSettings, report: SetReport) -> _Cut | None:
    """The clips of a work; None where its music cannot be used."""
    row = work.work
    try:
        score, tune = open_piece(root, row.midi)
        clips = cut_clips(score, settings.clips, seconds=settings.seconds, nominal=row.nominal)
        facts = [score_facts(one.score, tune=tune, nominal=row.nominal) for one in clips]
    except MusicZooError as error:
        report.left_out[error.message] += 1
        return None
    report.works += bool(clips)
    return _Cut(clips, facts)


def _subjects(
    work: MinedWork, clips: Sequence[CutClip], folder: Path, splits: Mapping[str, str]
) -> Iterator[Subject]:
    row = work.work
    own = {"title": row.title, "composer": row.composer, "dataset": row.dataset, "piece": row.midi}
    stated = {key: value for key, value in own.items() if value}
    for place, cut in enumerate(clips):
        name = _write_clip(folder, row.midi, place, cut)
        yield Subject(f"{row.midi}:{place}", name, splits[row.midi], stated, cut.clip)


def _clip_records(
    work: MinedWork,
    subject: Subject,
    facts: Sequence[Fact],
    settings: SetSettings,
    pairs: CheckedPairs | None,
) -> list[QARecord]:
    rng = random.Random(f"{settings.seed}:{subject.id}")
    known = known_of(work, facts)
    made = [*template_records(subject, known, each=settings.each, rng=rng)]
    if (caption := caption_record(subject, known, rng)) is not None:
        made.append(caption)
    if pairs is not None:
        made += written_records(subject, known_of(work, ()), pairs, rng)
    return made


def _count(report: SetReport, subject: Subject, made: Sequence[QARecord]) -> None:
    if subject.clip is not None:
        report.clips[subject.clip.alignment] += 1
    report.records[subject.split] += len(made)
    report.tags.update(record.tag for record in made)


def _write_clip(folder: Path, midi: str, place: int, cut: CutClip) -> str:
    """Writes a clip, and returns its path in the folder."""
    name = f"{CLIPS}/{hashlib.sha256(midi.encode()).hexdigest()[:16]}-{place}.mid"
    write_atomically(folder / name, cut.score.dumps_midi())
    return name

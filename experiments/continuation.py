"""Continues real openings and checks the results.

    python -m experiments.continuation bar-stream
    python -m experiments.continuation runs/last.ckpt --count 20 --free --output continuations

MODEL is anything that `musiczoo continue` opens. The openings are those of chorales that a recipe
keeps out of training, and of corpora that it does not train on; each is written to a file as ABC,
MusicXML or MIDI in turn, cut to its first bars, and continued from that file. Each result is
checked: it can be read, keeps the header, the voices and the opening, ends, and its bars are
aligned.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
import yaml
from rich.console import Console
from rich.table import Table

from musiczoo.datamodules import ScoreDataModule
from musiczoo.hub.opening import open_model
from musiczoo.metrics import bar_alignment
from musiczoo.models.bar_stream.continuation import ALIGNED, Continued
from musiczoo.models.base.capabilities import Continues, TakesLabels
from musiczoo.models.sampling import Sampling
from musiczoo.music import from_score, read, write
from musiczoo.music.abc import Tune, Voice, read_abc, write_abc
from musiczoo.music.atomic import write_atomically
from musiczoo.music.corpora.corpus import Work
from musiczoo.music.corpora.names import load_corpus
from musiczoo.music.errors import MusicZooError

CONSOLE = Console(stderr=True)
FORMATS = (".abc", ".musicxml", ".mid")
CHECKS = ("readable", "header_kept", "voices_kept", "opening_kept", "ended", "aligned")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model")
    parser.add_argument("--count", type=int, default=50, help="openings")
    parser.add_argument("--bars", type=int, default=4, help="bars of an opening")
    parser.add_argument("--max-bars", type=int, default=24, help="bars of a whole piece at most")
    parser.add_argument(
        "--recipe",
        default="bar_stream/shipped_finetune",
        help="names the works that were kept out of training",
    )
    parser.add_argument(
        "--corpora",
        nargs="*",
        default=["aird", "haydn-quartets", "misc-folk", "mozart-quartets"],
        help="not trained on",
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--temperature", type=float, default=1.2)
    parser.add_argument("--batch-size", type=int, default=16)
    parser.add_argument("--free", action="store_true", help="without the guard that aligns bars")
    parser.add_argument("--output", type=Path, help="folder for continuation.json and the pieces")
    return parser.parse_args()


def openings(options: argparse.Namespace) -> Iterator[Work]:
    """Works drawn by the seed without repetition, one of each corpus in turn.

    Of a corpus that was trained on, only works that were kept out of training are drawn.
    """
    recipe = yaml.safe_load(
        files("musiczoo.configs").joinpath(f"{options.recipe}.yaml").read_text()
    )["data"]["init_args"]
    data = ScoreDataModule(**{**recipe, "repeats": None, "progress": False})
    data.setup()
    unseen: dict[str, list[Work]] = {}
    for index in data.splits.test or data.splits.validation:
        unseen.setdefault(data.works[index].source, []).append(data.works[index])
    sources = [
        *unseen.values(),
        *(list(load_corpus(name, progress=False)) for name in options.corpora),
    ]
    rng = random.Random(options.seed)
    queues = [iter(rng.sample(works, len(works))) for works in sources]
    for queue in cycle(queues):
        # A work that is no longer than its opening leaves nothing to continue.
        if (work := next((work for work in queue if work.bars > options.bars), None)) is not None:
            yield work


def beginning(tune: Tune, bars: int) -> Tune:
    """The first bars of a tune."""
    return replace(tune, voices=tuple(Voice(voice.id, voice.bars[:bars]) for voice in tune.voices))


def checks(given: Tune, result: Continued, bars: int) -> dict[str, Any]:
    """The checks of a continuation; ``bars`` of the score were kept."""
    piece = result.piece
    ended = result.generated.stop == "end"
    if piece is None:
        return {**dict.fromkeys(CHECKS, False), "ended": ended, "error": str(result.error)}
    again = read_abc(write_abc(piece))
    with tempfile.TemporaryDirectory() as folder:
        engraved = read(write(piece, Path(folder) / "piece.musicxml"))
    assert isinstance(engraved, Tune)
    lengths = [len(voice.bars) for voice in piece.voices]
    alignment = bar_alignment(piece)
    new = [index for index in alignment.misaligned if index >= bars]
    return {
        # Read again from two notations, with all its bars and notes.
        "readable": (
            [len(voice.bars) for voice in again.voices] == lengths
            and again.notes() == piece.notes()
            and len(engraved.notes()) == len(piece.notes())
        ),
        "header_kept": piece.header == given.header,
        "voices_kept": [voice.id for voice in piece.voices] == [voice.id for voice in given.voices],
        "opening_kept": all(
            _same_bars(own.bars[:bars], now.bars[:bars])
            for own, now in zip(given.voices, piece.voices, strict=True)
        ),
        "ended": ended and lengths[0] == result.planned_bars,
        "aligned": not new,
        "bars": lengths[0],
        "new_bars": lengths[0] - bars,
        "misaligned_bars": len(new),
    }


def _same_bars(own: Any, now: Any) -> bool:
    """Whether the bars are equal; the last bar-line may differ, as it no longer ends the piece."""
    return [(bar.left, bar.text) for bar in own] == [(bar.left, bar.text) for bar in now] and [
        bar.right for bar in own[:-1]
    ] == [bar.right for bar in now[: len(own) - 1]]


def opening_files(options: argparse.Namespace, folder: Path) -> Iterator[tuple[Work, Path, Tune]]:
    """Each work, the file of its opening, and the tune that this file holds.

    A work whose opening cannot be written or read is reported and left out.
    """
    count = 0
    chosen = islice(openings(options), 4 * options.count)
    for work, suffix in zip(chosen, cycle(FORMATS), strict=False):
        path = folder / f"{count:03d}{suffix}"
        try:
            piece = read(write(beginning(work.tune, options.bars), path))
            given = piece if isinstance(piece, Tune) else from_score(piece)
        except MusicZooError as error:
            CONSOLE.print(f"{work.id}: {error}", markup=False)
            continue
        yield work, path, given
        count += 1
        if count == options.count:
            return


def continued(
    model: Any,
    work: Work,
    path: Path,
    given: Tune,
    generator: torch.Generator,
    options: argparse.Namespace,
) -> tuple[dict[str, Any], Tune | None]:
    """The record of one opening, and the continued piece."""
    known = {(prompt.period, prompt.composer, prompt.instrumentation) for prompt in model.prompts}
    labels = work.labels
    if labels and (labels.period, labels.composer, labels.instrumentation) not in known:
        labels = None
    bars = min(options.bars, len(given.voices[0].bars))
    record: dict[str, Any] = {
        "work": work.id,
        "format": path.suffix,
        "voices": len(given.voices),
        "opening_bars": bars,
    }
    try:
        [result] = model.continue_pieces(
            [path],
            bars,
            labels,
            Sampling(temperature=options.temperature),
            generator=generator,
            max_bars=options.max_bars,
            guard=None if options.free else ALIGNED,
        )
    except MusicZooError as error:
        return record | {**dict.fromkeys(CHECKS, False), "error": str(error)}, None
    return record | checks(given, result, bars), result.piece


def document_of(
    options: argparse.Namespace, records: list[dict[str, Any]], seconds: float
) -> dict[str, Any]:
    """All records, their sums and the settings."""
    return {
        "model": options.model,
        "settings": {
            name: str(value) if isinstance(value, Path) else value
            for name, value in vars(options).items()
        },
        "openings": len(records),
        **{name: sum(record[name] for record in records) for name in CHECKS},
        "new_bars": sum(record.get("new_bars", 0) for record in records),
        "misaligned_bars": sum(record.get("misaligned_bars", 0) for record in records),
        "seconds": round(seconds, 1),
        "pieces": records,
    }


def main() -> None:
    options = arguments()
    model = open_model(options.model)
    if not isinstance(model, Continues) or not isinstance(model, TakesLabels):
        raise SystemExit(f"{options.model} does not continue scores.")
    generator = torch.Generator().manual_seed(options.seed)
    records: list[dict[str, Any]] = []
    start = time.monotonic()
    if options.output is not None:
        options.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for work, path, given in list(opening_files(options, Path(scratch))):
            record, piece = continued(model, work, path, given, generator, options)
            if options.output is not None and piece is not None:
                write(piece, options.output / f"{len(records):03d}.abc")
            records.append(record)
            CONSOLE.print(json.dumps(record), markup=False, highlight=False)
    document = document_of(options, records, time.monotonic() - start)
    text = json.dumps(document, indent=2)
    if options.output is not None:
        write_atomically(options.output / "continuation.json", text.encode())
    table = Table("check", f"of {len(records)}")
    for name in CHECKS:
        table.add_row(name.replace("_", " "), str(document[name]))
    CONSOLE.print(table)
    print(text)


if __name__ == "__main__":
    main()

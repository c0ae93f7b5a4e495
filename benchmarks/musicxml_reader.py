"""Accuracy and speed of our MusicXML reader on music21's corpus, beside music21's own; prints JSON.

Notes are compared as multisets of (onset, sounding pitch), repeats unexpanded, ties merged, grace
notes and unpitched notes left out. Two figures are given for each file:

* ``f1``: onsets within bars, bars compared by number. music21 adds up the measures of every part on
  its own, so one short, overfull or twice-rested measure in one part (common in real files) shifts
  that part against the others until the end; our reader keeps the bars of all parts together.
  Onsets at most 1/32 of a quarter apart are equal: many files round their triplets; we restore
  them.
* ``f1_raw``: music21's onsets without correction, compared exactly.

Parsing the corpus with music21 takes minutes; its notes are kept in a cache folder, named by
version.
"""

from __future__ import annotations

import argparse
import gzip
import json
import sys
import time
import warnings
from collections import defaultdict
from fractions import Fraction
from pathlib import Path
from typing import Any

import platformdirs
from rich.console import Console
from rich.progress import track

from musiczoo.music.abc import Tune, voice_definitions
from musiczoo.music.errors import MusicZooError
from musiczoo.music.musicxml.reader import read_musicxml

TOLERANCE = Fraction(1, 32)
#: (part, measure, onset in the measure, onset in the part, MIDI pitch, duration, tie)
ReferenceNote = tuple[int, int, Fraction, Fraction, int, Fraction, str]
#: (bar, onset in the bar, onset in the piece, MIDI pitch)
SoundingNote = tuple[int, Fraction, Fraction, int]


def corpus_files() -> list[Path]:
    """All MusicXML files of music21's corpus."""
    from music21 import common

    root = common.getCorpusFilePath()
    return sorted(
        path for path in Path(root).rglob("*") if path.suffix in (".xml", ".musicxml", ".mxl")
    )


def parse_with_music21(path: Path) -> Any:
    """music21's own parse, without its pickles."""
    from music21 import converter

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return converter.parse(path, forceSource=True)


def reference_rows(path: Path) -> list[list[Any]]:
    """The notes of music21's parse of one file."""
    from music21 import chord, harmony, note

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        score = parse_with_music21(path)
        score.toSoundingPitch(inPlace=True)
    rows: list[list[Any]] = []
    for part_index, part in enumerate(score.parts):
        for measure_index, measure in enumerate(part.getElementsByClass("Measure")):
            start = measure.offset
            for element in measure.recurse().notes:
                if isinstance(element, harmony.Harmony) or element.duration.isGrace:
                    continue
                offset = element.getOffsetInHierarchy(measure)
                for head in element.notes if isinstance(element, chord.ChordBase) else [element]:
                    if isinstance(head, note.Note):
                        tie = head.tie or element.tie
                        times = [_exact(offset), _exact(start + offset)]
                        rows.append(
                            [
                                part_index,
                                measure_index,
                                *times,
                                head.pitch.midi,
                                _exact(element.quarterLength),
                                tie.type if tie else "",
                            ]
                        )
    return rows


def _exact(value: Any) -> str:
    return str(Fraction(value).limit_denominator(65535))


def reference_notes(path: Path, root: Path, cache: Path) -> list[ReferenceNote]:
    """The notes of music21's parse, from the cache if it has them."""
    file = cache / ("__".join(path.relative_to(root).parts) + ".json.gz")
    if file.exists():
        with gzip.open(file, "rt") as stream:
            rows = json.load(stream)
    else:
        rows = reference_rows(path)
        with gzip.open(file, "wt") as stream:
            json.dump(rows, stream)
    return [
        (part, measure, Fraction(inner), Fraction(onset), midi, Fraction(length), tie)
        for part, measure, inner, onset, midi, length, tie in rows
    ]


def without_tied(rows: list[ReferenceNote]) -> list[SoundingNote]:
    """The reference with ties merged: notes that a tie of their part leads to are dropped.

    Many files do not write the stop of a tie.
    """
    notes: list[SoundingNote] = []
    open_ties: dict[tuple[int, int], Fraction] = {}
    for part, measure, inner, onset, midi, length, tie in rows:
        end = open_ties.pop((part, midi), None)
        if end is None or (end != onset and tie not in ("stop", "continue")):
            notes.append((measure, inner, onset, midi))
        if tie in ("start", "continue"):
            open_ties[part, midi] = onset + length
    return notes


def tune_notes(tune: Tune) -> list[SoundingNote]:
    """Our notes, voices in the percussion clef left out."""
    percussion = {
        name for name, definition in voice_definitions(tune).items() if definition.percussion
    }
    starts = {voice.id: [span.onset for span in voice.bars] for voice in tune.parsed}
    return [
        (note.bar, note.onset - starts[note.voice][note.bar], note.onset, note.pitch)
        for note in tune.notes()
        if note.voice not in percussion
    ]


def f1(ours: list[tuple[Any, ...]], theirs: list[tuple[Any, ...]], tolerance: Fraction) -> float:
    """F1 of two multisets of (..., onset).

    The fields before the onset must be equal, the onsets within the tolerance.
    """
    if not ours and not theirs:
        return 1.0
    groups: dict[tuple[Any, ...], tuple[list[Fraction], list[Fraction]]] = defaultdict(
        lambda: ([], [])
    )
    for side, notes in enumerate((ours, theirs)):
        for *name, onset in notes:
            groups[tuple(name)][side].append(onset)
    hits = 0
    for first, second in groups.values():
        first.sort()
        second.sort()
        left = right = 0
        while left < len(first) and right < len(second):
            if abs(first[left] - second[right]) <= tolerance:
                hits, left, right = hits + 1, left + 1, right + 1
            elif first[left] < second[right]:
                left += 1
            else:
                right += 1
    return 2 * hits / (len(ours) + len(theirs))


def compare(path: Path, root: Path, cache: Path) -> dict[str, Any]:
    """Reads one file with both readers and compares the notes."""
    name = str(path.relative_to(root))
    try:
        notes = tune_notes(read_musicxml(path))
    except MusicZooError as error:
        return {"file": name, "error": str(error)}
    theirs = without_tied(reference_notes(path, root, cache))
    in_bars = f1(
        [(bar, midi, inner) for bar, inner, _, midi in notes],
        [(bar, midi, inner) for bar, inner, _, midi in theirs],
        TOLERANCE,
    )
    raw = f1(
        [(midi, onset.limit_denominator(65535)) for *_, onset, midi in notes],
        [(midi, onset) for *_, onset, midi in theirs],
        Fraction(0),
    )
    return {
        "file": name,
        "f1": in_bars,
        "f1_raw": raw,
        "notes": len(notes),
        "notes_music21": len(theirs),
    }


def speed(files: list[Path], *, with_music21: bool) -> dict[str, Any]:
    """Processor seconds for all files, one after the other in this process, each read once."""
    read_musicxml(files[0]).notes()
    result: dict[str, Any] = {"files": len(files)}
    start = time.process_time()
    tunes = [read_musicxml(file) for file in files]
    result["tune_s"] = time.process_time() - start
    start = time.process_time()
    for tune in tunes:
        tune.notes()
    result["notes_s"] = time.process_time() - start
    result["tune_ms_per_file"] = 1000 * result["tune_s"] / len(files)
    if with_music21:
        parse_with_music21(files[0])
        start = time.process_time()
        for file in files:
            parse_with_music21(file)
        result["music21_s"] = time.process_time() - start
        result["times_faster_to_tune"] = result["music21_s"] / result["tune_s"]
        result["times_faster_to_notes"] = result["music21_s"] / (
            result["tune_s"] + result["notes_s"]
        )
    return result


def chorales(files: list[Path]) -> list[Path]:
    """The 408 four-part chorales and movements of the Bach folder."""
    return [file for file in files if file.parent.name == "bach" and file.suffix == ".mxl"]


def main() -> None:
    import music21

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--limit", type=int, help="number of files, spread evenly over the corpus")
    parser.add_argument(
        "--cache", type=Path, help="folder for music21's notes; the user's cache folder by default"
    )
    parser.add_argument("--no-accuracy", action="store_true", help="measure only the speed")
    parser.add_argument(
        "--no-music21-speed", action="store_true", help="do not time music21 on the chorales"
    )
    options = parser.parse_args()
    cache = (
        options.cache
        or Path(platformdirs.user_cache_dir("musiczoo")) / f"music21-notes-{music21.__version__}"
    )
    cache.mkdir(parents=True, exist_ok=True)
    files = corpus_files()
    root = Path(music21.common.getCorpusFilePath())
    bach = chorales(files)
    if options.limit:
        files = files[:: max(1, len(files) // options.limit)][: options.limit]
        bach = bach[: options.limit]
    report: dict[str, Any] = {
        "music21": music21.__version__,
        "speed": speed(bach, with_music21=not options.no_music21_speed),
    }
    if not options.no_accuracy:
        console = Console(stderr=True)
        rows = [
            compare(file, root, cache)
            for file in track(files, description="comparing", console=console)
        ]
        read = [row for row in rows if "error" not in row]
        report["accuracy"] = {
            "files": len(rows),
            "read": len(read),
            "errors": [row for row in rows if "error" in row],
            "mean_f1": sum(row["f1"] for row in read) / len(read),
            "mean_f1_raw": sum(row["f1_raw"] for row in read) / len(read),
            "exact": sum(row["f1"] == 1 for row in read),
            "exact_raw": sum(row["f1_raw"] == 1 for row in read),
            "f1_below_0.9": sorted(
                (row for row in read if row["f1"] < 0.9), key=lambda row: row["f1"]
            ),
            "f1_raw_below_0.9": sorted(
                (row for row in read if row["f1_raw"] < 0.9), key=lambda row: row["f1_raw"]
            ),
            "f1_below_1": sorted(
                (row for row in read if 0.9 <= row["f1"] < 1), key=lambda row: row["f1"]
            ),
        }
    json.dump(report, sys.stdout, indent=1)
    sys.stdout.write("\n")


if __name__ == "__main__":
    main()

"""Measure the ABC reader on the single-voice tune books inside music21's package: notes, bars, round trips, transposition.

    python benchmarks/abc_corpora.py [--limit N] [--cache FOLDER] [--worst N] [--no-music21]

Prints JSON. A tune's notes are its multiset of (onset, MIDI pitch, duration) in quarter notes,
grace notes out, ties merged, repeats unexpanded; F1 is 2 * matches / (ours + theirs), averaged over
tunes and pooled over notes. music21 needs a few minutes: its notes are kept in the cache folder.
The comparison is made on the text as it stands and on text freed of what music21 misreads
(_abc_mending.py).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

from musiczoo.music.abc import (
    KEYS,
    Tune,
    decode_abc,
    interleaved_lines,
    read_abc,
    read_abc_book,
    signature_key,
    transpose,
    write_abc,
)
from musiczoo.music.errors import MusicZooError

COLLECTIONS = ("ryansMammoth", "oneills1850", "airdsAirs")

sys.path.insert(0, str(Path(__file__).parent))
from _abc_mending import mended

NoteKey = tuple[str, int, str]


def corpus_files(limit: int | None) -> Iterator[tuple[str, Path]]:
    """Name and path of each file of the collections, in order."""
    import music21

    root = Path(music21.__file__).parent / "corpus"
    for collection in COLLECTIONS:
        files = sorted((root / collection).glob("*.abc"))
        for path in files[:limit]:
            yield f"{collection}/{path.name}", path


def music21_notes(
    limit: int | None, cache: Path, mend: bool
) -> tuple[dict[tuple[str, str], list[list[NoteKey]]], list[str]]:
    """Notes of each tune as music21 reads them, by file and ``X:`` number, and the files that it could not read.

    A number that stands twice in a file has several entries in order. Parsed once, then taken from
    the cache file.
    """
    found: dict[tuple[str, str], list[list[NoteKey]]] = {}
    done: set[str] = set()
    refused: list[str] = []
    rows = list(map(json.loads, cache.open())) if cache.exists() else []
    warnings.simplefilter("ignore")
    from music21 import chord, converter, harmony, stream
    from music21.exceptions21 import Music21Exception

    cache.parent.mkdir(parents=True, exist_ok=True)
    known = {row[0] for row in rows}
    with cache.open("a") as out:
        for name, path in corpus_files(limit):
            if name in known:
                continue
            text = decode_abc(path.read_bytes(), str(path))
            tunes: list[tuple[str, list[NoteKey]]] | None = []
            try:
                parsed = converter.parse(
                    mended(text) if mend else text, format="abc", forceSource=True
                )
            except Music21Exception:
                tunes = None
            for score in (
                ()
                if tunes is None
                else list(parsed.scores)
                if isinstance(parsed, stream.Opus)
                else [parsed]
            ):
                notes: list[NoteKey] = []
                for element in (
                    element
                    for part in list(score.parts) or [score]
                    for element in part.stripTies().flatten().notes
                ):
                    if isinstance(element, harmony.ChordSymbol) or element.duration.isGrace:
                        continue
                    for note in element.notes if isinstance(element, chord.Chord) else [element]:
                        length = Fraction(element.duration.quarterLength).limit_denominator(100000)
                        notes.append(
                            (
                                str(Fraction(element.offset).limit_denominator(100000)),
                                int(note.pitch.ps),
                                str(length),
                            )
                        )
                tunes.append((str(score.metadata.number) if score.metadata else "", notes))
            rows.append([name, tunes])
            out.write(json.dumps([name, tunes]) + "\n")
            out.flush()
    for name, tunes in rows:
        if name in done:
            continue
        done.add(name)
        if tunes is None:
            refused.append(name)
        for number, notes in tunes or ():
            found.setdefault((name, number), []).append([(a, b, c) for a, b, c in notes])
    return found, refused


def our_notes(tune: Tune) -> list[NoteKey]:
    """The notes of a tune in the form of :func:`music21_notes`."""
    return [(str(note.onset), note.pitch, str(note.duration)) for note in tune.notes()]


def reference_number(tune: Tune) -> str:
    """The ``X:`` number as music21 writes it."""
    words = (tune.field("X") or "").split()
    return str(int(words[0])) if words and words[0].isdigit() else "".join(words[:1])


def compared(limit: int | None, cache: Path, mend: bool, worst: int) -> dict[str, object]:
    """Our notes against music21's over all single-voice tunes, on the text as it stands or mended."""
    reference, refused = music21_notes(limit, cache, mend)
    scores: dict[str, list[tuple[float, str, int, int]]] = {
        collection: [] for collection in COLLECTIONS
    }
    for name, path in corpus_files(limit):
        text = decode_abc(path.read_bytes(), str(path))
        for tune in read_abc_book(mended(text) if mend else text, name):
            theirs = reference.get((name, reference_number(tune))) or reference.get((name, ""))
            if not theirs:
                continue
            notes = theirs.pop(0)
            if len(tune.voices) > 1:
                continue
            matched, both = f1(our_notes(tune), notes)
            row = (
                2 * matched / both if both else 1.0,
                f"{name} X:{reference_number(tune)}",
                matched,
                both,
            )
            scores[name.split("/")[0]].append(row)
    everything = [row for rows in scores.values() for row in rows]
    report: dict[str, object] = {
        collection: {
            "tunes": len(rows),
            "mean over tunes": round(sum(row[0] for row in rows) / len(rows), 5),
            "pooled over notes": round(
                2 * sum(row[2] for row in rows) / sum(row[3] for row in rows), 5
            ),
            "exact": sum(row[0] == 1.0 for row in rows),
            "below 0.9": sum(row[0] < 0.9 for row in rows),
        }
        for collection, rows in (*scores.items(), ("all", everything))
        if rows
    }
    report["files that music21 refuses"] = refused
    if worst:
        report["worst"] = [[round(row[0], 3), row[1]] for row in sorted(everything)[:worst]]
    return report


def f1(ours: list[NoteKey], theirs: list[NoteKey]) -> tuple[int, int]:
    """Matched notes, and the mean number of notes of both sides times two."""
    return sum((Counter(ours) & Counter(theirs)).values()), len(ours) + len(theirs)


def bar_figures(tune: Tune) -> Counter[str]:
    """How many bars of each voice equal the meter, and what the others are.

    The first and last bars of a voice are outer bars. A bar shorter than the meter that together
    with its neighbour, across a bar-line that divides the bar (a repeat sign, a double bar, a
    volta), makes up one bar of the meter, is a ``divided`` bar and counts as right.
    """
    figures: Counter[str] = Counter()
    for voice in tune.parsed:
        spans = voice.bars
        for index, span in enumerate(spans):
            full = span.nominal
            if full is None:
                figures["no meter"] += 1
            elif index in (0, len(spans) - 1):
                figures["outer"] += 1
            elif span.duration == full:
                figures["inner equal"] += 1
            elif _divided(spans, index, full):
                figures["inner divided"] += 1
            else:
                figures["inner short" if span.duration < full else "inner long"] += 1
    return figures


def _divided(spans: tuple, index: int, full: Fraction) -> bool:  # type: ignore[type-arg]
    """Whether a short bar completes, or is completed by, another one at a dividing bar-line."""
    span = spans[index]
    before, after = spans[index - 1], spans[index + 1]
    if span.duration >= full:
        return False
    if before.right != "|" and (before.duration + span.duration == full or before.duration < full):
        return before.duration + span.duration == full or _first_of_part(spans, index)
    if span.right != "|":
        return (
            span.duration + after.duration == full
            or span.duration + _anacrusis(spans, index) == full
        )
    return False


def _first_of_part(spans: tuple, index: int) -> bool:  # type: ignore[type-arg]
    return index == 0 or spans[index - 1].right != "|"


def _anacrusis(spans: tuple, index: int) -> Fraction:  # type: ignore[type-arg]
    """Length of the upbeat of the part that ends with bar ``index``: its first bar after a dividing bar-line."""
    for place in range(index, -1, -1):
        if _first_of_part(spans, place):
            return spans[place].duration
    return Fraction(0)


def round_trips(tune: Tune) -> list[str]:
    """The ways of writing and reading back that change the notes of a tune."""
    notes = tune.notes(graces=True)
    failures = []
    if read_abc(write_abc(tune)).notes(graces=True) != notes:
        failures.append("standard")
    try:
        if read_abc(write_abc(tune, interleaved=True)).notes(graces=True) != notes:
            failures.append("interleaved")
        omitted = "\n".join(
            [*(item.text for item in tune.header), *interleaved_lines(tune, omit_rests=True)]
        )
        if read_abc(omitted).notes(graces=True) != notes:
            failures.append("rests omitted")
    except MusicZooError as error:
        failures.append(f"refused: {error.message[:60]}")
    return failures


def constant_interval(tune: Tune) -> bool:
    """Whether each of the 15 transpositions moves all notes by one interval."""
    notes = tune.notes(graces=True)
    for key in KEYS:
        moved = transpose(tune, key)
        after = moved.notes(graces=True)
        if len(after) != len(notes) or signature_key(moved) != key:
            return False
        shifts = {b.pitch - a.pitch for a, b in zip(notes, after, strict=True)}
        if len(shifts) > 1 or [(n.onset, n.duration, n.voice) for n in notes] != [
            (n.onset, n.duration, n.voice) for n in after
        ]:
            return False
    return True


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--limit", type=int, help="files of each collection")
    parser.add_argument(
        "--cache",
        type=Path,
        default=Path.home() / ".cache" / "musiczoo" / "abc_music21",
        help="folder for music21's notes",
    )
    parser.add_argument(
        "--worst", type=int, default=0, help="list so many of the tunes with the lowest F1"
    )
    parser.add_argument(
        "--no-music21", action="store_true", help="leave the comparison with music21 out"
    )
    arguments = parser.parse_args()

    report: dict[str, object] = {}
    bars: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    errors: list[str] = []
    tunes = multi = transposed = 0
    seconds = 0.0
    for name, path in corpus_files(arguments.limit):
        text = decode_abc(path.read_bytes(), str(path))
        begin = time.process_time()
        book = read_abc_book(text, name)
        parsed = [tune.parsed for tune in book]
        seconds += time.process_time() - begin
        errors += [str(error) for error in book.errors]
        for tune, voices in zip(book, parsed, strict=True):
            tunes += 1
            if len(voices) > 1:
                multi += 1
                continue
            bars += bar_figures(tune)
            failures.update(round_trips(tune))
            transposed += constant_interval(tune)
    inner = sum(count for kind, count in bars.items() if kind.startswith("inner"))
    report["tunes"], report["several voices, not scored"], report["unreadable"] = (
        tunes,
        multi,
        errors,
    )
    report["read and parsed per second of processor time"] = (
        round(tunes / seconds, 1) if seconds else None
    )
    if not arguments.no_music21:
        report["f1 on the text as it stands"] = compared(
            arguments.limit, arguments.cache / "plain.jsonl", False, arguments.worst
        )
        report["f1 on mended text"] = compared(
            arguments.limit, arguments.cache / "mended.jsonl", True, arguments.worst
        )
    report["bars"] = dict(bars)
    if inner:
        report["inner bars equal to the meter"] = round(bars["inner equal"] / inner, 5)
        report["inner bars equal, divided ones counted as right"] = round(
            (bars["inner equal"] + bars["inner divided"]) / inner, 5
        )
    report["round trips that change notes"] = dict(failures)
    report["transposed to 15 keys by one interval"] = f"{transposed} of {tunes - multi}"
    json.dump(report, sys.stdout, indent=2)
    sys.stdout.write(os.linesep)


if __name__ == "__main__":
    main()

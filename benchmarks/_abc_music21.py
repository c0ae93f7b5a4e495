"""Our notes of the tune books beside those of music21, for benchmarks/abc_corpora.py."""

from __future__ import annotations

import json
import warnings
from collections import Counter
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

from benchmarks._abc_mending import mended
from musiczoo.music.abc import Tune, decode_abc, read_abc_book

COLLECTIONS = ("ryansMammoth", "oneills1850", "airdsAirs")

NoteKey = tuple[str, int, str]
"""Onset, MIDI pitch and duration, in quarter notes."""


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
    """Notes of each tune as music21 reads them, and the files that it could not read.

    The notes are keyed by file and ``X:`` number; a number that occurs twice in a file has several
    entries in order. Each file is parsed once and then read from the cache file.
    """
    rows = list(map(json.loads, cache.open())) if cache.exists() else []
    known = {row[0] for row in rows}
    cache.parent.mkdir(parents=True, exist_ok=True)
    warnings.simplefilter("ignore")
    with cache.open("a") as out:
        for name, path in corpus_files(limit):
            if name in known:
                continue
            text = decode_abc(path.read_bytes(), str(path))
            rows.append([name, parsed_by_music21(mended(text) if mend else text)])
            out.write(json.dumps(rows[-1]) + "\n")
            out.flush()
    found: dict[tuple[str, str], list[list[NoteKey]]] = {}
    tunes_of: dict[str, list[tuple[str, list[NoteKey]]] | None] = {}
    for name, tunes in rows:
        tunes_of.setdefault(name, tunes)
    for name, tunes in tunes_of.items():
        for number, notes in tunes or ():
            found.setdefault((name, number), []).append([(a, b, c) for a, b, c in notes])
    return found, [name for name, tunes in tunes_of.items() if tunes is None]


def parsed_by_music21(text: str) -> list[tuple[str, list[NoteKey]]] | None:
    """``X:`` number and notes of each tune of a book; None when music21 cannot read it."""
    from music21 import converter, stream
    from music21.exceptions21 import Music21Exception

    try:
        parsed = converter.parse(text, format="abc", forceSource=True)
    except Music21Exception:
        return None
    scores = list(parsed.scores) if isinstance(parsed, stream.Opus) else [parsed]
    return [
        (str(score.metadata.number) if score.metadata else "", notes_of_score(score))
        for score in scores
    ]


def notes_of_score(score: Any) -> list[NoteKey]:
    """The notes of a music21 score: ties merged, grace notes and chord symbols left out."""
    from music21 import chord, harmony

    notes: list[NoteKey] = []
    for part in list(score.parts) or [score]:
        for element in part.stripTies().flatten().notes:
            if isinstance(element, harmony.ChordSymbol) or element.duration.isGrace:
                continue
            onset = Fraction(element.offset).limit_denominator(100000)
            length = Fraction(element.duration.quarterLength).limit_denominator(100000)
            heads = element.notes if isinstance(element, chord.Chord) else [element]
            notes += [(str(onset), int(head.pitch.ps), str(length)) for head in heads]
    return notes


def our_notes(tune: Tune) -> list[NoteKey]:
    """The notes of a tune in the form of :func:`music21_notes`."""
    return [(str(note.onset), note.pitch, str(note.duration)) for note in tune.notes()]


def reference_number(tune: Tune) -> str:
    """The ``X:`` number as music21 writes it."""
    words = (tune.field("X") or "").split()
    return str(int(words[0])) if words and words[0].isdigit() else "".join(words[:1])


def compared(limit: int | None, cache: Path, mend: bool, worst: int) -> dict[str, object]:
    """F1 of our notes and music21's over all single-voice tunes, on plain or mended text."""
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

"""Measures the ABC reader on the single-voice tune books of music21's package.

    python -m benchmarks.abc_corpora [--limit N] [--cache FOLDER] [--worst N] [--no-music21]

Measured are notes, bars, round trips and transposition; prints JSON. A tune's notes are its
multiset of (onset, MIDI pitch, duration) in quarter notes, grace notes out, ties merged, repeats
unexpanded; F1 is 2 * matches / (ours + theirs), averaged over tunes and pooled over notes. music21
needs a few minutes: its notes are kept in the cache folder. The readers are compared on the plain
text and on text without the constructs that music21 misreads (_abc_mending.py).
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # so that it also runs as a file

from benchmarks._abc_checks import bar_figures, constant_interval, round_trips
from benchmarks._abc_music21 import compared, corpus_files
from musiczoo.music.abc import decode_abc, read_abc_book


def parsed() -> argparse.Namespace:
    """The options."""
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
        "--worst", type=int, default=0, help="number of tunes with the lowest F1 to list"
    )
    parser.add_argument("--no-music21", action="store_true", help="do not compare with music21")
    return parser.parse_args()


def checked(limit: int | None) -> tuple[dict[str, object], dict[str, object]]:
    """Reads all tunes and checks each on its own: the first and the last part of the report."""
    bars: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    errors: list[str] = []
    tunes = multi = transposed = 0
    seconds = 0.0
    for name, path in corpus_files(limit):
        text = decode_abc(path.read_bytes(), str(path))
        begin = time.process_time()
        book = read_abc_book(text, name)
        voices = [tune.parsed for tune in book]
        seconds += time.process_time() - begin
        errors += [str(error) for error in book.errors]
        for tune, parts in zip(book, voices, strict=True):
            tunes += 1
            if len(parts) > 1:
                multi += 1
                continue
            bars += bar_figures(tune)
            failures.update(round_trips(tune))
            transposed += constant_interval(tune)
    inner = sum(count for kind, count in bars.items() if kind.startswith("inner"))
    read: dict[str, object] = {
        "tunes": tunes,
        "several voices, not scored": multi,
        "unreadable": errors,
        "read and parsed per second of processor time": (
            round(tunes / seconds, 1) if seconds else None
        ),
    }
    checks: dict[str, object] = {"bars": dict(bars)}
    if inner:
        equal, divided = bars["inner equal"], bars["inner divided"]
        checks["inner bars equal to the meter"] = round(equal / inner, 5)
        checks["inner bars equal, divided ones counted as right"] = round(
            (equal + divided) / inner, 5
        )
    checks["round trips that change notes"] = dict(failures)
    checks["transposed to 15 keys by one interval"] = f"{transposed} of {tunes - multi}"
    return read, checks


def main() -> None:
    arguments = parsed()
    report, checks = checked(arguments.limit)
    if not arguments.no_music21:
        for title, file, mend in (
            ("f1 on the text as it stands", "plain.jsonl", False),
            ("f1 on mended text", "mended.jsonl", True),
        ):
            report[title] = compared(arguments.limit, arguments.cache / file, mend, arguments.worst)
    json.dump(report | checks, sys.stdout, indent=2)
    sys.stdout.write(os.linesep)


if __name__ == "__main__":
    main()

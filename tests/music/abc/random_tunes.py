"""Random well-formed tunes for round trips: every construct of the dialect, bars of exact length."""

from __future__ import annotations

import random
from fractions import Fraction

from musiczoo.music.abc import Bar, Field, Tune, Voice, bar_duration

KEY_FIELDS = (
    "C",
    "G",
    "F#min",
    "Ebdor",
    "Bb",
    "Amix",
    "C#",
    "Abmin",
    "Dphr",
    "Flyd",
    "Bloc",
    "D exp _b",
    "none",
)
DECORATIONS = ("!fermata!", ".", "~", "T", "!f!", "u", '"Am"', '"^dolce"', '"F#7/A#"', '"_x|y"')


def _note(rng: random.Random) -> str:
    accidental = rng.choice(["", "", "", "^", "_", "=", "^^", "__"])
    letter = rng.choice("ABCDEFGabcdefg")
    return accidental + letter + rng.choice(["", "", "", "," if letter.isupper() else "'"])


def _group(rng: random.Random) -> str:
    """A stretch of music that lasts two unit lengths."""
    kind = rng.randrange(12)
    before = rng.choice(DECORATIONS) if rng.random() < 0.15 else ""
    tie = "-" if rng.random() < 0.15 else ""
    if kind == 0:
        return f"{before}{_note(rng)}>{_note(rng)}"
    if kind == 1:
        return f"{_note(rng)}<<{_note(rng)}"
    if kind == 2:
        return f"(3{_note(rng)}{_note(rng)}{_note(rng)}"
    if kind == 3:
        return f"(3:2:2{_note(rng)}2{_note(rng)}"
    if kind == 4:
        return f"{before}[{_note(rng)}{_note(rng)}]2{tie}"
    if kind == 5:
        return f"[{_note(rng)}2{_note(rng)}2]{tie}"
    if kind == 6:
        return f"({_note(rng)}/{_note(rng)}/ {_note(rng)})"
    if kind == 7:
        return f"{{/{_note(rng)}}}{_note(rng)}2"
    if kind == 8:
        return f"{{{_note(rng)}{_note(rng)}}}{_note(rng)}3/2{_note(rng)}/"
    if kind == 9:
        return rng.choice(["z2", "zz", "x2", "z3/2z/"])
    return f"{before}{_note(rng)}2{tie}"


def random_tune(seed: int, voices: int | None = None) -> Tune:
    """A tune in 4/4 with L:1/8; about a third of its bars are rests, some bar-lines are repeats, some bars change the key."""
    rng = random.Random(seed)
    count = voices if voices is not None else rng.randint(1, 4)
    bars = rng.randint(1, 9)
    lines = [
        rng.choice(["|", "|", "|", "||", ":|", "|:", "::", "|1", ":|2"]) for _ in range(bars - 1)
    ] + ["|]"]
    left = rng.choice(["", "|:"])
    parts = []
    for number in range(count):
        texts = []
        for _ in range(bars):
            if rng.random() < 0.3:
                texts.append(rng.choice(["z8", "x8", "Z", "z4 z4"]))
                continue
            text = " ".join(_group(rng) for _ in range(4))
            if rng.random() < 0.1:
                text = f"[K:{rng.choice(KEY_FIELDS)}]{text}"
            if rng.random() < 0.1:
                text += f" & {_note(rng)}4 {_note(rng)}4"
            texts.append(text)
        parts.append(
            Voice(
                str(number + 1),
                tuple(
                    Bar(text, line, left if not place else "")
                    for place, (text, line) in enumerate(zip(texts, lines, strict=True))
                ),
            )
        )
    header = [Field("L", "1/8"), Field("M", "4/4"), Field("K", rng.choice(KEY_FIELDS))]
    header += [Field("V", voice.id) for voice in parts] if count > 1 else []
    tune = Tune(tuple(header), tuple(parts))
    assert all(
        bar_duration(bar.text, Fraction(1, 2), (4, 4)) == 4 for voice in parts for bar in voice.bars
    )
    return tune

"""The key that a piece is trained in, one of 15.

Wang et al. 2025, NotaGen (arXiv 2502.18008), sections 3.1 and 3.3.
"""

from __future__ import annotations

import random
from typing import Literal

from musiczoo.music.abc import KEYS
from musiczoo.music.errors import MusicZooError

KeyRule = Literal["pretrain", "finetune", "original"]

_SEMITONE = {
    "Cb": 11,
    "C": 0,
    "C#": 1,
    "Db": 1,
    "D": 2,
    "Eb": 3,
    "E": 4,
    "F": 5,
    "F#": 6,
    "Gb": 6,
    "G": 7,
    "Ab": 8,
    "A": 9,
    "Bb": 10,
    "B": 11,
}

# Fine-tuning stays near the original key (the published trainer's table).
_OFFSETS = (-3, -2, -1, 0, 1, 2, 3)
_OFFSET_WEIGHTS = (1, 2, 3, 4, 3, 2, 1)
_SPELLINGS: tuple[tuple[tuple[str, float], ...], ...] = (
    (("C", 1.0),),
    (("Db", 0.8), ("C#", 0.2)),
    (("D", 1.0),),
    (("Eb", 1.0),),
    (("E", 1.0),),
    (("F", 1.0),),
    (("F#", 0.5), ("Gb", 0.5)),
    (("G", 1.0),),
    (("Ab", 1.0),),
    (("A", 1.0),),
    (("Bb", 1.0),),
    (("B", 0.8), ("Cb", 0.2)),
)


def draw_key(rule: KeyRule, original: str, rng: random.Random) -> str | None:
    """The key for one access to a piece.

    Args:
        rule: ``"pretrain"``: any of the 15 keys alike. ``"finetune"``: up to three semitones from
            the original, near ones more often, with the published weights of enharmonic spellings.
            ``"original"``: the key of the piece.
        original: The major key of the piece's signature.
        rng: Source of chance.

    Returns:
        One of :data:`musiczoo.music.abc.KEYS`, or None to leave the piece alone.

    Raises:
        MusicZooError: No such rule.
    """
    if rule == "original":
        return None
    if rule == "pretrain":
        return rng.choice(KEYS)
    if rule != "finetune":
        raise MusicZooError(
            f"{rule!r} is no key rule.", where="keys", remedy="Give pretrain, finetune or original."
        )
    (offset,) = rng.choices(_OFFSETS, _OFFSET_WEIGHTS)
    spellings = _SPELLINGS[(_SEMITONE[original] + offset) % 12]
    (key,) = rng.choices([name for name, _ in spellings], [weight for _, weight in spellings])
    return key


def possible_keys(rule: KeyRule, original: str) -> list[str | None]:
    """Every key that :func:`draw_key` may choose for a piece, once each, however likely.

    Args:
        rule: As in :func:`draw_key`.
        original: The major key of the piece's signature.

    Raises:
        MusicZooError: No such rule.
    """
    if rule == "pretrain":
        return list(KEYS)
    if rule == "finetune":
        return [
            name
            for offset in _OFFSETS
            for name, _ in _SPELLINGS[(_SEMITONE[original] + offset) % 12]
        ]
    return [draw_key(rule, original, random.Random(0))]

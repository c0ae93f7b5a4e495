"""A file or tune of a corpus as rows of tokens: read, reduced, filtered, encoded.

Whatever cannot be used becomes a row with the reason.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from musiczoo.music.abc import Tune, read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files.reading import pieces_and_errors
from musiczoo.music.midi.piano_stream import (
    ALL_AS_PIANO,
    PIANO,
    Programs,
    check_density,
    fingerprint,
    notes_of_bars,
    reduced,
)
from musiczoo.representations.base import Representation
from musiczoo.representations.octuple import OctupleMidi

if TYPE_CHECKING:
    from symusic.core import ScoreTick

Row = dict[str, Any]

TOKEN_TYPE = np.dtype("<u2")
"""Of tokens in the cache: no vocabulary here comes near 65,536."""


@dataclass(frozen=True)
class StreamRules:
    """Rules for what is kept of a corpus.

    Attributes:
        programs: See :func:`musiczoo.music.midi.piano_stream.reduced`. Notated pieces have no
            programs but guesses from the names of their voices: unless all programs are kept, each
            of their pitched voices counts as piano.
        max_notes_per_bar: Pieces with more notes in a bar are left out.
        max_empty_bars: Pieces with a larger part of empty bars are left out.
    """

    programs: Programs = PIANO
    max_notes_per_bar: int = 300
    max_empty_bars: float = 0.2

    def __post_init__(self) -> None:
        if isinstance(self.programs, str):
            if self.programs != ALL_AS_PIANO:
                raise MusicZooError(
                    f"{self.programs!r} names no programs.",
                    where="programs",
                    remedy=f"Give numbers from 0 to 127, {ALL_AS_PIANO!r}, or None for all.",
                )
        elif self.programs is not None:
            programs = tuple(sorted(set(self.programs)))
            if not programs or not all(0 <= program <= 127 for program in programs):
                raise MusicZooError(
                    "Programs are numbers from 0 to 127.",
                    where="programs",
                    remedy="Piano is range(8).",
                )
            object.__setattr__(self, "programs", programs)
        if self.max_notes_per_bar < 1 or not 0 <= self.max_empty_bars <= 1:
            raise MusicZooError(
                f"At most {self.max_notes_per_bar} notes in a bar and a part of"
                f" {self.max_empty_bars} empty bars leave nothing.",
                where="max_notes_per_bar, max_empty_bars",
                remedy="Give a number from 1, and a part from 0 to 1.",
            )

    def to_config(self) -> dict[str, Any]:
        """The settings as plain JSON values."""
        return asdict(self) | {
            "programs": list(self.programs) if isinstance(self.programs, tuple) else self.programs
        }


@dataclass(frozen=True, slots=True)
class Unread:
    """A file, or a tune of a corpus that was read before.

    Attributes:
        id: Unique in its source.
        state: What it is now; its tokens hold as long as this stays the same.
        path: Relative to the source.
        number: Of the tune in its file, from 1; 0 for a whole file.
        abc: The tune; None for a file that is to be read.
    """

    id: str
    state: str
    path: str
    number: int = 0
    abc: str | None = None


class Tokeniser:
    """Pieces as rows of tokens.

    Args:
        representation: Turns a score into ids, one axis.
        rules: What is kept.
        source: Name of the corpus; ids begin with it.
        root: Its folder.
    """

    def __init__(
        self,
        representation: Representation[Any],
        rules: StreamRules,
        source: str = "",
        root: Path | None = None,
    ) -> None:
        self.representation = representation
        self.rules = rules
        self.source = source
        self.root = root

    @classmethod
    def of(
        cls,
        kind: type[Representation[Any]],
        config: Mapping[str, Any],
        rules: StreamRules,
        source: str,
        root: Path | None,
    ) -> Tokeniser:
        """As the constructor, from what can be sent to another process."""
        return cls(kind.from_config(config), rules, source, root)

    def __call__(self, item: Unread) -> list[Row]:
        """The rows of a file or tune; a file has at least one."""
        try:
            pieces, errors = self._read(item)
        except Exception as error:
            return [self.refused(item, reason_of(error))]
        rows = [
            self._row(item, item.number or number, piece) for number, piece in enumerate(pieces, 1)
        ]
        rows += [self.refused(item, reason_of(error)) for error in errors]
        return rows or [self.refused(item, "There is no piece in it.")]

    def row(self, piece: Tune | ScoreTick) -> Row:
        """The tokens of a piece with what is known of them.

        Raises:
            MusicZooError: The piece is left out; the message gives the reason.
        """
        programs = self.rules.programs
        if isinstance(piece, Tune):
            from musiczoo.music.midi.from_tune import to_score

            piece = to_score(piece)
            programs = None if programs is None else ALL_AS_PIANO
        score = reduced(piece, programs)
        bars = notes_of_bars(score)
        # Before the tokens: they are what takes time.
        check_density(bars, self.rules.max_notes_per_bar, self.rules.max_empty_bars)
        tokens = self._tokens(score)
        return {
            "tokens": tokens.astype(TOKEN_TYPE).tobytes(),
            "notes": int(bars.sum()),
            "bars": len(bars),
            "shingles": fingerprint(score).astype("<u4").tobytes(),
        }

    def _tokens(self, score: ScoreTick) -> NDArray[Any]:
        """(tokens,) ids, or (notes, 8) values of octuples, of which ids follow window by window."""
        if isinstance(self.representation, OctupleMidi):
            tokens: NDArray[Any] = self.representation.notes(score)
        else:
            tokens = self.representation.encode(score).numpy()
            if tokens.ndim != 1:
                raise MusicZooError(
                    "The representation does not give one row of tokens.",
                    remedy="Give Remi.smart() or OctupleMidi().",
                )
        if int(tokens.max()) > np.iinfo(TOKEN_TYPE).max:
            raise MusicZooError("The piece has more than 65,536 bars.", remedy="Leave it out.")
        return tokens

    def refused(self, item: Unread, reason: str, number: int | None = None) -> Row:
        """The row of what was left out."""
        return self._named(item, item.number if number is None else number) | {"reason": reason}

    def _named(self, item: Unread, number: int) -> Row:
        name = f"{self.source}/{item.path}#{number}" if item.abc is None else item.id
        return {
            "id": name,
            "item": item.id,
            "state": item.state,
            "source": self.source,
            "path": item.path,
            "number": number,
        }

    def _row(self, item: Unread, number: int, piece: Tune | ScoreTick) -> Row:
        try:
            return self._named(item, number) | self.row(piece)
        except Exception as error:
            return self.refused(item, reason_of(error), number)

    def _read(self, item: Unread) -> tuple[Sequence[Tune | ScoreTick], Sequence[MusicZooError]]:
        """The pieces, and the errors of the tunes of a book that cannot be read."""
        if item.abc is not None:
            return [read_abc(item.abc)], []
        assert self.root is not None
        return pieces_and_errors(self.root / item.path)


def reason_of(error: Exception) -> str:
    """Why a piece was left out.

    An error outside our family is a defect of a reader: it costs one piece, not the run, and stays
    visible.
    """
    if isinstance(error, MusicZooError):
        return f"{error.message} ({error.where})" if error.where else error.message
    return f"Unexpected {type(error).__name__}: {error}"


def score_id(score: ScoreTick) -> str:
    """A name for a score that comes from no file, by what it is."""
    digest = hashlib.blake2b(str(int(score.ticks_per_quarter)).encode(), digest_size=8)
    for track in score.tracks:
        digest.update(f"{int(track.program)}:{bool(track.is_drum)}".encode())
        for values in track.notes.numpy().values():
            digest.update(values.tobytes())
    return f"score/{digest.hexdigest()}"

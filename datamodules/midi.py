"""Performed music for training: tokenised once, cut into random parts, split by near-duplicates."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from musiczoo.datamodules.base import CorpusDataModule, SplitItems
from musiczoo.datamodules.octuple_items import OctupleCrops, OctupleWindows
from musiczoo.datamodules.splits import split_by_cluster
from musiczoo.datamodules.token_cache import TokenisedPiece, cached_clusters, pieces_of, tokenised
from musiczoo.datamodules.token_items import TokenCrops, TokenWindows
from musiczoo.datamodules.token_shifts import TokenShifts
from musiczoo.datamodules.token_sources import named_pieces, source_of
from musiczoo.datamodules.tokenising import TOKEN_TYPE, StreamRules, Tokeniser, reason_of
from musiczoo.music.corpora.corpus import Corpus
from musiczoo.music.errors import MusicZooError
from musiczoo.music.midi.piano_stream import PIANO, Programs
from musiczoo.representations.base import Representation
from musiczoo.representations.octuple import OctupleMidi

_log = logging.getLogger(__name__)


class LeftOut(NamedTuple):
    """A file or piece that is not used, and why; ``path`` begins with the corpus."""

    path: str
    reason: str


class MidiDataModule(CorpusDataModule):
    r"""MIDI files, or any corpus turned into performed music, for models of tokens such as REMI.

    SMART's data (arXiv 2504.16839, section 3.1): the piano tracks of each piece become one without
    duplicate notes, pieces that are too dense or too empty are left out, a tenth of the corpus is
    for testing, and a tenth of the rest for validation. Here near-duplicates stay in one split.
    Everything that is left out is counted with its reason in :attr:`left_out`; the paper leaves out
    pieces with more than 300 notes in a bar "and" more than 20 % of empty bars, and here either is
    enough.

    A training item is a random part of a piece, drawn again each epoch; validation and test pieces
    come whole, in windows that are the same each time. Tokens are kept in the cache, and only new
    and changed files are tokenised again.

    Notated pieces (of ABC, MusicXML and the corpora) carry no programs, so unless ``programs`` is
    None all their pitched voices count as piano. Scores carry almost no dynamics either: where a
    score has none, all its velocities are one constant (80), and nothing about velocity can be
    learnt or measured from it.

    Args:
        corpus: A folder or file of MIDI (and of ABC, MusicXML and what else can be read), the name
            of a built-in or registered corpus, or several of these; or symusic scores, tunes or
            works themselves, which are tokenised again each time.
        representation: Such as ``Remi.smart()`` or ``OctupleMidi()``; None for the
            ``representation`` of the module that the trainer fits.
        max_length: Longest item in tokens (of octuples, in notes and the two ends).
        programs: Programs whose tracks become the piano track, as files count them (0 to 7 are
            General MIDI's 1 to 8); ``"all-as-piano"`` means all tracks but drums; None keeps all
            programs and drums apart, for REMI+.
        max_notes_per_bar: Pieces with more notes in a bar are left out.
        max_empty_bars: Pieces with a larger part of bars in which no note begins are left out.
        test_fraction: Part of the clusters for testing; 0 for none. ``val_fraction`` is a part of
            the other clusters.
        transpose: Training items are transposed by at most this many semitones up or down.
        velocity_shift: Training items are made louder or softer by at most this many of the
            representation's steps.
        tempo_shift: Training items are made faster or slower by at most this many of the
            representation's steps.
        preparing_workers: Processes that tokenise; None for one a core.
        settings: Of :class:`musiczoo.datamodules.base.DataSettings`.

    Attributes:
        pieces: The pieces that are used, in order of id; :meth:`setup` makes them.
        clusters: For each piece the name of its cluster of near-duplicates.
        left_out: What is not used, with the reason.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> from musiczoo.representations.remi import Remi
        >>> bars = ("CDEF|G4", "eccc|B4", "A2dA|f4")
        >>> tunes = [read_abc(f"L:1/4\nK:C\n{some}|\n") for some in bars]
        >>> data = MidiDataModule(
        ...     tunes, Remi.smart(), programs="all-as-piano", batch_size=2, val_fraction=0,
        ...     test_fraction=0, max_length=8,
        ... )
        >>> sorted(len(batch["ids"]) for batch in data.train_dataloader())
        [1, 2]
    """

    def __init__(
        self,
        corpus: str | Path | Sequence[Any] = "bach-chorales",
        representation: Representation[Any] | None = None,
        *,
        max_length: int = 512,
        programs: Programs = PIANO,
        max_notes_per_bar: int = 300,
        max_empty_bars: float = 0.2,
        test_fraction: float = 0.1,
        transpose: int = 0,
        velocity_shift: int = 0,
        tempo_shift: int = 0,
        preparing_workers: int | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(representation, test_fraction=test_fraction, **settings)
        if max_length < 2:
            raise MusicZooError(
                f"Items of {max_length} tokens hold no target.",
                where="max_length",
                remedy="Give 2 or more.",
            )
        self.corpus = corpus
        self.max_length = max_length
        self.rules = StreamRules(programs, max_notes_per_bar, max_empty_bars)
        self.transpose = transpose
        self.velocity_shift = velocity_shift
        self.tempo_shift = tempo_shift
        self.preparing_workers = preparing_workers
        self.pieces: list[TokenisedPiece] = []
        self.clusters: list[str] = []
        self.left_out: list[LeftOut] = []

    def prepare_data(self) -> None:
        """Tokenise the corpora into the cache, in one process of each machine."""
        for source in _sources(self.corpus):
            if isinstance(source, str | Path | Corpus):
                self._tokenised(source)

    def setup(self, stage: str | None = None) -> None:
        """Load the tokens and split the pieces; the stage changes nothing."""
        if self._splits is not None:
            return
        found: dict[str, TokenisedPiece] = {}
        left_out: list[LeftOut] = []
        loose: list[Any] = []
        for source in _sources(self.corpus):
            if isinstance(source, str | Path | Corpus):
                pieces, refused = self._tokenised(source)
                found.update((piece.id, piece) for piece in pieces)
                left_out += refused
            else:
                loose.append(source)
        in_memory, refused = self._of_memory(loose)
        found.update((piece.id, piece) for piece in in_memory)
        self.left_out = left_out + refused
        self._report(len(found))
        self.pieces = [found[name] for name in sorted(found)]
        self.clusters = [
            self.pieces[first].id for first in cached_clusters(self.pieces, cache=self.cache)
        ]
        rest = self.val_fraction * (1 - self.test_fraction)
        self._splits = split_by_cluster(
            self.clusters, validation=rest, test=self.test_fraction, seed=self.split_seed
        )
        sizes = ", ".join(f"{part} {size}" for part, size in self._sizes().items())
        _log.info("%d pieces in %d clusters: %s", len(self.pieces), len(set(self.clusters)), sizes)

    def tokens(self, index: int) -> torch.Tensor:
        """All tokens of a piece of :attr:`pieces`, (tokens,) int64, BOS and EOS included.

        Of octuples the values of all notes, row after row, without ends.
        """
        self.setup()
        return torch.from_numpy(self.pieces[index].tokens.astype(np.int64))

    def provenance(self) -> dict[str, Any]:
        """What a checkpoint records of the data that it was trained on, as plain JSON values."""
        self.setup()
        return {
            "corpus": sorted({piece.source for piece in self.pieces}),
            "works": self._sizes(),
            "left_out": len(self.left_out),
            **self.rules.to_config(),
            "batch_size": self.batch_size,
            "max_length": self.max_length,
            "transpose": self.transpose,
            "velocity_shift": self.velocity_shift,
            "tempo_shift": self.tempo_shift,
            "val_fraction": self.val_fraction,
            "test_fraction": self.test_fraction,
            "split_seed": self.split_seed,
            "seed": self.seed,
        }

    def items(self, indices: Sequence[int], *, training: bool) -> SplitItems:
        """Pieces of :attr:`pieces` as the items of the loaders.

        Args:
            indices: Of the pieces.
            training: Random parts, as the training loader gives them; otherwise windows.
        """
        self.setup()
        pieces = [self.pieces[index] for index in indices]
        if isinstance(self._representation(), OctupleMidi):
            return self._octuples(pieces, training)
        if not training:
            return TokenWindows(pieces, self.max_length)
        shifts = None
        if self.transpose or self.velocity_shift or self.tempo_shift:
            vocabulary: Sequence[str] = self._representation().vocabulary
            shifts = TokenShifts(
                vocabulary,
                transpose=self.transpose,
                velocity=self.velocity_shift,
                tempo=self.tempo_shift,
            )
        return TokenCrops(pieces, self.max_length, shifts=shifts, seed=self.seed)

    def _octuples(
        self, pieces: Sequence[TokenisedPiece], training: bool
    ) -> OctupleCrops | OctupleWindows:
        if self.velocity_shift or self.tempo_shift:
            raise MusicZooError(
                "Octuples are not made louder or faster.",
                where="velocity_shift, tempo_shift",
                remedy="Leave both at 0.",
            )
        longest = min(self.max_length, self._representation().max_length)
        if longest < 3:
            raise MusicZooError(
                f"Windows of {longest} rows hold no note.", where="max_length", remedy="Give more."
            )
        if not training:
            return OctupleWindows(pieces, longest)
        return OctupleCrops(pieces, longest, transpose=self.transpose, seed=self.seed)

    def _tokenised(self, given: str | Path | Corpus) -> tuple[list[TokenisedPiece], list[LeftOut]]:
        source = source_of(given, cache=self.cache, progress=self.progress)
        table = tokenised(
            source,
            self._representation(),
            self.rules,
            cache=self.cache,
            workers=self.preparing_workers,
            progress=self.progress,
        )
        rows = zip(*(table[name].to_pylist() for name in ("path", "number", "reason")), strict=True)
        refused = [
            (f"{source.name}/{path}#{number}" if number else f"{source.name}/{path}", reason)
            for path, number, reason in rows
            if reason
        ]
        return pieces_of(table), [LeftOut(*entry) for entry in (*source.refused, *refused)]

    def _of_memory(self, loose: Sequence[Any]) -> tuple[list[TokenisedPiece], list[LeftOut]]:
        """Scores, tunes and works as tokens; they are not kept in the cache."""
        found: list[TokenisedPiece] = []
        left_out: list[LeftOut] = []
        for name, source, piece in named_pieces(loose):
            try:
                row = Tokeniser(self._representation(), self.rules).row(piece)
            except Exception as error:
                left_out.append(LeftOut(name, reason_of(error)))
                continue
            arrays = {
                "tokens": np.frombuffer(row["tokens"], TOKEN_TYPE),
                "shingles": np.frombuffer(row["shingles"], "<u4"),
            }
            found.append(TokenisedPiece(**row | arrays, id=name, source=source, path=""))
        return found, left_out

    def _report(self, used: int) -> None:
        kinds = Counter(entry.reason.partition(" (")[0] for entry in self.left_out).most_common()
        reasons = "; ".join(f"{count} x {kind}" for kind, count in kinds[:5]) + (
            f"; {len(kinds) - 5} other reasons" if len(kinds) > 5 else ""
        )
        if not used:
            names = [
                str(source) for source in _sources(self.corpus) if isinstance(source, str | Path)
            ]
            raise MusicZooError(
                "The corpus holds no pieces to train on.",
                where=", ".join(names) or None,
                remedy=(
                    f"Left out: {reasons}."
                    if reasons
                    else "There is no MIDI file or score in it: give a folder that holds some."
                ),
            )
        if kinds:
            _log.warning(
                "%d of %d pieces and files are left out: %s",
                len(self.left_out),
                used + len(self.left_out),
                reasons,
            )


def _sources(sources: Any) -> list[Any]:
    from symusic.core import ScoreTick

    from musiczoo.music.abc import Tune

    return (
        [sources] if isinstance(sources, str | Path | Corpus | Tune | ScoreTick) else list(sources)
    )

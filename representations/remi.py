"""REMI tokens of performed music, through MidiTok.

Huang and Yang 2020 (arXiv 2002.00212); with time signatures and programs REMI+ (von Rütte et al.
2023, FIGARO, arXiv 2201.10936). A piece is a row of tokens such as ``Bar_None TimeSig_4/4
Position_0 Tempo_120.0 Pitch_67 Velocity_79 Duration_1.0.12 Position_12 ...``: each bar with its
time signature, positions within the bar, tempos where they change, and notes. All of it is put on a
grid, and each value goes to the nearest one of the vocabulary.
"""

from __future__ import annotations

import json
import random
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from musiczoo.music.abc import Tune
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.base import Representation, padded
from musiczoo.representations.remi_tracks import by_program, one_track

if TYPE_CHECKING:
    from symusic.core import ScoreTick

PAD, BOS, EOS = 0, 1, 2

# The 413 tokens of SMART's base model (Jonason, Casini and Sturm 2025, arXiv 2504.16839), as its
# repository's history lists them.
_SMART: dict[str, Any] = {
    "pitch_range": [21, 108],
    "beat_res": {"0_4": 12},
    "num_velocities": 32,
    "special_tokens": [
        "PAD",
        "BOS",
        "EOS",
        "PRE",
        "SUF",
        *(f"INF{number}" for number in range(1, 17)),
    ],
    "use_tempos": True,
    "num_tempos": 64,
    "tempo_range": [40, 250],
    "use_time_signatures": True,
    "time_signature_range": {"8": [3, 5, 6, 7, 9, 10, 11, 12], "4": [2, 3, 4, 5, 6], "2": [2, 3]},
    "use_pitchdrum_tokens": False,
    "use_programs": False,
    "use_rests": False,
    "use_chords": False,
}
# Before this version of MidiTok the upper end of a pitch range was excluded.
_INCLUSIVE_SINCE = (3, 0, 6)


class Remi(Representation["ScoreTick"]):
    r"""Symusic scores as REMI tokens.

    Without programs a piece is one stream: the notes of all its tracks but drums, as of one
    instrument (program 0). With programs (REMI+) each note is preceded by its program, drums by
    ``Program_-1``.

    Args:
        config: Settings of MidiTok's ``TokenizerConfig`` as plain JSON values, those that differ
            from its defaults; None for SMART's.

    Attributes:
        vocabulary: The tokens in the order of their ids.
        index: The id of each token.

    Raises:
        MusicZooError: Settings that MidiTok does not know.

    Example:
        >>> from musiczoo.music.abc import read_abc
        >>> representation = Remi.smart()
        >>> ids = representation.encode(read_abc("M:4/4\nL:1/4\nK:C\nC E G c|"))
        >>> ids.dtype, representation.text(ids[:5])
        (torch.int64, 'BOS Bar_None TimeSig_4/4 Position_0 Tempo_120.0')
        >>> [note.pitch for note in representation.decode(ids).tracks[0].notes]
        [60, 64, 67, 72]
    """

    def __init__(self, config: Mapping[str, Any] | None = None) -> None:
        self.config = dict(_SMART if config is None else config)
        self.tokenizer = _tokenizer(self.config)
        self.index: dict[str, int] = {
            _short(token): number for token, number in self.tokenizer.vocab.items()
        }
        self.vocabulary: tuple[str, ...] = tuple(self.index)
        if [self.index.get(name) for name in ("PAD", "BOS", "EOS")] != [PAD, BOS, EOS]:
            raise MusicZooError(
                "The vocabulary does not begin with PAD, BOS and EOS.",
                where="special_tokens",
                remedy="Put them first.",
            )

    @classmethod
    def smart(cls) -> Self:
        """The 413 tokens of SMART's base model: one stream, with tempos and time signatures."""
        return cls()

    @classmethod
    def plus(cls) -> Self:
        """REMI+: programs, time signatures and 64 tempos.

        MidiTok's default of 32 tempos lacks 120 beats a minute.
        """
        own = {
            "use_programs": True,
            "one_token_stream_for_programs": True,
            "program_changes": False,
        }
        return cls({**_SMART, **own})

    @classmethod
    def from_file(cls, path: str | Path) -> Self:
        """The representation of a ``tokenizer.json`` that MidiTok saved; only JSON is read.

        Raises:
            MusicZooError: No such file, of another tokenizer, or one whose ids were merged by
                training (BPE and others).
        """
        return cls(_read_settings(path))

    @property
    def one_stream(self) -> bool:
        """Whether all notes are of one instrument."""
        return not self.tokenizer.config.use_programs

    def encode(
        self,
        piece: ScoreTick | Tune,
        *,
        max_length: int | None = None,
        rng: random.Random | None = None,
    ) -> Tensor:
        """The piece as ids, BOS and EOS included.

        Args:
            piece: A score in ticks, or a tune (repeats are played).
            max_length: Longest result; of a longer piece a random part (paper 3.1: "random crops"),
                the beginning without ``rng``.
            rng: Chooses the part.

        Returns:
            (tokens,) int64.

        Raises:
            MusicZooError: A piece without a note that the vocabulary can express.
        """
        ids = torch.tensor([BOS, *self._ids(piece), EOS])
        if max_length is None or len(ids) <= max_length:
            return ids
        start = rng.randint(0, len(ids) - max_length) if rng is not None else 0
        return ids[start : start + max_length]

    def _ids(self, piece: ScoreTick | Tune) -> list[int]:
        if isinstance(piece, Tune):
            from musiczoo.music.midi.from_tune import to_score

            piece = to_score(piece)
        score = one_track(piece) if self.one_stream else by_program(piece)
        if score.ticks_per_quarter <= 0:
            raise MusicZooError(
                "The score has no ticks per quarter note.",
                remedy="Read it from a MIDI file with a sound header.",
            )
        ids: list[int] = []
        if score.note_num():
            sequences = self.tokenizer(score)
            ids = (
                list((sequences[0] if isinstance(sequences, list) else sequences).ids)
                if sequences
                else []
            )
        if not any(self._is_pitch[number] for number in ids):
            raise MusicZooError(
                "The piece has no note in the range of the vocabulary.", remedy="Leave it out."
            )
        return ids

    @cached_property
    def _is_pitch(self) -> list[bool]:
        return [token.startswith("Pitch") for token in self.vocabulary]

    def decode(self, encoded: Tensor | Sequence[int]) -> ScoreTick:
        """The score that ids stand for.

        Tokens that are not REMI are skipped, and without a note the score has no track.

        Args:
            encoded: (tokens,) ids.
        """
        ids = [int(number) for number in encoded]
        music = [number for number in ids if not self._is_special[number]]
        score: ScoreTick = self.tokenizer.decode(music if not self.one_stream else [music])
        return score

    @cached_property
    def _is_special(self) -> list[bool]:
        specials = {_short(token) for token in self.tokenizer.special_tokens}
        return [token in specials for token in self.vocabulary]

    def text(self, encoded: Tensor | Sequence[int]) -> str:
        """The names of ids (tokens,), with spaces between."""
        return " ".join(self.vocabulary[int(number)] for number in encoded)

    def encode_text(self, text: str) -> Tensor:
        """The ids of names with spaces between, such as ``"Bar_None TimeSig_4/4"``.

        Returns:
            (tokens,) int64.

        Raises:
            MusicZooError: A name that the vocabulary does not have.
        """
        try:
            return torch.tensor([self.index[name] for name in text.split()], dtype=torch.int64)
        except KeyError as error:
            raise MusicZooError(
                f"There is no token {error.args[0]!r}.",
                remedy="representation.vocabulary lists all.",
            ) from error

    def of_type(self, kind: str) -> list[int]:
        """The ids of a kind of token, such as ``"Tempo"``."""
        return [number for token, number in self.index.items() if token.partition("_")[0] == kind]

    def collate(self, encoded: Sequence[Tensor]) -> dict[str, Tensor]:
        """Pieces as one batch.

        Returns:
            ``ids`` (batch, longest), int64, PAD where a piece has ended, and ``lengths`` (batch,),
            int64.
        """
        batch = padded(encoded, "ids")
        return {**batch, "ids": batch["ids"].long()}

    def to_config(self) -> dict[str, Any]:
        """The settings as plain JSON values.

        Pitch ranges are inclusive, whatever version of MidiTok reads them.
        """
        return dict(self.config)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Self:
        """The representation with the settings of :meth:`to_config`."""
        return cls(config)


def _tokenizer(config: Mapping[str, Any]) -> Any:
    """MidiTok's REMI tokenizer with plain JSON settings.

    Raises:
        MusicZooError: Settings that MidiTok does not know.
    """
    from miditok import REMI, TokenizerConfig

    settings = {**config, **config.get("additional_params", {})}
    # Files of MidiTok hold these, but they are not settings.
    for name in ("additional_params", "miditok_version"):
        settings.pop(name, None)
    # JSON has no tuples, and its keys are strings.
    for name in ("pitch_range", "tempo_range", "drums_pitch_range", "pitch_bend_range"):
        if name in settings:
            settings[name] = tuple(settings[name])
    for name in ("beat_res", "beat_res_rest"):
        if name in settings:
            settings[name] = {
                tuple(map(int, key.split("_"))): value for key, value in settings[name].items()
            }
    if "time_signature_range" in settings:
        settings["time_signature_range"] = {
            int(below): list(above) for below, above in settings["time_signature_range"].items()
        }
    try:
        return REMI(TokenizerConfig(**settings))
    except (TypeError, ValueError, KeyError, AssertionError) as error:
        raise MusicZooError(
            f"MidiTok does not accept these settings: {error}",
            remedy="See miditok.TokenizerConfig.",
        ) from error


def _short(token: str) -> str:
    """The name of a token; special ones without MidiTok's empty value.

    >>> _short("PAD_None"), _short("Bar_None"), _short("Pitch_60")
    ('PAD', 'Bar_None', 'Pitch_60')
    """
    name, _, value = token.partition("_")
    return name if value == "None" and name != "Bar" else token


def _read_settings(path: str | Path) -> dict[str, Any]:
    """The settings in a ``tokenizer.json`` that MidiTok saved; only JSON is read.

    A file of a MidiTok before 3.0.6 gives the pitch range with its upper end excluded, and no
    vocabulary: read as it is now, it would have one more pitch, and every later id would be off by
    one.

    Raises:
        MusicZooError: No such file, one of another tokenizer, or one whose ids were merged by
            training (BPE and others).
    """
    path = Path(path)
    if path.is_dir():
        path = path / "tokenizer.json"
    try:
        content = json.loads(path.read_text("utf-8"))
        config = dict(content["config"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise MusicZooError(
            f"The tokenizer cannot be read: {error}",
            path=path,
            remedy="Give a file that MidiTok saved.",
        ) from error
    if content.get("tokenization") != "REMI":
        raise MusicZooError(
            f"The tokenizer is {content.get('tokenization')}, not REMI.",
            path=path,
            remedy="Give one of REMI.",
        )
    if "_model" in content:
        raise MusicZooError(
            "The tokenizer has merged tokens (BPE or similar).",
            path=path,
            remedy="Give one that was not trained.",
        )
    if _version(content.get("miditok_version")) < _INCLUSIVE_SINCE:
        config["pitch_range"] = [config["pitch_range"][0], config["pitch_range"][1] - 1]
        if "drums_pitch_range" in config:
            config["drums_pitch_range"] = [
                config["drums_pitch_range"][0],
                config["drums_pitch_range"][1] - 1,
            ]
    return config


def _version(text: object) -> tuple[int, ...]:
    parts = str(text or "0").split(".")
    return tuple(int("".join(filter(str.isdigit, part)) or 0) for part in parts[:3])

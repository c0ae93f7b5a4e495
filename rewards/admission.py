"""Rules of admission: which generated pieces may be examples for others.

Wang et al. 2025, NotaGen, arXiv 2502.18008, section 3.3 and its code: "Additional criteria, such as
syntax error checks or the exclusion of ground-truth plagiarism, can be applied to refine these
sets."
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from musiczoo.models.base.generative import Generated
from musiczoo.music.abc import Tune, voice_definitions
from musiczoo.music.errors import MusicZooError
from musiczoo.rewards.base import FunctionReward, Reward


class AdmissionRule(ABC):
    """A reason for which a piece is no example.

    A user's own rule is a subclass with :meth:`refusal`::

        class Short(AdmissionRule):
            def refusal(self, piece, details):
                return "too long" if len(piece.tokens) > 500 else None
    """

    def check(self, reward: Reward) -> None:  # noqa: B027  # most rules work with any reward
        """Called when a callback is created.

        Raises:
            MusicZooError: The rule cannot work with this reward.
        """

    def prepare(self, reward: Reward) -> None:  # noqa: B027  # most rules need no calibration
        """Called once before the first piece, when the reward knows the real works.

        Raises:
            MusicZooError: The rule cannot be calibrated by them.
        """

    def record(self) -> dict[str, Any]:
        """What a report holds of the rule, as plain JSON values."""
        return {}

    @abstractmethod
    def refusal(self, piece: Generated, details: Mapping[str, float]) -> str | None:
        """Why a piece is no example; None where it may be one.

        Reports count refusals by what stands before the first colon.

        Args:
            piece: A piece that has a score.
            details: What the reward gave for it beside the score.
        """


class Aligned(AdmissionRule):
    """Refuses tunes whose voices differ in bars, bar-lines or lengths; see :func:`misalignment`."""

    def refusal(self, piece: Generated, details: Mapping[str, float]) -> str | None:
        """The first difference; None for performed music, which has no bar-lines."""
        reason = misalignment(piece.piece) if isinstance(piece.piece, Tune) else None
        return None if reason is None else f"misaligned: {reason}"


class GroupedStaves(AdmissionRule):
    """Refuses tunes with scattered staves of one instrument; see :func:`ungrouped_staves`."""

    def refusal(self, piece: Generated, details: Mapping[str, float]) -> str | None:
        """The first instrument; None for performed music, which has no staves."""
        reason = ungrouped_staves(piece.piece) if isinstance(piece.piece, Tune) else None
        return None if reason is None else f"ungrouped staves: {reason}"


class NoCopies(AdmissionRule):
    """Refuses pieces that are too similar to a real work.

    The similarity is the reward's detail ``"nearest"``.

    Args:
        threshold: The largest similarity that is admitted. ``"calibrated"`` asks the reward for its
            ``copy_threshold()``; a reward without one admits all pieces.

    Raises:
        MusicZooError: Another text than ``"calibrated"``.
    """

    def __init__(self, threshold: float | str = "calibrated") -> None:
        if isinstance(threshold, str) and threshold != "calibrated":
            raise MusicZooError(
                f"plagiarism={threshold!r} has no meaning.",
                remedy='Give a number, "calibrated" or None.',
            )
        self.setting = threshold
        self.threshold = None if isinstance(threshold, str) else float(threshold)
        self._reward = "reward"

    def check(self, reward: Reward) -> None:
        """Refuses a number where the reward is a function, which gives no similarity."""
        if isinstance(reward, FunctionReward) and self.threshold is not None:
            raise MusicZooError(
                "A function gives no similarity with real works.",
                where="PreferenceRounds(plagiarism=...)",
                remedy="Leave the rule out with None, or give a Reward with such details.",
            )

    def prepare(self, reward: Reward) -> None:
        """Takes the threshold from the reward, where it is to be calibrated."""
        self._reward = f"reward {reward.name}"
        if self.setting == "calibrated":
            calibrated = getattr(reward, "copy_threshold", None)
            self.threshold = None if calibrated is None else calibrated()

    def record(self) -> dict[str, Any]:
        """``copy_threshold``; None where all pieces are admitted."""
        return {"copy_threshold": self.threshold}

    def refusal(self, piece: Generated, details: Mapping[str, float]) -> str | None:
        """The similarity where it is above the threshold.

        Raises:
            MusicZooError: The reward gives no similarity.
        """
        if self.threshold is None:
            return None
        if "nearest" not in details:
            raise MusicZooError(
                f"The {self._reward} does not give the similarity of a piece with real works.",
                where="PreferenceRounds(plagiarism=...)",
                remedy="Leave the rule out with None.",
            )
        near = details["nearest"]
        return f"too near to a real work: similarity {near:.4f}" if near > self.threshold else None


def misalignment(piece: Tune) -> str | None:
    """The reason why the voices of a piece do not fit together, or None.

    All voices must have the bars and bar-lines of the first voice, each bar equally long.

    Args:
        piece: A tune, its omitted rests restored.
    """
    try:
        parsed = piece.parsed
    except MusicZooError as error:
        return f"a bar cannot be read: {error}"
    if not parsed:
        return "there are no voices"
    first, first_spans = piece.voices[0], parsed[0].bars
    for voice, spans in zip(piece.voices[1:], (other.bars for other in parsed[1:]), strict=True):
        if len(voice.bars) != len(first.bars):
            return (
                f"voice {voice.id} has {len(voice.bars)} bars, voice {first.id} has"
                f" {len(first.bars)}"
            )
        for number, (bar, other) in enumerate(zip(voice.bars, first.bars, strict=True), 1):
            if (bar.left, bar.right) != (other.left, other.right):
                return (
                    f"bar {number} of voice {voice.id} has other bar-lines than that of voice"
                    f" {first.id}"
                )
        for number, (span, other_span) in enumerate(zip(spans, first_spans, strict=True), 1):
            if span.duration != other_span.duration:
                return (
                    f"bar {number} of voice {voice.id} has another length than that of voice"
                    f" {first.id}"
                )
    return None


def ungrouped_staves(piece: Tune) -> str | None:
    """The reason why the staves are not in groups, or None.

    Staves of one instrument (``nm=`` of their ``V:`` lines) must stand together.
    """
    seen: list[str] = []
    for definition in voice_definitions(piece).values():
        if definition.name and (not seen or seen[-1] != definition.name):
            if definition.name in seen:
                return f"the staves of {definition.name} do not stand together"
            seen.append(definition.name)
    return None

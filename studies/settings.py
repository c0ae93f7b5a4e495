"""What the maker of a study chooses, checked against its material."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from musiczoo.music.errors import MusicZooError
from musiczoo.studies.anonymous import PICTURES
from musiczoo.studies.design import DEFAULT_ASPECTS, KINDS, NO_PREFERENCE, Aspect
from musiczoo.studies.material import Material


@dataclass(frozen=True)
class StudySettings:
    """What the sheets of a study ask and show.

    Attributes:
        aspects: What is asked; the papers' questions when None
            (:data:`~musiczoo.studies.design.DEFAULT_ASPECTS`).
        items_each: Items that one participant judges; all when None.
        against: Compare only pairs with this system.
        picture: ``"score"`` (engraved), ``"roll"`` (piano roll) or ``"none"``.
        sound: Whether the music can be heard.
        seconds: Sound fades out and ends there.
        soundfont: As in :func:`musiczoo.music.render_audio`.
        show_labels: Columns of the labels that participants see.
        instructions: Plain text that replaces the instructions; empty lines separate paragraphs.
        title: Of the sheets.
    """

    aspects: Sequence[Aspect] | None = None
    items_each: int | None = None
    against: str | None = None
    picture: str = "score"
    sound: bool = True
    seconds: float | None = None
    soundfont: str | Path | None = None
    show_labels: Sequence[str] = ()
    instructions: str | None = None
    title: str = "Listening study"

    def asked(self, kind: str) -> tuple[Aspect, ...]:
        """The questions of a study of that kind.

        Raises:
            MusicZooError: Two aspects of the same name.
        """
        asked = tuple(self.aspects or DEFAULT_ASPECTS[kind])
        if len({aspect.name for aspect in asked}) < len(asked):
            raise MusicZooError("Two aspects have the same name.", where="--aspect")
        return asked

    def check(self, kind: str, material: Material) -> None:
        """Check the settings.

        Args:
            kind: Of the study.
            material: What it is made of.

        Raises:
            MusicZooError: One that cannot be used, with its name.
        """
        _check_kind(kind, material)
        if self.picture not in PICTURES:
            raise MusicZooError(
                f"There is no picture {self.picture!r}.",
                remedy=f"Choose of {', '.join(PICTURES)}.",
            )
        if self.picture == "none" and not self.sound:
            raise MusicZooError(
                "A study without pictures and without sound shows no music.",
                remedy="Leave one of them in.",
            )
        if self.against is not None and self.against not in material.systems:
            raise MusicZooError(
                f"There is no system {self.against!r}.",
                where="--against",
                remedy=f"Name one of {', '.join(material.systems)}.",
            )
        if self.seconds is not None and not self.seconds > 0:
            raise MusicZooError(
                f"{self.seconds} seconds are no length.",
                where="--seconds",
                remedy="Give a number above 0.",
            )
        if self.items_each is not None and self.items_each < 1:
            raise MusicZooError("A participant judges one item at least.", where="--items")
        columns = sorted({column for row in material.labels.values() for column in row})
        if unknown := [label for label in self.show_labels if label not in columns]:
            raise MusicZooError(
                f"There is no label {', '.join(unknown)}.",
                where="--show-label",
                remedy=f"Known are {', '.join(columns) or 'none'}.",
            )


def _check_kind(kind: str, material: Material) -> None:
    if kind not in KINDS:
        raise MusicZooError(
            f"There is no kind of study {kind!r}.", remedy=f"Choose of {', '.join(KINDS)}."
        )
    if bad := [name for name in material.systems if not name.strip() or name == NO_PREFERENCE]:
        raise MusicZooError(
            f"A system cannot be called {bad[0]!r}.", remedy="Give it another name."
        )
    if (kind == "captions") != bool(material.clips):
        raise MusicZooError(
            "Captions are compared in a study of the kind captions, and only there."
        )

"""One participant's sheet: one HTML file with pictures, sound and script, which fetches nothing."""

from __future__ import annotations

import base64
import html
import json
import re
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError
from musiczoo.studies.design import SIDES, Trial
from musiczoo.studies.key import Key

# NotaGen's participants could "indicate no preference", MIDI-LLaMA's "cannot decide".
_NEITHER = {"ab": "No preference", "captions": "Cannot decide"}
_INSTRUCTIONS = {
    "ab": (
        "On each page there are two pieces of music, A and B. Listen to both, to the end if you"
        " can, and look at the music.\n\nThen choose the one that answers the question for you, or"
        " say that you have no preference. There is no right or wrong answer. Neither the order of"
        " the pages nor the sides mean anything."
    ),
    # SMART's words, section 4.3.
    "rating": (
        "You will listen to several audio samples and rate their enjoyability.\n\nListen to each"
        " before you rate it. There is no right or wrong answer; the order of the pages means"
        " nothing."
    ),
    "captions": (
        "On each page there is a piece of music, and two captions that describe it, A and B. "
        "Listen to the music, then read both captions.\n\n"
        "Choose for each question the caption that is better, or say that you cannot decide. "
        "Neither the order of the pages nor the sides mean anything."
    ),
}
_ENDS = ("1: not at all", "10: very much")


@dataclass(frozen=True)
class Exhibit:
    """What is shown of one thing: a picture and a sound, each with its media type, and a text."""

    picture: tuple[str, bytes] | None = None
    sound: tuple[str, bytes] | None = None
    caption: str = ""


class Sheet:
    """A sheet that grows trial by trial.

    Args:
        key: The study's key.
        participant: Whose sheet it is.
        title: Heading.
        instructions: Plain text that replaces ours; empty lines separate paragraphs.
    """

    def __init__(
        self, key: Key, participant: str, title: str, instructions: str | None = None
    ) -> None:
        self.key, self.participant, self.title = key, participant, title
        self.instructions = instructions or _INSTRUCTIONS[key.kind]
        self.trials: list[dict[str, Any]] = []
        # A file of several trials is stored once. Its number is that of its first appearance, which
        # reveals nothing.
        self.media: dict[tuple[str, bytes], str] = {}

    def add(self, trial: Trial, common: Exhibit, sides: list[Exhibit]) -> None:
        """Append a trial: what stands above, and what stands on the sides."""
        self.trials.append(
            {
                "id": trial.id,
                "common": self._material(common),
                "sides": [self._material(side) for side in sides],
            }
        )

    def _material(self, exhibit: Exhibit) -> dict[str, str]:
        found = {} if not exhibit.caption else {"caption": exhibit.caption}
        for name, media in (("picture", exhibit.picture), ("sound", exhibit.sound)):
            if media is not None:
                found[name] = self.media.setdefault(media, f"media-{len(self.media) + 1}")
        return found

    def data(self) -> dict[str, Any]:
        """The data of the sheet's script."""
        rating = self.key.kind == "rating"
        values = list(self.key.values)
        return {
            "study": self.key.study,
            "participant": self.participant,
            "kind": self.key.kind,
            "aspects": [
                {"name": aspect.name, "question": aspect.question} for aspect in self.key.aspects
            ],
            "sides": list(SIDES),
            "values": values,
            "words": (
                [str(value) for value in values]
                if rating
                else [SIDES[0], _NEITHER[self.key.kind], SIDES[1]]
            ),
            "keys": (
                [str(value % 10) for value in values if isinstance(value, int)]
                if rating
                else ["a", "n", "b"]
            ),
            "ends": list(_ENDS),
            "trials": self.trials,
        }

    def html(self) -> str:
        """The whole document."""
        paragraphs = [
            html.escape(part.strip())
            for part in re.split(r"\n\s*\n", self.instructions)
            if part.strip()
        ]
        keys = (
            "On a keyboard: 1 to 9 and 0 (for 10) answer"
            if self.key.kind == "rating"
            else f"On a keyboard: A, B and N ({_NEITHER[self.key.kind].lower()}) answer"
        )
        parts = {
            "title": html.escape(self.title),
            "participant": html.escape(self.participant),
            "instructions": "\n".join(f"<p>{text}</p>" for text in paragraphs),
            "keys": f"{keys}, Enter and the right arrow go on, the left arrow goes back.",
            # "</script>" in a text would end the element.
            "study": json.dumps(self.data(), ensure_ascii=False).replace("<", "\\u003c"),
            "media": "\n".join(
                f'<script type="text/plain" id="{name}"'
                f' data-type="{kind}">{base64.b64encode(data).decode()}</script>'
                for (kind, data), name in self.media.items()
            ),
            "style": _file("style.css"),
            "logic": _file("logic.js"),
            "script": _file("page.js"),
        }
        # One pass over the template, so that a text of the user is never read as a place to fill.
        return re.sub(r"\{\{(\w+)\}\}", lambda match: parts[match[1]], _file("page.html"))


def write_sheet(sheet: Sheet, path: str | Path) -> Path:
    """Write a sheet.

    Raises:
        MusicZooError: It cannot be written, or is too large for a browser.
    """
    data = sheet.html().encode()
    if len(data) > 400 * 2**20:
        raise MusicZooError(
            f"The sheet would be of {len(data) / 2**20:.0f} MB, too much for a browser.",
            path=path,
            remedy="Give a participant fewer items (--items), or shorten the sound (--seconds).",
        )
    return write_atomically(path, data)


def _file(name: str) -> str:
    return (
        resources.files("musiczoo.studies").joinpath("sheet", name).read_text("utf-8").rstrip("\n")
    )

"""What participants see and hear of the material, and the search for systems' names in it."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import cast

from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.audio import INSTALL_A_SOUNDFONT, find_soundfont
from musiczoo.studies.anonymous import Picture, find_name, picture_of, sound_of, words_in
from musiczoo.studies.design import INSTALL_STUDY
from musiczoo.studies.material import Material, Skipped, Version
from musiczoo.studies.settings import StudySettings
from musiczoo.studies.sheets import Exhibit


@dataclass
class Exhibits:
    """Everything that can be shown.

    Attributes:
        versions: For each item the exhibit of each system.
        clips: For each item the piece that captions describe.
        texts: For each item the labels and the caption that stand above its versions.
    """

    versions: dict[str, dict[str, Exhibit]] = field(default_factory=dict)
    clips: dict[str, Exhibit] = field(default_factory=dict)
    texts: dict[str, str] = field(default_factory=dict)

    def above(self, item: str) -> Exhibit:
        """What stands above the versions of an item."""
        clip = self.clips.get(item, Exhibit())
        caption = "\n".join(filter(None, (clip.caption, self.texts[item])))
        return Exhibit(clip.picture, clip.sound, caption)


def render(
    material: Material,
    settings: StudySettings,
    skipped: list[Skipped],
    progress: Callable[[int, int], None] | None = None,
) -> Exhibits:
    """Draw and play every version and clip.

    Args:
        material: The pieces and captions.
        settings: What is shown.
        skipped: Gets the items with a piece that cannot be rendered; they are left out.
        progress: Called with the number of items rendered and of all items.

    Raises:
        MusicZooError: Nothing can be rendered, or sound cannot be made at all.
    """
    if settings.sound:
        _require_sound(settings)
    found = Exhibits()
    for number, (item, row) in enumerate(material.versions.items(), 1):
        try:
            made = {system: _exhibit(version, settings) for system, version in row.items()}
            if item in material.clips:
                found.clips[item] = _exhibit(material.clips[item], settings)
            found.versions[item] = made
        except MusicZooError as error:
            skipped.append(Skipped(item, f"a piece cannot be rendered: {error}"))
        if progress is not None:
            progress(number, len(material.versions))
    if not found.versions:
        raise MusicZooError(
            f"Not one item can be shown: {skipped[-1].what}: {skipped[-1].reason}",
            remedy="Leave out what cannot be rendered.",
        )
    found.texts = {item: _text(material, item, settings.show_labels) for item in found.versions}
    return found


def _exhibit(version: Version, settings: StudySettings) -> Exhibit:
    if version.piece is None:
        return Exhibit(caption=version.caption)
    picture = sound = None
    if settings.picture != "none":
        picture = picture_of(version.piece, cast(Picture, settings.picture))
    if settings.sound:
        data = sound_of(version.piece, soundfont=settings.soundfont, seconds=settings.seconds)
        sound = ("audio/mpeg", data)
    return Exhibit(picture, sound, version.caption)


def _require_sound(settings: StudySettings) -> None:
    """Report what is missing for every piece at once, and not as a reason to skip them all."""
    if settings.soundfont is None and find_soundfont() is None:
        raise MusicZooError(
            "There is no soundfont to make sound with.",
            remedy=f"{INSTALL_A_SOUNDFONT} Or leave sound out (--no-sound).",
        )
    if importlib.util.find_spec("soundfile") is None:
        raise MusicZooError(
            "Sound is compressed by soundfile, which is not installed.",
            remedy=f"{INSTALL_STUDY} Or leave sound out (--no-sound).",
        )


def _text(material: Material, item: str, show_labels: Sequence[str]) -> str:
    labels = [f"{label}: {material.labels.get(item, {}).get(label, '-')}" for label in show_labels]
    return "\n".join(filter(None, [" · ".join(labels), material.captions.get(item, "")]))


def refuse_names(exhibits: Exhibits, systems: Sequence[str], texts: Sequence[str]) -> None:
    """Check that no text of a study names a system.

    Args:
        exhibits: What is shown.
        systems: Their names.
        texts: Title, instructions and questions.

    Raises:
        MusicZooError: A text names one, with the place.
    """
    places = [("the instructions, the title or a question", text) for text in texts]
    places += [(f"the caption or a label of {item}", text) for item, text in exhibits.texts.items()]
    clips = ((item, {"the clip": clip}) for item, clip in exhibits.clips.items())
    for item, row in [*exhibits.versions.items(), *clips]:
        for system, exhibit in row.items():
            places.append((f"the caption of {item} by {system}", exhibit.caption))
            if exhibit.picture is not None and exhibit.picture[0].startswith("image/svg"):
                words = words_in(exhibit.picture[1].decode())
                places.append((f"the score of {item} by {system}", words))
    for place, text in places:
        if (name := find_name(text, systems)) is not None:
            raise MusicZooError(
                f"The name of the system {name!r} would be seen in {place}.",
                remedy=(
                    "Take it out there; or, where the word means something else, give the system"
                    " another name (--system OTHERNAME=FOLDER)."
                ),
            )

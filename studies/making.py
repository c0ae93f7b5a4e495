"""Making a study: pieces into blinded sheets that work without a network, and the key that stays with the maker."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import random
import re
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

from musiczoo.music.errors import MusicZooError
from musiczoo.studies.anonymous import PICTURES, Picture, find_name, picture_of, sound_of, words_in
from musiczoo.studies.design import DEFAULT_ASPECTS, KINDS, NO_PREFERENCE, Aspect, deal
from musiczoo.studies.key import Key
from musiczoo.studies.material import Material, Skipped, Version
from musiczoo.studies.sheets import Exhibit, Sheet, write_sheet

SHEETS = "sheets"
KEY = "key.json"
_PARTICIPANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")


@dataclass(frozen=True)
class Made:
    """What :func:`make_study` wrote.

    Attributes:
        key_path: The key; for the maker's eyes only.
        sheets: One HTML file a participant.
        key: The key's content.
        skipped: What could not be used.
    """

    key_path: Path
    sheets: list[Path]
    key: Key
    skipped: list[Skipped]


def make_study(
    kind: str,
    material: Material,
    participants: int | Sequence[str],
    output: str | Path,
    *,
    aspects: Sequence[Aspect] | None = None,
    seed: int | None = None,
    items_each: int | None = None,
    against: str | None = None,
    picture: str = "score",
    sound: bool = True,
    seconds: float | None = None,
    soundfont: str | Path | None = None,
    show_labels: Sequence[str] = (),
    instructions: str | None = None,
    title: str = "Listening study",
    progress: Callable[[int, int], None] | None = None,
) -> Made:
    """Write the sheets of a study to ``output/sheets/`` and its key to ``output/key.json``.

    Nothing in the sheets tells the systems apart but the music and the captions: titles, composers,
    comments and names of voices other than instruments are dropped, trials carry names drawn at
    random, sound files have no tags, and every text that is shown is searched for the systems'
    names.

    Args:
        kind: ``"ab"`` (which of two pieces, or no preference), ``"rating"`` (1 to 10) or
            ``"captions"`` (which of two captions).
        material: What :func:`~musiczoo.studies.material.read_pieces` or
            :func:`~musiczoo.studies.material.read_captions` read.
        participants: How many, or their names (letters, digits, ``-`` and ``_``).
        output: The study's folder; made if it does not exist. Sheets of an earlier study are not
            overwritten.
        aspects: What is asked; the papers' questions when None
            (:data:`~musiczoo.studies.design.DEFAULT_ASPECTS`).
        seed: For order, sides and names; drawn and put into the key when None.
        items_each: Items that one participant judges; all when None.
        against: Compare only pairs with this system.
        picture: ``"score"`` (engraved), ``"roll"`` (piano roll) or ``"none"``.
        sound: Whether the music can be heard.
        seconds: Sound fades out and ends there.
        soundfont: As in :func:`musiczoo.music.render_audio`.
        show_labels: Columns of the labels that participants see.
        instructions: Plain text that replaces the instructions; empty lines separate paragraphs.
        title: Of the sheets.
        progress: Called with the number of pieces rendered and of all pieces.

    Raises:
        MusicZooError: A setting that cannot be used, no piece that can be rendered, a text that
            names a system, or a folder that holds a study.
    """
    _check(kind, material, picture, sound, against, show_labels, items_each, seconds)
    asked = tuple(aspects or DEFAULT_ASPECTS[kind])
    if len({aspect.name for aspect in asked}) < len(asked):
        raise MusicZooError("Two aspects have the same name.", where="--aspect")
    names = _participants(participants)
    folder = Path(output)
    if (folder / KEY).exists() or (folder / SHEETS).exists():
        raise MusicZooError(
            "The folder holds a study already.",
            path=folder,
            remedy="Name another folder, or move the old study away.",
        )
    seed = secrets.randbits(53) if seed is None else seed
    skipped = list(material.skipped)
    exhibits, clips = _render(
        material, cast(Picture, picture), sound, seconds, soundfont, skipped, progress
    )
    if not exhibits:
        raise MusicZooError(
            f"Not one item can be shown: {skipped[-1].what}: {skipped[-1].reason}",
            remedy="Leave out what cannot be rendered.",
        )
    shown = {item: _shown(material, item, show_labels) for item in exhibits}
    _look_for_names(
        material,
        exhibits,
        clips,
        shown,
        [title, instructions or "", *(aspect.question for aspect in asked)],
    )
    # Two studies of one seed must not share names, or the answers of one would pass for those of
    # the other.
    rng = random.Random(
        json.dumps(
            [seed, kind, material.systems, names, list(exhibits), [aspect.name for aspect in asked]]
        )
    )
    study = f"{rng.getrandbits(32):08x}"
    trials = deal(
        kind, list(exhibits), material.systems, names, rng, items_each=items_each, against=against
    )
    key = Key(
        study,
        kind,
        seed,
        material.systems,
        asked,
        trials,
        {i: row for i, row in material.labels.items() if i in exhibits},
        against,
    )

    def sheet_of(participant: str) -> Sheet:
        sheet = Sheet(key, participant, title, instructions)
        for trial in trials[participant]:
            clip = clips.get(trial.item, Exhibit())
            common = Exhibit(
                clip.picture, clip.sound, "\n".join(filter(None, (clip.caption, shown[trial.item])))
            )
            sheet.add(trial, common, [exhibits[trial.item][system] for system in trial.systems])
        return sheet

    key.record = {
        "made": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {
            name: importlib.metadata.version(name) for name in ("musiczoo", "verovio", "symusic")
        },
        "picture": picture,
        "sound": sound,
        "seconds": seconds,
        "sources": {item: _sources(material, item) for item in exhibits},
        "skipped": [{"what": row.what, "reason": row.reason} for row in skipped],
    }
    return _write(folder, key, sheet_of, skipped)


def _write(
    folder: Path, key: Key, sheet_of: Callable[[str], Sheet], skipped: list[Skipped]
) -> Made:
    """Write sheets and key; the folder of the sheets appears with all of them or not at all."""
    part = folder / f".{SHEETS}.part"
    try:
        part.mkdir(parents=True)
        hashes = {}
        for participant in key.trials:
            path = write_sheet(sheet_of(participant), part / f"{participant}.html")
            hashes[participant] = hashlib.sha256(path.read_bytes()).hexdigest()
        key.record["sheets_sha256"] = hashes
        key.write(folder / KEY)
        part.rename(folder / SHEETS)
    except OSError as error:
        raise MusicZooError(
            f"The sheets cannot be written ({error.strerror}).", path=folder
        ) from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return Made(
        folder / KEY,
        [folder / SHEETS / f"{participant}.html" for participant in key.trials],
        key,
        skipped,
    )


def _check(
    kind: str,
    material: Material,
    picture: str,
    sound: bool,
    against: str | None,
    show_labels: Sequence[str],
    items_each: int | None,
    seconds: float | None,
) -> None:
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
    if picture not in PICTURES:
        raise MusicZooError(
            f"There is no picture {picture!r}.", remedy=f"Choose of {', '.join(PICTURES)}."
        )
    if picture == "none" and not sound:
        raise MusicZooError(
            "A study without pictures and without sound shows no music.",
            remedy="Leave one of them in.",
        )
    if against is not None and against not in material.systems:
        raise MusicZooError(
            f"There is no system {against!r}.",
            where="--against",
            remedy=f"Name one of {', '.join(material.systems)}.",
        )
    if seconds is not None and not seconds > 0:
        raise MusicZooError(
            f"{seconds} seconds are no length.", where="--seconds", remedy="Give a number above 0."
        )
    if items_each is not None and items_each < 1:
        raise MusicZooError("A participant judges one item at least.", where="--items")
    columns = sorted({column for row in material.labels.values() for column in row})
    if unknown := [label for label in show_labels if label not in columns]:
        raise MusicZooError(
            f"There is no label {', '.join(unknown)}.",
            where="--show-label",
            remedy=f"Known are {', '.join(columns) or 'none'}.",
        )


def _participants(participants: int | Sequence[str]) -> list[str]:
    if isinstance(participants, int):
        if participants < 1:
            raise MusicZooError("A study has one participant at least.")
        return [
            f"P{number:0{max(2, len(str(participants)))}d}" for number in range(1, participants + 1)
        ]
    names = list(participants)
    if bad := [name for name in names if not _PARTICIPANT.fullmatch(name)]:
        raise MusicZooError(
            f"{bad[0]!r} cannot name a participant.",
            remedy="Use up to 40 letters, digits, - and _.",
        )
    # Upper and lower case are one file on some systems.
    if not names or len({name.lower() for name in names}) < len(names):
        raise MusicZooError(
            "The participants' names are not all different.", remedy="Give each one name."
        )
    return names


def _render(
    material: Material,
    picture: Picture,
    sound: bool,
    seconds: float | None,
    soundfont: str | Path | None,
    skipped: list[Skipped],
    progress: Callable[[int, int], None] | None,
) -> tuple[dict[str, dict[str, Exhibit]], dict[str, Exhibit]]:
    """Pictures, sound and captions of every version and clip.

    Items with a piece that cannot be rendered are left out.
    """
    if sound:
        # What is missing for every piece is told at once and not as a reason to skip them all.
        from musiczoo.music.sound.audio import INSTALL_A_SOUNDFONT, find_soundfont

        if soundfont is None and find_soundfont() is None:
            raise MusicZooError(
                "There is no soundfont to make sound with.",
                remedy=f"{INSTALL_A_SOUNDFONT} Or leave sound out (--no-sound).",
            )
        _require_soundfile()

    def exhibit(version: Version) -> Exhibit:
        if version.piece is None:
            return Exhibit(caption=version.caption)
        return Exhibit(
            None if picture == "none" else picture_of(version.piece, picture),
            (
                ("audio/mpeg", sound_of(version.piece, soundfont=soundfont, seconds=seconds))
                if sound
                else None
            ),
            version.caption,
        )

    exhibits: dict[str, dict[str, Exhibit]] = {}
    clips: dict[str, Exhibit] = {}
    for number, (item, row) in enumerate(material.versions.items(), 1):
        try:
            made = {system: exhibit(version) for system, version in row.items()}
            if item in material.clips:
                clips[item] = exhibit(material.clips[item])
            exhibits[item] = made
        except MusicZooError as error:
            skipped.append(Skipped(item, f"a piece cannot be rendered: {error}"))
        if progress is not None:
            progress(number, len(material.versions))
    return exhibits, clips


def _require_soundfile() -> None:
    import importlib.util

    if importlib.util.find_spec("soundfile") is None:
        from musiczoo.studies.anonymous import INSTALL_STUDY

        raise MusicZooError(
            "Sound is compressed by soundfile, which is not installed.",
            remedy=f"{INSTALL_STUDY} Or leave sound out (--no-sound).",
        )


def _shown(material: Material, item: str, show_labels: Sequence[str]) -> str:
    labels = [f"{label}: {material.labels.get(item, {}).get(label, '-')}" for label in show_labels]
    return "\n".join(filter(None, [" · ".join(labels), material.captions.get(item, "")]))


def _look_for_names(
    material: Material,
    exhibits: dict[str, dict[str, Exhibit]],
    clips: dict[str, Exhibit],
    shown: dict[str, str],
    texts: Sequence[str],
) -> None:
    """Refuse a study of which a text names a system."""
    places = [("the instructions, the title or a question", text) for text in texts]
    places += [(f"the caption or a label of {item}", text) for item, text in shown.items()]
    for item, row in [
        *exhibits.items(),
        *((item, {"the clip": clip}) for item, clip in clips.items()),
    ]:
        for system, exhibit in row.items():
            places.append((f"the caption of {item} by {system}", exhibit.caption))
            if exhibit.picture is not None and exhibit.picture[0].startswith("image/svg"):
                places.append(
                    (f"the score of {item} by {system}", words_in(exhibit.picture[1].decode()))
                )
    for place, text in places:
        if (name := find_name(text, material.systems)) is not None:
            raise MusicZooError(
                f"The name of the system {name!r} would be seen in {place}.",
                remedy=(
                    "Take it out there; or, where the word means something else, call the system"
                    " otherwise (--system OTHERNAME=FOLDER)."
                ),
            )


def _sources(material: Material, item: str) -> dict[str, dict[str, str]]:
    """The files behind an item, with what they held when the study was made."""
    versions = dict(material.versions[item])
    if item in material.clips:
        versions["clip"] = material.clips[item]
    return {
        name: (
            {
                "file": str(version.path),
                "sha256": hashlib.sha256(version.path.read_bytes()).hexdigest(),
            }
            if version.path is not None
            else {"caption": version.caption}
        )
        for name, version in versions.items()
    }

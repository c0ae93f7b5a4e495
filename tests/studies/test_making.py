"""Sheets are blind, whole and work by themselves."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from lxml import html

from musiczoo.music import read_abc, to_score, write
from musiczoo.music.errors import MusicZooError
from musiczoo.studies import Aspect, make_study, read_captions, read_pieces
from musiczoo.studies.anonymous import anonymous_tune, find_name, instrument_name
from musiczoo.studies.key import Key, read_key
from musiczoo.studies.making import Made

from .conftest import sheet_data, tune, write_systems

SYSTEMS = ("AlphaNet", "GroundTruth")
ITEMS = ("secret_prelude", "opus_hidden")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """A study of pieces that name their makers wherever a file can, in three formats."""
    root = tmp_path_factory.mktemp("made")
    for number, system in enumerate(SYSTEMS):
        folder = root / f"folder_of_{system}"
        folder.mkdir()
        text = tune(number, title=f"Made by {system}", voice=f"Violin of {system}")
        (folder / "secret_prelude.abc").write_text(text.replace("C2", f'"^"[N:{system}]C2', 1))
        piece = read_abc(tune(10 + number, title=f"Made by {system}", voice=f"{system} out"))
        if number:
            write(piece, folder / "opus_hidden.musicxml")
        else:
            score = to_score(piece)
            score.tracks[0].name = f"{system} Violoncello"
            (folder / "opus_hidden.mid").write_bytes(score.dumps_midi())
    labels = root / "labels.csv"
    labels.write_text("item,period,split\nsecret_prelude,Baroque,x\nopus_hidden.mid,Romantic,y\n")
    folders = {system: root / f"folder_of_{system}" for system in SYSTEMS}
    material = read_pieces(folders, labels=labels)
    return make_study(
        "ab",
        material,
        ["anna", "ben", "carla"],
        root / "study",
        seed=987654321987,
        show_labels=["period"],
    )


def everything(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file of a folder, and what is embedded in it."""
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield path.name, path.read_bytes()
            for name, kind, data in re.findall(
                r'id="(media-\d+)" data-type="([^"]*)">([^<]*)<', path.read_text()
            ):
                yield f"{path.name} {name} {kind}", base64.b64decode(data, validate=True)


def test_nothing_in_the_participants_folder_tells_a_system(made: Made) -> None:
    folder = made.sheets[0].parent
    sources = [
        Path(row["file"]) for item in made.key.record["sources"].values() for row in item.values()
    ]
    names = {
        *SYSTEMS,
        *ITEMS,
        *(str(path) for path in sources),
        *(path.parent.name for path in sources),
        str(made.key.seed),
        "Made by",
        "Somebody",
    }
    hashes = {
        algorithm(text).hexdigest()
        for algorithm in (hashlib.md5, hashlib.sha1, hashlib.sha256)
        for text in [
            *(path.read_bytes() for path in sources),
            *(f"{salt}{name}".encode() for name in names for salt in ("", made.key.study)),
            *(f"{a}/{b}".encode() for a in (*SYSTEMS, *ITEMS) for b in (*SYSTEMS, *ITEMS)),
        ]
    }
    seen = dict(everything(folder))
    assert len(seen) == 3 * (1 + 8)  # four pieces, each a picture and a sound
    for place, data in seen.items():
        text = data.decode("utf-8", errors="ignore").lower()
        found = [name for name in names if name.lower() in text or name.encode("utf-16-le") in data]
        assert not found, (place, found)
        assert not [value for value in hashes if value[:12] in text], place
    assert {path.name for path in folder.iterdir()} == {"anna.html", "ben.html", "carla.html"}
    assert not list(folder.rglob("*key*"))
    assert made.key_path.parent == folder.parent


def test_names_of_trials_are_no_names_of_pieces(made: Made) -> None:
    trials = [trial for rows in made.key.trials.values() for trial in rows]
    assert len({trial.id for trial in trials}) == len(trials) == 6
    ids = [{row["id"] for row in sheet_data(path)["trials"]} for path in made.sheets]
    assert not ids[0] & ids[1]


def test_the_key_holds_what_is_behind(made: Made) -> None:
    key = read_key(made.key_path)
    assert key.trials == made.key.trials
    assert key.labels["opus_hidden"] == {"period": "Romantic", "split": "y"}
    assert key.seed == 987654321987
    for participant, digest in key.record["sheets_sha256"].items():
        assert (
            hashlib.sha256((made.sheets[0].parent / f"{participant}.html").read_bytes()).hexdigest()
            == digest
        )
    # What stands on a side of a sheet is what the key says: the pictures of a system are the same
    # on all sheets, and differ between systems.
    behind: dict[tuple[str, str], set[str]] = {}
    for path in made.sheets:
        text, data = path.read_text(), sheet_data(path)
        for row, trial in zip(data["trials"], key.trials[data["participant"]], strict=True):
            assert row["id"] == trial.id
            for side, system in zip(row["sides"], trial.systems, strict=True):
                found = re.search(rf'id="{side["picture"]}"[^>]*>([^<]*)<', text)
                assert found
                behind.setdefault((trial.item, system), set()).add(found[1])
    assert len(behind) == 4
    assert all(len(pictures) == 1 for pictures in behind.values())
    assert len({next(iter(pictures)) for pictures in behind.values()}) == 4


def test_a_sheet_is_one_whole_document_that_fetches_nothing(made: Made) -> None:
    for path in made.sheets:
        text = path.read_text()
        page = html.document_fromstring(text.encode())
        assert text.startswith("<!DOCTYPE html>\n<html lang=")
        assert "{{" not in re.sub(r"<script.*?</script>", "", text, flags=re.S)
        policy = page.xpath("//meta[@http-equiv='Content-Security-Policy']/@content")[0]
        assert policy.startswith("default-src 'none'")
        assert "http" not in policy
        assert not page.xpath("//@src | //@href | //link | //iframe")
        data = sheet_data(path)
        ids = page.xpath("//script[@type='text/plain']/@id")
        used = {
            name
            for row in data["trials"]
            for side in (row["common"], *row["sides"])
            for kind, name in side.items()
            if kind != "caption"
        }
        assert set(ids) == used
        assert len(ids) == len(set(page.xpath("//@id"))) - len(
            set(page.xpath("//*[not(self::script[@type='text/plain'])]/@id"))
        )
        assert [row["common"]["caption"] for row in data["trials"]] == [
            f"period: {made.key.labels[trial.item]['period']}"
            for trial in made.key.trials[data["participant"]]
        ]


def test_sound_is_music_and_pictures_are_scores(made: Made) -> None:
    import numpy as np
    import soundfile

    media = [(name, data) for name, data in everything(made.sheets[0].parent) if "media" in name]
    sounds = [data for name, data in media if name.endswith("audio/mpeg")]
    pictures = [data for name, data in media if name.endswith("image/svg+xml")]
    assert len(sounds) == len(pictures) == 12
    for sound in sounds[:4]:
        samples, rate = soundfile.read(io.BytesIO(sound))
        assert rate == 44100
        assert 2.0 < len(samples) / rate < 8.0  # two bars at 240 beats a minute, and what rings on
        assert float(np.abs(samples).max()) > 0.01
    for picture in pictures:
        html.fragment_fromstring(picture)
        assert b"<svg" in picture[:200]
    shown = b"".join(pictures)
    assert b"Violin<" in shown  # instruments keep their names
    assert b"Violoncello<" in shown


def test_the_seed_makes_the_same_sheets(tmp_path: Path) -> None:
    folders = write_systems(tmp_path, ("x1", "y1"), 2)
    texts = []
    for name, seed in (("a", 4), ("b", 4), ("c", 5)):
        made = make_study("ab", read_pieces(folders), 2, tmp_path / name, seed=seed, sound=False)
        texts.append([path.read_text() for path in made.sheets])
    assert texts[0] == texts[1] != texts[2]
    # Two kinds of study of one seed and the same pieces share no names.
    other = make_study("rating", read_pieces(folders), 2, tmp_path / "d", seed=4, sound=False)
    assert other.key.study not in texts[0][0]


def test_texts_of_the_user_are_only_texts(tmp_path: Path) -> None:
    folders = write_systems(tmp_path, ("x1", "y1"), 1)
    evil = "</script><script>alert(1)</script> {{media}} <b>&amp;"
    (tmp_path / "captions.json").write_text(json.dumps([{"item": "piece-0", "caption": evil}]))
    material = read_pieces(folders, captions=tmp_path / "captions.json")
    made = make_study(
        "ab",
        material,
        1,
        tmp_path / "study",
        sound=False,
        title=evil,
        instructions=f"One\n\n{evil}",
        aspects=[Aspect("a", evil)],
    )
    page = html.document_fromstring(made.sheets[0].read_text())
    assert len(page.xpath("//script")) == 5  # study, two pictures, logic, page
    assert page.xpath("//h1")[0].text_content() == evil
    data = sheet_data(made.sheets[0])
    assert data["trials"][0]["common"]["caption"] == data["aspects"][0]["question"] == evil


def test_captions_stand_beside_their_clip(tmp_path: Path) -> None:
    folders = write_systems(tmp_path, ("clips",), 3)
    rows = [
        f"piece-{n},{s},Caption {n} in the style of {w}"
        for n in range(3)
        for s, w in (("gpt", "one"), ("llama", "two"))
    ]
    (tmp_path / "captions.csv").write_text(
        "\n".join(["item,system,caption", *rows, "nowhere,gpt,Something", "piece-0,gpt,Twice"])
    )
    material = read_captions(folders["clips"], tmp_path / "captions.csv")
    assert [row.reason for row in material.skipped] == [
        "no such clip, no caption or no system",
        "this system has a caption for the clip already",
    ]
    made = make_study(
        "captions", material, 2, tmp_path / "study", sound=False, items_each=2, seed=0
    )
    assert [aspect.name for aspect in made.key.aspects] == [
        "music understanding accuracy",
        "text fluency",
        "creativity",
        "musical emotion understanding",
        "overall preference",
    ]
    data = sheet_data(made.sheets[0])
    assert len(data["trials"]) == 2
    for row, trial in zip(data["trials"], made.key.trials["P01"], strict=True):
        words = {"gpt": "one", "llama": "two"}
        assert [side["caption"] for side in row["sides"]] == [
            f"Caption {trial.item[-1]} in the style of {words[s]}" for s in trial.systems
        ]
        assert set(row["common"]) == {"picture"}


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    folders = write_systems(tmp_path, ("x1", "y1"), 4)
    (folders["x1"] / "piece-0.abc").write_text("this is no tune")
    (folders["y1"] / "piece-1.abc").write_text("X:1\nM:4/4\nL:1/8\nK:C\nz8|z8|]\n")
    (folders["x1"] / "extra.abc").write_text(tune(1))
    (folders["x1"] / "notes.txt").write_text("hello")
    write(read_abc(tune(1002)), folders["y1"] / "piece-2.musicxml")
    made = make_study("ab", read_pieces(folders), 1, tmp_path / "study", sound=False)
    assert set(made.key.record["sources"]) == {"piece-2", "piece-3"}
    reasons = {Path(row.what).name: row.reason for row in made.skipped}
    assert set(reasons) == {
        "piece-0.abc",
        "piece-0",
        "piece-1.abc",
        "piece-1",
        "extra.abc",
        "notes.txt",
        "piece-2.musicxml",
    }
    assert "no notes" in reasons["piece-1.abc"]
    assert "no counterpart" in reasons["extra.abc"]
    assert "piece-2.abc is the same piece" in reasons["piece-2.musicxml"]


def test_pairs_by_order(tmp_path: Path) -> None:
    folders = write_systems(tmp_path, ("x1", "y1"), 2)
    for number in range(2):
        (folders["y1"] / f"piece-{number}.abc").rename(folders["y1"] / f"other-{number}.abc")
    with pytest.raises(MusicZooError, match="no file name in common"):
        read_pieces(folders)
    material = read_pieces(folders, pair="order")
    paths = [
        [version.path.name for version in row.values() if version.path]
        for row in material.versions.values()
    ]
    assert paths == [["piece-0.abc", "other-0.abc"], ["piece-1.abc", "other-1.abc"]]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"instructions": "Do you like X1 more?"}, "'x1' would be seen in the instructions"),
        ({"aspects": [Aspect("a", "y1?")]}, "'y1' would be seen"),
        ({"aspects": [Aspect("a", "?"), Aspect("a", "!")]}, "same name"),
        ({"kind": "captions"}, "only there"),
        ({"kind": "maze"}, "no kind"),
        ({"picture": "none"}, "shows no music"),
        ({"against": "z"}, "no system"),
        ({"items_each": 0}, "one item at least"),
        ({"seconds": 0.0}, "no length"),
        ({"participants": 0}, "one participant at least"),
        ({"participants": ["a", "A"]}, "not all different"),
        ({"participants": ["../a"]}, "cannot name a participant"),
        ({"show_labels": ["period"]}, "no label period"),
        ({"soundfont": "nowhere.sf2", "sound": True}, "soundfont nowhere.sf2 does not exist"),
    ],
)
def test_settings_that_cannot_be_used(
    tmp_path: Path, settings: dict[str, object], said: str
) -> None:
    folders = write_systems(tmp_path, ("x1", "y1"), 1)
    arguments: dict[str, object] = {"kind": "ab", "participants": 1, "sound": False, **settings}
    with pytest.raises(MusicZooError, match=said):
        make_study(material=read_pieces(folders), output=tmp_path / "study", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "study").exists()


def test_a_name_in_a_score_or_a_caption_is_refused(tmp_path: Path) -> None:
    folders = write_systems(tmp_path, ("x1", "y1"), 1)
    (folders["x1"] / "piece-0.abc").write_text(
        tune(1).replace("C:Some", "C:Some").replace("|", '|"^as X1 wrote"', 1)
    )
    with pytest.raises(MusicZooError, match="'x1' would be seen in the score of piece-0 by x1"):
        make_study("ab", read_pieces(folders), 1, tmp_path / "study", sound=False)
    (tmp_path / "captions.csv").write_text("item,caption\npiece-0,Not by Y1.\n")
    folders = write_systems(tmp_path / "other", ("x1", "y1"), 1)
    with pytest.raises(MusicZooError, match="the caption or a label of piece-0"):
        make_study(
            "ab",
            read_pieces(folders, captions=tmp_path / "captions.csv"),
            1,
            tmp_path / "study",
            sound=False,
        )


def test_nothing_is_overwritten_and_nothing_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = write_systems(tmp_path, ("x1", "y1"), 1)
    make_study("ab", read_pieces(folders), 1, tmp_path / "study", sound=False)
    with pytest.raises(MusicZooError, match="holds a study already"):
        make_study("ab", read_pieces(folders), 1, tmp_path / "study", sound=False)

    def full(self: Key, path: Path) -> Path:
        raise MusicZooError("The file cannot be written: No space left on device.", path=path)

    monkeypatch.setattr(Key, "write", full)
    with pytest.raises(MusicZooError, match="No space left"):
        make_study("ab", read_pieces(folders), 1, tmp_path / "full", sound=False)
    assert not list((tmp_path / "full").iterdir())


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("Violino II (system-7)", "Violino II"),
        ("midi-out of GrooveNet", ""),
        ("SharpNet", ""),
        ("GPT-4 piano", "piano"),
        ("Bass Clarinet in B", "Bass Clarinet"),
        ("", ""),
    ],
)
def test_names_of_instruments(name: str, kept: str) -> None:
    assert instrument_name(name) == kept


def test_an_anonymous_tune_sounds_the_same() -> None:
    piece = read_abc(tune(5, title="Title", voice="Cello"))
    bare = anonymous_tune(piece)
    assert bare.notes() == piece.notes()
    assert [field.text for field in bare.header] == [
        "X:1",
        "M:4/4",
        "L:1/8",
        "Q:1/4=240",
        'V:1 treble nm="Cello"',
        "K:C",
    ]


def test_find_name() -> None:
    assert find_name("made by NotaGen.", ["base", "notagen"]) == "notagen"
    assert find_name("a database", ["base"]) is None
    assert find_name("C++ and more", ["c++"]) == "c++"

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from musiczoo.music.errors import MusicZooError


def named_by_content(path: Path, folder: Path) -> str:
    """Moves a file to where its MD5 says, and returns that."""
    content = hashlib.md5(path.read_bytes()).hexdigest()
    folder.mkdir(parents=True, exist_ok=True)
    path.rename(folder / f"{content}.mid")
    return content


def test_lakh(root, score, load):
    rock = named_by_content(score("rock.mid"), root / "lmd_full" / "a")
    jazz = named_by_content(score("jazz.mid"), root / "lmd_full" / "b")
    data = (root / "lmd_full" / "a" / f"{rock}.mid").read_bytes()
    for name in (
        f"lmd_matched/A/B/C/TRABC/{rock}.mid",
        f"lmd_matched/A/B/D/TRABD/{rock}.mid",
        "clean_midi/Band/Song.1.mid",
    ):
        (root / name).parent.mkdir(parents=True)
        (root / name).write_bytes(data)
    score(
        f"lmd_aligned/A/B/C/TRABC/{rock}.mid"
    )  # stretched to the recording: other bytes, the same name
    score("clean_midi/Band/Another.mid")
    (root / "midi_genre_map.json").write_text(
        json.dumps(
            {
                "topmagd": {rock: ["Pop_Rock", "Pop_Rock "], jazz: ["Jazz", "Vocal"]},
                "masd": {rock: ["Rock_Hard"]},
                "magd": {},
                "other": {rock: ["no"]},
            }
        )
    )
    corpus = load("lakh")
    assert {work.path: work.tags for work in corpus} == {
        f"lmd_full/a/{rock}.mid": ("masd:Rock_Hard", "topmagd:Pop_Rock"),
        f"lmd_full/b/{jazz}.mid": ("topmagd:Jazz", "topmagd:Vocal"),
        "clean_midi/Band/Another.mid": (),
    }
    assert {work.labels for work in corpus} == {None}
    why = {skipped.path: skipped.reason for skipped in corpus.left_out}
    assert why.pop("midi_genre_map.json") == "not music: .json"
    assert set(why.values()) == {f"the same file as lmd_full/a/{rock}.mid"}
    assert len(why) == 4


def test_one_folder_of_lakh(root, score, load):
    name = named_by_content(score("rock.mid"), root / "lmd_matched" / "A")
    table = root / "lmd_matched" / "midi_genre_map.json"
    table.write_text(json.dumps({"masd": {name: ["Metal_Heavy"]}}))
    [work] = load("lakh", root / "lmd_matched")
    assert work.tags == ("masd:Metal_Heavy",)
    table.write_text("{")
    with pytest.raises(MusicZooError, match=r"midi_genre_map\.json"):
        load("lakh", root / "lmd_matched")


def test_metamidi(root, score, load):
    name = named_by_content(score("one.mid"), root / "MMD_MIDI" / "6" / "1" / "1")
    other = named_by_content(score("two.mid"), root / "MMD_MIDI" / "0" / "0" / "0")
    rows = [
        {"md5": name, "genre": [["romantic", " baroque "], ["romantic"], []]},
        {"md5": "f" * 32, "genre": [["pop"]]},
    ]
    (root / "MMD_METADATA").mkdir()
    (root / "MMD_METADATA" / "MMD_scraped_genre.jsonl").write_text(
        "\n".join(map(json.dumps, rows)) + "\n\n"
    )
    corpus = load("metamidi")
    assert {work.path.rpartition("/")[2]: work.tags for work in corpus} == {
        f"{name}.mid": ("genre:baroque", "genre:romantic"),
        f"{other}.mid": (),
    }

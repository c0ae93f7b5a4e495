"""The command ``musiczoo qa`` from texts and MIDI files to a set that a data module reads."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from musiczoo.commands.qa import run
from musiczoo.llm.records import read_records
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files import read
from tests.llm.servers import completion, failure, serving
from tests.midi_files import random_score, write_midi

COUNT = 8
NAMES = ("Adams", "Berg")


def answer(request, number):
    """An endpoint that mines the tags, and writes pairs from them."""
    name = request["response_format"]["json_schema"]["name"]
    if name == "WrittenPairs":
        pairs = [
            {"tag": "genre", "question": f"What is it, no. {n}?", "answer": "It is a waltz."}
            for n in range(2)
        ]
        wrong = {"tag": "genre", "question": "What is it?", "answer": "A march."}
        return completion({"pairs": [*pairs, wrong], "captions": ["A waltz, and cheerful too."]})
    unknown = {"value": "not enough information", "quote": ""}
    return completion(
        {
            "genre": {"value": "waltz", "quote": "This is a waltz."},
            "emotion": {"value": "cheerful", "quote": "Its mood is cheerful."},
            "style": {"value": "Romantic", "quote": "It is Romantic."},
            "background": unknown,
            "expressive_intent": unknown,
        }
    )


@pytest.fixture
def material(tmp_path: Path) -> list[str]:
    """Eight pieces, of which two are near-duplicates, with texts about seven."""
    lines = ["midi,title,composer,period,nominal"]
    for number in range(COUNT):
        score = random_score(min(number, COUNT - 2), bars=40)
        write_midi(score, tmp_path / "music" / f"{number}.mid")
        lines.append(f"{number}.mid,Waltz {number},{NAMES[number % 2]},Romantic,{number % 2}")
        if number:
            text = tmp_path / "texts" / f"{NAMES[number % 2]} - Waltz {number}.txt"
            text.parent.mkdir(exist_ok=True)
            text.write_text("This is a waltz. Its mood is cheerful. It is new.")
    (tmp_path / "music" / "works.csv").write_text("\n".join(lines))
    return [str(tmp_path / "music" / "works.csv"), "--cache", str(tmp_path / "cache")]


def mine(tmp_path: Path, material: list[str], url: str, *words: str):
    model = ["--model", "tiny", "--base-url", f"{url}/v1", "--price-in", "2"]
    texts = ["--text-folder", str(tmp_path / "texts"), "--output", str(tmp_path / "mined.jsonl")]
    return run(["mine", *material, *texts, *model, *words])


def test_from_texts_to_a_set(
    tmp_path: Path, material: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(answer) as site:
        planned = mine(tmp_path, material, site.url, "--dry-run")
        shown = capsys.readouterr().out
        assert (planned["calls"], len(site.requests)) == (7, 0)
        assert "not enough information" in shown
        assert "7 calls" in shown
        mined = mine(tmp_path, material, site.url, "--json")
        assert json.loads(capsys.readouterr().out) == json.loads(json.dumps(mined))
        assert (mined["mined"], mined["no_text"], mined["usage"]["calls"]) == (7, 1, 7)
        assert mined["tags"]["style"] == {"valid": 0, "unknown": 0, "dropped": 7}
        assert mined["usage"]["cost"] == pytest.approx(7 * 100 * 2 / 1e6)

        words = [str(tmp_path / "mined.jsonl"), *material, "--model", "tiny"]
        words += ["--base-url", f"{site.url}/v1", "--output", str(tmp_path / "qa"), "--test", "0.3"]
        planned = run(["make", *words, "--dry-run"])
        assert planned["calls"] == 7
        assert "genre (short): waltz" in capsys.readouterr().out
        made = run(["make", *words])
        text = capsys.readouterr().out
        # Works with the same tags are one request, which is answered from the cache where it can.
        assert made["usage"]["calls"] + made["usage"]["cached"] == 7
        assert made["dropped"] == {"an answer without its tag": 7}
        again = run(["make", *words[:-3], str(tmp_path / "again"), "--test", "0.3"])
        assert (again["usage"]["calls"], again["usage"]["cached"]) == (0, 7)
    assert "7 works; clips:" in text
    records = read_records(tmp_path / "qa" / "qa.jsonl")
    assert records == read_records(tmp_path / "qa" / "qa.parquet")
    assert records == read_records(tmp_path / "again" / "qa.jsonl")
    assert json.loads((tmp_path / "qa" / "report.json").read_text())["works"] == 7
    check(records, tmp_path / "qa")


def check(records, folder: Path) -> None:
    splits: dict[str, set[str]] = {}
    for record in records:
        splits.setdefault(record.source["piece"], set()).add(record.source["split"])
        assert record.source["answer"]
        assert record.source["title"].startswith("Waltz")
        odd = int(record.source["piece"][0]) % 2
        assert record.clip.alignment == ("nominal" if odd else "score")
        assert not (odd and record.tag in ("tempo", "time_signature"))
        assert 0 < record.clip.end_s - record.clip.start_s <= 20.001
        assert read(folder / record.midi).note_num() > 0
    assert len({record.id for record in records}) == len(records)
    assert all(len(some) == 1 for some in splits.values())
    assert set().union(*splits.values()) == {"train", "validation", "test"}
    # The two pieces of the same notes are in one split.
    assert splits[f"{COUNT - 1}.mid"] == splits[f"{COUNT - 2}.mid"]
    tags = {record.tag for record in records}
    assert {"genre", "emotion", "tempo", "time_signature", "range", "caption"} <= tags
    assert "style" not in tags
    written = [record for record in records if "written_by" in record.source]
    assert {record.answer for record in written} == {"It is a waltz.", "A waltz, and cheerful too."}
    genre = next(record for record in records if record.tag == "genre")
    assert genre.source["quote"] == "This is a waltz."


def test_a_set_without_a_model(tmp_path: Path, material: list[str]) -> None:
    with serving(answer) as site:
        mine(tmp_path, material, site.url, "--quiet")
    (tmp_path / "music" / "3.mid").write_bytes(b"MThd broken")
    words = [str(tmp_path / "mined.jsonl"), *material, "--output", str(tmp_path / "qa"), "--json"]
    made = run(["make", *words, "--clips", "1", "--each", "1"])
    assert (made["works"], made["usage"]["calls"]) == (6, 0)
    assert sum(made["left_out"].values()) == 1
    records = read_records(tmp_path / "qa" / "qa.jsonl")
    assert len(records) == sum(made["records"].values()) == sum(made["tags"].values())
    assert len(list((tmp_path / "qa" / "clips").glob("*.mid"))) == sum(made["clips"].values()) == 6


def test_a_data_module_reads_the_set(tmp_path: Path, material: list[str]) -> None:
    from musiczoo.datamodules import MusicQADataModule
    from musiczoo.representations.music_questions import MusicQuestions
    from musiczoo.representations.text_tokens import TextTokens

    with serving(answer) as site:
        mine(tmp_path, material, site.url, "--quiet")
    folder = tmp_path / "qa"
    words = [str(tmp_path / "mined.jsonl"), *material, "--output", str(folder), "--json"]
    run(["make", *words, "--test", "0.3"])
    questions = MusicQuestions(TextTokens.bytes())
    data = MusicQADataModule(folder / "qa.jsonl", representation=questions, batch_size=2)
    data.setup()
    assert not data.left_out
    assert len(data.records) == len(read_records(folder / "qa.jsonl"))


def test_audits(tmp_path: Path, material: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with serving(answer) as site:
        mine(tmp_path, material, site.url, "--quiet")
    words = ["audit", str(tmp_path / "mined.jsonl"), "--output", str(tmp_path / "audit")]
    drawn = run([*words, "--works", "5"])
    assert (drawn["works"], drawn["tags"], len(drawn["sheets"])) == (5, 10, 2)
    for number, path in enumerate(drawn["sheets"]):
        text = Path(path).read_text("utf-8-sig")
        rows = list(csv.DictReader(io.StringIO(text)))
        for row in rows:
            bad = row["tag"] == "emotion" and (number or row["item"] > "3")
            row["verdict"] = "unacceptable" if bad else "acceptable"
        with Path(path).open("w", newline="") as stream:
            table = csv.DictWriter(stream, rows[0])
            table.writeheader()
            table.writerows(rows)
    capsys.readouterr()
    found = run(["audit", *drawn["sheets"]])
    assert found["groups"]["genre"]["accepted"] == 1.0
    assert found["groups"]["emotion"]["by_reviewer"][1] == 0.0
    shown = capsys.readouterr().out
    assert "kappa" in shown
    assert "100.0 %" in shown
    with pytest.raises(MusicZooError, match="two sheets"):
        run(["audit", drawn["sheets"][0]])


def test_wrong_usage(tmp_path: Path, material: list[str]) -> None:
    base = ["mine", *material, "--output", str(tmp_path / "m.jsonl")]
    with pytest.raises(MusicZooError, match="one source"):
        run([*base, "--model", "tiny"])
    with pytest.raises(MusicZooError, match="No model is named"):
        run([*base, "--text-folder", str(tmp_path / "texts")])
    with pytest.raises(MusicZooError, match="One model writes"):
        run([*base, "--text-folder", str(tmp_path / "texts"), "--model", "a", "--local", "b"])
    with (
        serving(lambda request, number: failure(401)) as site,
        pytest.raises(MusicZooError, match="refuses all requests"),
    ):
        mine(tmp_path, material, site.url)

"""Mining tags: quotes are checked, failures counted, and a killed run continues."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from musiczoo.llm.endpoint import Endpoint, EndpointSettings
from musiczoo.llm.mined_works import MinedWork, read_mined
from musiczoo.llm.mining import mine, mine_work, plan, shortened
from musiczoo.llm.schema import instruction, parsed
from musiczoo.llm.tags import NOT_ENOUGH, TAG_NAMES, Tags, checked, mining_messages
from musiczoo.llm.text_sources import SourceText
from musiczoo.llm.threads import in_threads
from musiczoo.llm.works_table import WorkRow
from musiczoo.music.errors import MusicZooError
from tests.llm.servers import completion, failure, serving, slowly

TEXT = (
    "The Nocturne was composed in 1832 in Paris.  It is a work of the\nRomantic style. A mood of"
    " gentle melancholy rules.  It “sings” of a lost home."
)
GOOD = {
    "genre": {"value": "nocturne", "quote": "The Nocturne was composed in 1832 in Paris."},
    "style": {"value": "Romantic", "quote": "It is a work of the Romantic style."},
    "emotion": {"value": "melancholy", "quote": "A mood of gentle melancholy rules."},
    "background": {"value": "Composed in 1832.", "quote": "composed in 1832 in Paris"},
    "expressive_intent": {"value": "A lost home.", "quote": 'It "sings" of a lost home.'},
}


def tags(**changes) -> dict:
    return {**GOOD, **{name: {"value": v, "quote": q} for name, (v, q) in changes.items()}}


class Texts:
    """A source that has a text about every work, or fails as its title says."""

    def find(self, title: str, composer: str) -> SourceText | None:
        if "missing" in title:
            return None
        if "broken" in title:
            raise MusicZooError("The page cannot be read.")
        return SourceText(TEXT, f"{title}.txt")


def works(*titles: str) -> list[WorkRow]:
    return [WorkRow(f"{title}.mid", title, "Chopin") for title in titles]


def writer(url: str, **settings):
    settings = {"concurrency": 1, "attempts": 1, **settings}
    return Endpoint(
        EndpointSettings("tiny", base_url=f"{url}/v1", **settings), sleep=lambda seconds: None
    )


def test_quotes_stand_in_the_text_after_white_space_is_normalised() -> None:
    found = checked(Tags.model_validate(GOOD), TEXT)
    assert set(found.valid) == set(TAG_NAMES)
    assert not found.unknown
    assert not found.dropped


def test_tags_without_a_true_quote_are_dropped_and_counted() -> None:
    changed = tags(
        genre=("nocturne", "The Nocturne is the best."),
        style=("Romantic", ""),
        emotion=("Not enough information.", ""),
        background=("Composed in 1833.", "composed in 1832 in Paris"),
        expressive_intent=("home", "home."),
    )
    found = checked(Tags.model_validate(changed), TEXT)
    assert not found.valid
    assert found.unknown == ("emotion",)
    assert found.dropped == {
        "genre": "the quote is not in the text",
        "style": "no quote",
        "background": "a number that is not in the text",
        "expressive_intent": "no quote",
    }


def test_the_request_names_the_work_the_rules_and_the_way_out() -> None:
    system, user = mining_messages("Nocturne", "Chopin", TEXT)
    assert NOT_ENOUGH in system["content"]
    assert all(name in system["content"] for name in TAG_NAMES)
    assert TEXT in user["content"]
    assert "Chopin" in user["content"]
    assert all(name in instruction(Tags) for name in TAG_NAMES)


@pytest.mark.parametrize("text", ["[" * 5000, '{"genre": ' * 3000, "{}", '{"genre": {}}'])
def test_monsters_are_no_answers(text: str) -> None:
    with pytest.raises(ValueError, match="answer"):
        parsed(text, Tags)


def test_mining_counts_everything(tmp_path: Path) -> None:
    def answer(request, number):
        title = request["messages"][1]["content"]
        if "hopeless" in title:
            return completion("{broken")
        if "vague" in title:
            return completion({name: {"value": NOT_ENOUGH, "quote": ""} for name in TAG_NAMES})
        if "invented" in title:
            return completion(tags(genre=("waltz", "It is a waltz.")))
        return completion(GOOD)

    names = ("good", "missing", "broken page", "hopeless", "vague", "invented")
    seen = []
    with serving(answer) as site:
        report = mine(
            works(*names),
            Texts(),
            writer(site.url, prices=(1.0, 1.0)),
            tmp_path / "mined.jsonl",
            progress=lambda done, total: seen.append((done, total)),
        )
    assert (report.works, report.mined, report.without_tags) == (6, 2, 1)
    assert (report.no_text, report.unread, report.no_answer, report.earlier) == (1, 1, 1, 0)
    assert report.tags["genre"] == {"valid": 1, "unknown": 1, "dropped": 1}
    assert report.tags["style"] == {"valid": 2, "unknown": 1, "dropped": 0}
    assert report.dropped == {"the quote is not in the text": 1}
    assert report.usage.calls == 6  # of them three about the hopeless one
    assert report.usage.cost > 0
    assert seen[-1] == (6, 6)
    rows = read_mined(tmp_path / "mined.jsonl")
    assert [row.work.title for row in rows] == list(names)
    assert rows[0].tags["genre"].quote == GOOD["genre"]["quote"]
    assert (rows[0].origin, rows[0].writer) == ("good.txt", "tiny")
    assert [MinedWork.from_row(json.loads(json.dumps(row.to_row()))) for row in rows] == rows
    assert json.dumps(report.to_json())


def test_a_second_run_asks_only_for_what_is_open(tmp_path: Path) -> None:
    path = tmp_path / "mined.jsonl"
    with serving(lambda request, number: failure(500) if number == 1 else completion(GOOD)) as site:
        first = mine(works("a", "b", "missing"), Texts(), writer(site.url), path)
        assert (first.mined, first.no_answer) == (2 - 1, 1)
        again = mine(works("a", "b", "missing", "c"), Texts(), writer(site.url), path)
        assert (again.mined, again.earlier, again.usage.calls) == (3, 2, 2)
        assert len(site.requests) == 4
        other = Endpoint(EndpointSettings("other", base_url=f"{site.url}/v1"))
        with pytest.raises(MusicZooError, match="not of other"):
            mine(works("a"), Texts(), other, path)
    assert len(read_mined(path)) == 4


def test_a_dead_endpoint_ends_the_run_and_finished_rows_stay(tmp_path: Path) -> None:
    path = tmp_path / "mined.jsonl"
    names = [str(number) for number in range(20)]
    with serving(lambda request, number: completion(GOOD) if number < 5 else None) as site:
        with pytest.raises(MusicZooError, match="8 works in a row") as error:
            mine(works(*names), Texts(), writer(site.url), path)
        assert "run the same command again" in str(error.value)
        assert [row.status for row in read_mined(path)].count("mined") == 5
    with serving(lambda request, number: completion(GOOD)) as site:
        report = mine(works(*names), Texts(), writer(site.url), path)
        assert (report.mined, report.earlier, len(site.requests)) == (20, 5, 15)


def test_a_wrong_key_ends_the_run_at_once(tmp_path: Path) -> None:
    with (
        serving(lambda request, number: failure(401)) as site,
        pytest.raises(MusicZooError, match="refuses all requests"),
    ):
        mine(works(*"abcdef"), Texts(), writer(site.url, concurrency=3), tmp_path / "m.jsonl")
    assert read_mined(tmp_path / "m.jsonl") == []


def test_threads_give_the_same_rows(tmp_path: Path) -> None:
    names = [f"work {number}" for number in range(12)]
    rows = []
    with serving(lambda request, number: slowly(completion(GOOD), 0.02)) as site:
        for threads in (1, 4):
            path = tmp_path / f"{threads}.jsonl"
            mine(works(*names), Texts(), writer(site.url, concurrency=threads), path)
            rows.append(path.read_text())
        assert 1 < site.most_running <= 4
    assert rows[0] == rows[1]


PROGRAM = """
import sys
from tests.llm.test_mining import Texts, mine, works, writer
mine(works(*map(str, range(30))), Texts(), writer(sys.argv[1]), sys.argv[2])
"""


def test_a_killed_run_continues_and_asks_nothing_twice(tmp_path: Path) -> None:
    path = tmp_path / "mined.jsonl"
    with serving(lambda request, number: slowly(completion(GOOD), 0.05)) as site:
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, site.url, str(path)],
            cwd=Path(__file__).parents[2],
        )
        until = time.monotonic() + 60
        while time.monotonic() < until and (not path.exists() or len(path.read_bytes()) < 3000):
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        kept = len(read_mined(path))
        assert 0 < kept < 30
        with path.open("ab") as stream:  # a line that was cut short
            stream.write(b'{"midi": "9')
        asked = len(site.requests)
        report = mine(works(*map(str, range(30))), Texts(), writer(site.url), path)
        assert (report.mined, report.earlier) == (30, kept)
        assert len(site.requests) - asked == 30 - kept
    assert len(read_mined(path)) == 30


def test_a_plan_asks_no_model(tmp_path: Path) -> None:
    found = plan(works("a", "missing", *"bcdefgh"), Texts(), prices=(10.0, 0.0), look_at=4)
    assert (found.works, found.looked_at, found.found, found.calls) == (9, 4, 3, 7)
    assert found.cost == pytest.approx(found.prompt_tokens * 10 / 1e6)
    assert TEXT in found.messages[1]["content"]
    assert plan([], Texts()).calls == 0
    with serving(lambda request, number: completion(GOOD)) as site:
        mine(works("a", "b"), Texts(), writer(site.url), tmp_path / "m.jsonl")
    assert plan(works("a", "b", "c"), Texts(), path=tmp_path / "m.jsonl").calls == 1


def test_long_texts_are_shortened_to_a_paragraph() -> None:
    text = "One paragraph here.\nAnother one."
    assert shortened(text, 25) == "One paragraph here."
    assert shortened(text, 100) == text
    assert shortened("x" * 10, 4) == "xxxx"
    with serving(lambda request, number: completion(GOOD)) as site:
        row = mine_work(works("a")[0], Texts(), writer(site.url), most_characters=60)
        assert TEXT not in site.requests[0]["messages"][-1]["content"]
    # A quote from the part that was not given is none.
    assert row.dropped["emotion"] == "the quote is not in the text"


def test_bad_files_are_errors_with_their_place(tmp_path: Path) -> None:
    path = tmp_path / "m.jsonl"
    path.write_text('{"midi": "a"}\n')
    with pytest.raises(MusicZooError, match="line 1"):
        read_mined(path)
    with pytest.raises(MusicZooError, match="cannot be used"):
        read_mined(tmp_path / "none.jsonl")


@pytest.mark.parametrize("threads", [1, 3])
def test_results_before_a_failure_come_first(threads: int) -> None:
    def work(number: int) -> int:
        if number == 5:
            raise ValueError("five")
        return number * number

    found = []
    results = in_threads(work, range(1000), threads)
    with pytest.raises(ValueError, match="five"):
        found.extend(results)
    assert {(number, number * number) for number in range(5)} <= set(found)
    assert len(found) < 20
    assert sorted(in_threads(work, range(5), threads)) == [(n, n * n) for n in range(5)]

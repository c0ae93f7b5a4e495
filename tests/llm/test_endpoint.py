"""The client of endpoints, against a server on the loopback address."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest

from musiczoo.llm.endpoint import Endpoint, EndpointSettings
from musiczoo.llm.schema import Schema
from musiczoo.llm.writer import NoAnswer
from musiczoo.music.errors import MusicZooError
from tests.llm.servers import completion, failure, serving, slowly

SAY = [{"role": "user", "content": "Say it."}]
GOOD = {"word": "waltz"}


class Word(Schema):
    word: str


def endpoint(url: str, *, cache: Path | None = None, waits: list[float] | None = None, **settings):
    waits = [] if waits is None else waits
    given = EndpointSettings(model="tiny", base_url=f"{url}/v1", **settings)
    return Endpoint(given, cache=cache, sleep=waits.append)


def test_good_answers_are_asked_for_at_temperature_0_and_counted() -> None:
    with serving(lambda request, number: completion(GOOD)) as site:
        writer = endpoint(site.url, prices=(2.0, 10.0))
        answer = writer.ask(SAY, Word)
    assert (answer.value.word, answer.cached) == ("waltz", False)
    [request] = site.requests
    assert (request["temperature"], request["model"], request["messages"]) == (0, "tiny", SAY)
    assert request["response_format"]["json_schema"]["schema"] == Word.model_json_schema()
    usage = writer.usage
    assert (usage.calls, usage.prompt_tokens, usage.answer_tokens) == (1, 100, 10)
    assert usage.cost == pytest.approx((100 * 2 + 10 * 10) / 1e6)


def test_cached_answers_make_no_calls(tmp_path: Path) -> None:
    with serving(lambda request, number: completion(GOOD)) as site:
        endpoint(site.url, cache=tmp_path).ask(SAY, Word)
        again = endpoint(site.url, cache=tmp_path)
        assert again.ask(SAY, Word).cached
        assert len(site.requests) == 1
        assert (again.usage.calls, again.usage.cached) == (0, 1)
        # Another temperature is another question.
        endpoint(site.url, cache=tmp_path, temperature=0.5).ask(SAY, Word)
        assert len(site.requests) == 2
        # A damaged file is asked for again.
        for path in tmp_path.rglob("*.json"):
            path.write_text("{")
        assert not endpoint(site.url, cache=tmp_path).ask(SAY, Word).cached


def test_the_key_comes_from_the_environment_and_goes_into_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", "key-of-mine")
    with serving(lambda request, number: completion(GOOD)) as site:
        endpoint(site.url, cache=tmp_path, key_variable="MY_KEY").ask(SAY, Word)
    assert site.headers[0]["authorization"] == "Bearer key-of-mine"
    assert all("key-of-mine" not in path.read_text() for path in tmp_path.rglob("*.json"))
    monkeypatch.delenv("MY_KEY")
    with pytest.raises(MusicZooError, match="MY_KEY holds no key"):
        Endpoint(EndpointSettings("tiny", key_variable="MY_KEY"))


@pytest.mark.parametrize(
    "bad",
    [
        completion("{broken"),
        completion(""),
        completion(None),
        completion({"word": 3}),
        completion({"word": "a", "more": 1}),
        completion("no object at all"),
        (200, {"Content-Type": "application/json"}, b'{"choices": []}'),
        (200, {"Content-Type": "application/json"}, b"{}"),
    ],
)
def test_unusable_answers_are_asked_for_again_with_the_reason(bad) -> None:
    with serving(lambda request, number: bad if number == 0 else completion(GOOD)) as site:
        writer = endpoint(site.url)
        assert writer.ask(SAY, Word).value.word == "waltz"
    assert writer.usage.invalid == 1
    second = site.requests[1]["messages"]
    assert [turn["role"] for turn in second] == ["user", "assistant", "user"]
    assert "answer" in second[2]["content"].lower()


@pytest.mark.parametrize(
    "text", ['```json\n{"word": "waltz"}\n```', 'Here: {"word": "waltz"} Yes.']
)
def test_fences_and_words_around_an_answer_are_passed_over(text: str) -> None:
    with serving(lambda request, number: completion(text)) as site:
        assert endpoint(site.url, answer_format="text").ask(SAY, Word).value.word == "waltz"
    assert "response_format" not in site.requests[0]
    assert "JSON schema" in site.requests[0]["messages"][-1]["content"]


def test_answers_that_stay_unusable_are_no_answer() -> None:
    with serving(lambda request, number: completion("{broken")) as site:
        writer = endpoint(site.url)
        with pytest.raises(NoAnswer, match="no valid JSON"):
            writer.ask(SAY, Word)
    assert writer.usage.invalid == len(site.requests) == 3


@pytest.mark.parametrize(
    "bad",
    [
        failure(500),
        failure(503),
        failure(408),
        (200, {"Content-Type": "application/json"}, b"{cut off"),
        None,
    ],
)
def test_failures_of_the_server_are_tried_again(bad) -> None:
    waits: list[float] = []
    with serving(lambda request, number: bad if number < 2 else completion(GOOD)) as site:
        writer = endpoint(site.url, waits=waits)
        assert writer.ask(SAY, Word).value.word == "waltz"
    assert writer.usage.retries == len(waits) == 2
    assert 0.5 <= waits[0] <= 1.0 <= waits[1] <= 2.0


def test_retry_after_is_obeyed() -> None:
    waits: list[float] = []
    replies = [failure(429, **{"Retry-After": "7"}), completion(GOOD)]
    with serving(lambda request, number: replies[number]) as site:
        endpoint(site.url, waits=waits).ask(SAY, Word)
    assert waits == [7.0]


def test_slow_endpoints_are_no_answer() -> None:
    with serving(lambda request, number: slowly(completion(GOOD), 1.0)) as site:
        writer = endpoint(site.url, timeout=0.1, attempts=2)
        with pytest.raises(NoAnswer, match="does not answer"):
            writer.ask(SAY, Word)
    assert writer.usage.calls == 0


def test_an_endpoint_that_is_not_there_is_no_answer() -> None:
    writer = endpoint("http://127.0.0.1:9", attempts=2)
    with pytest.raises(NoAnswer, match="tiny at http"):
        writer.ask(SAY, Word)


@pytest.mark.parametrize("status", [401, 403, 404])
def test_refusals_of_all_requests_are_errors_at_once(status: int) -> None:
    with serving(lambda request, number: failure(status)) as site:
        with pytest.raises(MusicZooError, match="refuses all requests") as error:
            endpoint(site.url).ask(SAY, Word)
        assert len(site.requests) == 1
    assert not isinstance(error.value, NoAnswer)


def test_refusals_of_one_request_are_no_answer() -> None:
    with (
        serving(lambda request, number: failure(400)) as site,
        pytest.raises(NoAnswer, match="--answer-format"),
    ):
        endpoint(site.url).ask(SAY, Word)


def test_money_has_a_limit() -> None:
    with serving(lambda request, number: completion(GOOD)) as site:
        writer = endpoint(site.url, prices=(1e4, 0.0), most_cost=1.5)
        for number in range(2):
            writer.ask([{"role": "user", "content": str(number)}], Word)
        with pytest.raises(MusicZooError, match=r"2\.00 were spent"):
            writer.ask(SAY, Word)
        assert len(site.requests) == 2


def test_few_requests_at_a_time() -> None:
    with serving(lambda request, number: slowly(completion(GOOD), 0.05)) as site:
        writer = endpoint(site.url, concurrency=2)
        threads = [
            threading.Thread(
                target=writer.ask, args=([{"role": "user", "content": str(number)}], Word)
            )
            for number in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert site.most_running <= 2
    assert writer.usage.calls == 6


def test_a_client_that_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "openai", None)
    with pytest.raises(MusicZooError, match=r'pip install "musiczoo\[llm\]"'):
        Endpoint(EndpointSettings("tiny", base_url="http://127.0.0.1:9/v1"))


def test_the_cache_shows_what_was_asked(tmp_path: Path) -> None:
    with serving(lambda request, number: completion(GOOD)) as site:
        endpoint(site.url, cache=tmp_path).ask(SAY, Word)
    [path] = tmp_path.rglob("*.json")
    kept = json.loads(path.read_text())
    assert kept["answer"] == GOOD
    assert kept["request"]["messages"] == SAY

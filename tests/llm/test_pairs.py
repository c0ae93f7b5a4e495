"""Pairs in our wordings and those of a model; each agrees with its tag."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from musiczoo.llm.mined_works import MinedTag, MinedWork
from musiczoo.llm.records import Clip
from musiczoo.llm.score_facts import FACT_TAGS, Fact
from musiczoo.llm.tag_pairs import (
    Subject,
    caption_record,
    known_of,
    template_records,
    written_records,
)
from musiczoo.llm.tag_wordings import CAPTION_QUESTIONS, CAPTION_TEST_QUESTIONS, WORDINGS
from musiczoo.llm.tags import TAG_NAMES
from musiczoo.llm.works_table import WorkRow
from musiczoo.llm.written_pairs import WrittenPairs, checked_pairs, writing_messages

TAGS = {
    "genre": "nocturne",
    "emotion": "gentle melancholy",
    "background": "Composed in Paris in 1832 for a friend.",
}
WORK = MinedWork(
    WorkRow("a.mid", "Nocturne", "Chopin"),
    "mined",
    origin="a.txt",
    writer="tiny",
    tags={name: MinedTag(value, f"Sentence of {name}.") for name, value in TAGS.items()},
)
FACTS = [Fact("key", "E flat major", "music21"), Fact("range", "from C4 to C5", "the notes")]
CLIP = Clip(0.0, 20.0, 0, 10)


def subject(split: str = "train") -> Subject:
    return Subject("a:0", "clips/a.mid", split, {"title": "Nocturne"}, CLIP)


def test_wordings_of_all_tags_differ_in_tests() -> None:
    assert set(WORDINGS) == {*TAG_NAMES, *FACT_TAGS}
    for words in WORDINGS.values():
        assert len(set(words.questions)) == len(words.questions) >= 6
        assert len(words.test_questions) >= 2
        assert not set(words.questions) & set(words.test_questions)
        assert all("{value}" in answer for answer in words.answers)
    assert not set(CAPTION_QUESTIONS) & set(CAPTION_TEST_QUESTIONS)


def test_records_in_our_wordings() -> None:
    known = known_of(WORK, FACTS)
    records = [*template_records(subject(), known, each=3, rng=random.Random(0))]
    assert Counter(record.tag for record in records) == dict.fromkeys([*TAGS, "key", "range"], 3)
    assert len({record.id for record in records}) == len(records)
    assert len({(record.tag, record.question) for record in records}) == len(records)
    values = {**TAGS, **{fact.tag: fact.value for fact in FACTS}}
    for record in records:
        assert values[record.tag] in record.answer
        assert record.clip == CLIP
        assert "{" not in record.question + record.answer
        assert record.source["split"] == "train"
        assert record.source["title"] == "Nocturne"
    genre = next(record for record in records if record.tag == "genre")
    assert (genre.source["answer"], genre.source["quote"]) == (
        "tiny from a.txt",
        "Sentence of genre.",
    )
    key = next(record for record in records if record.tag == "key")
    assert key.source["answer"] == "music21"
    assert "quote" not in key.source


def test_tests_have_wordings_of_their_own() -> None:
    known = known_of(WORK, FACTS)
    train, test = (
        {r.question for r in template_records(subject(split), known, each=9, rng=random.Random(0))}
        for split in ("train", "test")
    )
    assert not train & test
    whole = Subject("a", "a.mid", "train", {})
    asked = [*template_records(whole, known, each=9, rng=random.Random(0))]
    assert any("piece" in record.question for record in asked)
    assert not any("excerpt" in record.question for record in asked)


def test_captions_hold_all_that_is_known() -> None:
    known = known_of(WORK, FACTS)
    record = caption_record(subject(), known, random.Random(0))
    assert record is not None
    assert (record.task, record.tag) == ("caption", "caption")
    assert all(one.value in record.answer for one in known)
    assert record.source["answer"] == "tiny from a.txt; music21; the notes"
    assert caption_record(subject(), known[:1], random.Random(0)) is None


def pair(tag: str, question: str, answer: str) -> dict:
    return {"tag": tag, "question": question, "answer": answer}


GOOD = [
    pair("genre", "What kind of piece is it?", "It is a Nocturne, clearly."),
    pair("emotion", "How does it feel?", "It has a mood of gentle melancholy."),
    pair("background", "Why was it written?", "It was composed in Paris in 1832, for a friend."),
]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (pair("genre", "What is it then?", "It is a waltz."), "an answer without its tag"),
        (pair("genre", "What is it then?", "It is nocturnes."), "an answer without its tag"),
        (
            pair("genre", "Is it a nocturne?", "It is a nocturne."),
            "a question that gives the answer",
        ),
        (
            pair("genre", "What is it then?", "A nocturne of 1832."),
            "a number that the tag does not hold",
        ),
        (pair("background", "Why was it written?", "For money."), "an answer unlike its tag"),
        (pair("style", "Which style is it?", "Romantic."), "a tag that the work has not"),
        (GOOD[0], "the question comes twice"),
    ],
)
def test_pairs_that_disagree_with_their_tag_are_dropped(bad: dict, reason: str) -> None:
    written = WrittenPairs.model_validate({"pairs": [*GOOD, bad], "captions": []})
    found = checked_pairs(written, TAGS)
    assert [one.model_dump() for one in found.pairs] == GOOD
    assert found.dropped == {reason: 1}


def test_captions_of_a_model_are_checked() -> None:
    captions = [
        "A nocturne of\n gentle melancholy.",
        "A nocturne.",
        "A nocturne of gentle melancholy of 1999.",
    ]
    written = WrittenPairs.model_validate({"pairs": [], "captions": captions})
    found = checked_pairs(written, TAGS)
    assert found.captions == ("A nocturne of gentle melancholy.",)
    assert found.dropped == {
        "a caption without one of the tags": 1,
        "a number that no tag holds": 1,
    }


def test_records_of_a_model_name_it() -> None:
    written = WrittenPairs.model_validate(
        {"pairs": GOOD, "captions": ["A nocturne of gentle melancholy."]}
    )
    pairs = checked_pairs(written, TAGS, "tiny")
    records = [*written_records(subject(), known_of(WORK, ()), pairs, random.Random(0))]
    assert [record.tag for record in records] == ["genre", "emotion", "background", "caption"]
    assert {record.source["written_by"] for record in records} == {"tiny"}
    assert records[0].source["quote"] == "Sentence of genre."


def test_the_request_holds_tags_and_counts() -> None:
    system, user = writing_messages(TAGS, 4, 0)
    assert "4 different questions" in system["content"]
    assert "no captions" in system["content"]
    assert "background (long): Composed" in user["content"]
    assert "genre (short): nocturne" in user["content"]

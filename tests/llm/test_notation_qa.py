"""Questions about works: balanced, with wordings of their own in the test, and right answers."""

from __future__ import annotations

import random
from collections import Counter

import pytest

from musiczoo.llm.closed_questions import CLOSED
from musiczoo.llm.notation_qa import answer_counts, balanced, notation_records
from musiczoo.llm.outside_questions import UNKNOWN, outside_questions
from musiczoo.music.abc import read_abc
from musiczoo.music.analysis.notation_facts import STATED_IN, notation_facts
from musiczoo.music.corpora.reading import work_of


def works(count: int):
    found = []
    for seed in range(count):
        rng = random.Random(seed)
        key = "C" if rng.random() < 0.8 else "Am"
        bars = "|".join("".join(rng.choices("CDEFGABc", k=4)) for _ in range(4))
        found.append(work_of(read_abc(f"X:{seed}\nT:no. {seed}\nM:4/4\nL:1/4\nK:{key}\n{bars}|\n")))
    return found


def test_no_answer_has_more_than_half() -> None:
    records = notation_records(works(80), "train")
    mode = answer_counts(records)["mode"]
    assert set(mode) == {"It is in a major mode.", "It is in a minor mode."}
    assert len(set(mode.values())) == 1


@pytest.mark.parametrize("most", [0.3, 0.5, 0.9, 1.0])
def test_balancing_thins_out_the_most_common_alone(most: float) -> None:
    answers = ["a"] * 60 + ["b"] * 25 + ["c"] * 15
    kept = balanced(answers, most, random.Random(0))
    counts = Counter(answers[place] for place in kept)
    assert (counts["b"], counts["c"]) == (25, 15)
    assert counts["a"] == min(60, int(40 * most / (1 - most)) if most < 1 else 60)
    assert kept == sorted(set(kept))


def test_answers_follow_from_the_piece_and_name_their_source() -> None:
    some = works(30)
    by_id = {work.id: work for work in some}
    questions = {question.tag: question for question in CLOSED}
    records = notation_records(some, "train")
    assert len({record.id for record in records}) == len(records)
    for record in records:
        assert record.source["split"] == "train"
        if record.tag in questions:
            work = by_id[record.midi]
            facts = notation_facts(work.tune)
            assert record.answer == questions[record.tag].answer(facts, work.source)
            assert record.source["answer"] == STATED_IN[record.tag]
            assert record.source["title"].startswith("no.")


def test_wordings_of_the_test_are_not_those_of_training() -> None:
    for question in CLOSED:
        assert not set(question.wordings) & set(question.test_wordings)
        assert len(set(question.wordings)) == len(question.wordings) >= 10
    train = {record.question for record in notation_records(works(20), "train")}
    test = {record.question for record in notation_records(works(20), "test")}
    assert not train & test


def test_questions_outside() -> None:
    train = outside_questions(10_000, test=False)
    test = outside_questions(100, test=True)
    assert len(test) == len(set(test)) == 100
    assert not set(train) & set(test)
    assert len(train) == len(set(train)) > 900
    records = [r for r in notation_records(works(20), "test") if r.tag == "outside"]
    assert len(records) == 100
    assert {record.answer for record in records} == {UNKNOWN}


def test_the_same_seed_gives_the_same_questions() -> None:
    some = works(12)
    assert notation_records(some, "train", seed=3) == notation_records(some, "train", seed=3)
    assert notation_records(some, "train", seed=3) != notation_records(some, "train", seed=4)

"""Questions and answers about the works of a corpus, from their notes and fields alone."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from musiczoo.llm.closed_questions import CLOSED, ClosedQuestion
from musiczoo.llm.outside_questions import UNKNOWN, outside_questions
from musiczoo.llm.records import QARecord
from musiczoo.llm.wordings import wordings_of
from musiczoo.music.analysis.notation_facts import STATED_IN, NotationFacts, notation_facts
from musiczoo.music.corpora.corpus import Work

_CAPTION_WORDINGS = (
    "Describe this piece.",
    "Write a caption for the music.",
    "What can you say about this tune?",
    "Give a description of the piece.",
    "Tell me about the music.",
    "Summarise the piece in a few sentences.",
)
_CAPTION_TESTS = ("Write a description of the music.", "What can you tell me about this piece?")


def notation_records(
    works: Sequence[Work], split: str, *, seed: int = 0, most: float = 0.5, outside: float = 0.15
) -> list[QARecord]:
    """Closed questions, captions and questions outside about works.

    Of each closed question as many works are asked about as leave no answer with more than
    ``most`` of them, where this is possible; the others are drawn without replacement.

    Args:
        works: Of one split.
        split: Its name; works of ``"test"`` are asked in wordings of their own.
        seed: Of the choice of works and wordings.
        most: Largest part of the most common answer of a question.
        outside: Questions outside for each closed one.

    Returns:
        The records; ``midi`` is the id of the work.
    """
    test = split == "test"
    facts = {work.id: notation_facts(work.tune) for work in works}
    asked: list[QARecord] = []
    for question in CLOSED:
        asked += _asked(
            question, works, facts, split, random.Random(f"{seed}:{question.tag}"), most
        )
    captions = list(_captions(works, facts, split, random.Random(f"{seed}:caption")))
    rng = random.Random(f"{seed}:outside:{split}")
    questions = outside_questions(100_000, test=test, seed=seed)
    count = min(len(questions), 100) if test else round(outside * len(asked))
    unknown = [
        QARecord(
            id=f"{split}:outside:{number}",
            midi=rng.choice(works).id,
            question=questions[number] if test else rng.choice(questions),
            answer=UNKNOWN,
            tag="outside",
            source={"answer": "no note states it", "split": split},
        )
        for number in range(count)
    ]
    return [*asked, *captions, *unknown]


def balanced(answers: Sequence[str], most: float, rng: random.Random) -> list[int]:
    """Places of a choice of answers in which none has more than a part of all.

    Args:
        answers: The answers.
        most: Largest part, 0 to 1. The most common answer is thinned out; two answers alone cannot
            have less than a half each.
        rng: Chooses those that are left out.
    """
    places: dict[str, list[int]] = defaultdict(list)
    for place, answer in enumerate(answers):
        places[answer].append(place)
    if not places:
        return []
    common = max(places, key=lambda answer: len(places[answer]))
    others = len(answers) - len(places[common])
    keep = len(answers) if most >= 1 else int(others * most / (1 - most))
    if others and len(places[common]) > keep:
        places[common] = rng.sample(places[common], keep)
    return sorted(place for some in places.values() for place in some)


def _asked(
    question: ClosedQuestion,
    works: Sequence[Work],
    facts: dict[str, NotationFacts],
    split: str,
    rng: random.Random,
    most: float,
) -> Iterable[QARecord]:
    found = [(work, question.answer(facts[work.id], work.source)) for work in works]
    known = [(work, answer) for work, answer in found if answer is not None]
    written = question.test_wordings if split == "test" else question.wordings
    patterned = [w for w in wordings_of(question.tag) if w not in question.test_wordings]
    for place in balanced([answer for _, answer in known], most, rng):
        work, answer = known[place]
        yield QARecord(
            id=f"{work.id}:{question.tag}",
            midi=work.id,
            question=rng.choice(written if split == "test" or rng.random() < 0.4 else patterned),
            answer=answer,
            tag=question.tag,
            source=_source(work, split, STATED_IN[question.tag]),
        )


def _captions(
    works: Sequence[Work], facts: dict[str, NotationFacts], split: str, rng: random.Random
) -> Iterable[QARecord]:
    for work in works:
        sentences = [question.answer(facts[work.id], work.source) for question in CLOSED]
        known = [sentence for sentence in sentences if sentence is not None]
        yield QARecord(
            id=f"{work.id}:caption",
            midi=work.id,
            question=rng.choice(_CAPTION_TESTS if split == "test" else _CAPTION_WORDINGS),
            answer=" ".join(known),
            tag="caption",
            task="caption",
            source=_source(work, split, "the notes and fields of the piece"),
        )


def _source(work: Work, split: str, answer: str) -> dict[str, Any]:
    title = work.tune.field("T")
    known = {"title": title, "composer": work.labels and work.labels.composer}
    stated = {name: value for name, value in known.items() if value}
    return {"answer": answer, **stated, "dataset": work.source, "split": split}


def answer_counts(records: Iterable[QARecord]) -> dict[str, Counter[str]]:
    """How often each answer is given, by tag."""
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for record in records:
        counts[record.tag][record.answer] += 1
    return dict(counts)

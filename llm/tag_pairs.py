"""Questions, answers and captions about a clip, from its tags and facts."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from musiczoo.llm.mined_works import MinedWork
from musiczoo.llm.records import Clip, QARecord
from musiczoo.llm.score_facts import FACT_TAGS, Fact
from musiczoo.llm.tag_wordings import (
    CAPTION_QUESTIONS,
    CAPTION_TEST_QUESTIONS,
    CLIP,
    PIECE,
    WORDINGS,
)
from musiczoo.llm.tags import LONG_TAGS
from musiczoo.llm.written_pairs import CheckedPairs

# In which order a caption mentions what is known.
_ORDER = ("genre", "style", *FACT_TAGS, "emotion", "expressive_intent", "background")


@dataclass(frozen=True)
class Known:
    """What is known about a piece under one tag.

    Attributes:
        tag: The tag.
        value: Its value.
        source: ``answer`` says where it comes from; ``quote`` quotes it.
    """

    tag: str
    value: str
    source: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Subject:
    """What is asked about.

    Attributes:
        id: The beginning of the ids of its records.
        midi: The file that is given to the model.
        split: ``"test"`` is asked in wordings of its own.
        source: Title, composer, dataset and file.
        clip: Of which part of the piece it is; None for the whole.
    """

    id: str
    midi: str
    split: str
    source: Mapping[str, Any]
    clip: Clip | None = None

    def record(self, number: str, known: Known, question: str, answer: str) -> QARecord:
        """A record about it."""
        music = PIECE if self.clip is None else CLIP
        return QARecord(
            id=f"{self.id}:{known.tag}:{number}",
            midi=self.midi,
            question=question.replace("{music}", music),
            answer=answer,
            tag=known.tag,
            task="caption" if known.tag == "caption" else "qa",
            source={**known.source, **self.source, "split": self.split},
            clip=self.clip,
        )


def known_of(work: MinedWork, facts: Sequence[Fact]) -> list[Known]:
    """The tags of a work and the facts of its clip, in the order of captions."""
    mined = f"{work.writer} from {work.origin}"
    found = {
        name: Known(name, tag.value, {"answer": mined, "quote": tag.quote})
        for name, tag in work.tags.items()
    }
    found |= {fact.tag: Known(fact.tag, fact.value, {"answer": fact.source}) for fact in facts}
    return [found[name] for name in _ORDER if name in found]


def template_records(
    subject: Subject, known: Sequence[Known], *, each: int, rng: random.Random
) -> Iterator[QARecord]:
    """Questions in wordings of ours, and answers that hold the value.

    Args:
        subject: What is asked about.
        known: What is known of it.
        each: Pairs for each tag, at most as many as there are wordings of questions.
        rng: Chooses the wordings.
    """
    for one in known:
        words = WORDINGS[one.tag]
        questions = words.test_questions if subject.split == "test" else words.questions
        chosen = rng.sample(questions, min(each, len(questions)))
        for number, question in enumerate(chosen):
            yield subject.record(str(number), one, question, sentence(one, rng))


def sentence(known: Known, rng: random.Random) -> str:
    """A sentence with the value of a tag."""
    if known.tag in LONG_TAGS:
        text = known.value[:1].upper() + known.value[1:]
        return text if text.endswith((".", "!", "?")) else f"{text}."
    return rng.choice(WORDINGS[known.tag].answers).replace("{value}", known.value.rstrip("."))


def caption_record(subject: Subject, known: Sequence[Known], rng: random.Random) -> QARecord | None:
    """A description of a few sentences from all that is known; None where this is less than two."""
    if len(known) < 2:
        return None
    text = " ".join(sentence(one, rng) for one in known)
    return subject.record("0", _described(known), _caption_question(subject, rng), text)


def written_records(
    subject: Subject, known: Sequence[Known], written: CheckedPairs, rng: random.Random
) -> Iterator[QARecord]:
    """The records of pairs and captions that a model wrote from the tags.

    Args:
        subject: What is asked about.
        known: What is known of it.
        written: Checked pairs and captions.
        rng: Chooses the questions of captions.
    """
    by_tag = {one.tag: one for one in known}
    for number, pair in enumerate(written.pairs):
        one = by_tag[pair.tag]
        source = {**one.source, "written_by": written.writer}
        made = replace(one, source=source)
        yield subject.record(f"w{number}", made, pair.question, pair.answer)
    for number, text in enumerate(written.captions):
        made = _described(known)
        made = replace(made, source={**made.source, "written_by": written.writer})
        yield subject.record(f"w{number}", made, _caption_question(subject, rng), text)


def _described(known: Iterable[Known]) -> Known:
    """What a caption says, with all its sources."""
    answers = dict.fromkeys(one.source["answer"] for one in known)
    return Known("caption", "", {"answer": "; ".join(answers)})


def _caption_question(subject: Subject, rng: random.Random) -> str:
    return rng.choice(CAPTION_TEST_QUESTIONS if subject.split == "test" else CAPTION_QUESTIONS)

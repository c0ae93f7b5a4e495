"""Questions about pieces as rows, and back."""

from __future__ import annotations

import pytest
import torch

from musiczoo.music.abc import read_abc
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.music_questions import (
    ANSWER,
    MUSIC,
    PROMPT,
    Asked,
    MusicQuestions,
    QuestionTemplate,
    placeholder,
)
from musiczoo.representations.octuple import OctupleMidi
from musiczoo.representations.text_tokens import TextTokens

TOKENS = TextTokens.bytes()
TUNE = read_abc("M:4/4\nL:1/8\nK:G\nG2B2d2g2|f4z4|")


def test_rows_are_the_text_before_the_notes_the_text_behind_and_the_answer() -> None:
    questions = MusicQuestions(TOKENS)
    rows = questions.encode(Asked(TUNE, "Which key?", "G."))
    kinds = rows[:, 0].tolist()
    notes = OctupleMidi().encode(TUNE)
    middle = len(TOKENS.ids("\nQuestion: Which key?\nAnswer:"))
    expected = [PROMPT, *[MUSIC] * len(notes), *[PROMPT] * middle, *[ANSWER] * 4]
    assert kinds == expected
    assert torch.equal(rows[1 : 1 + len(notes), 1:], notes)
    assert rows[0, 1] == TOKENS.bos
    assert rows[-1, 1] == TOKENS.eos
    found = questions.decode(rows)
    assert (found.question, found.answer) == ("Which key?", "G.")
    assert found.piece.note_num() == 5


def test_a_prompt_has_no_answer() -> None:
    questions = MusicQuestions(TOKENS)
    prompt = questions.encode(Asked(TUNE, "Which key?"))
    whole = questions.encode(Asked(TUNE, "Which key?", "G."))
    assert torch.equal(prompt, whole[: len(prompt)])
    assert questions.decode(prompt).answer is None
    assert questions.text(whole) == "G."


def test_settings_come_back() -> None:
    template = QuestionTemplate(head="Listen.", tail="\nA:", lead="")
    one = MusicQuestions(TOKENS, OctupleMidi(50, plain=True), template=template, max_length=90)
    again = MusicQuestions.from_config(one.to_config())
    assert again.to_config() == one.to_config()
    asked = Asked(TUNE, "Which key?", "G.")
    assert torch.equal(one.encode(asked), again.encode(asked))


def test_plain_octuples_ignore_what_notation_does_not_state() -> None:
    from symusic import Note, Score, Tempo, Track

    loud, soft = Score(480), Score(480)
    for score, program, velocity, tempo in ((loud, 40, 120, 60), (soft, 0, 20, 200)):
        track = Track("", program, False)
        track.notes.extend([Note(0, 480, 60, velocity), Note(480, 480, 64, velocity)])
        drums = Track("", 0, True)
        drums.notes.append(Note(0, 10, 38, 90))
        score.tracks.extend([track, drums])
        score.tempos.append(Tempo(0, qpm=tempo))
    plain = OctupleMidi(plain=True)
    assert torch.equal(plain.encode(loud), plain.encode(soft))
    assert not torch.equal(OctupleMidi().encode(loud), OctupleMidi().encode(soft))
    assert len(plain.encode(loud)) == 4


def test_abc_stands_for_the_music_and_loses_its_middle_where_it_is_too_long() -> None:
    questions = MusicQuestions(TOKENS, music="abc", max_length=160)
    long = read_abc("M:4/4\nL:1/8\nK:C\n" + "CDEF GABc|" * 60 + "c8|]")
    rows = questions.encode(Asked(long, "Which key?", "C."))
    assert len(rows) <= 160
    text = TOKENS.decode(rows[rows[:, 0] == PROMPT, 1])
    assert text.startswith("L:1/8\nK:none")
    assert "c8|]" in text


@pytest.mark.parametrize("question", ["", " \n", "x" * 20_001])
def test_questions_that_are_none(question: str) -> None:
    with pytest.raises(MusicZooError, match="cannot be answered"):
        MusicQuestions(TOKENS).encode(Asked(TUNE, question))


def test_a_question_longer_than_the_context() -> None:
    with pytest.raises(MusicZooError, match="does not fit into 60"):
        MusicQuestions(TOKENS, max_length=60).encode(Asked(TUNE, "x" * 80))


def test_special_tokens_of_a_template_are_special_and_those_of_users_are_text() -> None:
    template = QuestionTemplate("⟨BOS⟩", "\n", "⟨EOS⟩", "", "⟨EOS⟩", is_chat=True)
    questions = MusicQuestions(TOKENS, template=template)
    rows = questions.around(placeholder(), "⟨BOS⟩?", "⟨EOS⟩!")
    assert int((rows[:, 1] == TOKENS.bos).sum()) == 1
    assert int((rows[:, 1] == TOKENS.eos).sum()) == 2
    with pytest.raises(MusicZooError, match="does not exist"):
        MusicQuestions(TOKENS, template=QuestionTemplate(end="<|end|>"))

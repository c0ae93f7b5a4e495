"""The command ``musiczoo ask``: answers to questions about pieces."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from musiczoo.hub.opening import MODEL_HELP, open_model
from musiczoo.models.base.capabilities import Answers
from musiczoo.music.errors import MusicZooError
from musiczoo.music.files import read

DEFAULT = "midi-llama-small"


def parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        prog="musiczoo ask",
        description=(
            "Answers questions about a piece. The first answer is written token by token; several"
            " questions are answered in one batch."
        ),
    )
    parser.add_argument("file", type=Path, help="MIDI, MusicXML or ABC")
    parser.add_argument("question", nargs="+", help="one or more, each in quotes")
    parser.add_argument("--model", default=DEFAULT, help=f"default: {DEFAULT}; {MODEL_HELP}")
    parser.add_argument("--max-tokens", type=int, default=128, help="of an answer, at most")
    parser.add_argument("--json", action="store_true", help="one JSON document on standard output")
    return parser


def run(words: Sequence[str]) -> list[str]:
    """Answers, and prints the answers.

    Args:
        words: The options.

    Raises:
        MusicZooError: A file that cannot be read or holds no notes, a model that answers nothing,
            or a question that is empty or too long.
        SystemExit: Wrong usage.
    """
    options = parser().parse_args(words)
    if options.max_tokens < 1:
        raise MusicZooError("An answer has at least one token.", where="--max-tokens")
    piece = read(options.file)
    model = open_model(options.model)
    if not isinstance(model, Answers):
        raise MusicZooError(
            f"{options.model} answers no questions.",
            where="--model",
            remedy=f"Leave --model out ({DEFAULT}), or give a model of midi_llama.",
        )
    questions = options.question
    shown = _Shown() if len(questions) == 1 and not options.json else None
    settings = {"max_new_tokens": options.max_tokens, "on_progress": shown}
    try:
        answers = model.answer([piece] * len(questions), questions, **settings)
    except MusicZooError as error:
        raise error.at(path=options.file) from None
    if options.json:
        rows = [{"question": q, "answer": a} for q, a in zip(questions, answers, strict=True)]
        sys.stdout.write(json.dumps({"file": str(options.file), "answers": rows}) + "\n")
    elif shown is not None:
        shown.end(answers[0])
    else:
        for question, answer in zip(questions, answers, strict=True):
            sys.stdout.write(f"{question}\n  {answer}\n")
    return answers


class _Shown:
    """Writes an answer as it grows."""

    def __init__(self) -> None:
        self.text = ""

    def __call__(self, number: int, text: str) -> None:
        """Writes what is new; half a character waits for its other half."""
        if text.startswith(self.text) and not text.endswith("\ufffd"):
            sys.stdout.write(text[len(self.text) :])
            sys.stdout.flush()
            self.text = text

    def end(self, answer: str) -> None:
        """Writes what is still missing, and the end of the line."""
        sys.stdout.write(answer[len(self.text) :] + "\n")

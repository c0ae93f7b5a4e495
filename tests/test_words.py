"""Docstrings, comments, messages and documents are in plain modern English.

The phrases are those that readers whose first language is another stumble over, and old names of
things. They are searched in the comments and strings of Python files, and in all of Markdown and
YAML files.
"""

from __future__ import annotations

import io
import re
import subprocess
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Phrase (a regular expression; a space stands for any white space) and what to write instead.
PHRASES = {
    r"anew": "again, new",
    r"but for": "except, apart from",
    r"to be had": "available, exists",
    r"told": "given, reported, stated, separated",
    r"tells? of": "reports",
    r"thereof|whereof|wherein|therein|hereof": "of it, in which",
    r"of (its|their) own accord": "by itself",
    r"(takes?|took|taking|taken) up": "loads, opens, includes",
    r"said": "generated, stated, given",
    r"(models?|nets?|decoders?|policy|policies|modules?|encoders?|files?|headers?|checkpoints?|folders?"
    r"|recipes?|counters?|prompts?|rewards?|cards?|tables?|configs?) (say|says)": "generate, state, hold",
    r"what (it|they) (has|have) (made|written|said)": "its results, the generated text",
    r"so many": "a number of, that number of",
    r"in vain": "without result",
    r"for the while": "meanwhile, during",
    r"in the place of": "instead of, in place of",
    r"(comes?|came|coming) by": "gets, receives, is given by",
    r"looks at": "examines, reads",
    r"lays? out": "arranges, formats",
    r"(is|are|be) worth": "equals, counts",
    r"go(es)? on (from|where|at)": "continues",
    r"speaks?": "generates, uses",
    r"ears?": "audio scorer",
    # Names of files and seeds are as they were.
    r"portraits?(?!\.json|\.npz|:\{|/|`` |\")|portrays?|portrayed|portraying": "evaluation, evaluate",
    r"((real|degraded|clean|rendered|two|these|their) takes|(a|one|real|degraded) take)"
    r"(?! (up|care|part|place|account|note|time|longer))": "passage",
    r"(round|rollout)[ _]?makers?": "preference sampler, rollout sampler",
    r"take_record|take_adapter": "load_record, load_adapter_tensors",
    r"without a word": "silently, without a message",
    r"albeit|lest|whence|nought|naught|hither|thither": "although, so that not, from where, zero",
}

# Files that hold old names or the phrases themselves.
EXEMPT = {"CHANGELOG.md", "tests/test_words.py", "zoo/moved.py"}
FOLDERS = ("tests/fixtures/", "docs/results/")

PATTERN = re.compile(
    "|".join(
        rf"(?P<p{number}>(?<![\w-])(?:{phrase.replace(' ', chr(92) + 's+')})(?![\w-]))"
        for number, phrase in enumerate(PHRASES)
    ),
    re.IGNORECASE,
)
REMEDIES = list(PHRASES.values())


def files() -> list[Path]:
    """All tracked Python, Markdown and YAML files that are searched."""
    listed = subprocess.run(
        ["git", "ls-files", "*.py", "*.md", "*.yaml", "*.yml"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    ).stdout.split("\n")
    return [
        ROOT / name
        for name in listed
        if name and name not in EXEMPT and not name.startswith(FOLDERS) and (ROOT / name).is_file()
    ]


def prose(text: str) -> str:
    """The comments and strings of a program; everything else is blank, and lines stay in place."""
    lines = [[" "] * len(line) for line in text.splitlines()]
    source = text.splitlines()
    kinds = {tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1)}
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        # A string of one word is a key, a name or a path.
        if token.type not in kinds or re.fullmatch(r"\w*[\"'][^\s\"']*[\"']", token.string):
            continue
        (first, start), (last, end) = token.start, token.end
        for number in range(first - 1, last):
            left = start if number == first - 1 else 0
            right = end if number == last - 1 else len(source[number])
            lines[number][left:right] = source[number][left:right]
    # A sentence may run over the lines of a comment; names in the fields of f-strings are no prose.
    whole = "\n".join(re.sub(r"^(\s*)#", r"\1 ", "".join(line)) for line in lines)
    return re.sub(r"\{[^{}\n]*\}", lambda field: " " * len(field[0]), whole)


def found(text: str, name: str) -> Iterator[str]:
    """``file:line: phrase (what to write instead)`` for every phrase in a text."""
    for match in PATTERN.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        number = int(str(match.lastgroup).removeprefix("p")) if match.lastgroup else 0
        phrase = " ".join(match[0].split())
        yield f"{name}:{line}: {phrase!r} ({REMEDIES[number]})"


def phrases_of(path: Path) -> list[str]:
    """The phrases to avoid that a file holds."""
    text = path.read_text()
    return [
        *found(prose(text) if path.suffix == ".py" else text, path.relative_to(ROOT).as_posix())
    ]


def test_the_search_finds_phrases_in_strings_and_comments_alone() -> None:
    program = (
        'told = 1  # is told\n"""What is\nto be had."""\nraise ValueError("it goes on from")\n'
    )
    assert [line.partition(" (")[0] for line in found(prose(program), "x.py")] == [
        "x.py:1: 'told'",
        "x.py:3: 'to be had'",
        "x.py:4: 'goes on from'",
    ]
    assert not [*found("it takes time; the earlier bars; years; a retold; two takes part", "x.md")]


@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="the files are listed by git")
def test_texts_are_plain() -> None:
    phrases = [line for path in files() for line in phrases_of(path)]
    assert not phrases, f"{len(phrases)} phrases to avoid:\n" + "\n".join(phrases)

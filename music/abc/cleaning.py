"""Tunes made ready for training: lyrics and background text dropped, musical annotations kept.

Wang et al. 2025 (NotaGen, arXiv 2502.18008, section 3.1) train on pure musical notation: "we
removed text annotations that carry no musical information, such as lyrics and background
information". The rules are those of the published data script; those that are ours are marked so:

==============  ==================================================================================
kept            ``L M K Q V I m U P`` lines, ``%%score``, ``%%staves``,
                ``%%propagate-accidentals``, prompt lines (``%Baroque``)
dropped         titles, composers, lyrics, transcribers, sources and all other header lines;
                ``%%MIDI`` and layout directives
quoted text     chord symbols stay; annotations stay when they are short; empty ones and those that
in a bar        hold a bar-line go
characters      everything is ASCII afterwards, because the bar stream's alphabet is
==============  ==================================================================================
"""

from __future__ import annotations

import re
from dataclasses import replace

from unidecode import unidecode

from musiczoo.music.abc import Bar, Field, Tune, Voice

MAX_STAVES = 16
"""NotaGen leaves scores of more than 16 staves out of training (section 3.1)."""

MAX_ANNOTATION = 40
"""A longer annotation, quotes included, is background text (the published script's figure)."""

# The published script names what it drops, as it reads only its own converter's output. Tune books
# hold many more kinds of lines (S N H B D F A O G R ...), so ours names the lines that it keeps.
_KEPT_FIELDS = frozenset("LMKQVImUP")
_KEPT_DIRECTIVES = ("score", "staves", "propagate-accidentals", "writeout-accidentals")
_PROMPT_LINES = 3

_QUOTED = re.compile(r'"[^"]*"')
_INLINE_FIELD = re.compile(r"\[([A-Za-z]):([^\]]*)\]")
_REPEATED_SIGN = re.compile(r"([^A-Za-z0-9])\1+")
_SPACE = re.compile(r"\s+")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]+")


def clean(tune: Tune) -> Tune:
    """The tune without lyrics and background text, in ASCII.

    Args:
        tune: Any tune.

    Returns:
        The same music: events, bar-lines, keys and meters are untouched.
    """
    header = tuple(
        cleaned
        for index, line in enumerate(tune.header)
        if (cleaned := _clean_line(line, index, tune.header)) is not None
    )
    voices = tuple(
        Voice(voice.id, tuple(_clean_bar(bar) for bar in voice.bars)) for voice in tune.voices
    )
    return replace(tune, header=header, voices=voices)


def with_prompt(tune: Tune, period: str, composer: str, instrumentation: str) -> Tune:
    """The tune with the three comment lines that condition a model (NotaGen section 3.3).

    They replace the comment lines that the tune has.

    Args:
        tune: Any tune.
        period: ``"Baroque"``.
        composer: As IMSLP writes it, ``"Bach, Johann Sebastian"``; non-ASCII letters are folded.
        instrumentation: ``"Choral"``.
    """
    prompt = tuple(Field("%", _ascii(label)) for label in (period, composer, instrumentation))
    return tune.with_header((*prompt, *(line for line in tune.header if line.name != "%")))


def _clean_line(line: Field, index: int, header: tuple[Field, ...]) -> Field | None:
    if line.name == "%":
        return Field("%", _ascii(line.value)) if _is_prompt(line, index, header) else None
    if line.name == "%%":
        return (
            Field("%%", _ascii(line.value))
            if line.value.strip().startswith(_KEPT_DIRECTIVES)
            else None
        )
    return Field(line.name, _tidy(line.value)) if line.name in _KEPT_FIELDS else None


def _is_prompt(line: Field, index: int, header: tuple[Field, ...]) -> bool:
    """Whether a comment line is one of a prompt's three, and not a transcriber's remark."""
    before = [other for other in header[:index] if other.name not in ("X", "%%")]
    if any(other.name != "%" for other in before) or len(before) >= _PROMPT_LINES:
        return False
    value = line.value
    return (
        bool(value.strip())
        and not value[0].isspace()
        and not value.startswith("abc")
        and len(value) <= MAX_ANNOTATION
    )


def _clean_bar(bar: Bar) -> Bar:
    text = bar.text.replace('\\"', "")
    if not text.isascii() or '"' in text or "[" in text or _CONTROL.search(text):
        text = _clean_quotes(text)
        text = _INLINE_FIELD.sub(
            lambda found: found.group(0) if found.group(1) in _KEPT_FIELDS else "", text
        )
    return bar if text == bar.text else replace(bar, text=text.strip())


def _clean_quotes(text: str) -> str:
    """Quoted texts by the rules of the table above, the rest in ASCII.

    Quotes are found before letters are folded: folding turns a typographic quote into a plain one,
    which would end the text early.
    """
    parts: list[str] = []
    end = 0
    for quoted in _QUOTED.finditer(text):
        parts.append(_ascii_code(text[end : quoted.start()]))
        parts.append(_clean_quoted(quoted.group()[1:-1]))
        end = quoted.end()
    # An odd quote would swallow what follows it in the bar, so it goes.
    parts.append(_ascii_code(text[end:].replace('"', "")))
    return "".join(parts)


def _clean_quoted(inner: str) -> str:
    inner = _CONTROL.sub(" ", unidecode(inner)).replace('"', "'")
    if not inner or "|" in inner or "::" in inner:
        return ""
    if inner[0] not in "^_<>@":
        return f'"{inner}"'
    if not inner[1:].strip():
        return ""
    # The script handles ^ and _ alone, the only ones that its converter writes.
    inner = _REPEATED_SIGN.sub(r"\1", inner)
    return f'"{inner}"' if len(inner) + 2 <= MAX_ANNOTATION else ""


def _ascii_code(code: str) -> str:
    """Music code in ASCII.

    Nothing outside ASCII has a meaning there, and a folded letter would be read as a note.
    """
    return _CONTROL.sub(" ", code).encode("ascii", "ignore").decode("ascii")


def _ascii(text: str) -> str:
    return _SPACE.sub(" ", _CONTROL.sub(" ", unidecode(text))).strip()


def _tidy(value: str) -> str:
    r"""A header value in ASCII.

    Names that some exports fill with white space and escapes (``nm="\n\t:Violin 1"``) made plain.
    """
    parts = _QUOTED.split(value)
    names = [
        _ascii(name[1:-1].replace("\\n", " ").replace("\\t", " ")).replace('"', "'").strip(" :")
        for name in _QUOTED.findall(value)
    ]
    plain = [_CONTROL.sub(" ", unidecode(part)) for part in parts]
    return _SPACE.sub(
        " ",
        plain[0] + "".join(f'"{name}"{part}' for name, part in zip(names, plain[1:], strict=True)),
    ).strip()

"""Single lines of an ABC text: header fields and comments."""

from __future__ import annotations

import re

from musiczoo.music.abc.notation import Field

_FIELD = re.compile(r"([A-Za-z+]):[ \t]*(.*)$")
_COMMENT = re.compile(r'((?:[^"%\\]|\\.|"[^"]*"|"[^"]*$)*?)(?<!\\)%.*$')


def without_comment(text: str) -> str:
    """A line without the comment at its end; a percent sign between quotes begins none."""
    if "%" not in text:
        return text
    match = _COMMENT.match(text)
    return match[1] if match else text


def header_field(text: str) -> Field | None:
    """A header line as a field; None for a line that is no header line."""
    stripped = text.strip()
    if stripped.startswith("%%"):
        return Field("%%", stripped[2:].strip())
    if stripped.startswith("%"):
        return Field("%", stripped[1:])
    match = _FIELD.match(stripped)
    return Field(match[1], without_comment(match[2]).strip()) if match else None

"""Texts and small numbers of MusicXML elements as ABC can hold them."""

from __future__ import annotations


def plain_text(text: str | None) -> str:
    """Text that can stand in an ABC field or between quotation marks.

    It is one line without quotes, bar-lines and comment signs.
    """
    return " ".join(
        (text or "").replace('"', "'").replace("|", "/").replace("%", "").replace("\\", "").split()
    )


def small_number(text: str | None) -> int:
    """A number whose damage does no harm, within 100 either way: 0 when it cannot be read."""
    try:
        return max(-100, min(100, round(float(text or "0"))))
    except (ValueError, OverflowError):
        return 0

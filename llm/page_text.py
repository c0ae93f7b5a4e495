"""The readable text of a web page, without scripts, styles, menus and hidden parts."""

from __future__ import annotations

import re
from html.parser import HTMLParser

# What holds no prose about music. Nothing of a page is ever run.
_SKIPPED = frozenset(
    {"script", "style", "noscript", "template", "nav", "header", "footer", "aside", "form"}
    | {"svg", "math", "iframe", "object", "button", "select"}
)
_BLOCKS = frozenset(
    {"p", "div", "section", "article", "main", "br", "li", "ul", "ol", "tr", "table", "td", "th"}
    | {"h1", "h2", "h3", "h4", "h5", "h6", "blockquote", "pre", "dd", "dt", "title"}
)
_CHARSET = re.compile(rb"<meta[^>]+charset=[\"']?([\w-]+)", re.IGNORECASE)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self.inside: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _SKIPPED:
            self.inside.append(tag)
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        if tag in _SKIPPED and tag in self.inside:
            # A tag that was left open ends with the one around it.
            while self.inside.pop() != tag:
                pass
        elif tag in _BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        if not self.inside:
            self.parts.append(data)


def page_text(html: str) -> str:
    r"""The text of a page, one paragraph a line.

    >>> page_text("<h1>Waltz</h1><script>run()</script><p>Slow&nbsp;and <b>sad</b>.</p>")
    'Waltz\nSlow and sad.'
    """
    reader = _Reader()
    reader.feed(html)
    reader.close()
    lines = (" ".join(line.split()) for line in "".join(reader.parts).split("\n"))
    return "\n".join(line for line in lines if line)


def decoded(data: bytes, charset: str | None = None) -> str:
    """Bytes as text: in the charset of the server or of the page, else UTF-8, with replacements."""
    named = _CHARSET.search(data[:4096])
    for name in (charset, named[1].decode("ascii") if named else None, "utf-8-sig"):
        if name:
            try:
                return data.decode(name)
            except (LookupError, UnicodeDecodeError):
                continue
    return data.decode("utf-8", errors="replace")


def plain_text(data: bytes, *, is_html: bool, charset: str | None = None) -> str:
    """The text of a file or of an answer of a server.

    Args:
        data: Its content.
        is_html: Whether it is HTML, of which only the readable text is kept.
        charset: As the server states it.
    """
    text = decoded(data, charset)
    return page_text(text) if is_html else text.strip()

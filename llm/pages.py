"""Web pages as text, each fetched once: few, slowly, and as robots.txt allows."""

from __future__ import annotations

import json
import logging
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.robotparser import RobotFileParser

from musiczoo.llm.answer_cache import AnswerCache
from musiczoo.llm.pacing import Pace
from musiczoo.llm.page_text import plain_text
from musiczoo.music.errors import MusicZooError

AGENT = "musiczoo (annotation of music; see its documentation, qa_data.md)"
_TEXTS = ("text/html", "text/plain", "text/markdown", "application/xhtml+xml")
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Limits:
    """What a page may cost.

    Attributes:
        most_bytes: Of a page.
        seconds: For a page, its redirects included.
        redirects: At most.
        a_minute: Pages in a minute, at most.
    """

    most_bytes: int = 2 * 2**20
    seconds: float = 20.0
    redirects: int = 5
    a_minute: float = 30.0


class Pages:
    """Reads web pages by ``http`` and ``https`` alone, and keeps their text in a cache.

    Nothing of a page is run, and nothing that it refers to is loaded. A page that is not there is
    kept as well, so that it is not asked for again; a server that fails is asked again the next
    time.

    Args:
        cache: Folder of kept texts; None keeps nothing.
        limits: What a page may cost.
        robots: Obey the ``robots.txt`` of each server.
        clock: Seconds that only rise.
    """

    def __init__(
        self,
        cache: str | Path | None = None,
        *,
        limits: Limits | None = None,
        robots: bool = True,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.limits = limits or Limits()
        self.robots = robots
        self.fetched = 0
        self._cache = AnswerCache(cache)
        self._pace = Pace(self.limits.a_minute)
        self._clock = clock
        self._rules: dict[str, RobotFileParser | None] = {}
        self._opener = _opener()

    def text(self, url: str) -> str | None:
        """The text of a page; None where the server has no such page, or none that is text.

        Raises:
            MusicZooError: An address that is not of the web, a page that is too large, too slow or
                forbidden, or a server that fails.
        """
        _check(url)
        request = {"page": url}
        if (kept := self._cache.get(request)) is not None:
            return kept.get("text")
        if self.robots and not self._allowed(url):
            raise MusicZooError(
                "The server's robots.txt forbids to read this page.",
                path=url,
                remedy="Choose another source, or save the page in a folder by hand.",
            )
        text = self._fetch(url)
        self._cache.put(request, {"text": text, "fetched": int(time.time())})
        return text

    def _fetch(self, url: str) -> str | None:
        until = self._clock() + self.limits.seconds
        here = url
        for _ in range(self.limits.redirects + 1):
            self._pace.wait()
            self.fetched += 1
            try:
                status, headers, data = self._answer(here, until)
            except (OSError, ValueError, HTTPException) as error:
                reason = getattr(error, "reason", None) or error
                raise MusicZooError(
                    f"The page cannot be read: {reason}.", path=here, remedy="Try again later."
                ) from error
            if status in (404, 410):
                return None
            if status in (301, 302, 303, 307, 308) and headers.get("Location"):
                here = urljoin(here, headers["Location"])
                _check(here)
                continue
            if status != 200:
                raise MusicZooError(
                    f"The server answers {status}.", path=here, remedy="Try again later."
                )
            kind = headers.get_content_type()
            if kind not in _TEXTS:
                return None
            return plain_text(data, is_html="html" in kind, charset=headers.get_content_charset())
        raise MusicZooError(
            f"The page redirects more than {self.limits.redirects} times.", path=url
        )

    def _answer(self, url: str, until: float) -> tuple[int, Message, bytes]:
        request = urllib.request.Request(url, headers={"User-Agent": AGENT, "Accept": _TEXTS[0]})
        left = until - self._clock()
        if left <= 0:
            raise TimeoutError(f"it took more than {self.limits.seconds:g} seconds")
        with self._opener.open(request, timeout=left) as answer:
            parts: list[bytes] = []
            size = 0
            while part := answer.read1(65536):
                parts.append(part)
                size += len(part)
                if size > self.limits.most_bytes:
                    raise ValueError(f"it has more than {self.limits.most_bytes:,} bytes")
                if self._clock() > until:
                    raise TimeoutError(f"it took more than {self.limits.seconds:g} seconds")
            return answer.status, answer.headers, b"".join(parts)

    def _allowed(self, url: str) -> bool:
        parts = urlsplit(url)
        server = f"{parts.scheme}://{parts.netloc}"
        if server not in self._rules:
            self._rules[server] = self._read_rules(f"{server}/robots.txt")
        rules = self._rules[server]
        return rules is None or rules.can_fetch(AGENT, url)

    def _read_rules(self, url: str) -> RobotFileParser | None:
        """The rules of a server; None where it has none."""
        try:
            text = self._fetch(url)
        except MusicZooError as error:
            _log.warning("%s cannot be read (%s); its pages are read slowly.", url, error.message)
            return None
        if text is None:
            return None
        rules = RobotFileParser()
        rules.parse(text.splitlines())
        return rules


class _NoRedirects(urllib.request.HTTPErrorProcessor):
    """Hands every answer on, so that each redirect is checked and counted by :class:`Pages`."""

    def http_response(self, request: Any, response: Any) -> Any:
        return response

    https_response = http_response


def _opener() -> urllib.request.OpenerDirector:
    """An opener without the schemes file, ftp and data, which urlopen would follow."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        _NoRedirects(),
    ):
        opener.add_handler(handler)
    return opener


def _check(url: str) -> None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        usable = usable and parts.username is None and url.isprintable()
    except ValueError:
        usable = False
    if not usable:
        raise MusicZooError(
            f"{json.dumps(url[:200])} is no address of a web page.",
            remedy="Give addresses that begin with http:// or https://, without a user name.",
        )

"""Pages of a web site on the loopback address, good and bad."""

from __future__ import annotations

from pathlib import Path

import pytest

from musiczoo.llm.page_text import page_text, plain_text
from musiczoo.llm.pages import Limits, Pages
from musiczoo.music.errors import MusicZooError
from tests.llm.servers import serving, slowly

HTML = {"Content-Type": "text/html; charset=utf-8"}
FAST = Limits(most_bytes=10_000, seconds=5.0, redirects=3, a_minute=1e6)


def site(pages):
    def answer(path, number):
        found = pages.get(path)
        if callable(found):
            return found()
        return found or (404, HTML, b"none")

    return serving(answer)


def test_pages_are_read_once(tmp_path: Path) -> None:
    page = "<title>Nocturne</title><script>steal()</script><p>It is <i>sad</i>, très.</p>"
    with site({"/a": (200, HTML, page.encode())}) as server:
        pages = Pages(tmp_path, limits=FAST)
        assert pages.text(f"{server.url}/a") == "Nocturne\nIt is sad, très."
        assert pages.text(f"{server.url}/none") is None
        asked = len(server.requests)
        for again in (pages, Pages(tmp_path, limits=FAST)):
            assert again.text(f"{server.url}/a").startswith("Nocturne")
            assert again.text(f"{server.url}/none") is None
        assert len(server.requests) == asked
        assert server.requests.count("/robots.txt") == 1
    assert "musiczoo" in server.headers[0]["user-agent"]


def test_robots_are_obeyed(tmp_path: Path) -> None:
    rules = b"User-agent: *\nDisallow: /private\n"
    page = (200, HTML, b"<p>text")
    pages = {
        "/robots.txt": (200, {"Content-Type": "text/plain"}, rules),
        "/private/a": page,
        "/b": page,
    }
    with site(pages) as server:
        assert Pages(limits=FAST).text(f"{server.url}/b") == "text"
        with pytest.raises(MusicZooError, match=r"robots\.txt"):
            Pages(limits=FAST).text(f"{server.url}/private/a")
        assert "/private/a" not in server.requests
        assert Pages(limits=FAST, robots=False).text(f"{server.url}/private/a") == "text"


def test_redirects_are_followed_and_limited() -> None:
    def to(place: str):
        return (302, {"Location": place}, b"")

    pages = {
        "/one": to("/two"),
        "/two": (200, HTML, b"here"),
        "/loop": to("/loop"),
        "/file": to("file:///etc/passwd"),
    }
    with site(pages) as server:
        reader = Pages(limits=FAST)
        assert reader.text(f"{server.url}/one") == "here"
        with pytest.raises(MusicZooError, match="redirects more than 3"):
            reader.text(f"{server.url}/loop")
        with pytest.raises(MusicZooError, match="no address of a web page"):
            reader.text(f"{server.url}/file")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ((200, HTML, b"x" * 20_000), "more than 10,000 bytes"),
        ((500, HTML, b""), "answers 500"),
        (None, "cannot be read"),
    ],
)
def test_pages_that_cannot_be_read_are_errors_and_not_kept(tmp_path, reply, reason) -> None:
    with serving(
        lambda path, number: (404, HTML, b"") if path == "/robots.txt" else reply
    ) as server:
        for _ in range(2):
            with pytest.raises(MusicZooError, match=reason):
                Pages(tmp_path, limits=FAST).text(f"{server.url}/a")
        assert server.requests.count("/a") == 2


def test_addresses_with_spaces_are_errors() -> None:
    with site({}) as server, pytest.raises(MusicZooError, match="cannot be read"):
        Pages(limits=FAST, robots=False).text(f"{server.url}/a b")


def test_slow_pages_are_errors() -> None:
    with serving(lambda path, number: slowly((200, HTML, b"late"), 1.0)) as server:
        limits = Limits(seconds=0.1, a_minute=1e6)
        with pytest.raises(MusicZooError, match=r"cannot be read|took more"):
            Pages(limits=limits, robots=False).text(f"{server.url}/a")


def test_what_is_no_text_is_none() -> None:
    with site({"/a.pdf": (200, {"Content-Type": "application/pdf"}, b"%PDF")}) as server:
        assert Pages(limits=FAST).text(f"{server.url}/a.pdf") is None


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://a/b",
        "data:,x",
        "http://",
        "http://me:you@a/",
        "x",
        "http://[::1",
    ],
)
def test_only_web_addresses_are_opened(url: str) -> None:
    with pytest.raises(MusicZooError, match="no address of a web page"):
        Pages().text(url)


def test_text_of_pages() -> None:
    html = (
        "<head><style>p{}</style></head><nav>menu</nav><h1>A&amp;B</h1>"
        "<p>one<br>two</p><aside>ad<div>x</div></aside><noscript>y</noscript>end"
    )
    assert page_text(html) == "A&B\none\ntwo\nend"
    assert page_text("<nav><b>open forever") == ""
    assert plain_text("Ä".encode("latin-1"), is_html=False, charset="latin-1") == "Ä"
    latin = b'<meta charset="iso-8859-1"><p>\xc4'
    assert plain_text(latin, is_html=True) == "Ä"
    assert plain_text(b"\xff\xfe\xfd", is_html=False, charset="unheard-of").count("\ufffd") == 3

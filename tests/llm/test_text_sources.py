from __future__ import annotations

from pathlib import Path

import pytest

from musiczoo.llm.pages import Limits, Pages
from musiczoo.llm.text_sources import HttpSource, TextFolder, UrlList, best_match, likeness, surname
from musiczoo.music.errors import MusicZooError
from tests.llm.servers import serving

FAST = Limits(a_minute=1e6)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    texts = tmp_path / "texts"
    (texts / "Schumann, Clara").mkdir(parents=True)
    (texts / "Chopin - Nocturne Op 9 No 1.txt").write_text("The first.")
    (texts / "Chopin - Nocturne Op 9 No 2.txt").write_text("The second.")
    (texts / "Field - Nocturne No 2.md").write_text("By Field.")
    (texts / "Schumann, Clara" / "Scherzo.html").write_text("<p>By Clara.<script>x</script>")
    (texts / "picture.png").write_bytes(b"png")
    return texts


@pytest.mark.parametrize(
    ("title", "composer", "text"),
    [
        ("Nocturne in B-flat minor, Op. 9 No. 1", "Chopin, Frédéric", "The first."),
        ("Nocturne, Op. 9 No. 1", "Chopin, Frédéric", "The first."),
        ("Nocturne Op.9 No.2", "Frédéric Chopin", "The second."),
        ("Nocturne No. 2", "Field, John", "By Field."),
        ("Scherzo", "Clara Schumann", "By Clara."),
        ("Nocturne", "Chopin, Frédéric", None),
        ("Scherzo", "Schubert, Franz", None),
        ("Nocturne Op. 9 No. 3", "Chopin, Frédéric", None),
        ("Étude", "Chopin, Frédéric", None),
    ],
)
def test_texts_are_found_by_title_and_composer(
    folder: Path, title: str, composer: str, text: str | None
) -> None:
    found = TextFolder(folder).find(title, composer)
    assert (found.text if found else None) == text


def test_origins_are_relative_and_digests_are_of_the_text(folder: Path) -> None:
    found = TextFolder(folder).find("Scherzo", "Clara Schumann")
    assert found is not None
    assert found.origin == "Schumann, Clara/Scherzo.html"
    assert len(found.sha256) == 64


def test_an_empty_folder_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(MusicZooError, match="no texts"):
        TextFolder(tmp_path)


def test_two_texts_alike_are_none() -> None:
    names = [("Prelude", "Bach, J. S."), ("Prelude", "Bach, C. P. E.")]
    assert best_match("Prelude", "Bach", names) is None
    assert best_match("Prelude", "Bach", names[:1]) == 0


def test_likeness_and_surname() -> None:
    assert likeness("Sonata in C", "Sonata in C") == 1.0
    assert likeness("Sonata", "Fugue") == 0.0
    assert likeness("", "") == 0.0
    assert surname("") == ""
    assert surname("Ludwig van Beethoven") == surname("Beethoven, Ludwig van") == "beethoven"


def test_pages_of_a_list_and_of_a_template(tmp_path: Path) -> None:
    def answer(path: str, number: int):
        text = b"<p>The Waltz by Brahms." if "Waltz" in path else b"<p>Nothing found."
        return (404, {}, b"") if "robots" in path else (200, {"Content-Type": "text/html"}, text)

    with serving(answer) as server:
        table = tmp_path / "list.csv"
        table.write_text(f'title,composer,url\nWaltz,"Brahms, Johannes",{server.url}/Waltz\n')
        found = UrlList(table, Pages(limits=FAST)).find("Waltz", "Johannes Brahms")
        assert found is not None
        assert (found.text, found.origin) == ("The Waltz by Brahms.", f"{server.url}/Waltz")
        assert UrlList(table, Pages(limits=FAST)).find("Waltz", "Chopin") is None
        source = HttpSource(server.url + "/{composer}/{title}?q=1", Pages(limits=FAST))
        assert source.find("Waltz", "Brahms, J./S.") is not None
        assert server.requests[-1] == "/Brahms%2C%20J.%2FS./Waltz?q=1"
        assert source.find("Sonata", "Brahms") is None
    with pytest.raises(MusicZooError, match="no place for the title"):
        HttpSource("http://a/{composer}", Pages())

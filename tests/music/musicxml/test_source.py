"""Opening MusicXML safely: every bad input ends in a MusicZooError that says what, where and what to do."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from musiczoo.music.errors import MusicZooError
from musiczoo.music.musicxml import source
from musiczoo.music.musicxml.reader import read_musicxml
from musiczoo.music.musicxml.source import parse_musicxml

BODY = (
    "<score-partwise><part-list><score-part id='P1'><part-name>Flöte</part-name></score-part></part-list><part id='P1'><measure number='1'>"
    "<attributes><divisions>1</divisions><time><beats>4</beats><beat-type>4</beat-type></time></attributes>"
    "<note><pitch><step>C</step><octave>4</octave></pitch><duration>4</duration></note></measure></part></score-partwise>"
)
DOCTYPE = '<!DOCTYPE score-partwise PUBLIC "-//Recordare//DTD MusicXML 3.1 Partwise//EN" "http://www.musicxml.org/dtds/partwise.dtd">'
CONTAINER = '<container><rootfiles><rootfile full-path="{}" media-type="application/vnd.recordare.musicxml+xml"/></rootfiles></container>'


def mxl(members: dict[str, bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return stream.getvalue()


def packed(data: bytes, name: str = "score.xml") -> bytes:
    return mxl({"META-INF/container.xml": CONTAINER.format(name).encode(), name: data})


@pytest.mark.parametrize(
    "data",
    [
        BODY.encode(),
        f'<?xml version="1.0" encoding="UTF-8"?>\n{DOCTYPE}\n{BODY}'.encode(),
        f'<?xml version="1.0" encoding="ISO-8859-1"?>{BODY}'.encode("latin-1"),
        f'<?xml version="1.0" encoding="UTF-16"?>{BODY}'.encode("utf-16"),
        f'<?xml version="1.0" encoding="UTF-16"?>{BODY}'.encode("utf-16-be"),
        b"\xef\xbb\xbf" + BODY.encode(),
        f'<?xml version="1.0" encoding="UTF-16"?>{BODY}'.encode(),
        f"<!-- a <note> --> {DOCTYPE}<!-- [ -->{BODY}".encode(),
        packed(BODY.encode()),
        packed(f'<?xml version="1.0" encoding="UTF-16"?>{BODY}'.encode("utf-16")),
    ],
    ids=[
        "plain",
        "doctype",
        "latin-1",
        "utf-16",
        "utf-16-be",
        "bom",
        "wrong-utf-16",
        "comments",
        "mxl",
        "mxl-utf-16",
    ],
)
def test_encodings_and_containers(data: bytes) -> None:
    assert parse_musicxml(data).findtext("part-list/score-part/part-name") == "Flöte"


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "empty"),
        (b" \n\t", "empty"),
        (BODY.encode()[:300], "cut off"),
        (bytes(range(256)) * 8, "binary"),
        (b"MThd\x00\x00\x00\x06\x00\x01", "XML"),
        (b"X:1\nK:C\nCDEF|", "no well-formed XML"),
        (f'<?xml version="1.0" encoding="UTF-8"?>{BODY}'.encode("latin-1"), "not utf-8"),
        (f'<?xml version="1.0" encoding="klingon"?>{BODY}'.encode(), "encoding"),
        (f'<?xml version="1.0" encoding="utf-7"?>{BODY}'.encode(), "encoding"),
        (BODY.encode("utf-32"), "encoding"),
        (f"\ufeff{BODY}".encode("utf-16-le")[:-7], "utf-16"),
        (b"<html><body/></html>", "<html>"),
        (b"<opus/>", "opus"),
        (BODY.replace("Fl", "&score;").encode(), "entities"),
        (packed(BODY.encode()[:200]), "cut off"),
        (packed(BODY.encode())[:-40], "damaged"),
        (b"PK\x03\x04" + b"\x00" * 60, "damaged"),
        (mxl({"score.xml": BODY.encode()}), "container"),
        (mxl({"META-INF/container.xml": CONTAINER.format("score.xml").encode()}), "lacks"),
        (mxl({"META-INF/container.xml": b"<container/>", "score.xml": BODY.encode()}), "root file"),
        (mxl({"META-INF/container.xml": CONTAINER.format("../../etc/passwd").encode()}), "outside"),
        (mxl({"META-INF/container.xml": CONTAINER.format("/etc/passwd").encode()}), "outside"),
        (mxl({"META-INF/container.xml": CONTAINER.format("C:\\score.xml").encode()}), "outside"),
    ],
)
def test_bad_input_is_named(data: bytes, words: str) -> None:
    with pytest.raises(MusicZooError, match=words) as caught:
        parse_musicxml(data, path="somewhere.musicxml")
    assert caught.value.path == "somewhere.musicxml"
    assert caught.value.remedy


def test_truncated_file_names_its_line(tmp_path: Path) -> None:
    file = tmp_path / "cut.xml"
    file.write_text("<score-partwise>\n<part-list>\n<score-part id='P1'>")
    with pytest.raises(MusicZooError, match="line 3") as caught:
        read_musicxml(file)
    assert caught.value.path == str(file)


def test_missing_file_and_folder(tmp_path: Path) -> None:
    for path in (tmp_path / "none.musicxml", tmp_path):
        with pytest.raises(MusicZooError, match="cannot be read"):
            read_musicxml(path)


def test_large_files_are_refused_unread(tmp_path: Path) -> None:
    file = tmp_path / "large.xml"
    with open(file, "wb") as stream:
        stream.truncate(100 * 2**20)
    with pytest.raises(MusicZooError, match="100 MiB"):
        read_musicxml(file)
    with pytest.raises(MusicZooError, match="MiB"):
        parse_musicxml(b" " * (source.SIZE_LIMIT + 1))


def test_billion_laughs() -> None:
    entities = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 10))
    data = f'<?xml version="1.0"?><!DOCTYPE score-partwise [<!ENTITY l0 "lol">{entities}]>{BODY.replace("Flöte", "&l9;")}'
    for encoding in ("utf-8", "utf-16"):
        with pytest.raises(MusicZooError, match="entities"):
            parse_musicxml(data.encode(encoding))
    with pytest.raises(MusicZooError, match="entities"):
        parse_musicxml(packed(data.encode()))


@pytest.mark.parametrize(
    "subset", ['<!ENTITY x SYSTEM "file://{}">', '<!ENTITY % x SYSTEM "file://{}"> %x;']
)
def test_external_entities_are_not_read(tmp_path: Path, subset: str) -> None:
    canary = tmp_path / "canary.txt"
    canary.write_text("canary-4711")
    data = f"<!DOCTYPE score-partwise [{subset.format(canary)}]>{BODY.replace('Flöte', '&x;')}"
    with pytest.raises(MusicZooError, match="entities") as caught:
        parse_musicxml(data.encode())
    assert "4711" not in str(caught.value)


def test_external_dtd_is_not_read(tmp_path: Path) -> None:
    dtd = tmp_path / "score.dtd"
    dtd.write_text('<!ATTLIST part-name canary CDATA "4711">')
    root = parse_musicxml(f'<!DOCTYPE score-partwise SYSTEM "{dtd}">{BODY}'.encode())
    assert root.find("part-list/score-part/part-name").attrib == {}


def test_hidden_doctypes() -> None:
    for data in (
        f'<!-- --><?x y?><!DOCTYPE score-partwise SYSTEM "a>b" [<!ENTITY x "y">]>{BODY}',
        f"<!DOCTYPE score-partwise\n[\n<!ENTITY x 'y'>]>{BODY}",
        f'<?pi <!DOCTYPE a "> ?><!DOCTYPE score-partwise [<!ENTITY x "y">]>{BODY}',
    ):
        with pytest.raises(MusicZooError, match="entities"):
            parse_musicxml(data.encode())


def test_zip_bombs() -> None:
    bomb = packed(b"<score-partwise>" + b" " * (30 * 2**20))
    assert len(bomb) < 2**20
    with pytest.raises(MusicZooError, match="zip bomb"):
        parse_musicxml(bomb)
    with pytest.raises(MusicZooError, match="zip bomb"):
        parse_musicxml(mxl({"META-INF/container.xml": b" " * (2**20 + 1)}))
    with pytest.raises(MusicZooError, match="files"):
        parse_musicxml(mxl({str(index): b"" for index in range(5000)}, zipfile.ZIP_STORED))


def test_declared_sizes_are_not_trusted() -> None:
    data = bytearray(packed(b"<score-partwise>" + b" " * (30 * 2**20)))
    size = (30 * 2**20 + 16).to_bytes(4, "little")
    assert bytes(data).count(size) == 2
    data = bytearray(bytes(data).replace(size, (100).to_bytes(4, "little")))
    with pytest.raises(MusicZooError, match=r"zip bomb|damaged"):
        parse_musicxml(bytes(data))


def test_encrypted_archive_is_refused() -> None:
    data = bytearray(packed(BODY.encode()))
    for sign, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(sign)
        while at >= 0:
            data[at + place] |= 1
            at = data.find(sign, at + 4)
    with pytest.raises(MusicZooError, match="damaged"):
        parse_musicxml(bytes(data))


def test_deep_nesting_is_refused() -> None:
    data = b"<score-partwise>" + b"<a>" * 5000 + b"</a>" * 5000 + b"</score-partwise>"
    with pytest.raises(MusicZooError, match="XML"):
        parse_musicxml(data)

"""Opening MusicXML and compressed MusicXML (.mxl) safely.

Sizes are limited, and entities, the network and the paths of archives are not used.

Formats: MusicXML 4.0 and its container (https://www.w3.org/2021/06/musicxml40/). A score may come
from anywhere, so nothing here recovers silently: what is not a whole, plain MusicXML document
raises :class:`MusicZooError` with the place and the remedy.
"""

from __future__ import annotations

import codecs
import io
import re
import zipfile
import zlib
from pathlib import Path

from lxml import etree

from musiczoo.music.errors import MusicZooError

#: Largest file that is read, and largest document of an .mxl archive. The longest symphonic scores
#: stay below 40 MiB.
SIZE_LIMIT = 64 * 2**20
#: An archive with more bytes of music for each compressed byte counts as a bomb; real scores stay
#: below 60.
RATIO_LIMIT = 200
_MEMBER_LIMIT = 4096
_CONTAINER = "META-INF/container.xml"
_CONTAINER_LIMIT = 2**20

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, ""),  # before UTF-16, whose mark begins with the same bytes
    (codecs.BOM_UTF32_BE, ""),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_DECLARED = re.compile(rb"""<\?xml[^>]{0,200}?encoding\s*=\s*["']([A-Za-z0-9._\-]{1,40})["']""")
# Single-byte supersets of ASCII: their text can be scanned for a document type before parsing.
_SINGLE_BYTE = re.compile(r"(?:iso8859-\d{1,2}|cp125\d|mac-roman|ascii|utf-8)$")
_PROLOG = re.compile(r"\s*(?:<\?[^>]*?\?>\s*|<!--.*?-->\s*)*", re.DOTALL)
_DOCTYPE = re.compile(
    r"""<!DOCTYPE\s+[^\s\[>"']+(?:\s+(?:SYSTEM|PUBLIC|"[^"]*"|'[^']*'))*\s*(?P<end>[>\[])"""
)
_FOREIGN_ENTITY = re.compile(r"&(?!(?:amp|lt|gt|quot|apos|#\d{1,7}|#x[0-9A-Fa-f]{1,6});)")


def parse_musicxml(source: str | Path | bytes, *, path: str | Path | None = None) -> etree._Element:
    """Open a MusicXML document.

    Args:
        source: A file name, or the bytes of a file; compressed files are recognised by their first
            bytes.
        path: Where the bytes came from, for messages.

    Returns:
        The root element (``score-partwise`` or ``score-timewise``), comments and processing
        instructions left out.

    Raises:
        MusicZooError: The file cannot be read, is empty, too large, no MusicXML, cut off, wrongly
            encoded, or uses entities.
    """
    data = source if isinstance(source, bytes) else _read_file(source)
    path = path if isinstance(source, bytes) else source
    if len(data) > SIZE_LIMIT:
        raise _too_large(len(data), path)
    if not data.strip():
        raise MusicZooError("the file is empty.", path=path, remedy="Export the score again.")
    if data.startswith(b"PK"):
        data = _unpack(data, path)
    text = _decode(data, path)
    _refuse_entities(text, path)
    root = _parse(text, path)
    if root.tag == "opus":
        raise MusicZooError(
            "this is an opus, a list of scores, and no score.",
            path=path,
            remedy="Open the files it lists one by one.",
        )
    if root.tag not in ("score-partwise", "score-timewise"):
        raise MusicZooError(
            f"the root element is <{root.tag}>, which is no MusicXML score.",
            path=path,
            remedy=(
                "Export the score as MusicXML; Humdrum, MEI and other formats are opened by"
                " musiczoo.music.read."
            ),
        )
    return root


def _too_large(size: int, path: str | Path | None) -> MusicZooError:
    return MusicZooError(
        f"the file has {size / 2**20:.0f} MiB; MusicXML of more than {SIZE_LIMIT // 2**20} MiB is"
        " not opened.",
        path=path,
        remedy="Split the score into movements.",
    )


def _read_file(source: str | Path) -> bytes:
    try:
        with open(source, "rb") as file:
            data = file.read(SIZE_LIMIT + 1)
            if len(data) > SIZE_LIMIT:
                raise _too_large(file.seek(0, io.SEEK_END), source)
            return data
    except OSError as error:
        raise MusicZooError(
            f"the file cannot be read: {error.strerror or error}.",
            path=source,
            remedy="Check its name and its rights.",
        ) from error


def _unpack(data: bytes, path: str | Path | None) -> bytes:
    """The root document of an .mxl archive.

    Nothing is written to disk and no other member is unpacked.
    """
    remedy = "Export the score again, or as uncompressed .musicxml."
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = {member.filename: member for member in archive.infolist()}
            if len(members) > _MEMBER_LIMIT:
                raise MusicZooError(
                    f"the archive holds {len(members)} files.", path=path, remedy=remedy
                )
            if _CONTAINER not in members:
                raise MusicZooError(
                    f"the archive has no {_CONTAINER}, so it is no .mxl file.",
                    path=path,
                    remedy=remedy,
                )
            container = _decode(
                _member(archive, members[_CONTAINER], _CONTAINER_LIMIT, path), path, _CONTAINER
            )
            _refuse_entities(container, path, _CONTAINER)
            name = _root_file(_parse(container, path, _CONTAINER))
            if name is None:
                raise MusicZooError(
                    "the container names no MusicXML root file.",
                    path=path,
                    where=_CONTAINER,
                    remedy=remedy,
                )
            if name.startswith(("/", "\\")) or ":" in name or ".." in re.split(r"[/\\]", name):
                raise MusicZooError(
                    f"the container points outside the archive, to {name!r}.",
                    path=path,
                    where=_CONTAINER,
                    remedy=remedy,
                )
            if name not in members:
                raise MusicZooError(
                    f"the archive lacks its root file {name!r}.",
                    path=path,
                    where=_CONTAINER,
                    remedy=remedy,
                )
            return _member(archive, members[name], SIZE_LIMIT, path)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
    ) as error:
        # RuntimeError: encrypted; NotImplementedError: an unknown compression method.
        raise MusicZooError(
            f"the .mxl archive is damaged or of an unknown kind ({error}).",
            path=path,
            remedy=remedy,
        ) from error


def _root_file(container: etree._Element) -> str | None:
    for element in container.iter("{*}rootfile"):
        kind = element.get("media-type")
        if element.get("full-path") and (kind is None or "musicxml" in kind):
            return element.get("full-path")
    return None


def _member(
    archive: zipfile.ZipFile, member: zipfile.ZipInfo, limit: int, path: str | Path | None
) -> bytes:
    with archive.open(member) as stream:
        # One byte more than allowed is read, because the size that an archive declares proves
        # nothing.
        data = stream.read(limit + 1)
    if len(data) > limit or (
        len(data) > 2**20 and len(data) > RATIO_LIMIT * max(member.compress_size, 1)
    ):
        raise MusicZooError(
            f"{member.filename!r} unpacks to more than {limit // 2**20} MiB or {RATIO_LIMIT} times"
            " its size, as a zip bomb does.",
            path=path,
            remedy="If it is a score, unpack it yourself and open the .musicxml inside.",
        )
    return data


def _decode(data: bytes, path: str | Path | None, where: str | None = None) -> str:
    """Text of a document by its byte order mark, else its declaration, else UTF-8."""
    encoding = next((name for mark, name in _BOMS if data.startswith(mark)), None)
    marked = encoding is not None
    if encoding is None:
        if data.startswith(b"<\0"):
            encoding = "utf-16-le"
        elif data.startswith(b"\0<"):
            encoding = "utf-16-be"
        else:
            found = _DECLARED.match(data.lstrip())
            declared = found[1].decode("ascii") if found else "utf-8"
            try:
                encoding = codecs.lookup(declared).name
            except LookupError:
                encoding = ""
            if encoding.startswith("utf-16"):
                # A declaration that can be read byte by byte is not in UTF-16.
                encoding = "utf-8"
            if not _SINGLE_BYTE.match(encoding):
                encoding = ""
    if not encoding:
        raise MusicZooError(
            "the text encoding is not one that is supported.",
            path=path,
            where=where,
            remedy="Save the file as UTF-8 or UTF-16.",
        )
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        binary = b"\0" in data[:1024] and not encoding.startswith("utf-16")
        raise MusicZooError(
            (
                "this is a binary file and no MusicXML."
                if binary
                else f"the text is not {encoding}, as it declares (byte {error.start})."
            ),
            path=path,
            where=where,
            remedy=(
                "Export the score as MusicXML."
                if binary
                else "Save the file as UTF-8, or correct the encoding in its first line."
            ),
        ) from error
    return text[1:] if marked else text


def _refuse_entities(text: str, path: str | Path | None, where: str | None = None) -> None:
    doctype = _DOCTYPE.match(text, _PROLOG.match(text).end())  # type: ignore[union-attr]
    bad_doctype = doctype["end"] == "[" if doctype else "<!DOCTYPE" in text
    if bad_doctype or ("&" in text and _FOREIGN_ENTITY.search(text)):
        raise MusicZooError(
            "the document declares or uses entities of its own, which MusicXML never needs and"
            " which can do harm.",
            path=path,
            where=where,
            remedy="Open it in a notation program and export it again.",
        )


def _parse(text: str, path: str | Path | None, where: str | None = None) -> etree._Element:
    # The encoding is forced to what was scanned for entities, so that the parser reads the very
    # same characters.
    parser = etree.XMLParser(
        encoding="utf-8",
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(text.encode("utf-8"), parser)
    except UnicodeEncodeError as error:
        raise MusicZooError(
            f"the text holds half a character (at {error.start}).",
            path=path,
            where=where,
            remedy="Save it as UTF-8.",
        ) from error
    except etree.XMLSyntaxError as error:
        line = error.lineno or 1
        raise MusicZooError(
            f"this is no well-formed XML: {error.msg}.",
            path=path,
            where=f"{where}, line {line}" if where else f"line {line}",
            remedy="The file may be cut off or no MusicXML at all; export or download it again.",
        ) from error

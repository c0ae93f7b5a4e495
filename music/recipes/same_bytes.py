"""Files with the same content."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path


def same_bytes(root: Path, files: Sequence[str]) -> dict[str, str]:
    """The files to leave out so that each content is read once: path -> reason.

    Files of a size of their own are not opened.
    """
    by_size: dict[int, list[str]] = {}
    for path in sorted(files):
        by_size.setdefault((root / path).stat().st_size, []).append(path)
    first: dict[str, str] = {}
    left_out: dict[str, str] = {}
    for group in by_size.values():
        for path in group if len(group) > 1 else ():
            content = md5_of(root / path)
            if content in first:
                left_out[path] = f"the same content as {first[content]}"
            else:
                first[content] = path
    return left_out


def md5_of(file: Path) -> str:
    """MD5 of a file's content, in hexadecimal.

    For one that cannot be opened, a text that equals no other one.
    """
    try:
        with file.open("rb") as stream:
            return hashlib.file_digest(
                stream, lambda: hashlib.md5(usedforsecurity=False)
            ).hexdigest()
    except OSError:
        return f"unreadable {file}"

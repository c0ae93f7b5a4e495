"""Folders that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from musiczoo.music.errors import MusicZooError


@contextmanager
def new_folder(target: str | Path, *, replaces: str | None = None) -> Iterator[Path]:
    """A folder that has a temporary name until the block ends well.

    Args:
        target: The folder to make; the folder around it is made too.
        replaces: An existing folder is replaced if it holds a file of this name, so that nothing
            else is ever deleted; None replaces nothing. An empty folder is always replaced.

    Yields:
        The folder to fill. After an error or an interrupt nothing is left of it, and what was there
        before is untouched.

    Raises:
        MusicZooError: There is something else at this place, the place cannot be written to, or the
            disk is full.
    """
    place = Path(os.path.realpath(target))
    _check_free(place, Path(target), replaces)
    part = place.with_name(f".{place.name[:100]}.{secrets.token_hex(6)}.part")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        part.mkdir()
        yield part
        for file in part.rglob("*"):
            if file.is_file():
                # safetensors writes files that only their owner may read; these get what the umask
                # gave to the folder.
                file.chmod(part.stat().st_mode & 0o666)
                with open(file, "rb+") as stream:
                    os.fsync(stream.fileno())
        _take_place(part, place)
    except OSError as error:
        raise MusicZooError(
            f"The folder cannot be written: {error.strerror or error}.",
            path=target,
            remedy="Check the permissions and the free space.",
        ) from error
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _check_free(place: Path, target: Path, replaces: str | None) -> None:
    if place.is_file():
        raise MusicZooError(
            "There is a file of this name.",
            path=target,
            remedy="Choose another name for the folder.",
        )
    if place.is_dir() and any(place.iterdir()):
        if replaces is None:
            raise MusicZooError(
                "The folder exists.",
                path=target,
                remedy="Choose another name, or allow it to be overwritten.",
            )
        if not (place / replaces).is_file():
            raise MusicZooError(
                f"The folder holds something else (no {replaces}).",
                path=target,
                remedy="Choose another name.",
            )


def _take_place(part: Path, place: Path) -> None:
    """Two moves, for no system call that Python offers exchanges folders.

    When the second move fails, the first one is undone.
    """
    if not place.exists():
        os.replace(part, place)
        return
    aside = place.with_name(f".{place.name[:100]}.{secrets.token_hex(6)}.old")
    os.replace(place, aside)
    try:
        os.replace(part, place)
    except BaseException:
        os.replace(aside, place)
        raise
    with contextlib.suppress(OSError):
        shutil.rmtree(aside)

"""Files that appear whole or not at all."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from musiczoo.music.errors import MusicZooError


def write_atomically(path: str | Path, data: bytes) -> Path:
    """Write a file so that readers see the old content or the new one, never a part.

    The bytes go to a temporary file in the same folder (so that the final move stays on one file
    system), which then gets the name. A symbolic link is followed, and the file gets the
    permissions that the process's umask gives to any new file.

    Args:
        path: Where to write; the folder must exist.
        data: The whole content.

    Returns:
        The path written.

    Raises:
        MusicZooError: The folder is missing or cannot be written to, or the disk is full.
    """
    with atomic_stream(path) as stream:
        stream.write(data)
    return Path(path)


@contextlib.contextmanager
def atomic_stream(path: str | Path) -> Iterator[BinaryIO]:
    """A stream whose file appears whole when the block ends, or not at all where it fails.

    For files that do not fit into memory; otherwise as :func:`write_atomically`.

    Args:
        path: Where to write; the folder must exist.

    Raises:
        MusicZooError: The folder is missing or cannot be written to, or the disk is full.
    """
    # Not tempfile.mkstemp: its files are private (0600) and would stay so under the final name.
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".{target.name[:100]}.{secrets.token_hex(6)}.part")
    try:
        with open(temporary, "xb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        remedy = (
            "Create the folder first."
            if not target.parent.is_dir()
            else "Check the permissions and the free space."
        )
        raise MusicZooError(
            f"The file cannot be written: {error.strerror or error}.", path=path, remedy=remedy
        ) from error
    except BaseException:  # an interrupt must not leave the part behind
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def make_folder(folder: str | Path) -> Path:
    """Makes a folder with those above it, where it does not exist, and returns it.

    Raises:
        MusicZooError: It cannot be made.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MusicZooError(f"The folder cannot be made ({error.strerror}).", path=folder) from None
    return folder

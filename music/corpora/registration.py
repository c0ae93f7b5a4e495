"""Names of a user's own corpora: one small JSON file each, beside the cached tables."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

from musiczoo.music.atomic import write_atomically
from musiczoo.music.corpora.built_in import BUILT_IN
from musiczoo.music.corpora.cache import forget_tables
from musiczoo.music.corpora.source import AUTO, NO_RECIPE, Source, folder_source
from musiczoo.music.errors import MusicZooError
from musiczoo.music.parquet_cache import CACHE_VARIABLE, cache_folder

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_ENDING = ".corpus.json"
_log = logging.getLogger(__name__)


def register(
    name: str, folder: str | Path, *, recipe: str = AUTO, cache: str | Path | None = None
) -> Source:
    """Give a folder a name by which :func:`load_corpus`, datamodules and the CLI find it.

    Args:
        name: Letters, digits and ``. _ + -``; not that of a built-in corpus.
        folder: The folder. It is not copied: files that change are noticed at the next loading.
        recipe: As in :func:`load_corpus`; what ``"auto"`` finds now is kept.
        cache: Cache folder, in which the name is kept.

    Raises:
        MusicZooError: The name is taken or not allowed, there is no such folder, or the cache
            cannot be written to.
    """
    check_name(name, folder, cache=cache)
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise MusicZooError(
            "There is no such folder.", path=root, remedy="Give the folder of the corpus."
        )
    source = folder_source(name, root, recipe)
    entry = {
        "format": 1,
        "path": str(root.resolve()),
        "recipe": source.recipe.name if source.recipe else NO_RECIPE,
    }
    try:
        corpora_folder(cache).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MusicZooError(
            f"The cache folder cannot be made: {error.strerror}.",
            path=corpora_folder(cache),
            remedy=f"Set {CACHE_VARIABLE} to another folder.",
        ) from error
    write_atomically(
        corpora_folder(cache) / f"{name}{_ENDING}", json.dumps(entry, indent=1).encode()
    )
    return source


def check_name(name: str, folder: str | Path, *, cache: str | Path | None = None) -> None:
    """Check that a folder may be registered under a name.

    Raises:
        MusicZooError: The name is not allowed, hides a built-in corpus, or stands for another
            folder.
    """
    if not _NAME.fullmatch(name):
        raise MusicZooError(
            f"{name!r} cannot be the name of a corpus.",
            remedy="Use letters, digits and . _ + - alone.",
        )
    if name in BUILT_IN:
        raise MusicZooError(f"{name!r} is a built-in corpus.", remedy="Choose another name.")
    entry = registered(cache=cache).get(name)
    if entry is not None and entry["path"] != str(Path(folder).expanduser().resolve()):
        raise MusicZooError(
            f"{name!r} stands for {entry['path']}.",
            remedy=f"Choose another name, or forget that one: musiczoo corpus remove {name}.",
        )


def registered(*, cache: str | Path | None = None) -> dict[str, dict[str, str]]:
    """The registered corpora: name -> ``{"path": ..., "recipe": ...}``."""
    found: dict[str, dict[str, str]] = {}
    for file in sorted(corpora_folder(cache).glob(f"*{_ENDING}")):
        try:
            entry = json.loads(file.read_bytes())
            found[file.name.removesuffix(_ENDING)] = {
                "path": str(entry["path"]),
                "recipe": str(entry["recipe"]),
            }
        except (OSError, ValueError, KeyError, TypeError) as error:
            _log.warning(
                "%s: the name of a corpus cannot be read (%s). Register it again.", file, error
            )
    return found


def forget(name: str, *, cache: str | Path | None = None) -> list[Path]:
    """Remove a registered name, and what was cached under it.

    The corpus's own files stay as they are.

    Returns:
        The files removed.

    Raises:
        MusicZooError: There is no such registered corpus, or it cannot be removed.
    """
    entry = registered(cache=cache).get(name)
    if entry is None:
        known = ", ".join(registered(cache=cache)) or "none"
        raise MusicZooError(
            f"There is no registered corpus {name!r}.", remedy=f"Registered: {known}."
        )
    file = corpora_folder(cache) / f"{name}{_ENDING}"
    try:
        file.unlink(missing_ok=True)
    except OSError as error:
        raise MusicZooError(
            f"The file cannot be removed: {error.strerror}.",
            path=file,
            remedy="Check its permissions.",
        ) from error
    return [file, *forget_tables(name, Path(entry["path"]), corpora_folder(cache))]


def corpora_folder(cache: str | Path | None) -> Path:
    """The folder of the tables and names of corpora in a cache folder; None for the default one."""
    return (Path(cache) if cache is not None else cache_folder()) / "corpora"

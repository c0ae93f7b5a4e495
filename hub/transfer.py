"""Files from the Hugging Face Hub or its cache, and what its errors mean for the user."""

from __future__ import annotations

import logging
from importlib.metadata import version
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants
from huggingface_hub.errors import (
    BadRequestError,
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    LocalEntryNotFoundError,
    LocalTokenNotFoundError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)

from musiczoo.hub.format import CARD, CONFIG, read_checkpoint
from musiczoo.music.errors import MusicZooError

_log = logging.getLogger(__name__)
# The errors of the client's HTTP library differ by its version (httpx, httpx2); this base class is
# all that they share.
_HTTP_ERROR = next(
    base
    for base in HfHubHTTPError.__mro__
    if base.__name__ == "HTTPError" and issubclass(base, Exception)
)
CLIENT_ERRORS: tuple[type[Exception], ...] = (OSError, ValueError, EntryNotFoundError, _HTTP_ERROR)
UPLOAD_ERRORS: tuple[type[Exception], ...] = (*CLIENT_ERRORS, RuntimeError)
_LOG_IN = "Log in (hf auth login) or set HF_TOKEN."

# What the client's errors mean: class, message, remedy. From the particular to the general, for
# most of these classes are subclasses of later ones.
_MEANINGS: tuple[tuple[type[Exception], str, str], ...] = (
    (
        OfflineModeIsEnabled,
        "HF_HUB_OFFLINE is set, so the Hugging Face Hub is not asked.",
        "Unset it to go online.",
    ),
    (
        LocalEntryNotFoundError,
        "The Hugging Face Hub cannot be reached{offline} and the file is not in its cache.",
        (
            "Go online once, or get the files on another machine and give local-dir:PATH, or"
            " weights=PATH for a weights file."
        ),
    ),
    (
        GatedRepoError,
        "The repository asks for its terms to be accepted first.",
        "Accept them at {address}, then log in: hf auth login",
    ),
    (
        RevisionNotFoundError,
        "The repository has no such revision.",
        "Look up its branches, tags and commits on the Hub.",
    ),
    (
        RepositoryNotFoundError,
        "The Hugging Face Hub has no such repository, or it is private.",
        "Check the name; for a private one log in (hf auth login) or set HF_TOKEN.",
    ),
    (
        EntryNotFoundError,
        "The Hugging Face Hub has no such file (any more).",
        "Look at the repository's files or at an older revision, or give weights=PATH.",
    ),
    (
        HFValidationError,
        "This is no repository name ({stated}).",
        "Write org/name, and @revision behind it if you like.",
    ),
    (LocalTokenNotFoundError, "There is no access token for the Hugging Face Hub.", _LOG_IN),
    (
        BadRequestError,
        "The Hugging Face Hub refuses the request: {stated}",
        "Change what it complains about and try again.",
    ),
)


def fetch_file(repository: str, filename: str, revision: str | None = None, note: str = "") -> Path:
    """One file of a repository, downloaded unless it is in the cache.

    Args:
        repository: ``"org/name"``.
        filename: Its path in the repository.
        revision: Branch, tag or commit; the main branch when None.
        note: Logged before the download (origin and terms).

    Raises:
        MusicZooError: It cannot be fetched.
    """
    if note:
        _log.info("%s", note)
    try:
        file = huggingface_hub.hf_hub_download(
            repository,
            filename,
            revision=revision,
            library_name="musiczoo",
            library_version=version("musiczoo"),
        )
    except CLIENT_ERRORS as error:
        raise explained(
            error, f"{repository}/{filename}" + (f"@{revision}" if revision else "")
        ) from error
    return Path(file)


def fetch_folder(repository: str, revision: str | None = None) -> tuple[Path, str]:
    """A checkpoint folder of the Hub: ``config.json`` and the files it lists, of one commit.

    Args:
        repository: ``"org/name"``.
        revision: Branch, tag or commit; the main branch when None.

    Returns:
        The folder in the cache, and the commit.

    Raises:
        MusicZooError: It cannot be fetched, or it is no checkpoint folder.
    """
    config = fetch_file(repository, CONFIG, revision)
    # The cache keeps each commit in a folder of its name; a push between two downloads cannot mix
    # them.
    commit = config.parent.name
    files = read_checkpoint(config.parent).content["files"]
    for name in (*files, CARD):
        fetch_file(repository, name, commit)
    return config.parent, commit


def fetch_published(repository: str, revision: str | None = None, note: str = "") -> Path:
    """The folder of a model in transformers' layout with a MidiTok tokenizer.

    Its files are of one and the same commit.

    Args:
        repository: ``"org/name"``.
        revision: Branch, tag or commit; the main branch when None.
        note: Logged before the download (origin and terms).

    Raises:
        MusicZooError: A file cannot be fetched.
    """
    config = fetch_file(repository, CONFIG, revision, note)
    for name in ("model.safetensors", "tokenizer.json"):
        fetch_file(repository, name, config.parent.name)
    return config.parent


def explained(error: Exception, where: str) -> MusicZooError:
    """What an error of the Hub's client means, and what to do.

    Args:
        error: Any error raised by huggingface_hub.
        where: Repository and file.
    """
    if isinstance(error, RuntimeError) and isinstance(error.__cause__, Exception):
        # Uploads in several threads wrap what went wrong.
        error = error.__cause__
    stated = " ".join(str(error).split())[:300]
    offline = " (HF_HUB_OFFLINE is set)" if constants.HF_HUB_OFFLINE else ""
    for kind, message, remedy in _MEANINGS:
        if isinstance(error, kind):
            words = {"stated": stated, "offline": offline, "address": constants.ENDPOINT}
            return MusicZooError(
                message.format(**words), where=where, remedy=remedy.format(**words)
            )
    status = (
        error.response.status_code
        if isinstance(error, HfHubHTTPError) and error.response is not None
        else None
    )
    if status == 401:
        return MusicZooError(
            "The Hugging Face Hub does not know your access token, or there is none.",
            where=where,
            remedy=_LOG_IN,
        )
    if status == 403:
        remedy = "Use a token with write access to this organisation or user."
        return MusicZooError("Your access token does not allow this.", where=where, remedy=remedy)
    if isinstance(error, _HTTP_ERROR) and status is None:
        return MusicZooError(
            f"The connection to the Hugging Face Hub failed ({type(error).__name__}).",
            where=where,
            remedy="Check the network and try again; what was not finished has changed nothing.",
        )
    problem = f"The Hugging Face Hub could not be used ({type(error).__name__}: {stated})."
    return MusicZooError(problem, where=where, remedy="Try again later.")

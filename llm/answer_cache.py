"""Answers of language models on disk, so that no question is paid for twice."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from musiczoo.music.atomic import make_folder, write_atomically
from musiczoo.music.errors import MusicZooError

_log = logging.getLogger(__name__)


def digest(request: Mapping[str, Any]) -> str:
    """SHA-256 of a request in plain JSON values, the same for any order of its keys."""
    text = json.dumps(request, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


class AnswerCache:
    """A folder with one JSON file for each request, named by its digest.

    Threads and processes may share it: files appear whole.

    Args:
        folder: It is made on the first answer; None keeps nothing.
    """

    def __init__(self, folder: str | Path | None) -> None:
        self.folder = None if folder is None else Path(folder)

    def get(self, request: Mapping[str, Any]) -> dict[str, Any] | None:
        """The answer kept for a request; None where there is none, or its file is damaged."""
        if self.folder is None:
            return None
        path = self._path(request)
        try:
            kept = json.loads(path.read_bytes())
            if not isinstance(kept, dict) or not isinstance(kept.get("answer"), dict):
                raise ValueError("it holds no answer")
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            _log.warning("%s is not used: %s", path, error)
            return None
        answer: dict[str, Any] = kept["answer"]
        return answer

    def put(self, request: Mapping[str, Any], answer: Mapping[str, Any]) -> None:
        """Keeps an answer in plain JSON values.

        Raises:
            MusicZooError: The folder cannot be written to.
        """
        if self.folder is None:
            return
        path = self._path(request)
        make_folder(path.parent)
        kept = {"request": dict(request), "answer": dict(answer)}
        try:
            write_atomically(path, json.dumps(kept, ensure_ascii=False, indent=1).encode())
        except MusicZooError as error:
            raise MusicZooError(
                error.message, path=error.path, remedy="Choose another folder for the cache."
            ) from error

    def _path(self, request: Mapping[str, Any]) -> Path:
        name = digest(request)
        assert self.folder is not None
        return self.folder / name[:2] / f"{name}.json"

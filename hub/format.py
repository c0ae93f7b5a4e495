"""A checkpoint folder: its files, the format of ``config.json``, and how older formats are read.

==================  ==========================================================================
config.json         format, architecture, sizes, representation, stage, conditioning,
                    provenance, the card's content, library versions, and the size and SHA-256
                    of each file beside it
model.safetensors   the weights; in shards when large, in bfloat16 where that was asked for (a
                    loaded net always has float32)
adapter/            instead of model.safetensors: a LoRA adapter in peft's layout
                    (:mod:`musiczoo.hub.adapter`)
io.safetensors      a small batch and what the model computes for it; each opening is verified
                    with them
README.md           the model card, made from config.json
==================  ==========================================================================

``conditioning`` is a record that the architecture owns: the labels of bar-stream, nothing for an
encoder. Format 1 had the labels of every architecture in a list ``prompts``.

Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from musiczoo.hub.card import render_card
from musiczoo.hub.card_fields import Card
from musiczoo.hub.tensors import read_safetensors
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError

FORMAT = 2
CONFIG = "config.json"
CARD = "README.md"
IO = "io.safetensors"
WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
ADAPTER_WEIGHTS = re.compile(r"adapter/adapter_model\.safetensors")
_FILE_NAME = re.compile(r"(adapter/)?[A-Za-z0-9_][A-Za-z0-9_.-]*")
_KINDS: dict[str, type] = {
    "architecture": str,
    "config": dict,
    "representation": dict,
    "stage": str,
    "conditioning": dict,
    "provenance": dict,
    "parameters": int,
    "card": dict,
    "versions": dict,
    "files": dict,
}


def upgraded(record: Mapping[str, Any]) -> dict[str, Any]:
    """A record of an earlier format in the words of the newest.

    Args:
        record: The content of ``config.json``, the entry ``"musiczoo"`` of a Lightning checkpoint,
            or the ``provenance()`` of a data module. One of today's format is returned as it is.

    Returns:
        The same entries in the same order, with ``conditioning`` instead of ``prompts``.
    """
    if "conditioning" in record:
        return dict(record)
    rows = record.get("prompts")
    conditioning = {} if rows == [] or rows is None else {"prompts": rows}
    renamed = {
        "conditioning" if name == "prompts" else name: conditioning if name == "prompts" else value
        for name, value in record.items()
    }
    return renamed if "prompts" in record else {**renamed, "conditioning": conditioning}


@dataclass(frozen=True)
class Checkpoint:
    """A folder whose ``config.json`` has been read and found to be one of ours.

    Its other files are checked when they are used.

    Attributes:
        folder: Where it lies.
        content: The whole of ``config.json``, in the newest format.
    """

    folder: Path
    content: Mapping[str, Any]

    @property
    def card(self) -> Card:
        """The content of the model card."""
        return Card.from_dict(self.content["card"])

    @property
    def licence(self) -> str:
        """Of the weights, as the card states it; it need not be one that the Hub knows."""
        return str(self.content["card"].get("licence", "unknown"))

    @property
    def parameters(self) -> int:
        """Numbers in the weights."""
        return int(self.content["parameters"])

    @property
    def size(self) -> int:
        """Bytes of the files that ``config.json`` lists."""
        return sum(int(row["bytes"]) for row in self.content["files"].values())

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the table of files: it depends on the weights and not on the card."""
        return hashlib.sha256(
            json.dumps(self.content["files"], sort_keys=True).encode()
        ).hexdigest()

    def check_files(self) -> None:
        """Compares each file with its size and SHA-256.

        Raises:
            MusicZooError: A file is missing, truncated or changed.
        """
        for name, row in self.content["files"].items():
            path = self.folder / name
            if not path.is_file():
                raise MusicZooError(
                    "The checkpoint lacks this file.",
                    path=path,
                    remedy="Fetch the checkpoint again, with all its files.",
                )
            if path.stat().st_size != row["bytes"]:
                raise MusicZooError(
                    f"The file has {path.stat().st_size:,} bytes instead of {row['bytes']:,}.",
                    path=path,
                    remedy=(
                        "It is truncated or not of this checkpoint: delete it and fetch the"
                        " checkpoint again."
                    ),
                )
            if _sha256(path) != row["sha256"]:
                raise MusicZooError(
                    "The file is not what was saved: its SHA-256 differs.",
                    path=path,
                    remedy="It was damaged or changed: delete it and fetch the checkpoint again.",
                )

    def tensors(self) -> dict[str, Tensor]:
        """The weights by name, as stored."""
        return read_safetensors(
            self.folder / name for name in sorted(self.content["files"]) if WEIGHTS.fullmatch(name)
        )


def read_checkpoint(folder: str | Path) -> Checkpoint:
    """Reads the ``config.json`` of a checkpoint folder.

    Raises:
        MusicZooError: There is none, or it is damaged, of another program or of a newer format.
    """
    folder = Path(folder)
    path = folder / CONFIG
    if not folder.is_dir():
        raise MusicZooError(
            "There is no such checkpoint folder.",
            path=folder,
            remedy="Give the folder that holds config.json.",
        )
    try:
        content = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise MusicZooError(
            "The folder has no config.json, so it is no checkpoint folder.", path=folder
        ) from None
    except OSError as error:
        raise MusicZooError(f"The file cannot be read ({error.strerror}).", path=path) from None
    except ValueError as error:
        raise MusicZooError(
            f"The file is no JSON ({error}).",
            path=path,
            remedy="Fetch the checkpoint again; it is damaged.",
        ) from None
    if not isinstance(content, dict) or not isinstance(content.get("format"), int):
        raise MusicZooError(
            "This is no configuration of musiczoo.",
            path=path,
            remedy="The folder holds a model of another library.",
        )
    if content["format"] > FORMAT:
        raise MusicZooError(
            f"The checkpoint has format {content['format']}, and this musiczoo reads up to"
            f" {FORMAT}.",
            path=path,
            remedy="pip install --upgrade musiczoo",
        )
    if content["format"] < FORMAT:
        content = {**upgraded(content), "format": FORMAT}
    _check_content(content, path)
    return Checkpoint(folder, content)


def _check_content(content: dict[str, Any], path: Path) -> None:
    problems = [
        f'The entry "{name}" is missing or of the wrong kind.'
        for name, kind in _KINDS.items()
        if not isinstance(content.get(name), kind)
    ]
    if not problems:
        files = content["files"]
        problems = [
            f'The entry "files" has a wrong row {name!r}.'
            for name, row in files.items()
            # A name with a path in it could lead out of the folder.
            if not _FILE_NAME.fullmatch(name)
            or not isinstance(row, dict)
            or not {"bytes", "sha256"} <= set(row)
        ]
        stored = ADAPTER_WEIGHTS if "adapter" in content else WEIGHTS
        if (
            IO not in files
            or not any(map(stored.fullmatch, files))
            or not isinstance(content.get("adapter", {}), dict)
        ):
            problems.append('The entry "files" lacks the weights or io.safetensors.')
    if problems:
        raise MusicZooError(problems[0], path=path, remedy="Fetch the checkpoint again.")


def with_files(folder: Path, content: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint of a folder with its files listed, not yet written."""
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name not in (CONFIG, CARD)
    )
    rows = {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in files
    }
    return Checkpoint(folder, {**content, "files": rows})


def with_card(checkpoint: Checkpoint, card: Card) -> Checkpoint:
    """The checkpoint with another card, not yet written."""
    return replace(checkpoint, content={**checkpoint.content, "card": card.to_dict()})


def write_config(checkpoint: Checkpoint) -> None:
    """Writes ``config.json`` and the model card made from it.

    Raises:
        MusicZooError: A value that is no plain JSON, or a folder that cannot be written to.
    """
    try:
        text = json.dumps(checkpoint.content, indent=1, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise MusicZooError(
            f"The configuration holds a value that is no plain JSON ({error}).",
            remedy="Numbers, text, lists and tables are.",
        ) from error
    write_atomically(checkpoint.folder / CARD, render_card(checkpoint.content).encode())
    write_atomically(checkpoint.folder / CONFIG, f"{text}\n".encode())


def _sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

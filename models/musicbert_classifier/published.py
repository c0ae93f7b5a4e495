"""Reads MusicBERT's checkpoints of fine-tuning: encoder and one classification head (fairseq)."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

from musiczoo.hub.foreign_objects import read_with_foreign_objects
from musiczoo.hub.published import Published
from musiczoo.hub.tensors import shape_of, tensor_table
from musiczoo.models.musicbert.config import MusicBertConfig
from musiczoo.models.musicbert.published import read_published as read_encoder
from musiczoo.models.musicbert_classifier.config import MusicBertClassifierConfig
from musiczoo.music.errors import MusicZooError

_HEAD = re.compile(r"classification_heads\.(?P<name>[^.]+)\.(?P<rest>.+)")


def read_published(path: str | Path, head: str | None = None, several: bool = False) -> Published:
    """Encoder and head of a fine-tuned MusicBERT; labels have numbers for names.

    Args:
        path: The file.
        head: Which head, such as ``"topmagd_head"``; the only one when None.
        several: Whether a piece may have several labels, as in the published genre task.

    Raises:
        MusicZooError: The file cannot be used, has no head, or several and none is chosen.
    """
    path = Path(path)
    encoder = read_encoder(path)
    heads: dict[str, dict[str, object]] = {}
    for name, value in tensor_table(read_with_foreign_objects(path), "model", path).items():
        if match := _HEAD.fullmatch(name):
            heads.setdefault(match["name"], {})[f"head.{match['rest']}"] = value
    chosen = head if head is not None else next(iter(heads)) if len(heads) == 1 else None
    if chosen not in heads:
        raise MusicZooError(
            f"The file has {'the heads ' + ', '.join(sorted(heads)) if heads else 'no head'}.",
            path=path,
            where="head",
            remedy=(
                "Name one (head=)." if heads else 'For the encoder write load("musicbert", ...).'
            ),
        )
    tensors = {
        f"encoder.{name}": value
        for name, value in encoder.tensors.items()
        if not name.startswith("lm_head.")
    } | heads[chosen]
    labels = shape_of(tensors, "head.out_proj.weight", 2, path)[0]  # type: ignore[arg-type]
    sizes = {item.name: getattr(encoder.config, item.name) for item in fields(MusicBertConfig)}
    names = tuple(str(number) for number in range(labels))
    config = MusicBertClassifierConfig(**sizes, labels=names, several=several)
    return Published(config, tensors, encoder.representation)  # type: ignore[arg-type]

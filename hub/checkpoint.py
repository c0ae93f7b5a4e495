"""Saves a model as a checkpoint folder: written whole or not at all, and opened again to make sure.

What the folder holds is described in :mod:`musiczoo.hub.format`; :mod:`musiczoo.hub.loading` opens
it.
"""

from __future__ import annotations

from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from musiczoo.hub.adapter import describe_adapter, write_adapter
from musiczoo.hub.card_fields import Card
from musiczoo.hub.contract import Publishable
from musiczoo.hub.folders import new_folder
from musiczoo.hub.format import (
    ADAPTER_WEIGHTS,
    CARD,
    CONFIG,
    FORMAT,
    IO,
    WEIGHTS,
    Checkpoint,
    read_checkpoint,
    with_card,
    with_files,
    write_config,
)
from musiczoo.hub.loading import TOLERANCE, build, open_checkpoint, verify
from musiczoo.hub.registry import ARCHITECTURES, REPRESENTATIONS, name_of, representations_of
from musiczoo.hub.tensors import rounded
from musiczoo.music.errors import MusicZooError

__all__ = [
    "ADAPTER_WEIGHTS",
    "CARD",
    "CONFIG",
    "FORMAT",
    "IO",
    "STORED_TYPES",
    "TOLERANCE",
    "WEIGHTS",
    "Checkpoint",
    "open_checkpoint",
    "read_checkpoint",
    "save_checkpoint",
    "with_card",
    "write_config",
]

STORED_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def save_checkpoint(
    model: Publishable,
    folder: str | Path,
    *,
    card: Card | None = None,
    dtype: str = "float32",
    max_shard_size: int | str = "5GB",
    overwrite: bool = False,
) -> Path:
    """Writes a model as a checkpoint folder and opens it again to make sure.

    Args:
        model: Any module of the zoo, on any device; it is left as it is. Of one with an adapter the
            adapter alone is saved, and the name of its base; merge it first to save everything.
        folder: The folder to make.
        card: What the model card states beyond what the model knows itself.
        dtype: ``"float32"``, or ``"bfloat16"`` for half the size and rounded weights.
        max_shard_size: Largest weights file, in bytes or as ``"5GB"``.
        overwrite: Replace an older checkpoint folder; nothing else is ever replaced.

    Returns:
        The folder.

    Raises:
        MusicZooError: The model cannot be described by its configuration, has diverged, or the
            folder cannot be written.
    """
    tensors = _checked_tensors(model, dtype)
    content = _content(model, tensors, card or Card())
    with new_folder(folder, replaces=CONFIG if overwrite else None) as part:
        try:
            if "adapter" in content:
                write_adapter(content["adapter"], tensors, part)
            else:
                save_torch_state_dict(
                    tensors, part, max_shard_size=max_shard_size, metadata={"format": "pt"}
                )
            module = _write_io(with_files(part, content))
        except SafetensorError as error:
            raise MusicZooError(
                f"The weights cannot be written ({error}).",
                path=folder,
                remedy="Check the permissions and the free space.",
            ) from error
        finished = with_files(part, content)
        verify(finished, module)
        write_config(finished)
    return Path(folder)


def _checked_tensors(model: Publishable, dtype: str) -> dict[str, Tensor]:
    """What is stored of a model: its weights, or those of its adapter."""
    if dtype not in STORED_TYPES:
        raise MusicZooError(
            f"Weights are not stored as {dtype!r}.",
            where="dtype",
            remedy=f"Choose {' or '.join(STORED_TYPES)}.",
        )
    if not isinstance(model, Publishable):
        raise MusicZooError(
            f"A {type(model).__name__} is no module of the zoo.",
            remedy="Give a LightningModule that musiczoo.load returns.",
        )
    tensors = rounded(
        model.net.state_dict() if model.lora is None else model.adapter_tensors(),
        STORED_TYPES[dtype],
    )
    for name, value in tensors.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise MusicZooError(
                f"The weights have diverged: {name} holds numbers that are not finite.",
                remedy="Go back to an earlier checkpoint.",
            )
    return tensors


def _content(model: Publishable, tensors: dict[str, Tensor], card: Card) -> dict[str, Any]:
    """``config.json`` without its list of files."""
    name = name_of(ARCHITECTURES, model)
    if not representations_of(ARCHITECTURES[name]):
        raise MusicZooError(
            f"Models of the architecture {name} are not saved as checkpoint folders.",
            remedy="Open the publisher's weights by name: musiczoo list.",
        )
    numbers = model.net.parameters() if model.lora is None else tensors.values()
    content = {
        "format": FORMAT,
        "architecture": name,
        "config": model.to_config(),
        "representation": {
            "name": name_of(REPRESENTATIONS, model.representation),
            "settings": model.representation.to_config(),
        },
        **model.record(),
        "parameters": sum(value.numel() for value in numbers),
        "card": card.to_dict(),
        "versions": {
            library: version(library)
            for library in ("musiczoo", "torch", "transformers", "safetensors")
        },
        "files": {},
    }
    return content if model.lora is None else {**content, "adapter": describe_adapter(model)}


def _write_io(draft: Checkpoint) -> Publishable:
    """Writes ``io.safetensors``: inputs, and the outputs of what a downloader will get.

    Returns:
        This module: a net of rounded weights, built from the configuration alone.
    """
    module = build(draft)
    batch = module.reference_batch()
    named = {f"input.{name}": value for name, value in batch.items()}
    named |= {
        f"output.{name}": value.contiguous()
        for name, value in module.reference_outputs(batch).items()
    }
    save_file(named, draft.folder / IO, metadata={"format": "pt"})
    return module

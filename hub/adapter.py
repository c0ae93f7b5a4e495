"""Adapter-only checkpoints: a LoRA adapter in peft's own layout under ``adapter/``, and the name of the base it stands beside.

The base is not copied. It is loaded by its name (with the commit, if it is on the Hub), and a
digest of its tensors proves that it is the one that the adapter was trained on. peft alone can read
the folder too: ``PeftModel.from_pretrained(net, folder / "adapter")``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from musiczoo.hub.contract import Publishable
from musiczoo.hub.loading import HUB, LOCAL, load
from musiczoo.hub.registry import list_models
from musiczoo.hub.tensors import read_safetensors, rounded
from musiczoo.music.errors import MusicZooError

CONFIG = "adapter/adapter_config.json"
WEIGHTS = "adapter/adapter_model.safetensors"
# How peft calls the tensors of a net on disk, and of one with an adapter named "default" in memory.
_PREFIX = "base_model.model."
_IN_MEMORY = re.compile(r"\.(lora_[A-Za-z]+)\.default(?=\.|$)")
_ON_DISK = re.compile(r"\.(lora_[A-Za-z]+)(?=\.|$)")


def describe_adapter(model: Publishable) -> dict[str, Any]:
    """The entry ``adapter`` of ``config.json``: settings and base.

    Raises:
        MusicZooError: The base has no name under which it can be loaded again.
    """
    source = model.source or ""
    if not (source.startswith((LOCAL, HUB)) or source in {row.name for row in list_models()}):
        raise MusicZooError(
            "An adapter's checkpoint folder must name its base, and this one was not loaded by a"
            " name.",
            where=source or None,
            remedy=(
                "Merge it (model.merge_adapter()), or save the base as a checkpoint folder first"
                " and start from that."
            ),
        )
    return {**model.adapter_record(), "base": source}


def write_adapter(model: Publishable, folder: Path, dtype: torch.dtype) -> None:
    """Writes ``adapter/`` into a folder."""
    from peft import LoraConfig

    entry = describe_adapter(model)
    base, _, revision = str(entry["base"]).partition("@")
    config: Any = LoraConfig(
        r=entry["lora"]["rank"],
        lora_alpha=entry["lora"]["alpha"],
        lora_dropout=entry["lora"]["dropout"],
        target_modules=entry["targets"],
        inference_mode=True,
        base_model_name_or_path=base.removeprefix(HUB),
        revision=revision or None,
    )
    plain = {
        name: sorted(value) if isinstance(value, set) else value
        for name, value in config.to_dict().items()
    }
    (folder / CONFIG).parent.mkdir()
    (folder / CONFIG).write_text(json.dumps(plain, indent=1, sort_keys=True) + "\n", "utf-8")
    tensors = {
        _PREFIX + _IN_MEMORY.sub(r".\1", name): value
        for name, value in model.adapter_tensors().items()
    }
    save_file(rounded(tensors, dtype), folder / WEIGHTS, metadata={"format": "pt"})


def open_adapter(entry: dict[str, Any], folder: Path, settings: dict[str, Any]) -> Any:
    """The base with the adapter beside it, in eval mode.

    Args:
        entry: What :func:`describe_adapter` gave.
        folder: The checkpoint folder.
        settings: Of the module's constructor.

    Raises:
        MusicZooError: The base cannot be loaded, or is another one; or the adapter does not fit.
    """
    try:
        model: Any = load(entry["base"], **settings)
        model.add_lora(entry["lora"])
        found = model.adapter_record()["base_sha256"]
        if found != entry["base_sha256"]:
            raise MusicZooError(
                f"The adapter was trained beside another version of {entry['base']}.",
                remedy="Get the version that it was trained beside, with all its bytes.",
            )
        stored = read_safetensors([folder / WEIGHTS])
        model.take_adapter(
            {
                _ON_DISK.sub(r".\1.default", name.removeprefix(_PREFIX)): value
                for name, value in stored.items()
            }
        )
    except (KeyError, TypeError) as error:
        raise MusicZooError(
            f'The entry "adapter" is damaged ({error}).',
            path=folder,
            remedy="Fetch the checkpoint again.",
        ) from error
    except MusicZooError as error:
        raise error.at(path=folder) from None
    return model.eval()

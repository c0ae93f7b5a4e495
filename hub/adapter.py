"""Adapter-only checkpoints: a LoRA adapter in peft's layout, and the name of its base.

The base is not copied. It is loaded by its name (with the commit, if it is on the Hub), and a
digest of its tensors proves that it is the one that the adapter was trained on. peft alone can read
the folder too: ``PeftModel.from_pretrained(net, folder / "adapter")``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file
from torch import Tensor

from musiczoo.hub.contract import Publishable
from musiczoo.hub.registry import HUB, LOCAL, list_models
from musiczoo.hub.tensors import read_safetensors
from musiczoo.music.errors import MusicZooError

CONFIG = "adapter/adapter_config.json"
WEIGHTS = "adapter/adapter_model.safetensors"
# How peft names the tensors of a net on disk, and of one with an adapter named "default" in memory.
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


def write_adapter(
    description: Mapping[str, Any], tensors: Mapping[str, Tensor], folder: Path
) -> None:
    """Writes ``adapter/`` into a folder.

    Args:
        description: Of :func:`describe_adapter`.
        tensors: Of the adapter, by the names that they have in the net.
        folder: The checkpoint folder.
    """
    from peft import LoraConfig  # here, for only adapters need it and its import takes a while

    base, _, revision = str(description["base"]).partition("@")
    config: Any = LoraConfig(
        r=description["lora"]["rank"],
        lora_alpha=description["lora"]["alpha"],
        lora_dropout=description["lora"]["dropout"],
        target_modules=description["targets"],
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
    named = {_PREFIX + _IN_MEMORY.sub(r".\1", name): value for name, value in tensors.items()}
    save_file(named, folder / WEIGHTS, metadata={"format": "pt"})


def attach_adapter(base: Any, description: Mapping[str, Any], folder: Path) -> Any:
    """The base with the adapter of a checkpoint folder beside it, in eval mode.

    Args:
        base: The module that ``description["base"]`` names.
        description: Of :func:`describe_adapter`.
        folder: The checkpoint folder.

    Raises:
        KeyError: The description lacks an entry.
        MusicZooError: The base is another one, or the adapter does not fit.
    """
    base.add_lora(description["lora"])
    if base.adapter_record()["base_sha256"] != description["base_sha256"]:
        raise MusicZooError(
            f"The adapter was trained beside another version of {description['base']}.",
            remedy="Get the version that it was trained beside, with all its bytes.",
        )
    stored = read_safetensors([folder / WEIGHTS])
    base.load_adapter_tensors(
        {
            _ON_DISK.sub(r".\1.default", name.removeprefix(_PREFIX)): value
            for name, value in stored.items()
        }
    )
    return base.eval()

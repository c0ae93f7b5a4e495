"""Opens folders in transformers' layout: ``config.json``, safetensors, ``tokenizer.json``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from musiczoo.hub.published import Published
from musiczoo.models.causal_lm.config import TextLMConfig, transformers_config
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.text_tokens import TextTokens


def read_published(path: str | Path) -> Published:
    """The sizes and tensors of a causal language model, and its tokens where they are there.

    Nothing is unpickled, and no code of the folder is executed.

    Args:
        path: The folder, or a file in it.

    Raises:
        MusicZooError: Something is missing, damaged, or no causal language model that the installed
            transformers knows.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    content = read_config(folder)
    try:
        own = transformers_config(content)
    except MusicZooError as error:
        raise error.at(path=folder / "config.json") from None
    file = folder / "tokenizer.json"
    tokens = _tokens(file, own) if file.is_file() else None
    tensors = _tensors(folder, own)
    # All entries, for defaults differ between versions of transformers; labels are of classifiers.
    plain = json.loads(own.to_json_string(use_diff=False))
    left_out = ("id2label", "label2id", "transformers_version")
    kept = {name: value for name, value in plain.items() if name not in left_out}
    return Published(TextLMConfig(transformers=kept), tensors, tokens)


def read_config(folder: Path) -> dict[str, Any]:
    """The content of the ``config.json`` beside weights.

    Raises:
        MusicZooError: It cannot be read.
    """
    file = folder / "config.json"
    try:
        content = json.loads(file.read_text("utf-8"))
        if not isinstance(content, dict):
            raise ValueError(f"it holds a {type(content).__name__}")
    except (OSError, ValueError) as error:
        raise MusicZooError(
            f"The configuration beside the weights cannot be read: {error}",
            path=file,
            remedy="Put the publisher's config.json beside the weights.",
        ) from error
    return content


def _tensors(folder: Path, config: Any) -> Mapping[str, torch.Tensor]:
    """The tensors by their names in the net, as transformers reads them.

    Its reader knows which names and layouts a family had in earlier versions.
    """
    from transformers import AutoModelForCausalLM

    if not any(folder.glob("*.safetensors")):
        raise MusicZooError(
            "There are no weights.",
            path=folder,
            remedy="Give a folder with model.safetensors, or with its shards and their index.",
        )
    auto: Any = AutoModelForCausalLM
    try:
        net, report = auto.from_pretrained(
            folder,
            config=config,
            dtype="auto",
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except Exception as error:
        # What the readers of single families raise is of no fixed kind.
        raise MusicZooError(
            f"The weights cannot be read: {' '.join(str(error).split())[:200]}",
            path=folder,
            remedy="Fetch the folder again; it is damaged or incomplete.",
        ) from error
    kinds = {
        "is missing": report["missing_keys"],
        "is not part of the model": report["unexpected_keys"],
        "has another shape": [key[0] for key in report["mismatched_keys"]],
    }
    problems = [f"{name} {what}" for what, names in kinds.items() for name in sorted(names)]
    if problems:
        more = f"; and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise MusicZooError(
            f"The tensors do not fit: {'; '.join(problems[:5])}{more}.",
            path=folder,
            remedy="The folder is damaged, or config.json belongs to other weights.",
        )
    tensors: Mapping[str, torch.Tensor] = net.state_dict()
    return tensors


def _tokens(file: Path, config: Any) -> TextTokens:
    """The tokens of a folder; the ids of both ends are those of its configuration."""

    def one(name: str) -> int | None:
        # Chat models have several ends; the first is that of a text.
        found = getattr(config, name, None)
        first = found[0] if isinstance(found, list) and found else found
        return first if isinstance(first, int) else None

    bos, eos = one("bos_token_id"), one("eos_token_id")
    if eos is None:
        raise MusicZooError(
            "The configuration does not state which token ends a text.",
            where="eos_token_id",
            path=file.parent / "config.json",
            remedy="Add it, or take tokenizer.json away and give the representation yourself.",
        )
    # Some families begin texts with the token that ends them.
    return TextTokens.from_file(file, bos=eos if bos is None else bos, eos=eos)

"""Opens weights: nothing but tensors and plain containers is unpickled.

Two layouts are known: NotaGen's files (https://github.com/ElectricAlexis/NotaGen, MIT), whose sizes
are read from the tensors, and the Lightning checkpoints of this architecture. Training state in the
file (optimiser, scheduler, epoch) is left aside.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import Tensor

from musiczoo.hub.published import Published, assemble
from musiczoo.hub.tensors import count_layers, drop_tied, read_torch_file, shape_of
from musiczoo.models.bar_stream.config import BarStreamConfig
from musiczoo.models.bar_stream.net import BarStreamNet
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.bar_stream import VOCABULARY

_PATCH = "patch_level_decoder"
_CHAR = "char_level_decoder.base"
# Attention masks that old transformers versions stored, and the output layer, which is the tied
# character embedding.
_ASIDE = re.compile(r"\.attn\.(bias|masked_bias)$")
_TIED = f"{_CHAR}.lm_head.weight"


def _tensors(content: dict[str, Any], key: str, path: Path) -> dict[str, Tensor]:
    model = content.get(key)
    if not isinstance(model, Mapping) or not all(
        isinstance(value, Tensor) for value in model.values()
    ):
        raise MusicZooError(
            f'The file has no table of tensors under "{key}".',
            path=path,
            remedy=(
                "Give a NotaGen or a Lightning checkpoint, not an optimiser state or another model."
            ),
        )
    return {name: value for name, value in model.items() if not _ASIDE.search(name)}


def _lightning_config(content: dict[str, Any], path: Path) -> BarStreamConfig:
    settings = content.get("hyper_parameters", {})
    names = [item.name for item in fields(BarStreamConfig)]
    if missing := [name for name in names if name not in settings]:
        raise MusicZooError(
            f"The checkpoint does not state {', '.join(missing)}.",
            path=path,
            remedy="It is of another architecture.",
        )
    return BarStreamConfig(**{name: settings[name] for name in names})


def config_of(tensors: Mapping[str, Tensor], path: Path) -> BarStreamConfig:
    """Reads the sizes from the tensors.

    Raises:
        MusicZooError: A tensor that a size is read from is missing or has the wrong number of axes.
    """
    hidden, flat = shape_of(tensors, f"{_PATCH}.patch_embedding.weight", 2, path)
    return BarStreamConfig(
        patch_layers=count_layers(tensors, f"{_PATCH}.base.h."),
        char_layers=count_layers(tensors, f"{_CHAR}.transformer.h."),
        hidden=hidden,
        patch_size=flat // VOCABULARY,
        patch_length=shape_of(tensors, f"{_PATCH}.base.wpe.weight", 2, path)[0],
    )


def read_published(path: str | Path) -> Published:
    """The sizes and tensors of a NotaGen file, or of a Lightning checkpoint of this architecture.

    Raises:
        MusicZooError: See :func:`musiczoo.hub.tensors.read_torch_file`; also where the file is of
            another model.
    """
    path = Path(path)
    content = read_torch_file(path)
    if "base_sha256" in content:
        raise MusicZooError(
            "The checkpoint holds an adapter alone.",
            path=path,
            remedy=(
                "Open it with BarStreamModule.load_from_checkpoint, and merge_adapter() it to start"
                " from it."
            ),
        )
    if "state_dict" in content:
        stored = _tensors(content, "state_dict", path)
        tensors = {name.removeprefix("net."): value for name, value in stored.items()}
        config = _lightning_config(content, path)
    else:
        tensors = _tensors(content, "model", path)
        config = config_of(tensors, path)
    embedding = f"{_CHAR}.transformer.wte.weight"
    drop_tied(tensors, _TIED, embedding, path, "The file is no NotaGen model.")
    return Published(config, tensors)


def load_net(path: str | Path) -> BarStreamNet:
    """A net with the weights of a file that :func:`read_published` reads, in eval mode.

    Raises:
        MusicZooError: See :func:`read_published`; also a missing, surplus or misshapen tensor,
            named with both shapes.
    """
    return assemble(BarStreamNet, read_published(path), Path(path))

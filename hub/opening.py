"""Opens a model by what a user wrote: a name, a folder, or a file of weights or of Lightning."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from musiczoo.hub.loading import load
from musiczoo.hub.registry import ARCHITECTURES, class_of
from musiczoo.hub.tensors import read_torch_file
from musiczoo.music.errors import MusicZooError

_log = logging.getLogger(__name__)
MODEL_HELP = (
    "a name (musiczoo list), hf-hub:org/name@revision, a checkpoint folder, a weights file in"
    " NotaGen's layout, a checkpoint of `musiczoo fit`, or the folder of its run"
)


def open_model(name: str) -> Any:
    """The model that a user means.

    Args:
        name: A name that :func:`musiczoo.load` knows, a checkpoint folder, a weights file, a
            Lightning checkpoint, or a run's folder, of which the newest checkpoint is opened.

    Returns:
        The module (a ``ZooModule``), in eval mode.

    Raises:
        MusicZooError: There is no such model, or it cannot be opened.
    """
    path = Path(name)
    if path.is_dir():
        if (path / "config.json").is_file():
            return load(f"local-dir:{path}")
        checkpoints = sorted(path.rglob("*.ckpt"), key=lambda file: file.stat().st_mtime)
        if not checkpoints:
            raise MusicZooError(
                "The folder holds no checkpoint.",
                path=path,
                remedy=(
                    "Give a checkpoint folder (with config.json) or a run's folder, such as"
                    " lightning_logs/version_0."
                ),
            )
        path = checkpoints[-1]
        _log.info("%s", path)
    if path.suffix == ".ckpt":
        return _from_lightning(path)
    return load("notagen", weights=path) if path.is_file() else load(name)


def _from_lightning(path: Path) -> Any:
    """The module of a Lightning checkpoint. Nothing but tensors and plain values is unpickled."""
    if not path.is_file():
        raise MusicZooError("There is no such checkpoint.", path=path)
    kept = read_torch_file(path).get("musiczoo")
    # Checkpoints from before the record was kept are of the one architecture that there was.
    name = kept.get("architecture", "bar_stream") if isinstance(kept, dict) else "bar_stream"
    architecture = class_of(ARCHITECTURES, name)
    try:
        return architecture.load_from_checkpoint(path, map_location="cpu", weights_only=True).eval()
    except MusicZooError:
        raise
    except Exception as error:
        # What settings or tensors that do not fit make Lightning raise is of no fixed kind.
        stated = " ".join(str(error).split())[:200]
        raise MusicZooError(
            f"The checkpoint cannot be opened ({stated}).",
            path=path,
            remedy="Give one that musiczoo fit wrote.",
        ) from error

"""Opens a model: by its name in the registry, from a folder, from the Hugging Face Hub, or from a weights file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from musiczoo.hub.published import Published
from musiczoo.hub.registry import Entry, architecture, entry, resolve
from musiczoo.hub.tensors import fill, uninitialised
from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    import lightning

LOCAL = "local-dir:"
HUB = "hf-hub:"


def load(
    name: str, weights: str | Path | None = None, **settings: Any
) -> lightning.LightningModule:
    """Loads a model.

    Nothing is guessed: what is no name of the registry says what it is by its first word.

    Args:
        name: A name of :func:`musiczoo.list_models`; ``"local-dir:PATH"``, a checkpoint folder; or
            ``"hf-hub:org/name@revision"``, a checkpoint folder on the Hugging Face Hub
            (``@revision``, a branch, tag or commit, may be left out).
        weights: With a name of the registry, a file (or, in transformers' layout, a folder) as its
            publisher lays it out; without it this is fetched from the Hub (or its cache).
        settings: Passed to the module, such as ``dropout=0.0`` or ``seed=1``.

    Returns:
        The LightningModule in eval mode; ``Trainer.fit`` puts it into training mode.

    Raises:
        MusicZooError: An unknown name, a folder or file that is missing, damaged or does not fit,
            or a Hub that cannot be reached.
    """
    row = None if name.startswith((LOCAL, HUB)) else entry(name)
    if row is None or row.folder is not None:
        if weights is not None:
            raise MusicZooError(
                f"{name} is a checkpoint folder and has its own weights.",
                where="weights",
                remedy=(
                    'Leave weights= out. For a file in NotaGen\'s layout write load("notagen",'
                    " weights=PATH)."
                ),
            )
        return _open_folder(name, settings)
    # An adapter stands beside weights that are there already.
    adapter = settings.pop("lora", None)
    path = Path(weights) if weights is not None else fetch(name)
    if not (
        path.is_file() or (path.is_dir() and row.repository is not None and row.filename is None)
    ):
        raise MusicZooError(
            "There is no such weights file.",
            path=path,
            remedy="Give the path of a file in the model's published layout.",
        )
    model: Any = (
        resolve(row.opener)(path, **settings)
        if row.opener
        else _open_published(row, path, settings)
    )
    model.loaded_from = {
        "name": name if weights is None else f"{name}, {path.name}",
        "licence": row.licence,
    }
    if weights is None:
        model.source = name
    return _with_adapter(model, adapter, settings)


def fetch(name: str) -> Path:
    """The weights file or checkpoint folder of a name that :func:`load` takes, from the disk, the Hub or its cache.

    Raises:
        MusicZooError: An unknown name, or something that cannot be fetched.
    """
    return _fetch(name)[0]


def _fetch(name: str) -> tuple[Path, str | None]:
    """A weights file or a folder, and the commit if it is from the Hub."""
    if name.startswith(LOCAL):
        return Path(name.removeprefix(LOCAL)).expanduser(), None
    from musiczoo.hub.transfer import fetch_file, fetch_folder, fetch_published

    if name.startswith(HUB):
        repository, _, revision = name.removeprefix(HUB).partition("@")
        if repository.count("/") != 1:
            raise MusicZooError(
                f"{repository!r} is no repository.",
                where=name,
                remedy=f"Write {HUB}org/name, and @revision if you like.",
            )
        return fetch_folder(repository, revision or None)
    row = entry(name)
    if row.folder is not None:
        return row.folder, None
    note = f"{name}: {row.origin}. Terms: {row.licence}."
    if row.repository is not None and row.filename is None:
        return fetch_published(row.repository, row.revision, note), None
    if row.repository is None or row.filename is None:
        raise MusicZooError(
            f"{name} is opened from a file.",
            remedy=f'Give its path: musiczoo.load("{name}", weights="...").',
        )
    return fetch_file(row.repository, row.filename, row.revision, note), None


def _open_folder(name: str, settings: dict[str, Any]) -> lightning.LightningModule:
    from musiczoo.hub.checkpoint import open_checkpoint

    adapter = settings.pop("lora", None)
    folder, commit = _fetch(name)
    model = open_checkpoint(folder, **settings)
    if commit is not None:
        name = f"{name.partition('@')[0]}@{commit}"
    elif name.startswith(LOCAL):
        name = f"{LOCAL}{folder.resolve()}"
    # What is published must not tell the paths of the machine it was trained on.
    told = f"{LOCAL}{folder.name}" if name.startswith(LOCAL) else name.partition("@")[0]
    if model.lora is None:
        # Otherwise the source is that of the base.
        model.source = name
    model.loaded_from = {
        "name": told,
        "revision": commit or model.loaded_from["revision"],
        "licence": model.loaded_from["licence"],
    }
    return _with_adapter(model, adapter, settings)


def _open_published(row: Entry, path: Path, settings: dict[str, Any]) -> Any:
    """The module of a publisher's file or folder, in eval mode."""
    kind = architecture(row.architecture)
    if kind.reads_published is None:
        raise MusicZooError(
            f"No file of another publisher is known for the architecture {kind.name}.",
            path=path,
            remedy="Give a checkpoint folder: local-dir:PATH.",
        )
    options = {name: settings.pop(name) for name in kind.reader_options if name in settings}
    published: Published = resolve(kind.reads_published)(path, **options)
    if published.name not in (None, row.name):
        raise MusicZooError(
            f"This is a file of {published.name}, not of {row.name}.",
            path=path,
            remedy=f'Write load("{published.name}", ...).',
        )
    with torch.random.fork_rng(devices=[]), uninitialised():
        model = resolve(kind.module).from_config(
            published.config.to_dict(),
            published.representation,
            **{**published.settings, **settings},
        )
    fill(model.net, published.tensors, path)
    return model.eval()


def _with_adapter(model: Any, adapter: Any, settings: dict[str, Any]) -> lightning.LightningModule:
    opened: lightning.LightningModule = (
        model if adapter is None else model.add_lora(adapter, settings.get("seed", 0))
    )
    return opened

"""Opens a model: by its name in the registry, from a folder, the Hub, or a weights file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from musiczoo.hub.adapter import attach_adapter
from musiczoo.hub.contract import Publishable
from musiczoo.hub.format import CONFIG, IO, Checkpoint, read_checkpoint
from musiczoo.hub.published import assembled
from musiczoo.hub.registry import (
    ARCHITECTURES,
    HUB,
    LOCAL,
    REPRESENTATIONS,
    Entry,
    architecture,
    class_of,
    entry,
    resolve,
)
from musiczoo.hub.tensors import fill, read_safetensors, uninitialised
from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    import lightning

__all__ = ["HUB", "LOCAL", "TOLERANCE", "build", "fetch", "load", "open_checkpoint", "verify"]

# Log-probabilities are some nats; other processors and versions of torch move them in the fifth
# digit, other weights in the first.
TOLERANCE = 1e-3


def load(
    name: str, weights: str | Path | None = None, **settings: Any
) -> lightning.LightningModule:
    """Loads a model.

    Nothing is guessed: what is no name of the registry states by its first word what it is.

    Args:
        name: A name of :func:`musiczoo.list_models`; ``"local-dir:PATH"``, a checkpoint folder; or
            ``"hf-hub:org/name@revision"``, a checkpoint folder on the Hugging Face Hub
            (``@revision``, a branch, tag or commit, may be left out).
        weights: With a name of the registry, a file (or, in transformers' layout, a folder) as its
            publisher distributes it; without it this is fetched from the Hub (or its cache).
        settings: Passed to the module, such as ``dropout=0.0`` or ``seed=1``.

    Returns:
        The LightningModule in eval mode; ``Trainer.fit`` puts it into training mode.

    Raises:
        MusicZooError: An unknown name, a folder or file that is missing, damaged or does not fit,
            or a Hub that cannot be reached.
    """
    row = None if name.startswith((LOCAL, HUB)) else entry(name)
    # An adapter stands beside weights that are there already.
    adapter = settings.pop("lora", None)
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
        model = _open_folder(name, settings)
    else:
        model = _open_weights(row, weights, settings)
    opened: lightning.LightningModule = (
        model if adapter is None else model.add_lora(adapter, settings.get("seed", 0))
    )
    return opened


def fetch(name: str) -> Path:
    """The weights file or checkpoint folder of a name, from the disk, the Hub or its cache.

    Args:
        name: As for :func:`load`.

    Raises:
        MusicZooError: An unknown name, or something that cannot be fetched.
    """
    return _fetch(name)[0]


def open_checkpoint(folder: str | Path, **settings: Any) -> Any:
    """The module of a checkpoint folder, checked file by file and by its stored outputs.

    Args:
        folder: A checkpoint folder.
        settings: Of the module's constructor, such as ``dropout=0.0`` or ``seed=1``.

    Returns:
        The LightningModule, float32, in eval mode.

    Raises:
        MusicZooError: Anything in the folder is missing, damaged, changed, of another architecture
            or of a newer format.
    """
    checkpoint = read_checkpoint(folder)
    checkpoint.check_files()
    module = build(checkpoint, **settings)
    verify(checkpoint, module)
    return module


def build(checkpoint: Checkpoint, **settings: Any) -> Publishable:
    """The module of a checkpoint with its weights, in eval mode, not yet verified.

    Args:
        checkpoint: The checkpoint.
        settings: Of the module's constructor.

    Raises:
        MusicZooError: Architecture, sizes, representation, settings or tensors do not fit.
    """
    module: Publishable
    if "adapter" in checkpoint.content:
        record = checkpoint.content["adapter"]
        try:
            module = attach_adapter(load(record["base"], **settings), record, checkpoint.folder)
        except (KeyError, TypeError) as error:
            raise MusicZooError(
                f'The entry "adapter" is damaged ({error}).',
                path=checkpoint.folder,
                remedy="Fetch the checkpoint again.",
            ) from error
        except MusicZooError as error:
            raise error.at(path=checkpoint.folder) from None
    else:
        module = _untrained(checkpoint, settings)
        fill(module.net, checkpoint.tensors(), checkpoint.folder)
    try:
        module.load_record(checkpoint.content)
    except (KeyError, TypeError, ValueError) as error:
        raise MusicZooError(
            f'The entry "conditioning" or "provenance" is damaged ({error}).',
            path=checkpoint.folder / CONFIG,
            remedy="Fetch the checkpoint again.",
        ) from error
    module.loaded_from = {
        "name": checkpoint.folder.name,
        "revision": checkpoint.fingerprint,
        "licence": checkpoint.licence,
    }
    return module.eval()


def verify(checkpoint: Checkpoint, module: Publishable) -> None:
    """Runs the stored inputs through the module and compares with the stored outputs.

    Raises:
        MusicZooError: They differ by more than :data:`TOLERANCE`.
    """
    stored = read_safetensors([checkpoint.folder / IO])
    batch = {
        name.removeprefix("input."): value
        for name, value in stored.items()
        if name.startswith("input.")
    }
    found = {f"output.{name}": value for name, value in module.reference_outputs(batch).items()}
    wanted = {name: value for name, value in stored.items() if name.startswith("output.")}
    if set(found) != set(wanted) or not wanted:
        raise MusicZooError(
            "The stored outputs are not those of this architecture.",
            path=checkpoint.folder / IO,
            remedy="Fetch it again.",
        )
    for name, value in wanted.items():
        if found[name].shape != value.shape or not torch.allclose(
            found[name], value, rtol=TOLERANCE, atol=TOLERANCE
        ):
            versions = ", ".join(
                f"{key} {number}" for key, number in checkpoint.content["versions"].items()
            )
            raise MusicZooError(
                "The model does not compute what it did when it was saved"
                f" ({name.removeprefix('output.')} differs).",
                path=checkpoint.folder,
                remedy=(
                    "The sizes in config.json do not belong to these weights, or this musiczoo or"
                    f" torch computes differently: it was saved with {versions}."
                ),
            )


def _untrained(checkpoint: Checkpoint, settings: dict[str, Any]) -> Publishable:
    """The module of a checkpoint, its weights not yet set."""
    content = checkpoint.content
    try:
        kind = class_of(ARCHITECTURES, content["architecture"])
        stored = content["representation"]
        representation = class_of(REPRESENTATIONS, stored["name"]).from_config(stored["settings"])
        with uninitialised():
            module: Publishable = kind.from_config(content["config"], representation, **settings)
    except MusicZooError as error:
        raise error.at(path=checkpoint.folder / CONFIG) from None
    except (TypeError, KeyError, AttributeError) as error:
        raise MusicZooError(
            f"Sizes or settings do not fit the architecture {content['architecture']}: {error}.",
            path=checkpoint.folder / CONFIG,
            remedy=(
                f"It was written by musiczoo {content['versions'].get('musiczoo', '?')};"
                " see also the settings you gave."
            ),
        ) from error
    return module


def _open_folder(name: str, settings: dict[str, Any]) -> Any:
    """The module of a checkpoint folder that a name stands for."""
    folder, commit = _fetch(name)
    model = open_checkpoint(folder, **settings)
    source = name
    if commit is not None:
        source = f"{name.partition('@')[0]}@{commit}"
    elif name.startswith(LOCAL):
        source = f"{LOCAL}{folder.resolve()}"
    if model.lora is None:
        # Otherwise the source is that of the base.
        model.source = source
    # What is published must not show the paths of the machine it was trained on.
    shown = f"{LOCAL}{folder.name}" if name.startswith(LOCAL) else source.partition("@")[0]
    model.loaded_from = {
        "name": shown,
        "revision": commit or model.loaded_from["revision"],
        "licence": model.loaded_from["licence"],
    }
    return model


def _open_weights(row: Entry, weights: str | Path | None, settings: dict[str, Any]) -> Any:
    """The module of a publisher's file or folder, in eval mode."""
    path = Path(weights) if weights is not None else fetch(row.name)
    if not (
        path.is_file() or (path.is_dir() and row.repository is not None and row.filename is None)
    ):
        raise MusicZooError(
            "There is no such weights file.",
            path=path,
            remedy="Give the path of a file in the model's published layout.",
        )
    kind = architecture(row.architecture)
    if kind.reads_published is None:
        raise MusicZooError(
            f"No file of another publisher is known for the architecture {kind.name}.",
            path=path,
            remedy="Give a checkpoint folder: local-dir:PATH.",
        )
    options = {name: settings.pop(name) for name in kind.reader_options if name in settings}
    published = resolve(kind.reads_published)(path, **options)
    model = assembled(resolve(kind.module), published, path, row.name, settings)
    model.loaded_from = {
        "name": row.name if weights is None else f"{row.name}, {path.name}",
        "licence": row.licence,
    }
    if weights is None:
        model.source = row.name
    return model


def _fetch(name: str) -> tuple[Path, str | None]:
    """A weights file or a folder, and the commit if it is from the Hub."""
    if name.startswith(LOCAL):
        return Path(name.removeprefix(LOCAL)).expanduser(), None
    row = None if name.startswith(HUB) else entry(name)
    if row is not None and row.folder is not None:
        return row.folder, None
    # Imported here, for what lies on this machine needs no client of the Hub.
    from musiczoo.hub.transfer import fetch_file, fetch_folder, fetch_published

    if row is None:
        repository, _, revision = name.removeprefix(HUB).partition("@")
        if repository.count("/") != 1:
            raise MusicZooError(
                f"{repository!r} is no repository.",
                where=name,
                remedy=f"Write {HUB}org/name, and @revision if you like.",
            )
        return fetch_folder(repository, revision or None)
    note = f"{name}: {row.origin}. Terms: {row.licence}."
    if row.repository is not None and row.filename is None:
        return fetch_published(row.repository, row.revision, note), None
    if row.repository is None or row.filename is None:
        raise MusicZooError(
            f"{name} is opened from a file.",
            remedy=f'Give its path: musiczoo.load("{name}", weights="...").',
        )
    return fetch_file(row.repository, row.filename, row.revision, note), None

"""A checkpoint as a folder: written whole or not at all, and opened with every byte checked.

==================
==============================================================================================================
config.json         format, architecture, sizes, representation, stage, prompts, provenance, what
the card says, library versions, and
                    the size and SHA-256 of each file beside it
model.safetensors   the weights; in shards when large, in bfloat16 where that was asked for (a
loaded net always has float32) adapter/            instead of model.safetensors: a LoRA adapter in
peft's layout (:mod:`musiczoo.hub.adapter`) io.safetensors      a small batch and what the model
makes of it, with which each opening is verified README.md           the model card, made from
config.json ==================
==============================================================================================================

Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import save_torch_state_dict
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from musiczoo.hub.card import Card, render_card
from musiczoo.hub.contract import Publishable
from musiczoo.hub.folders import new_folder
from musiczoo.hub.registry import ARCHITECTURES, REPRESENTATIONS, class_of, name_of
from musiczoo.hub.tensors import fill, read_safetensors, rounded
from musiczoo.music.atomic import write_atomically
from musiczoo.music.errors import MusicZooError

FORMAT = 1
CONFIG = "config.json"
WEIGHTS = re.compile(r"model(-\d{5}-of-\d{5})?\.safetensors")
ADAPTER_WEIGHTS = re.compile(r"adapter/adapter_model\.safetensors")
IO = "io.safetensors"
CARD = "README.md"
STORED_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
# Log-probabilities are some nats; other processors and versions of torch move them in the fifth
# digit, other weights in the first.
TOLERANCE = 1e-3
_FILE_NAME = re.compile(r"(adapter/)?[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Checkpoint:
    """A folder whose ``config.json`` has been read and found to be one of ours.

    Its other files are checked when they are used.

    Attributes:
        folder: Where it lies.
        content: The whole of ``config.json``.
    """

    folder: Path
    content: Mapping[str, Any]

    @property
    def card(self) -> Card:
        """What the model card says."""
        return Card.from_dict(self.content["card"])

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
        """SHA-256 of the table of files: what the weights are, whatever the card says of them."""
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

    def build(self, **settings: Any) -> Publishable:
        """The module with its weights, in eval mode, not yet verified.

        Args:
            settings: Of the module's constructor.

        Raises:
            MusicZooError: Architecture, sizes, representation, settings or tensors do not fit.
        """
        module = (
            self._base_and_adapter(settings) if "adapter" in self.content else self._whole(settings)
        )
        module.take_record(self.content)
        module.loaded_from = {
            "name": self.folder.name,
            "revision": self.fingerprint,
            "licence": self.card.licence,
        }
        return module.eval()

    def _base_and_adapter(self, settings: dict[str, Any]) -> Publishable:
        from musiczoo.hub.adapter import open_adapter

        module: Publishable = open_adapter(self.content["adapter"], self.folder, settings)
        return module

    def _whole(self, settings: dict[str, Any]) -> Publishable:
        where = self.folder / CONFIG
        try:
            architecture = class_of(ARCHITECTURES, self.content["architecture"])
            stored = self.content["representation"]
            representation = class_of(REPRESENTATIONS, stored["name"]).from_config(
                stored["settings"]
            )
            # Untrained weights are drawn and thrown away; the user's random numbers must not
            # notice.
            with torch.random.fork_rng(devices=[]):
                module: Publishable = architecture.from_config(
                    self.content["config"], representation, **settings
                )
        except MusicZooError as error:
            raise error.at(path=where) from None
        except (TypeError, KeyError, AttributeError) as error:
            raise MusicZooError(
                f"Sizes or settings do not fit the architecture {self.content['architecture']}:"
                f" {error}.",
                path=where,
                remedy=(
                    f"It was written by musiczoo {self.content['versions'].get('musiczoo', '?')};"
                    " see also the settings you gave."
                ),
            ) from error
        fill(module.net, self.tensors(), self.folder)
        return module

    def verify(self, module: Publishable) -> None:
        """Runs the stored inputs through the module and compares with the stored outputs.

        Raises:
            MusicZooError: They differ by more than :data:`TOLERANCE`.
        """
        stored = read_safetensors([self.folder / IO])
        batch = {
            name.removeprefix("input."): value
            for name, value in stored.items()
            if name.startswith("input.")
        }
        made = {f"output.{name}": value for name, value in module.reference_outputs(batch).items()}
        wanted = {name: value for name, value in stored.items() if name.startswith("output.")}
        if set(made) != set(wanted) or not wanted:
            raise MusicZooError(
                "The stored outputs are not those of this architecture.",
                path=self.folder / IO,
                remedy="Fetch it again.",
            )
        for name, value in wanted.items():
            if made[name].shape != value.shape or not torch.allclose(
                made[name], value, rtol=TOLERANCE, atol=TOLERANCE
            ):
                raise MusicZooError(
                    "The model does not compute what it did when it was saved"
                    f" ({name.removeprefix('output.')} differs).",
                    path=self.folder,
                    remedy=(
                        "The sizes in config.json do not belong to these weights, or this musiczoo"
                        " or torch computes differently: "
                        "it was saved with"
                        f" {', '.join(f'{key} {value}' for key, value in self.content['versions'].items())}."
                    ),
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
    _check_content(content, path)
    return Checkpoint(folder, content)


_KINDS: dict[str, type | tuple[type, ...]] = {
    "architecture": str,
    "config": dict,
    "representation": dict,
    "stage": str,
    "prompts": list,
    "provenance": dict,
    "parameters": int,
    "card": dict,
    "versions": dict,
    "files": dict,
}


def _check_content(content: dict[str, Any], path: Path) -> None:
    for name, kind in _KINDS.items():
        if not isinstance(content.get(name), kind):
            raise MusicZooError(
                f'The entry "{name}" is missing or of the wrong kind.',
                path=path,
                remedy="Fetch the checkpoint again.",
            )
    for name, row in content["files"].items():
        # A name with a path in it could lead out of the folder.
        if (
            not _FILE_NAME.fullmatch(name)
            or not isinstance(row, dict)
            or not {"bytes", "sha256"} <= set(row)
        ):
            raise MusicZooError(
                f'The entry "files" has a wrong row {name!r}.',
                path=path,
                remedy="Fetch the checkpoint again.",
            )
    stored = ADAPTER_WEIGHTS if "adapter" in content else WEIGHTS
    if (
        IO not in content["files"]
        or not any(map(stored.fullmatch, content["files"]))
        or not isinstance(content.get("adapter", {}), dict)
    ):
        raise MusicZooError(
            'The entry "files" lacks the weights or io.safetensors.',
            path=path,
            remedy="Fetch the checkpoint again.",
        )
    if not all(isinstance(row, list) and len(row) == 4 for row in content["prompts"]):
        raise MusicZooError(
            'An entry of "prompts" is not [period, composer, instrumentation, count].', path=path
        )


def open_checkpoint(folder: str | Path, **settings: Any) -> Any:
    """The module of a checkpoint folder, every file checked and its outputs compared with the stored ones.

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
    module = checkpoint.build(**settings)
    checkpoint.verify(module)
    return module


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
        card: What the model card says beyond what the model knows itself.
        dtype: ``"float32"``, or ``"bfloat16"`` for half the size and rounded weights.
        max_shard_size: Largest weights file, in bytes or as ``"5GB"``.
        overwrite: An older checkpoint folder gives way; nothing else ever does.

    Returns:
        The folder.

    Raises:
        MusicZooError: The model cannot be described by its configuration, has diverged, or the
            folder cannot be written.
    """
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
    record = model.record()
    adapted = model.lora is not None
    tensors = rounded(
        model.adapter_tensors() if adapted else model.net.state_dict(), STORED_TYPES[dtype]
    )
    if broken := [
        name
        for name, value in tensors.items()
        if value.is_floating_point() and not value.isfinite().all()
    ]:
        raise MusicZooError(
            f"The weights have diverged: {broken[0]} holds numbers that are not finite.",
            remedy="Go back to an earlier checkpoint.",
        )
    content: dict[str, Any] = {
        "format": FORMAT,
        "architecture": name_of(ARCHITECTURES, model),
        "config": model.to_config(),
        "representation": {
            "name": name_of(REPRESENTATIONS, model.representation),
            "settings": model.representation.to_config(),
        },
        **record,
        "parameters": sum(
            value.numel() for value in (tensors.values() if adapted else model.net.parameters())
        ),
        "card": (card or Card()).to_dict(),
        "versions": {
            name: version(name) for name in ("musiczoo", "torch", "transformers", "safetensors")
        },
        "files": {},
    }
    if adapted:
        from musiczoo.hub.adapter import describe_adapter, write_adapter

        content["adapter"] = describe_adapter(model)
    with new_folder(folder, replaces=CONFIG if overwrite else None) as part:
        try:
            if adapted:
                write_adapter(model, part, STORED_TYPES[dtype])
            else:
                save_torch_state_dict(
                    tensors, part, max_shard_size=max_shard_size, metadata={"format": "pt"}
                )
            draft = _described(part, content)
            # What a downloader will get computes the outputs: rounded weights, a net built from the
            # configuration alone.
            module = draft.build()
            batch = module.reference_batch()
            named = {f"input.{name}": value for name, value in batch.items()}
            named |= {
                f"output.{name}": value.contiguous()
                for name, value in module.reference_outputs(batch).items()
            }
            save_file(named, part / IO, metadata={"format": "pt"})
        except SafetensorError as error:
            raise MusicZooError(
                f"The weights cannot be written ({error}).",
                path=folder,
                remedy="Check the permissions and the free space.",
            ) from error
        finished = _described(part, content)
        finished.verify(module)
        write_config(finished)
    return Path(folder)


def _described(folder: Path, content: Mapping[str, Any]) -> Checkpoint:
    """The checkpoint with the files of a folder listed."""
    files = sorted(
        path for path in folder.rglob("*") if path.is_file() and path.name not in (CONFIG, CARD)
    )
    rows = {
        str(path.relative_to(folder)): {"bytes": path.stat().st_size, "sha256": _sha256(path)}
        for path in files
    }
    return Checkpoint(folder, {**content, "files": rows})


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


def with_card(checkpoint: Checkpoint, card: Card) -> Checkpoint:
    """The checkpoint with another card, not yet written."""
    return replace(checkpoint, content={**checkpoint.content, "card": card.to_dict()})


def _sha256(path: Path) -> str:
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()

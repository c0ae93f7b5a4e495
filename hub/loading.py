"""Opens a model of the registry, from a file or from the Hugging Face Hub."""

from __future__ import annotations

import importlib
import logging
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

from musiczoo.hub.registry import Entry, entry
from musiczoo.music.errors import MusicZooError

if TYPE_CHECKING:
    import lightning

logger = logging.getLogger(__name__)


def load(name: str, weights: str | Path | None = None, **settings: Any) -> lightning.LightningModule:
    """Loads a model by its name.

    Args:
        name: A name of :func:`musiczoo.list_models`.
        weights: A file in the model's published layout; without it the file is fetched from the Hub (or its cache).
        settings: Passed to the module, such as ``dropout=0.0`` or ``seed=1``.

    Returns:
        The LightningModule in eval mode; ``Trainer.fit`` puts it into training mode.

    Raises:
        MusicZooError: An unknown name, a file that is missing or does not fit, or a Hub that cannot be reached.
    """
    row = entry(name)
    path = Path(weights) if weights is not None else _download(row)
    module, _, attribute = row.opener.partition(":")
    opener: Any = reduce(getattr, attribute.split("."), importlib.import_module(module))
    model: lightning.LightningModule = opener(path, **settings)
    return model


def fetch(name: str) -> Path:
    """The weights file of a registry name, from the Hub or its cache.

    Raises:
        MusicZooError: An unknown name, or a file that cannot be fetched.
    """
    return _download(entry(name))


def _download(row: Entry) -> Path:
    if row.repository is None or row.filename is None:
        raise MusicZooError(f"{row.name} is opened from a file.", remedy=f'Give its path: musiczoo.load("{row.name}", weights="...").')
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    logger.info("%s: %s. Terms: %s.", row.name, row.origin, row.licence)
    try:
        return Path(hf_hub_download(row.repository, row.filename, revision=row.revision, library_name="musiczoo"))
    except LocalEntryNotFoundError:
        problem = "The Hugging Face Hub cannot be reached and the file is not in its cache."
        remedy = "Go online once, or download the file and give weights=PATH."
    except (EntryNotFoundError, RepositoryNotFoundError):
        problem = "The Hugging Face Hub has no such file (any more)."
        remedy = "Look it up on the publisher's page and give weights=PATH."
    except (HfHubHTTPError, OSError) as error:
        problem = f"The download failed: {str(error).splitlines()[0]}."
        remedy = "Try again, or download the file and give weights=PATH."
    raise MusicZooError(problem, where=f"{row.repository}/{row.filename}", remedy=remedy)

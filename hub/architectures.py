"""Classes by the names that a checkpoint's config.json holds.

They are given by dotted path, so that the hub imports no model.
"""

from __future__ import annotations

import difflib
import importlib
from functools import reduce
from typing import Any

from musiczoo.music.errors import MusicZooError

ARCHITECTURES = {
    "bar_stream": "musiczoo.models.bar_stream.module:BarStreamModule",
    "clamp2": "musiczoo.models.clamp2.module:Clamp2Module",
    "m3": "musiczoo.models.m3.module:M3Module",
    "mel_aesthetics": "musiczoo.models.mel_aesthetics.module:MelAestheticsModule",
    "phi3_remi": "musiczoo.models.phi3_remi.module:Phi3RemiModule",
}
REPRESENTATIONS = {
    "bar_stream": "musiczoo.representations.bar_stream:BarStreamPatches",
    "log_mel": "musiczoo.representations.log_mel:LogMel",
    "m3": "musiczoo.representations.m3_patches:M3Patches",
    "remi": "musiczoo.representations.remi:Remi",
}


def class_of(table: dict[str, str], name: object) -> Any:
    """The class of a name in :data:`ARCHITECTURES` or :data:`REPRESENTATIONS`.

    Raises:
        MusicZooError: The table has no such name.
    """
    if not isinstance(name, str) or name not in table:
        near = difflib.get_close_matches(str(name), table, n=1) or sorted(table)
        raise MusicZooError(
            f"musiczoo {importlib.import_module('importlib.metadata').version('musiczoo')} does not"
            f" know {name!r}.",
            remedy=(
                f"It knows {', '.join(near)}. A newer version may know more: pip install --upgrade"
                " musiczoo."
            ),
        )
    return resolve(table[name])


def name_of(table: dict[str, str], thing: object) -> str:
    """The name under which the class of an object stands in a table.

    Raises:
        MusicZooError: The table does not have its class.
    """
    for name, path in table.items():
        if isinstance(thing, resolve(path)):
            return name
    raise MusicZooError(
        f"{type(thing).__module__}.{type(thing).__qualname__} cannot be saved as a checkpoint"
        " folder: the zoo does not know this class.",
        remedy="Add its row to musiczoo.hub.architectures.",
    )


def resolve(path: str) -> Any:
    """What ``"module:attribute"`` or ``"module:class.method"`` stands for."""
    module, _, attribute = path.partition(":")
    return reduce(getattr, attribute.split("."), importlib.import_module(module))

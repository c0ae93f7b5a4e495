"""The classes that configurations and plans may name without their import path."""

from __future__ import annotations

import logging
from importlib import import_module

from musiczoo.hub.registry import architectures

_log = logging.getLogger(__name__)


def import_classes(*packages: str) -> None:
    """Imports the modules of all architectures, and the names that packages export.

    jsonargparse finds a class by its bare name only once it was imported.

    Args:
        packages: Such as ``"musiczoo.datamodules"``.
    """
    for package in packages:
        room = import_module(package)
        for name in room.__all__:
            getattr(room, name)
    for row in architectures().values():
        try:
            import_module(row.module.partition(":")[0])
        except ImportError as error:
            # Another package's architecture must not keep the others from training.
            _log.warning("The architecture %s cannot be imported: %s", row.name, error)

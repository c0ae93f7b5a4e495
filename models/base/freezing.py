"""Which parameters of a net are trained, by patterns of their names."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import Any

from torch import nn

from musiczoo.models.adapters import is_adapter
from musiczoo.music.errors import MusicZooError


def choose_trainable(module: Any, patterns: Sequence[str] | None) -> list[str]:
    """Sets ``requires_grad`` of every parameter of a module's net.

    Args:
        module: A module with a ``net``. Parameters that its class names as ``unused_parameters``
            are never trained: DDP would wait for their gradients.
        patterns: Shell patterns of the names in the net, such as ``"char_level_decoder.*"``; None
            stands for everything, or for the adapter alone where there is one.

    Returns:
        The names of the parameters that are trained.

    Raises:
        MusicZooError: A pattern that names nothing, nothing to train, or weights beside an adapter:
            checkpoints hold the adapter alone.
    """
    net: nn.Module = module.net
    adapted = module.lora is not None
    # What a net leaves out of its state is frozen for good: checkpoints would lose it.
    kept = net.state_dict()
    names = [
        name
        for name, _ in net.named_parameters()
        if name not in getattr(module, "unused_parameters", ()) and name in kept
    ]
    if patterns is None:
        chosen = {name for name in names if is_adapter(name) or not adapted}
    else:
        if idle := [
            pattern for pattern in patterns if not any(fnmatchcase(name, pattern) for name in names)
        ]:
            parts = sorted({".".join(name.split(".")[:2]) + ".*" for name in names})
            raise MusicZooError(
                f"No parameter has a name like {', '.join(idle)}.",
                where="trainable",
                remedy=f"Patterns are those of a shell, such as {', '.join(parts[:4])}.",
            )
        chosen = {name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)}
        if adapted and not all(map(is_adapter, chosen)):
            raise MusicZooError(
                "Beside an adapter the weights stay frozen.",
                where="trainable",
                remedy="Name parameters of the adapter, such as *lora_A*.",
            )
    if not chosen:
        raise MusicZooError(
            "No parameter is trainable.",
            where="trainable",
            remedy="Give patterns that name some part of the net.",
        )
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name in chosen)
    return [name for name in names if name in chosen]

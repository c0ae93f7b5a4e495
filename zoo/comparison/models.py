"""The models of a comparison: their labels, and what they must have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from musiczoo.hub.opening import open_model
from musiczoo.models.base.generative import GenerativeModule
from musiczoo.music.errors import MusicZooError


def labelled(given: Sequence[str]) -> dict[str, str]:
    """Models by the labels that tables and pictures use.

    Args:
        given: Models as the command line has them: ``MODEL`` or ``LABEL=MODEL``.

    Returns:
        Models by label: the user's, or the shortest ends of their names that differ.

    Raises:
        MusicZooError: Two models have one label.
    """
    labels: dict[str, str] = {}
    short = [Path(name.partition("=")[2] or name).stem for name in given]
    for name, own in zip(given, short, strict=True):
        label, equals, model = name.partition("=")
        if not equals or Path(name).exists():
            label, model = (own if short.count(own) == 1 else name), name
        if label in labels:
            raise MusicZooError(
                f"Two models are called {label}.", remedy="Label them: before=MODEL after=MODEL."
            )
        labels[label] = model
    return labels


def performing_model(name: str) -> GenerativeModule:
    """An opened model that continues prompts of tokens as performances.

    Raises:
        MusicZooError: There is no such model, or it does something else.
    """
    model = open_model(name)
    if (
        not isinstance(model, GenerativeModule)
        or model.writes != "performance"
        or "tokens" not in model.prompt_kinds
    ):
        raise MusicZooError(
            f"{name} does not write performances from prompts of tokens.",
            remedy="musiczoo list shows what each model writes.",
        )
    return model.eval()


def shared_representation(models: Mapping[str, GenerativeModule]) -> Any:
    """The representation of models that have the same tokens.

    Args:
        models: By label, one or more.

    Raises:
        MusicZooError: Two have different tokens.
    """
    first, *others = models.items()
    for label, model in others:
        if model.representation.vocabulary != first[1].representation.vocabulary:
            raise MusicZooError(
                f"{first[0]} and {label} have different tokens, so no prompt is the same for both."
            )
    return first[1].representation

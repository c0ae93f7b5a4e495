"""Rewards as the command line names them."""

from __future__ import annotations

import importlib
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.rendering import Renderer, Rendering
from musiczoo.rewards.audio import listeners
from musiczoo.rewards.base import Reward, as_reward

FEATURES = {"scale_consistency": 1.0, "empty_beat_rate": -1.0}
"""The features of the reward ``features``; this choice is ours."""


def named_reward(
    name: str, stack: ExitStack, soundfont: str | None = None, device: str | torch.device = "cpu"
) -> Reward:
    """A reward by its name.

    Args:
        name: ``"mel"`` or ``"audiobox"``, either with ``:WEIGHTS`` behind (a file, a folder, or a
            name that :func:`musiczoo.load` takes); ``"features"``; or ``"MODULE:NAME"`` of a
            reward, a class of rewards, or a function of the user's.
        stack: Closes the renderers of the reward.
        soundfont: For rendering; None for the default, or the user's own choice.
        device: Of its net.

    Raises:
        MusicZooError: There is no such reward, its weights cannot be read or downloaded, or the
            user's module cannot be used.
    """
    if name == "features":
        from musiczoo.rewards.features import SymbolicFeatures

        return SymbolicFeatures(FEATURES)
    kind, _, weights = name.partition(":")
    if kind in ("mel", "audiobox"):
        renderer = stack.enter_context(Renderer(Rendering(soundfont)))
        return (
            _mel(weights, renderer, device)
            if kind == "mel"
            else _audiobox(weights, renderer, device)
        )
    reward = _users(name)
    by_settings: dict[Rendering, Renderer] = {}
    for part in listeners(reward):
        if soundfont is not None:
            settings = replace(part.renderer.rendering, soundfont=soundfont)
            # Parts with the same settings still share one.
            part.renderer = by_settings.setdefault(
                settings, Renderer(settings, part.renderer.workers, part.renderer.timeout)
            )
        stack.callback(part.renderer.close)
    return reward


def _mel(weights: str, renderer: Renderer, device: str | torch.device) -> Reward:
    from musiczoo.rewards.mel_aesthetics import MelAesthetics

    reward = MelAesthetics(
        f"local-dir:{weights}" if Path(weights or "-").is_dir() else weights or "mel-aesthetics",
        renderer,
    )
    # Loaded here, so that missing weights raise before the first thousand completions.
    reward.module.to(device)
    return reward


def _audiobox(weights: str, renderer: Renderer, device: str | torch.device) -> Reward:
    from musiczoo.rewards.audiobox import AudioboxAesthetics

    reward = AudioboxAesthetics(weights or None, renderer=renderer, device=device)
    reward.module.eval()  # as above
    return reward


def _users(name: str) -> Reward:
    module, colon, attribute = name.partition(":")
    if not colon or not module or not attribute:
        raise MusicZooError(
            f"There is no reward {name!r}.",
            where="--reward",
            remedy="Give mel, audiobox, features, none, or MODULE:NAME.",
        )
    # As `python -m` does, and an installed program does not: the user's own file lies where the
    # command is called.
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found: Any = importlib.import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
        made = found() if isinstance(found, type) else found
    except Exception as error:
        # Any line of a user's module may fail.
        raise MusicZooError(
            f"The reward {name} cannot be loaded ({type(error).__name__}: {error}).",
            where="--reward",
        ) from error
    if not isinstance(made, Reward) and not callable(made):
        raise MusicZooError(
            f"{name} is a {type(made).__name__}, not a reward.",
            where="--reward",
            remedy="Name a Reward or a function.",
        )
    return as_reward(made)

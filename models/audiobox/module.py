"""Audiobox Aesthetics on Lightning: ratings of clips of any length."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from musiczoo.hub.published import assembled
from musiczoo.models.audiobox.config import AudioboxConfig
from musiczoo.models.audiobox.net import AXES, SAMPLE_RATE, WINDOW, AudioboxNet
from musiczoo.models.audiobox.published import read_published
from musiczoo.models.base.module import ZooModule
from musiczoo.music.errors import MusicZooError
from musiczoo.music.sound.resampling import resample

# Windows that go through the net together. On a processor one already fills it, and more only need
# memory; a GPU needs several.
_TOGETHER = {"cpu": 1}
_TOGETHER_ELSEWHERE = 16


class AudioboxModule(ZooModule):
    """Audiobox Aesthetics (Tjandra et al. 2025, arXiv 2502.05139): ratings on four axes.

    They are content enjoyment and usefulness, production complexity and quality. The module rates;
    the zoo neither trains it nor saves it as a checkpoint folder.

    >>> import numpy as np
    >>> from musiczoo.models.audiobox import AudioboxConfig, AudioboxModule
    >>> sizes = AudioboxConfig(layers=1, hidden=16, heads=2, feed_forward=16, channels=8)
    >>> model = AudioboxModule(sizes)
    >>> model.ratings([np.zeros(16_000, np.float32)], rate=16_000).shape  # (clips, axes)
    torch.Size([1, 4])

    Args:
        config: The sizes, single ones of which may be given by their names instead; or a net.
        targets: Mean and standard deviation of the ratings of each axis; scores are ratings when
            None.
        settings: Of :class:`musiczoo.models.base.ZooModule`.
    """

    architecture: ClassVar[str] = "audiobox"
    config_type = AudioboxConfig
    representation_type = type(None)
    length_unit = "sample"
    net: AudioboxNet
    config: AudioboxConfig
    representation: None

    def __init__(
        self,
        config: AudioboxConfig | AudioboxNet | None = None,
        *,
        targets: Mapping[str, tuple[float, float]] | None = None,
        representation: None = None,
        **settings: Any,
    ) -> None:
        net = config if isinstance(config, AudioboxNet) else None
        sizes = config.config if isinstance(config, AudioboxNet) else config
        sizes = AudioboxConfig.from_settings(sizes, settings)
        super().__init__(**settings)
        self.net = (net or AudioboxNet(sizes, targets)).requires_grad_(False)
        self.config = self.net.config
        self.representation = representation

    @classmethod
    def from_audiobox(cls, path: str | Path, config: str | Path | None = None) -> Self:
        """A module with the weights of a published file, in eval mode.

        Args:
            path: ``model.safetensors`` or ``checkpoint.pt``.
            config: The ``config.json`` of a safetensors file; the one beside it when None.

        Raises:
            MusicZooError: See :func:`musiczoo.models.audiobox.published.read_published`; also a
                missing, surplus or misshapen tensor, named with both shapes.
        """
        published = read_published(path, config)
        module: Self = assembled(cls, published, Path(path), "audiobox-aesthetics", {})
        return module

    def add_lora(self, lora: Any, seed: int = 0) -> Self:
        """Refuses an adapter.

        Raises:
            MusicZooError: Always.
        """
        raise MusicZooError(
            "Audiobox Aesthetics only rates; there is nothing to adapt.",
            where="lora",
            remedy="Leave lora= out.",
        )

    @torch.inference_mode()
    def ratings(self, clips: Sequence[NDArray[np.float32]], rate: int) -> Tensor:
        """Ratings of clips; those of one clip do not depend on the others.

        As published: channels are averaged, windows of ten seconds are rated on their own, and a
        clip's rating is the mean of its windows', each by the part of ten seconds that it lasts.
        Nothing is done about the level.

        Args:
            clips: Each (channels, samples) or (samples,).
            rate: Samples a second of all of them.

        Returns:
            (clips, 4) float64 on the CPU, in the order of
            :data:`musiczoo.models.audiobox.net.AXES`, nominally 1 to 10.

        Raises:
            MusicZooError: A clip has no samples, or some that are no numbers.
        """
        windows = [
            (clip, window)
            for clip, samples in enumerate(clips)
            for window in windows_of(samples, rate, f"clip {clip + 1}")
        ]
        totals = torch.zeros(len(clips), len(AXES) + 1, dtype=torch.float64)
        windows.sort(key=lambda pair: len(pair[1]))
        for length, group in groupby(windows, key=lambda pair: len(pair[1])):
            alike = list(group)
            together = _TOGETHER.get(self.device.type, _TOGETHER_ELSEWHERE)
            for start in range(0, len(alike), together):
                some = alike[start : start + together]
                found = self.net(
                    torch.from_numpy(np.stack([window for _, window in some])).to(self.device)
                )
                for (clip, _), row in zip(some, found.to("cpu", torch.float64), strict=True):
                    totals[clip, :-1] += row * length
                    totals[clip, -1] += length
        return totals[:, :-1] / totals[:, -1:]


def windows_of(
    samples: NDArray[np.float32], rate: int, where: str | None = None
) -> list[NDArray[np.float32]]:
    """A clip as mono windows at 16 kHz: ten seconds each, and what remains.

    Args:
        samples: (channels, samples) or (samples,).
        rate: Samples a second.
        where: Which clip it is, for messages.

    Raises:
        MusicZooError: The clip has no samples, or some that are no numbers.
    """
    channels = np.atleast_2d(np.asarray(samples, dtype=np.float32))
    if channels.ndim != 2 or not channels.size:
        raise MusicZooError(
            f"A clip of shape {np.shape(samples)} is no sound.",
            where=where,
            remedy="Give (channels, samples).",
        )
    if not np.isfinite(channels).all():
        raise MusicZooError(
            "The clip has samples that are no numbers.", where=where, remedy="Render it again."
        )
    # The published code resamples first; both are linear, and one channel costs less.
    mono = resample(channels.mean(axis=0), rate, SAMPLE_RATE)
    return [mono[start : start + WINDOW] for start in range(0, len(mono), WINDOW)]

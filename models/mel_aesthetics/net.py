"""A convolutional net over log-mel spectrograms of any length that gives one number a clip."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from musiczoo.models.mel_aesthetics.config import MelAestheticsConfig

ROWS_OF_A_STEP = 4
_HARMONIC = 16  # features of whole spectra for each channel of the first convolution


class MelAestheticsNet(nn.Module):
    """Convolutions over time and frequency, layers over time, and one number for the clip.

    A layer is a convolution, each reaching twice as far as the one before, and attention over the
    whole clip, by which a wrong note differs from the others and a repeated one is found. The last
    layers see mean and spread over the clip. Steps beyond the end of a clip are zero before each
    convolution, as is what lies beyond the edge of a batch, and nothing attends to them, so that a
    clip's number does not depend on what it is padded with.

    Args:
        config: The sizes.
    """

    def __init__(self, config: MelAestheticsConfig) -> None:
        super().__init__()
        self.config = config
        channels = config.channels
        sizes = [1, channels, 2 * channels, 3 * channels, 3 * channels]
        # All halve the bands; every other one halves the steps as well.
        self.spectral = nn.ModuleList(
            nn.Conv2d(
                before,
                after,
                (3, 3 if index else 5),
                stride=(1 + (index + 1) % 2, 2),
                padding=(1, 1 if index else 2),
            )
            for index, (before, after) in enumerate(pairwise(sizes))
        )
        self.harmonic = nn.Conv1d(
            config.mels, _HARMONIC * config.channels, 5, stride=ROWS_OF_A_STEP, padding=2
        )
        self.project = nn.Linear(
            sizes[-1] * config.mels // 16 + _HARMONIC * config.channels, config.width
        )
        self.mix = nn.Linear(config.width, config.width)
        self.norm = nn.LayerNorm(config.width)
        self.classes = nn.Linear(config.width, 12)
        self.layers = nn.ModuleList(
            _Layer(config.width, 2**index, config.heads, config.dropout)
            for index in range(config.layers)
        )
        self.hidden = nn.Linear(2 * config.width, config.width)
        self.score = nn.Linear(config.width, 1)
        self.dropout = nn.Dropout(config.dropout)
        for convolution in (
            *self.spectral,
            self.harmonic,
            *(layer.convolution for layer in self.layers),
        ):
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(convolution.bias)

    def forward(self, mel: Tensor, lengths: Tensor) -> Tensor:
        """Scores clips.

        Args:
            mel: (clips, rows, mels) levels from 0 to 255.
            lengths: (clips,) rows of each clip, 1 or more.

        Returns:
            (clips,) logits; above 0 means more like a real piece than like a degraded one.
        """
        return self.listen(mel, lengths)[0]

    def listen(self, mel: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """Scores clips, and finds which pitch classes sound in them.

        Args:
            mel: (clips, rows, mels) levels from 0 to 255.
            lengths: (clips,) rows of each clip, 1 or more.

        Returns:
            The logits of :meth:`forward`, and (clips, steps, 12) logits of each pitch class for the
            first of each :data:`ROWS_OF_A_STEP` rows.
        """
        dtype = self.score.weight.dtype
        rows = torch.arange(mel.shape[1], device=mel.device) < lengths.unsqueeze(1)
        levels = mel.to(dtype) / 255.0 * rows.unsqueeze(2)
        chords = functional.relu(self.harmonic(levels.transpose(1, 2))).transpose(1, 2)
        x = levels.unsqueeze(1)
        spectral: Any = self.spectral
        for convolution in spectral:
            rows = rows[:, :: convolution.stride[0]]
            x = functional.relu(convolution(x)) * rows[:, None, :, None]
        x = functional.relu(
            self.project(torch.cat([x.permute(0, 2, 1, 3).flatten(2), chords], dim=2))
        )
        x = self.norm(self.mix(x))
        classes = self.classes(x)
        for layer in self.layers:
            x = layer(x, rows)
        counts = rows.sum(dim=1, keepdim=True)
        mean = (x * rows.unsqueeze(2)).sum(dim=1) / counts
        spread = (
            ((x - mean.unsqueeze(1)) ** 2 * rows.unsqueeze(2)).sum(dim=1) / counts + 1e-5
        ).sqrt()
        found = functional.relu(self.hidden(torch.cat([mean, spread], dim=1)))
        return self.score(self.dropout(found)).squeeze(1), classes


class _Layer(nn.Module):
    """A dilated convolution over time and self-attention without positions, each as a residual."""

    def __init__(self, width: int, dilation: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.convolution = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.convolution_norm = nn.LayerNorm(width)
        self.attend = nn.Linear(width, 3 * width, bias=False)
        self.attended = nn.Linear(width, width)
        self.attention_norm = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, rows: Tensor) -> Tensor:
        """(clips, steps, width) -> (clips, steps, width).

        Args:
            x: (clips, steps, width).
            rows: (clips, steps) bool, True within a clip.
        """
        reached = self.convolution((x * rows.unsqueeze(2)).transpose(1, 2)).transpose(1, 2)
        x = self.convolution_norm(x + self.dropout(functional.relu(reached)))
        query, key, value = (
            part.unflatten(2, (self.heads, -1)).transpose(1, 2)
            for part in self.attend(x).chunk(3, dim=2)
        )
        seen = functional.scaled_dot_product_attention(
            query, key, value, attn_mask=rows[:, None, None, :]
        )
        result: Tensor = self.attention_norm(
            x + self.dropout(self.attended(seen.transpose(1, 2).flatten(2)))
        )
        return result

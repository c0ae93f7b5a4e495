"""Audiobox Aesthetics: how pleasant, useful, complex and well produced ten seconds of sound are.

Tjandra et al. 2025, "Meta Audiobox Aesthetics: Unified Automatic Quality Assessment for Speech,
Music, and Sound" (arXiv 2502.05139): the frames of every layer of WavLM (Chen et al. 2022, arXiv
2110.13900) are averaged with learned weights, one set an axis, and a small network an axis makes a
score of them. Parameters are those of transformers' ``WavLMModel``; its forward pass is computed
here in another order, with the same results:

* A short clip stands at the beginning of a window of silence. The published code zeroes and masks
  the frames of the silence, so they need not be computed at all: here only the clip's own frames go
  through the encoder, and no mask is needed. Silence counts for one thing, the statistics of the
  first group norm.
* These statistics follow from the second moments of the samples, so that the norm becomes part of
  the first convolution's weights.
* The convolutions, whose stride is never far from their width, are matrix products on frames that
  stand one after the other in memory.
* The positional convolution, 128 frames wide, is a product of spectra.
* The bias of relative positions is computed once for all layers, and attention is torch's fused
  one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from musiczoo.models.audiobox.config import AudioboxConfig
from musiczoo.models.audiobox.convolutions import (
    gelu_in_place,
    halving_convolution,
    kernel_spectra,
    normed_convolution,
    tap_matrices,
    wide_convolution,
)

if TYPE_CHECKING:
    from transformers import WavLMConfig

#: Content enjoyment, content usefulness, production complexity, production quality.
AXES = ("CE", "CU", "PC", "PQ")
SAMPLE_RATE = 16_000
#: Samples that go through the net together: ten seconds.
WINDOW = 10 * SAMPLE_RATE
# Of WavLM; not to be read from tensors, and the same in all published sizes.
STRIDES = (5, 2, 2, 2, 2, 2, 2)
MAX_DISTANCE = 800
# Frames that go through the convolutions together: what they need stays in the processor's cache.
_BLOCK = 64


def wavlm_config(config: AudioboxConfig) -> WavLMConfig:
    """The sizes as transformers wants them."""
    from transformers import WavLMConfig

    return WavLMConfig(
        hidden_size=config.hidden,
        num_hidden_layers=config.layers,
        num_attention_heads=config.heads,
        intermediate_size=config.feed_forward,
        conv_dim=[config.channels] * len(config.kernels),
        conv_kernel=list(config.kernels),
        conv_stride=list(STRIDES),
        num_conv_pos_embeddings=config.position_kernel,
        num_conv_pos_embedding_groups=config.position_groups,
        num_buckets=config.buckets,
        max_bucket_distance=MAX_DISTANCE,
        feat_extract_norm="group",
        do_stable_layer_norm=False,
    )


class AudioboxNet(nn.Module):
    """WavLM with a network for each axis on the average of all its layers.

    It is made for scoring: nothing in it drops out, and it has no gradients.

    Args:
        config: Sizes.
        targets: Mean and standard deviation of the ratings of each axis, by which a score is turned
            back into a rating; scores are ratings when None.
    """

    #: (4, 2) mean and standard deviation of each axis.
    targets: Tensor
    # A WavLMModel, which transformers leaves untyped.
    wavlm_model: Any

    def __init__(
        self, config: AudioboxConfig, targets: Mapping[str, tuple[float, float]] | None = None
    ) -> None:
        # Imported here, for all of musiczoo.rewards would wait for it otherwise.
        from transformers import WavLMModel

        super().__init__()
        self.config = config
        self.wavlm_model = WavLMModel(wavlm_config(config))
        self.proj_layer = nn.ModuleDict(
            {axis: _projection(config.hidden, config.depth) for axis in AXES}
        )
        self.layer_weights = nn.ParameterDict(
            {axis: nn.Parameter(torch.zeros(config.layers + 1)) for axis in AXES}
        )
        statistics = dict.fromkeys(AXES, (0.0, 1.0)) if targets is None else targets
        rows = torch.tensor([statistics[axis] for axis in AXES])
        self.register_buffer("targets", rows, persistent=False)
        field, hop = 1, 1
        for kernel, stride in zip(config.kernels, STRIDES, strict=True):
            field, hop = field + (kernel - 1) * hop, hop * stride
        self.field, self.hop = field, hop
        self._derived: tuple[tuple[object, ...], _Derived] | None = None

    @property
    def derived(self) -> _Derived:
        """The weights in the form that the forward pass uses.

        Computed once, and again where they have changed or moved.
        """
        position = self.wavlm_model.encoder.pos_conv_embed.conv
        convolutions = [layer.conv for layer in self.wavlm_model.feature_extractor.conv_layers[1:]]
        sources = [
            *(convolution.weight for convolution in convolutions),
            *position.parametrizations.weight.parameters(),
        ]
        # Tensors made in inference mode count no changes; neither does anything change them.
        state = tuple(
            (tensor.data_ptr(), tensor.device, 0 if tensor.is_inference() else tensor._version)
            for tensor in sources
        )
        if self._derived is None or self._derived[0] != state:
            taps = [tap_matrices(convolution.weight) for convolution in convolutions]
            self._derived = (
                state,
                _Derived(taps, kernel_spectra(position.weight, self.config.position_groups)),
            )
        return self._derived[1]

    def frames(self, samples: int) -> int:
        """The number of frames of a window that count.

        Args:
            samples: Samples of the window that are not the silence behind the clip.

        The published code counts a frame as soon as it begins within the clip, transformers only
        when it ends there.
        """
        return min(-(-samples // self.hop), self._length(WINDOW, len(self.config.kernels)))

    @torch.no_grad()
    def forward(self, windows: Tensor) -> Tensor:
        """Ratings of windows.

        Args:
            windows: (batch, samples) at 16 kHz, all of one length of at most :data:`WINDOW`
                samples; silence behind a shorter clip is left out.

        Returns:
            (batch, 4) ratings in the order of :data:`AXES`, nominally 1 to 10.
        """
        means = torch.stack([state.mean(dim=1) for state in self.states(windows)], dim=1)
        ratings = []
        for number, axis in enumerate(AXES):
            # The mean over frames and the mean over layers are both linear, so the cheap one comes
            # last.
            embedding = torch.softmax(self.layer_weights[axis], dim=0) @ means
            score = self.proj_layer[axis](functional.normalize(embedding, dim=1)).squeeze(1)
            ratings.append(score * self.targets[number, 1] + self.targets[number, 0])
        return torch.stack(ratings, dim=1)

    @torch.no_grad()
    def states(self, windows: Tensor) -> list[Tensor]:
        """What enters the first layer of the encoder, and what leaves each layer.

        Args:
            windows: As for :meth:`forward`.

        Returns:
            ``layers + 1`` tensors of (batch, frames, hidden).
        """
        features = torch.stack([self._features(window) for window in windows])
        hidden, _ = self.wavlm_model.feature_projection(features)
        encoder = self.wavlm_model.encoder
        positions = wide_convolution(hidden, self.derived.spectra, self.config.position_kernel)
        hidden = encoder.layer_norm(
            hidden + functional.gelu(positions + encoder.pos_conv_embed.conv.bias)
        )
        bias = encoder.layers[0].attention.compute_bias(hidden.shape[1], hidden.shape[1])
        states = [hidden]
        for layer in encoder.layers:
            hidden = layer.layer_norm(hidden + _attend(layer.attention, hidden, bias))
            hidden = layer.final_layer_norm(hidden + layer.feed_forward(hidden))
            states.append(hidden)
        return states

    def _length(self, samples: int, layers: int) -> int:
        """Outputs of the first ``layers`` convolutions for a number of samples."""
        for kernel, stride in zip(self.config.kernels[:layers], STRIDES, strict=False):
            samples = (samples - kernel) // stride + 1
        return samples

    def _features(self, window: Tensor) -> Tensor:
        """Outputs of the convolutions for one window: (samples,) -> (frames, channels)."""
        frames = self.frames(len(window))
        first = self.wavlm_model.feature_extractor.conv_layers[0]
        kernel, stride = self.config.kernels[0], STRIDES[0]
        # All frames of the first convolution that touch the clip, and all that the frames which
        # count are computed from.
        wanted = max(self.hop * (frames - 1) + self.field, len(window) + kernel)
        window = functional.pad(window, (0, wanted - len(window)))[:WINDOW]
        taps = window.unfold(0, kernel, stride)
        weight, shift = normed_convolution(first, taps, self._length(WINDOW, 1))
        others = self.derived.taps
        blocks = []
        for start in range(0, frames, _BLOCK):
            stop = min(start + _BLOCK, frames)
            block = window[self.hop * start : self.hop * (stop - 1) + self.field]
            rows = gelu_in_place(torch.addmm(shift, block.unfold(0, kernel, stride), weight))
            for both, third in others:
                rows = gelu_in_place(halving_convolution(rows, both, third))
            blocks.append(rows)
        return torch.cat(blocks)


@dataclass(frozen=True)
class _Derived:
    """Derived from weights.

    Attributes:
        taps: Of each convolution behind the first one.
        spectra: Of the positional convolution.
    """

    taps: list[tuple[Tensor, Tensor | None]]
    spectra: Tensor


def _projection(width: int, depth: int) -> nn.Sequential:
    """An axis' network: linear layers with layer norm and GELU between them, one number out."""
    inner = [
        part
        for _ in range(depth - 1)
        for part in (nn.Linear(width, width), nn.LayerNorm(width), nn.GELU())
    ]
    return nn.Sequential(*inner, nn.Linear(width, 1))


def _attend(attention: Any, hidden: Tensor, bias: Tensor) -> Tensor:
    """Self-attention with a gated bias of relative positions.

    Args:
        attention: Of WavLM.
        hidden: (batch, frames, hidden).
        bias: (heads, frames, frames); a gate of each query scales it.
    """
    heads, width = attention.num_heads, attention.head_dim
    parts = hidden.unflatten(2, (heads, width)).transpose(1, 2)
    gates = attention.gru_rel_pos_linear(parts).unflatten(3, (2, 4)).sum(dim=4).sigmoid()
    gate = gates[..., :1] * (gates[..., 1:] * attention.gru_rel_pos_const - 1.0) + 2.0
    query, key, value = (
        project(hidden).unflatten(2, (heads, width)).transpose(1, 2)
        for project in (attention.q_proj, attention.k_proj, attention.v_proj)
    )
    mixed = functional.scaled_dot_product_attention(query, key, value, attn_mask=gate * bias)
    result: Tensor = attention.out_proj(mixed.transpose(1, 2).flatten(2))
    return result

"""CLaMP 2: an encoder of music and one of text, each with a projection into the space that both share.

Wu et al. 2024, "CLaMP 2: Multimodal Music Information Retrieval Across 101 Languages" (arXiv
2410.13267). Music goes through M3's encoder, text through XLM-RoBERTa (Conneau et al. 2019, arXiv
1911.02116); hidden states are averaged and projected. CLaMP 3 (Wu et al. 2025, arXiv 2502.10362)
has the same two halves beside one for sound. Parameter names are those of CLaMP 2's files. The half
for text is there only where it is asked for: it is three quarters of the weights, and scores of
music need none of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from transformers import XLMRobertaConfig, XLMRobertaModel

from musiczoo.models.m3.features import pooled_features
from musiczoo.models.m3.net import M3Config, M3Encoder

#: Tokens of text that the encoder sees at once (published code).
TEXT_LENGTH = 128
# What a configuration of transformers says of the sizes of a text encoder.
_TEXT_SIZES = (
    "vocab_size",
    "hidden_size",
    "num_hidden_layers",
    "num_attention_heads",
    "intermediate_size",
    "max_position_embeddings",
    "type_vocab_size",
    "layer_norm_eps",
    "pad_token_id",
)


def text_sizes(config: XLMRobertaConfig) -> dict[str, Any]:
    """The sizes of a text encoder as plain numbers, by transformers' names."""
    return {name: getattr(config, name) for name in _TEXT_SIZES}


@dataclass(frozen=True)
class Clamp2Config:
    """Sizes; the defaults are those of the published models.

    Attributes:
        layers: Layers of the music encoder.
        hidden: Its width.
        patch_size: Characters a patch.
        patch_length: Patches of context (learned positions).
        dropout: Dropout of hidden states and attention.
        heads: Attention heads of the music encoder; 0 means hidden / 64.
        dim: Width of the shared space.
        text: Sizes of the text encoder (:func:`text_sizes`); None leaves the half for text out.
    """

    layers: int = 12
    hidden: int = 768
    patch_size: int = 64
    patch_length: int = 512
    dropout: float = 0.1
    heads: int = 0
    dim: int = 768
    text: Mapping[str, Any] | None = field(default=None)

    @property
    def encoder(self) -> M3Config:
        """Sizes of the music encoder."""
        return M3Config(
            layers=self.layers,
            hidden=self.hidden,
            patch_size=self.patch_size,
            patch_length=self.patch_length,
            dropout=self.dropout,
            heads=self.heads,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for checkpoints."""
        return {**vars(self), "text": None if self.text is None else dict(self.text)}


class Clamp2Net(nn.Module):
    """The half for music, and the half for text where there is one.

    Args:
        config: Sizes.
    """

    def __init__(self, config: Clamp2Config) -> None:
        super().__init__()
        self.config = config
        self.music_model = M3Encoder(config.encoder)
        self.music_proj = nn.Linear(config.hidden, config.dim)
        self.text_model: XLMRobertaModel | None = None
        self.text_proj: nn.Linear | None = None
        if config.text is not None:
            sizes = XLMRobertaConfig(**config.text)
            self.text_model = XLMRobertaModel(sizes)
            self.text_proj = nn.Linear(sizes.hidden_size, config.dim)

    def forward(self, patches: Tensor, lengths: Tensor) -> Tensor:
        """Projected means of pieces that fit the context.

        Args:
            patches: (batch, longest, patch_size) character ids, padded with 0.
            lengths: (batch,) patches of each piece, at least 1.

        Returns:
            (batch, dim), differentiable.
        """
        hidden = self.music_model(patches, lengths)
        means = torch.stack([rows.mean(dim=0) for rows in hidden.split(lengths.tolist())])
        projected: Tensor = self.music_proj(means)
        return projected

    def music_features(self, pieces: Sequence[Tensor]) -> Tensor:
        """One vector a piece of any length (:mod:`musiczoo.models.m3.features`), the same whatever the others are.

        Args:
            pieces: (patches, patch_size) each.

        Returns:
            (pieces, dim), float32, on the CPU, not normalised.
        """
        pooled = pooled_features(
            lambda patches, lengths: self.music_model(
                patches.to(self._device), lengths.to(self._device)
            ),
            pieces,
            self.config.patch_length,
            self.config.hidden,
        )
        return self._projected(self.music_proj, pooled)

    def text_features(self, texts: Sequence[Tensor]) -> Tensor:
        """One vector a text of any length.

        It is cut as a piece of music is, into segments of 128 tokens.

        Args:
            texts: (tokens,) token ids each.

        Returns:
            (texts, dim), float32, on the CPU, not normalised.
        """
        model, projection = self.text_model, self.text_proj
        assert model is not None
        assert projection is not None

        def encode(tokens: Tensor, lengths: Tensor) -> Tensor:
            real = (torch.arange(tokens.shape[1]) < lengths.unsqueeze(1)).to(self._device)
            # XLM-RoBERTa counts positions past its own padding token.
            ids = tokens.to(self._device).masked_fill(~real, model.config.pad_token_id or 0)
            hidden: Tensor = model(input_ids=ids, attention_mask=real.long()).last_hidden_state
            return hidden[real]

        return self._projected(
            projection, pooled_features(encode, texts, TEXT_LENGTH, model.config.hidden_size)
        )

    @property
    def _device(self) -> torch.device:
        return self.music_proj.weight.device

    def _projected(self, projection: nn.Linear, pooled: Tensor) -> Tensor:
        # Published code projects each segment and averages then; the projection is linear, so the
        # order is free.
        projected: Tensor = projection(pooled.to(projection.weight))
        return projected.float().cpu()

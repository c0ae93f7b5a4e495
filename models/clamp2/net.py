"""CLaMP 2: an encoder of music and one of text, each with a projection into a shared space.

Wu et al. 2024, "CLaMP 2: Multimodal Music Information Retrieval Across 101 Languages" (arXiv
2410.13267). Music goes through M3's encoder, text through XLM-RoBERTa (Conneau et al. 2019, arXiv
1911.02116); hidden states are averaged and projected. CLaMP 3 (Wu et al. 2025, arXiv 2502.10362)
has the same two halves beside one for sound. Parameter names are those of CLaMP 2's files. The half
for text is there only where it is asked for: it is three quarters of the weights, and scores of
music need none of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from transformers import XLMRobertaConfig, XLMRobertaModel

from musiczoo.models.clamp2.config import Clamp2Config, text_sizes
from musiczoo.models.m3.features import pooled_features
from musiczoo.models.m3.net import M3Encoder

__all__ = ["TEXT_LENGTH", "Clamp2Config", "Clamp2Net", "text_sizes"]

#: Tokens of text that the encoder sees at once (published code).
TEXT_LENGTH = 128


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
        """One vector a piece of any length (:mod:`musiczoo.models.m3.features`).

        A row does not depend on the other pieces.

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

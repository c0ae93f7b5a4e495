"""The bar-stream patch decoder: a GPT-2 over patches, and one over characters.

The hidden state of each patch conditions the characters of the patch that follows it.

Architecture of NotaGen (Wang et al. 2025, arXiv 2502.18008, section 3.2), after Tunesformer (Wu et
al. 2023). Parameter names are those of NotaGen's files. What differs is only how it is computed:
patches are embedded by summing table rows instead of multiplying one-hot matrices, and both
decoders run over the rows that exist, without padded slots.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import GPT2Model

from musiczoo.models.bar_stream.config import BarStreamConfig
from musiczoo.models.layers.gpt2 import embed_patches, gpt2, run_blocks
from musiczoo.models.layers.ragged_attention import RaggedCausal
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.bar_stream import PAD, VOCABULARY


def _gpt2(config: BarStreamConfig, layers: int, vocabulary: int, positions: int) -> GPT2Model:
    return gpt2(
        layers=layers,
        hidden=config.hidden,
        heads=config.head_count,
        vocabulary=vocabulary,
        positions=positions,
        dropout=config.dropout,
    )


class PatchDecoder(nn.Module):
    """GPT-2 over patches."""

    def __init__(self, config: BarStreamConfig) -> None:
        super().__init__()
        self.patch_size = config.patch_size
        self.heads = config.head_count
        self.patch_embedding = nn.Linear(config.patch_size * VOCABULARY, config.hidden)
        nn.init.normal_(self.patch_embedding.weight, std=0.02)
        nn.init.zeros_(self.patch_embedding.bias)
        self.base = _gpt2(config, config.patch_layers, 1, config.patch_length)
        # Part of the published layout but used by nothing; frozen, so that DDP does not wait for
        # its gradient.
        self.base.wte.weight.requires_grad_(False)

    def embed(self, patches: Tensor) -> Tensor:
        """(rows, patch_size) character ids -> (rows, hidden).

        Equals the linear layer on the flattened one-hot matrix (index position * 128 + character,
        padding included) without building it.
        """
        return embed_patches(self.patch_embedding, patches)

    def forward(self, patches: Tensor, lengths: Tensor) -> Tensor:
        """Hidden state of every patch.

        Args:
            patches: (rows, patch_size) patches of all sequences, one sequence after the other.
            lengths: (sequences,) patches of each; their sum is ``rows``.

        Returns:
            (rows, hidden).
        """
        ragged = RaggedCausal(
            lengths, self.heads, self.base.config.attn_pdrop if self.training else 0.0
        )
        rows = self.embed(patches) + self.base.wpe(ragged.positions.to(patches.device))
        return ragged.restore(run_blocks(self.base, ragged.arrange(rows), ragged))


class CharDecoder(nn.Module):
    """GPT-2 over the characters of one patch.

    Its first position is the hidden state of the patch before.
    """

    def __init__(self, config: BarStreamConfig) -> None:
        super().__init__()
        self.heads = config.head_count
        self.base = nn.ModuleDict(
            {"transformer": _gpt2(config, config.char_layers, VOCABULARY, config.patch_size + 1)}
        )

    @property
    def transformer(self) -> GPT2Model:
        """The GPT-2 under the published name ``base.transformer``."""
        stack = self.base["transformer"]
        assert isinstance(stack, GPT2Model)
        return stack

    def head(self, hidden: Tensor) -> Tensor:
        """(rows, hidden) -> (rows, 128) logits.

        The output layer is the character embedding (tied).
        """
        return F.linear(hidden, self.transformer.wte.weight)

    def forward(self, conditions: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of every real character.

        Args:
            conditions: (patches, hidden) hidden state that precedes each target patch.
            targets: (patches, patch_size) characters, padded with 0 at the end.

        Returns:
            Logits (characters, 128) and the flat indices (characters,) into ``targets`` that they
            predict, in row order.
        """
        lengths = (targets != PAD).sum(dim=1)
        kept = lengths > 0
        ragged = RaggedCausal(
            lengths[kept].cpu(),
            self.heads,
            self.transformer.config.attn_pdrop if self.training else 0.0,
        )
        positions = ragged.positions.to(targets.device)
        patch_of_row = torch.repeat_interleave(
            torch.arange(len(targets), device=targets.device)[kept], lengths[kept]
        )
        flat = patch_of_row * targets.shape[1] + positions
        # Row 0 of a patch is its condition, row t > 0 the embedding of character t; row t predicts
        # character t + 1.
        previous = targets.flatten().long()[(flat - 1).clamp(min=0)]
        first = (positions == 0).unsqueeze(1)
        rows = torch.where(
            first, conditions[patch_of_row], self.transformer.wte(previous)
        ) + self.transformer.wpe(positions)
        hidden = run_blocks(self.transformer, ragged.arrange(rows), ragged)
        return self.head(hidden), ragged.arrange(flat)


class BarStreamNet(nn.Module):
    """The two decoders.

    Args:
        config: Sizes.
    """

    def __init__(self, config: BarStreamConfig) -> None:
        super().__init__()
        self.config = config
        self.patch_level_decoder = PatchDecoder(config)
        self.char_level_decoder = CharDecoder(config)

    def set_gradient_checkpointing(self, on: bool) -> None:
        """Whether blocks are computed again in the backward pass: less memory, more time."""
        self.patch_level_decoder.base.gradient_checkpointing = on
        self.char_level_decoder.transformer.gradient_checkpointing = on

    def patch_hidden(self, patches: Tensor, lengths: Tensor) -> Tensor:
        """Patch decoder over padded sequences.

        Args:
            patches: (batch, longest, patch_size).
            lengths: (batch,).

        Returns:
            (sum of lengths, hidden), sequence after sequence.
        """
        real = torch.arange(patches.shape[1], device=patches.device) < lengths.unsqueeze(1)
        hidden: Tensor = self.patch_level_decoder(patches[real], lengths.cpu())
        return hidden

    def forward(
        self, patches: Tensor, lengths: Tensor, temperature: float = 1.0
    ) -> tuple[Tensor, Tensor]:
        """Log-probability of each character of every patch after the first.

        Args:
            patches: (batch, longest, patch_size) integer ids, 0 where nothing is.
            lengths: (batch,) patches of each sequence, at least 1.
            temperature: Divides the logits.

        Returns:
            Values (batch, (longest - 1) * patch_size), 0 where masked, and the mask of real
            characters, same shape.
        """
        batch, longest, size = patches.shape
        if longest > self.config.patch_length:
            raise MusicZooError(
                f"A sequence of {longest} patches does not fit a context of"
                f" {self.config.patch_length}.",
                remedy=(
                    "Crop it (max_length of the representation) or take a model with a longer"
                    " context."
                ),
            )
        inside = torch.arange(longest, device=patches.device) < lengths.unsqueeze(1)
        hidden = self.patch_level_decoder(patches[inside], lengths.cpu())
        # The last patch of a sequence conditions nothing, the first (the start mark) is no target.
        is_last = torch.zeros(len(hidden), dtype=torch.bool, device=hidden.device)
        is_last[lengths.cumsum(0) - 1] = True
        targets = patches[:, 1:][inside[:, 1:]]
        logits, flat = self.char_level_decoder(hidden[~is_last], targets)
        scores = torch.log_softmax(logits.float() / temperature, dim=-1)
        chosen = scores.gather(1, targets.flatten().long()[flat].unsqueeze(1)).squeeze(1)
        # From rows of real characters back to (batch, targets).
        slots = (
            torch.arange(batch * (longest - 1) * size, device=patches.device)
            .reshape(batch, longest - 1, size)[inside[:, 1:]]
            .flatten()
        )
        values = torch.zeros(
            batch * (longest - 1) * size, dtype=chosen.dtype, device=chosen.device
        ).index_put((slots[flat],), chosen)
        mask = torch.zeros(batch * (longest - 1) * size, dtype=torch.bool, device=chosen.device)
        mask[slots[flat]] = True
        return rearrange(values, "(b t) -> b t", b=batch), rearrange(mask, "(b t) -> b t", b=batch)

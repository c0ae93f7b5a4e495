"""M3: an encoder over patches, and a decoder that spells out the characters of masked patches.

Wu et al. 2024, "CLaMP 2" (arXiv 2410.13267), section 3.2. The encoder is a BERT over patch
embeddings (a linear layer on one-hot characters), the decoder a GPT-2 whose first position is the
encoder's feature of the patch. Parameter names are those of the published files. What differs is
only how it is computed: patches are embedded by summing table rows, and the decoder runs over real
characters alone.
"""

from __future__ import annotations

import torch
from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import BertConfig, BertModel, GPT2Model

from musiczoo.models.layers.gpt2 import embed_patches, gpt2, run_blocks
from musiczoo.models.layers.ragged_attention import RaggedCausal
from musiczoo.models.m3.config import M3Config
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.m3_patches import PAD, VOCABULARY


class M3Encoder(nn.Module):
    """BERT over patches."""

    def __init__(self, config: M3Config) -> None:
        super().__init__()
        self.config = config
        self.patch_embedding = nn.Linear(config.patch_size * VOCABULARY, config.hidden)
        nn.init.normal_(self.patch_embedding.weight, std=0.02)
        nn.init.zeros_(self.patch_embedding.bias)
        self.base = BertModel(
            BertConfig(
                vocab_size=1,
                hidden_size=config.hidden,
                num_hidden_layers=config.layers,
                num_attention_heads=config.head_count,
                intermediate_size=4 * config.hidden,
                max_position_embeddings=config.patch_length,
                hidden_dropout_prob=config.dropout,
                attention_probs_dropout_prob=config.dropout,
                # An argument of the base class, which transformers does not declare.
                attn_implementation="sdpa",  # type: ignore[call-arg]
            )
        )
        # Parts of the published layout that nothing uses; frozen, so that DDP does not wait for
        # their gradients.
        self.base.embeddings.word_embeddings.weight.requires_grad_(False)
        assert self.base.pooler is not None
        self.base.pooler.requires_grad_(False)

    def embed(self, patches: Tensor) -> Tensor:
        """(rows, patch_size) character ids -> (rows, hidden).

        Equals the linear layer on the one-hot matrix, without building it.
        """
        return embed_patches(self.patch_embedding, patches)

    def forward(self, patches: Tensor, lengths: Tensor) -> Tensor:
        """Hidden state of every real patch.

        Args:
            patches: (batch, longest, patch_size) character ids, padded with 0.
            lengths: (batch,) patches of each sequence, at least 1.

        Returns:
            (sum of lengths, hidden), sequence after sequence.

        Raises:
            MusicZooError: A sequence longer than the context.
        """
        longest = patches.shape[1]
        if longest > self.config.patch_length:
            raise MusicZooError(
                f"A sequence of {longest} patches does not fit a context of"
                f" {self.config.patch_length}.",
                remedy="Crop it, or take features of its segments (features()).",
            )
        # (batch, longest), True at real patches
        inside = torch.arange(longest, device=patches.device) < lengths.unsqueeze(1)
        rows = self.embed(patches[inside])  # (sum of lengths, hidden)
        embedded = torch.zeros(
            len(patches), longest, rows.shape[1], dtype=rows.dtype, device=rows.device
        )
        embedded[inside] = rows
        hidden: Tensor = self.base(
            inputs_embeds=embedded, attention_mask=inside.long()
        ).last_hidden_state
        return hidden[inside]


class M3Decoder(nn.Module):
    """GPT-2 over the characters of a patch.

    Its first position is the encoder's feature instead of the begin mark.
    """

    def __init__(self, config: M3Config) -> None:
        super().__init__()
        self.heads = config.head_count
        stack = gpt2(
            layers=config.decoder_layers,
            hidden=config.hidden,
            heads=config.head_count,
            vocabulary=VOCABULARY,
            positions=config.patch_size,
            dropout=config.dropout,
        )
        self.base = nn.ModuleDict({"transformer": stack})

    @property
    def transformer(self) -> GPT2Model:
        """The GPT-2 under the published name ``base.transformer``."""
        stack = self.base["transformer"]
        assert isinstance(stack, GPT2Model)
        return stack

    def forward(self, features: Tensor, patches: Tensor) -> tuple[Tensor, Tensor]:
        """Scores of every character after the begin mark.

        Args:
            features: (rows, hidden) of the encoder.
            patches: (rows, patch_size) characters, padded with 0 at the end.

        Returns:
            Log-probabilities (rows, patch_size - 1), 0 where masked, and the mask of real
            characters, same shape.
        """
        rows, size = patches.shape
        lengths = (patches != PAD).sum(dim=1) - 1
        kept = lengths > 0
        ragged = RaggedCausal(
            lengths[kept].cpu(),
            self.heads,
            self.transformer.config.attn_pdrop if self.training else 0.0,
        )
        positions = ragged.positions.to(patches.device)
        row_of = torch.repeat_interleave(
            torch.arange(rows, device=patches.device)[kept], lengths[kept]
        )
        flat = row_of * size + positions
        characters = patches.flatten().long()  # (rows * patch_size,)
        # (real characters, hidden)
        inputs = torch.where(
            (positions == 0).unsqueeze(1), features[row_of], self.transformer.wte(characters[flat])
        )
        hidden = run_blocks(
            self.transformer, ragged.arrange(inputs + self.transformer.wpe(positions)), ragged
        )
        order = ragged.arrange(flat)
        scores = torch.log_softmax(F.linear(hidden, self.transformer.wte.weight).float(), dim=-1)
        chosen = scores.gather(1, characters[order + 1].unsqueeze(1)).squeeze(1)
        # The target of position t is character t + 1; slot t of the result belongs to it.
        values = torch.zeros(rows * size, dtype=chosen.dtype, device=chosen.device).index_put(
            (order,), chosen
        )
        mask = torch.zeros(rows * size, dtype=torch.bool, device=chosen.device)
        mask[order] = True
        by_row = [rearrange(part, "(r s) -> r s", r=rows)[:, :-1] for part in (values, mask)]
        return by_row[0], by_row[1]


class M3Net(nn.Module):
    """Encoder and decoder.

    Args:
        config: Sizes.
    """

    def __init__(self, config: M3Config) -> None:
        super().__init__()
        self.config = config
        self.encoder = M3Encoder(config)
        self.decoder = M3Decoder(config)

    def forward(
        self, patches: Tensor, lengths: Tensor, corrupted: Tensor, selected: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Log-probabilities of the characters of selected patches, given the corrupted piece.

        Args:
            patches: (batch, longest, patch_size) as they were.
            lengths: (batch,) patches of each sequence.
            corrupted: (batch, longest, patch_size) what the encoder sees.
            selected: (batch, longest) bool, the patches to spell out.

        Returns:
            Values and mask, (batch, longest * (patch_size - 1)).
        """
        batch, longest, size = patches.shape
        inside = torch.arange(longest, device=patches.device) < lengths.unsqueeze(1)
        hidden = self.encoder(corrupted, lengths)
        chosen = selected & inside
        found, real = self.decoder(hidden[chosen[inside]], patches[chosen])
        values = torch.zeros(batch, longest, size - 1, dtype=found.dtype, device=found.device)
        mask = torch.zeros(batch, longest, size - 1, dtype=torch.bool, device=found.device)
        values[chosen], mask[chosen] = found, real
        return rearrange(values, "b l s -> b (l s)"), rearrange(mask, "b l s -> b (l s)")

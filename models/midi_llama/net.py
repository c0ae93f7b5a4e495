"""MIDI-LLaMA's net: frozen encoder, pooling, projection, frozen language model with an adapter.

What the net keeps is what is trained: projection and adapter. Its ``state_dict`` holds these alone,
for both other parts are named in the configuration and have files of their own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from musiczoo.models.adapters import is_adapter
from musiczoo.models.base.evaluation import evaluating
from musiczoo.models.causal_lm.net import causal, is_known, run_blocks
from musiczoo.models.midi_llama.pooling import pooled_segments
from musiczoo.representations.music_questions import ANSWER, MUSIC
from musiczoo.representations.octuple import BEGIN, PAD

_LM = "lm."
_PROJECTION = "projection."


class Rows(NamedTuple):
    """Sequences of a batch as embedded rows, one after the other.

    Attributes:
        values: (rows, hidden).
        lengths: (batch,) int64, rows of each sequence.
        before: (answer tokens,) int64, the row before each, which predicts it.
        targets: (answer tokens,) int64.
        mask: (batch, longest - 1) bool, their places among the rows of the batch after the first.
    """

    values: Tensor
    lengths: Tensor
    before: Tensor
    targets: Tensor
    mask: Tensor


class Standardised(nn.Module):
    """Features less their mean, over their standard deviation, of the first training data.

    Mean states differ little from piece to piece beside what they all share. A linear projection
    behind this is a linear projection of the features.

    Args:
        width: Of the features.
    """

    mean: Tensor
    scale: Tensor

    def __init__(self, width: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))

    def set(self, features: Tensor) -> None:
        """Takes mean and deviation of features (pieces, ..., width), once."""
        rows = features.reshape(-1, features.shape[-1]).double()
        rows = rows[rows.isfinite().all(dim=1)]
        if self.mean.any() or len(rows) < 2:
            return
        self.mean.copy_(rows.mean(0))
        self.scale.copy_(rows.std(0).clamp(min=1e-6))

    def forward(self, features: Tensor) -> Tensor:
        """(..., width) -> the same shape."""
        return (features - self.mean) / self.scale


class MidiLlamaNet(nn.Module):
    """The net.

    Args:
        lm: A causal language model of transformers, with its adapter.
        encoder: A MusicBERT net; None where the music is text.
        segments: Music tokens of a piece.
        projection: ``"linear"`` or ``"mlp"``.
    """

    def __init__(self, lm: Any, encoder: Any, segments: int, projection: str) -> None:
        super().__init__()
        self.lm, self.encoder, self.segments = lm, encoder, segments
        self.projection: nn.Module | None = None
        table = lm.get_input_embeddings().weight
        if encoder is not None:
            width, hidden = encoder.config.hidden, table.shape[1]
            layers: list[nn.Module] = [Standardised(width), nn.Linear(width, hidden)]
            if projection == "mlp":
                layers += [nn.GELU(), nn.Linear(hidden, hidden)]
            self.projection = nn.Sequential(*layers)
            self._initialise(table)
        for name, parameter in self.named_parameters():
            parameter.requires_grad_(self.is_kept(name))
        hooked: Any = self  # these two are declared without types
        hooked.register_state_dict_post_hook(_keep_own)
        hooked.register_load_state_dict_pre_hook(_complete)

    @staticmethod
    def is_kept(name: str) -> bool:
        """Whether a parameter is the net's own: of the projection, or of the adapter."""
        return name.startswith(_PROJECTION) or (name.startswith(_LM) and is_adapter(name))

    def _initialise(self, table: Tensor) -> None:
        """Music tokens begin as large as those of text."""
        assert self.projection is not None
        with torch.no_grad():
            size = float(table.float().std())
            for module in self.projection.modules():
                if isinstance(module, nn.Linear):
                    nn.init.normal_(module.weight, std=module.in_features**-0.5)
                    nn.init.zeros_(module.bias)
                    last = module
            last.weight.mul_(size)

    def features(self, music: Tensor, owners: Tensor, count: int) -> Tensor:
        """The pooled features of pieces.

        Args:
            music: (rows, 8) int64 notes of all pieces, window after window, each with the rows of
                ``<s>`` and ``</s>``.
            owners: (rows,) int64, the piece of each row, in order.
            count: Pieces.

        Returns:
            (count, segments, width) without gradient.
        """
        begins = (music[:, 0] == BEGIN).nonzero().flatten()
        ends = torch.cat([begins[1:], begins.new_tensor([len(music)])])
        lengths = ends - begins
        place = torch.arange(int(lengths.max()), device=music.device)
        inside = place < lengths.unsqueeze(1)
        ids = music.new_full((*inside.shape, music.shape[1]), PAD)
        ids[inside] = music
        with evaluating(self.encoder):
            states = self.encoder.rows(ids, lengths)
        # The states of <s> and </s> are no notes'.
        keep = torch.ones(len(music), dtype=torch.bool, device=music.device)
        keep[begins], keep[ends - 1] = False, False
        notes = torch.bincount(owners[keep], minlength=count)
        return pooled_segments(states[keep], notes, self.segments)

    def embedded(self, ids: Tensor, lengths: Tensor, features: Tensor | None) -> Rows:
        """The rows that the language model reads.

        Args:
            ids: (batch, longest, 9) int64 rows of
                :class:`musiczoo.representations.music_questions.MusicQuestions`.
            lengths: (batch,) int64.
            features: (batch, segments, width) where a batch brings them; each piece has one row
                then.
        """
        place = torch.arange(ids.shape[1], device=ids.device)
        inside = place < lengths.unsqueeze(1)
        flat = ids[inside]  # (rows, 9)
        owners = torch.arange(len(ids), device=ids.device).unsqueeze(1).expand(inside.shape)[inside]
        # 1. How many embedded rows each row becomes: the notes of a piece its music tokens.
        is_music = flat[:, 0] == MUSIC
        first = is_music.clone()
        first[1:] &= ~is_music[:-1] | (owners[1:] != owners[:-1])
        counts = (~is_music).long() + first.long() * self.segments
        starts = counts.cumsum(0) - counts
        # 2. Text from the table, music by the projection.
        table = self.lm.get_input_embeddings().weight
        values = table.new_zeros(int(counts.sum()), table.shape[1])
        values = values.index_copy(0, starts[~is_music], table[flat[~is_music, 1]])
        if bool(first.any()):
            places = starts[first].unsqueeze(1) + torch.arange(self.segments, device=ids.device)
            if features is None:
                own = torch.unique_consecutive(owners[is_music], return_inverse=True)[1]
                found = self.features(flat[is_music, 1:], own, int(first.sum()))
            else:
                found = features[owners[first]]
            assert self.projection is not None
            tokens = self.projection(found.to(table.dtype))  # (pieces, segments, hidden)
            values = values.index_copy(0, places.flatten(), tokens.flatten(0, 1).to(table.dtype))
        # 3. What is predicted: the tokens of answers.
        answers = flat[:, 0] == ANSWER
        rows = torch.zeros(len(ids), dtype=torch.int64, device=ids.device)
        return Rows(
            values,
            rows.index_add(0, owners, counts),
            starts[answers] - 1,
            flat[answers, 1],
            (inside & (ids[:, :, 0] == ANSWER))[:, 1:],
        )

    def logits(self, rows: Rows) -> Tensor:
        """(answer tokens, vocabulary) float32 logits."""
        lengths = rows.lengths.cpu()
        if is_known(self.lm):
            ragged, attend = causal(self.lm, lengths)
            positions = ragged.arrange(ragged.positions.to(rows.values.device))
            hidden = run_blocks(self.lm, ragged.arrange(rows.values), positions, attend)
            found: Tensor = self.lm.lm_head(ragged.restore(hidden)[rows.before])
            return found.float()
        # Other families run their own pass over padded rows.
        place = torch.arange(int(lengths.max()), device=rows.values.device)
        inside = place < rows.lengths.unsqueeze(1)
        shape = (*inside.shape, rows.values.shape[1])
        inputs = rows.values.new_zeros(shape).masked_scatter(inside.unsqueeze(-1), rows.values)
        out = self.lm(inputs_embeds=inputs, attention_mask=inside.long(), use_cache=False).logits
        return out[inside][rows.before].float()  # type: ignore[no-any-return]

    def forward(
        self, ids: Tensor, lengths: Tensor, features: Tensor | None = None
    ) -> tuple[Tensor, Rows]:
        """Logits (answer tokens, vocabulary) of every answer token, and the rows."""
        rows = self.embedded(ids, lengths, features)
        return self.logits(rows), rows


def _keep_own(
    net: MidiLlamaNet, state: dict[str, Tensor], prefix: str, metadata: dict[str, Any]
) -> None:
    for name in [name for name in state if name.startswith(prefix)]:
        if not net.is_kept(name.removeprefix(prefix)):
            del state[name]


def _complete(net: MidiLlamaNet, state: dict[str, Tensor], prefix: str, *others: Any) -> None:
    """Strict loading finds the frozen parts too."""
    for part in ("lm", "encoder"):
        child: nn.Module | None = getattr(net, part)
        own = {} if child is None else child.state_dict()
        for name, value in own.items():
            if not net.is_kept(f"{part}.{name}"):
                state.setdefault(f"{prefix}{part}.{name}", value)

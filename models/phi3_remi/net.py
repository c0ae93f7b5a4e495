"""Phi-3 (Abdin et al. 2024, arXiv 2404.14219) as a decoder of music tokens: sizes, and the forward pass of training.

The net is transformers' ``Phi3ForCausalLM``, so that tensors have the published names. Its forward
pass is done here over rows of tokens without padding: each linear layer sees real tokens only, and
the attention needs no mask.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint
from transformers import Phi3Config, Phi3ForCausalLM

from musiczoo.models.layers.ragged_attention import RaggedCausal
from musiczoo.music.errors import MusicZooError

# Called with (layer, query, key, value) on rows of tokens; gives what attention adds.
Attend = Callable[[int, Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Phi3RemiConfig:
    """Sizes of the decoder.

    The defaults are those of SMART's base model (arXiv 2504.16839, section 3.1, and its authors'
    scripts).

    Attributes:
        layers: "Our model has 4 layers".
        hidden: "and a hidden size of 512".
        heads: "with 8 attention heads".
        intermediate: Width of the feed-forward layers: 2048 in the authors' sibling scripts.
        vocabulary: Tokens.
        positions: Longest sequence.
        key_value_heads: Heads of keys and values; 0 for as many as ``heads``.
        rope_theta: Base of the rotary positions.
        rotary: Part of each head that turns.
        tied: Whether the output layer is the embedding.
        norm_eps: Of the norms.
        dropout: Of what attention and feed-forward layers add.
        attention_dropout: Of the attention weights.
    """

    layers: int = 4
    hidden: int = 512
    heads: int = 8
    intermediate: int = 2048
    vocabulary: int = 413
    positions: int = 4096
    key_value_heads: int = 0
    rope_theta: float = 10_000.0
    rotary: float = 1.0
    tied: bool = False
    norm_eps: float = 1e-5
    dropout: float = 0.0
    attention_dropout: float = 0.0

    def __post_init__(self) -> None:
        sizes = (
            self.layers,
            self.hidden,
            self.heads,
            self.intermediate,
            self.vocabulary,
            self.positions,
        )
        if min(sizes) < 1 or self.hidden % (2 * self.heads) or self.heads % self.kv_heads:
            raise MusicZooError(
                f"A Phi-3 with {self.hidden} values in {self.heads} heads ({self.kv_heads} of keys)"
                " cannot be built.",
                remedy=(
                    "The width must be an even multiple of the heads, and the heads one of those of"
                    " keys and values."
                ),
            )

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.key_value_heads or self.heads

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values."""
        return asdict(self)


def build(config: Phi3RemiConfig) -> Phi3ForCausalLM:
    """A net of these sizes with untrained weights (normal, standard deviation 0.02)."""
    return Phi3ForCausalLM(
        Phi3Config(
            vocab_size=config.vocabulary,
            hidden_size=config.hidden,
            intermediate_size=config.intermediate,
            num_hidden_layers=config.layers,
            num_attention_heads=config.heads,
            num_key_value_heads=config.kv_heads,
            max_position_embeddings=config.positions,
            original_max_position_embeddings=config.positions,
            resid_pdrop=config.dropout,
            attention_dropout=config.attention_dropout,
            rms_norm_eps=config.norm_eps,
            tie_word_embeddings=config.tied,
            rope_parameters={
                "rope_type": "default",
                "rope_theta": config.rope_theta,
                "partial_rotary_factor": config.rotary,
            },
            bos_token_id=1,
            eos_token_id=2,
            pad_token_id=0,
        )
    )


class Rotary:
    """Rotary positions (Su et al. 2021, arXiv 2104.09864) as tables of cosines and sines.

    Args:
        net: Whose frequencies; attention scaling other than 1 is refused when weights are opened.
        positions: How many.
    """

    def __init__(self, net: Phi3ForCausalLM, positions: int) -> None:
        weight = net.lm_head.weight
        frequencies = net.model.rotary_emb.inv_freq.to(weight.device, torch.float32)
        angles = (
            torch.arange(positions, device=weight.device, dtype=torch.float32).unsqueeze(1)
            * frequencies
        )
        self.cos, self.sin = angles.cos().to(weight.dtype), angles.sin().to(weight.dtype)
        self.width = 2 * frequencies.numel()

    def turn(self, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        """Turns the first ``width`` values of each head; ``cos`` and ``sin`` are rows of the tables, one for each of ``x``."""
        half = self.width // 2
        first, second, rest = x[..., :half], x[..., half : self.width], x[..., self.width :]
        return torch.cat((first * cos - second * sin, second * cos + first * sin, rest), dim=-1)


def run_blocks(net: Phi3ForCausalLM, ids: Tensor, positions: Tensor, attend: Attend) -> Tensor:
    """The hidden states of rows of tokens; only ``attend`` knows which rows see each other.

    Args:
        net: The net.
        ids: (rows,) int64.
        positions: (rows,) int64, of each token in its sequence.
        attend: On query (rows, heads * width), key and value (rows, kv heads * width), turned
            already; gives (rows, heads * width).

    Returns:
        (rows, hidden) after the last norm.
    """
    config: Any = net.config
    rotary = Rotary(net, int(positions.max()) + 1 if positions.numel() else 1)
    cos, sin = rotary.cos[positions].unsqueeze(1), rotary.sin[positions].unsqueeze(1)
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    width = config.hidden_size // heads
    eps = config.rms_norm_eps

    def run(layer: int, block: Any, rows: Tensor) -> Tensor:
        # Called as layers, so that adapters take part.
        inner = F.rms_norm(rows, (rows.shape[-1],), block.input_layernorm.weight, eps)
        qkv = block.self_attn.qkv_proj(inner).unflatten(-1, (heads + 2 * kv_heads, width))
        turned = rotary.turn(qkv[:, : heads + kv_heads], cos, sin)
        query, key = turned[:, :heads].flatten(1), turned[:, heads:].flatten(1)
        attended = attend(layer, query, key, qkv[:, heads + kv_heads :].flatten(1))
        rows = rows + block.resid_attn_dropout(block.self_attn.o_proj(attended))
        gate, up = block.mlp.gate_up_proj(
            F.rms_norm(rows, (rows.shape[-1],), block.post_attention_layernorm.weight, eps)
        ).chunk(2, dim=-1)
        out: Tensor = rows + block.resid_mlp_dropout(block.mlp.down_proj(F.silu(gate) * up))
        return out

    rows: Tensor = net.model.embed_tokens(ids)
    forgets = getattr(net.model, "gradient_checkpointing", False) and torch.is_grad_enabled()
    blocks: Any = net.model.layers
    for layer, block in enumerate(blocks):
        # What a block computed is forgotten and computed again when its gradient is wanted (Chen et
        # al. 2016, arXiv 1604.06174).
        rows = (
            checkpoint(run, layer, block, rows, use_reentrant=False)
            if forgets
            else run(layer, block, rows)
        )
    return F.rms_norm(rows, (rows.shape[-1],), net.model.norm.weight, eps)


def causal(net: nn.Module, lengths: Tensor) -> tuple[RaggedCausal, Attend]:
    """Attention within sequences of different lengths, and the order in which it takes their rows."""
    config: Any = net.config
    heads, kv_heads = config.num_attention_heads, config.num_key_value_heads
    ragged = RaggedCausal(lengths, heads, config.attention_dropout if net.training else 0.0)

    def attend(layer: int, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        if kv_heads != heads:
            key, value = (
                part.unflatten(-1, (kv_heads, -1))
                .repeat_interleave(heads // kv_heads, dim=1)
                .flatten(1)
                for part in (key, value)
            )
        return ragged(layer, query, key, value)

    return ragged, attend


def token_log_probs(
    net: Phi3ForCausalLM, ids: Tensor, lengths: Tensor, temperature: float = 1.0
) -> tuple[Tensor, Tensor]:
    """Log-probabilities of every token after the first of its sequence.

    Args:
        net: The net.
        ids: (batch, longest) int64, padded behind.
        lengths: (batch,) int64.
        temperature: Divides the logits.

    Returns:
        (batch, longest - 1) log-probabilities, 0 where nothing is scored, and the mask of what is.
    """
    place = torch.arange(ids.shape[1], device=ids.device)
    mask = place[1:] < lengths.unsqueeze(1)
    counts = (lengths - 1).clamp(min=0).cpu()
    ragged, attend = causal(net, counts[counts > 0])
    rows, targets = ids[:, :-1][mask], ids[:, 1:][mask]
    positions = ragged.arrange(ragged.positions.to(ids.device))
    hidden = run_blocks(net, ragged.arrange(rows), positions, attend)
    logits = net.lm_head(hidden).float() / temperature
    # One pass over the logits forwards and one backwards.
    scored = ragged.restore(-F.cross_entropy(logits, ragged.arrange(targets), reduction="none"))
    values = torch.zeros(mask.shape, dtype=scored.dtype, device=ids.device).masked_scatter(
        mask, scored
    )
    return values, mask

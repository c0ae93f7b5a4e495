"""Nets of transformers from sizes."""

from __future__ import annotations

from typing import Any

from torch import nn

from musiczoo.models.causal_lm.config import TextLMConfig, transformers_config

# What families call the probability of dropout of embeddings and of what blocks add, and that of
# the attention weights.
_DROPOUT = ("embd_pdrop", "resid_pdrop", "hidden_dropout", "dropout")
_ATTENTION_DROPOUT = ("attn_pdrop", "attention_dropout")


def build(config: TextLMConfig) -> Any:
    """A net with untrained weights, as its family draws them: a ``PreTrainedModel``, float32.

    Args:
        config: The sizes, with a vocabulary.

    Raises:
        MusicZooError: See :func:`musiczoo.models.causal_lm.config.transformers_config`.
    """
    from transformers import AutoModelForCausalLM

    own = transformers_config(config.transformers or _content(config))
    for names, value in (
        (_DROPOUT, config.dropout),
        (_ATTENTION_DROPOUT, config.attention_dropout),
    ):
        for name in names:
            if hasattr(own, name):
                setattr(own, name, value)
    auto: Any = AutoModelForCausalLM
    net = auto.from_config(own)
    # Llama and its like have no dropout; the zoo's training pass has (blocks.py).
    if config.dropout and not any(hasattr(own, name) for name in _DROPOUT):
        for block in getattr(net.base_model, "layers", ()):
            block.resid_attn_dropout = nn.Dropout(config.dropout)
            block.resid_mlp_dropout = nn.Dropout(config.dropout)
    return net


def _content(config: TextLMConfig) -> dict[str, Any]:
    """The ``config.json`` of single sizes: those entries that the family has."""
    defaults = transformers_config({"model_type": config.family})
    # No token has a meaning here; the representation knows those of the two ends. Families that
    # have windows see everything.
    absent = ("bos_token_id", "eos_token_id", "pad_token_id", "sliding_window")
    values = {
        **dict.fromkeys(absent),
        "vocab_size": config.vocabulary,
        "hidden_size": config.hidden,
        "intermediate_size": config.intermediate,
        "n_inner": config.intermediate,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.hidden // config.heads,
        "max_position_embeddings": config.positions,
        "original_max_position_embeddings": config.positions,
        "tie_word_embeddings": config.tied,
        "rms_norm_eps": config.norm_eps,
        "layer_norm_epsilon": config.norm_eps,
        "layer_norm_eps": config.norm_eps,
    }
    rope = getattr(defaults, "rope_parameters", None)
    if rope:
        partial = (
            {"partial_rotary_factor": config.rotary} if "partial_rotary_factor" in rope else {}
        )
        theta = {"rope_theta": config.rope_theta}
        values["rope_parameters"] = {"rope_type": "default", **theta, **partial}
    kept = {name: value for name, value in values.items() if hasattr(defaults, name)}
    return {"model_type": config.family, **kept}

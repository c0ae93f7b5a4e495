"""Phi-3 (Abdin et al. 2024, arXiv 2404.14219) as a decoder of music tokens.

The net is transformers' ``Phi3ForCausalLM``, so that tensors have the published names; how it is
computed is :mod:`musiczoo.models.causal_lm`.
"""

from __future__ import annotations

from transformers import Phi3Config, Phi3ForCausalLM

# The last four were defined here until version 0.1.
from musiczoo.models.causal_lm.net import Rotary, causal, run_blocks, token_log_probs
from musiczoo.models.phi3_remi.config import SMART_VOCABULARY, Phi3RemiConfig

__all__ = ["Rotary", "build", "causal", "run_blocks", "token_log_probs"]


def build(config: Phi3RemiConfig) -> Phi3ForCausalLM:
    """A net of these sizes with untrained weights (normal, standard deviation 0.02)."""
    return Phi3ForCausalLM(
        Phi3Config(
            vocab_size=config.vocabulary or SMART_VOCABULARY,
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

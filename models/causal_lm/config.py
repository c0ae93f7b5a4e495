"""Sizes of decoder-only nets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from musiczoo.models.base.config import ModelConfig
from musiczoo.music.errors import MusicZooError


@dataclass(frozen=True)
class DecoderConfig(ModelConfig):
    """Sizes that all decoder-only nets have.

    Attributes:
        layers: Blocks.
        hidden: Width of the embeddings and of what blocks add to.
        heads: Heads of queries.
        intermediate: Width of the feed-forward layers.
        vocabulary: Tokens; 0 for those of the representation.
        positions: Longest sequence.
        key_value_heads: Heads of keys and values; 0 for as many as ``heads``.
        rope_theta: Base of the rotary positions.
        rotary: Part of each head that turns.
        tied: Whether the output layer is the embedding.
        norm_eps: Of the norms.
        dropout: Of what attention and feed-forward layers add.
        attention_dropout: Of the attention weights.
    """

    dropouts: ClassVar[tuple[str, ...]] = ("dropout", "attention_dropout")
    shown_as: ClassVar[str] = "decoder"

    layers: int = 4
    hidden: int = 256
    heads: int = 4
    intermediate: int = 1024
    vocabulary: int = 0
    positions: int = 1024
    key_value_heads: int = 0
    rope_theta: float = 10_000.0
    rotary: float = 1.0
    tied: bool = False
    norm_eps: float = 1e-5
    dropout: float = 0.0
    attention_dropout: float = 0.0

    def __post_init__(self) -> None:
        self.check_heads(self.shown_as)

    @property
    def kv_heads(self) -> int:
        """Heads of keys and values."""
        return self.key_value_heads or self.heads

    def check_heads(self, name: str) -> None:
        """Checks that heads share the width evenly.

        Args:
            name: Of the net, for the message.

        Raises:
            MusicZooError: They do not, or a size is not positive.
        """
        sizes = (self.layers, self.hidden, self.heads, self.intermediate, self.positions)
        if min(sizes) < 1 or self.hidden % (2 * self.heads) or self.heads % self.kv_heads:
            raise MusicZooError(
                f"A {name} with {self.hidden} values in {self.heads} heads ({self.kv_heads} of"
                " keys) cannot be built.",
                remedy=(
                    "The width must be an even multiple of the heads, and the heads one of those of"
                    " keys and values."
                ),
            )


@dataclass(frozen=True)
class TextLMConfig(DecoderConfig):
    """Sizes of a language model of transformers: single ones, or the whole configuration.

    The defaults are ours, for tiny models. Families without rotary positions leave out what
    concerns these.

    Attributes:
        family: ``model_type`` of transformers, such as ``"llama"``, ``"phi3"`` or ``"gpt2"``.
        transformers: The content of the ``config.json`` of transformers, with its ``model_type``;
            None to use the sizes above. All of these are read from it, except dropout, which is the
            user's.
    """

    family: str = "llama"
    transformers: dict[str, Any] | None = None

    def __post_init__(self) -> None:
        if self.transformers is None:
            self.check_heads(self.family)
            return
        for name, value in _sizes(transformers_config(self.transformers)).items():
            object.__setattr__(self, name, value)


def transformers_config(content: Mapping[str, Any]) -> Any:
    """The configuration of transformers with the content of a ``config.json``.

    What names code, files or the type of stored weights is left out: nothing remote is executed,
    and nets are float32 until the user changes that.

    Args:
        content: With ``model_type``.

    Raises:
        MusicZooError: A family that the installed transformers does not know, a net that is no
            causal language model, or quantised weights.
    """
    from transformers import CONFIG_MAPPING, MODEL_FOR_CAUSAL_LM_MAPPING

    family = str(content.get("model_type"))
    known = family in CONFIG_MAPPING and CONFIG_MAPPING[family] in MODEL_FOR_CAUSAL_LM_MAPPING
    wrong = None
    if not known or content.get("is_encoder_decoder"):
        wrong = f"transformers has no causal language model of the family {family!r}."
    elif "quantization_config" in content:
        wrong = "The weights are quantised."
    if wrong:
        raise MusicZooError(
            wrong,
            where="model_type" if not known else "config.json",
            remedy="Give a decoder-only language model whose code is part of transformers.",
        )
    left_out = {"auto_map", "architectures", "_name_or_path", "dtype", "torch_dtype"}
    kept = {name: value for name, value in content.items() if name not in left_out}
    config = CONFIG_MAPPING[family].from_dict(kept)
    # BERT and its like see only what came before where they are asked to.
    if getattr(config, "is_decoder", None) is False:
        config.is_decoder = True
    return config


def _sizes(config: Any) -> dict[str, Any]:
    """The fields of :class:`TextLMConfig` that a configuration of transformers states."""
    heads = getattr(config, "num_attention_heads", None)
    hidden = getattr(config, "hidden_size", None)
    rope = getattr(config, "rope_parameters", None) or {}
    found = {
        "family": config.model_type,
        "layers": getattr(config, "num_hidden_layers", None),
        "hidden": hidden,
        "heads": heads,
        "intermediate": getattr(config, "intermediate_size", None)
        or getattr(config, "n_inner", None)
        or (hidden and 4 * hidden),
        "vocabulary": getattr(config, "vocab_size", None),
        "positions": getattr(config, "max_position_embeddings", None),
        "key_value_heads": getattr(config, "num_key_value_heads", None) or heads,
        "rope_theta": rope.get("rope_theta"),
        "rotary": rope.get("partial_rotary_factor"),
        "tied": getattr(config, "tie_word_embeddings", None),
        "norm_eps": getattr(config, "rms_norm_eps", None)
        or getattr(config, "layer_norm_epsilon", None)
        or getattr(config, "layer_norm_eps", None),
    }
    return {name: value for name, value in found.items() if value is not None}

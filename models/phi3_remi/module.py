"""The REMI Phi-3 decoder on Lightning."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

from torch import Tensor
from transformers import Phi3ForCausalLM

from musiczoo.models.adapters import LoRA
from musiczoo.models.base.generative import Generated, GenerativeModule
from musiczoo.models.base.objective import Batch, TokenLogProbs
from musiczoo.models.base.sharding import shard
from musiczoo.models.causal_lm.construction import give_net
from musiczoo.models.causal_lm.generation import TOKEN_OPTIONS, Sampled
from musiczoo.models.causal_lm.net import (
    set_gradient_checkpointing,
    token_log_distribution,
    token_log_probs,
)
from musiczoo.models.causal_lm.requests import checked_ids, continuations, generated
from musiczoo.models.phi3_remi.config import Phi3RemiConfig
from musiczoo.models.phi3_remi.net import build
from musiczoo.models.sampling import Sampling
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.remi import BOS, EOS, Remi

# What a download is checked with: two bars and the beginning of a third, as far as the vocabulary
# has these tokens.
_REFERENCE = (
    "BOS Bar_None TimeSig_3/4 Position_0 Tempo_120.0 Pitch_67 Velocity_79 Duration_1.0.12 Pitch_55"
    " Velocity_79 Duration_2.0.12 Position_12 Pitch_66 Velocity_79 Duration_1.0.12 Position_24"
    " Pitch_67 Velocity_79 Duration_0.6.12 Bar_None TimeSig_3/4 Position_0 Pitch_69 Velocity_79"
    " Duration_2.0.12 EOS"
)


class Phi3RemiModule(GenerativeModule):
    """SMART's base model: Phi-3 over REMI tokens (Jonason et al. 2025, arXiv 2504.16839).

    Prompts of :meth:`generate` are ids (tokens,), or names of tokens with spaces between; an empty
    one starts from nothing (``BOS``). Lengths are tokens, the context at most. ``tokens``,
    ``log_probs`` and ``scored`` of a result are (tokens,). Without a note a ``piece`` has no track.
    ``guard="grammar"`` allows only REMI (:class:`musiczoo.models.phi3_remi.guard.RemiGrammar`).

    Args:
        config: The sizes. Single ones may be given by their names instead (``hidden=256``).
        pretrained: What to start from: a folder or weights file in transformers' layout, or a name
            that :func:`musiczoo.load` takes. Its sizes and tokens are taken.
        representation: REMI tokens; SMART's 413 when None.
        lora: Train an adapter beside the frozen weights, with these settings; None trains all
            weights.
        gradient_checkpointing: Compute the blocks again in the backward pass: less memory, more
            time.
        settings: Of :class:`musiczoo.models.base.ZooModule`; ``seed`` is that of untrained weights
            too.

    Raises:
        MusicZooError: Weights that cannot be used, or a representation with other tokens.
    """

    architecture: ClassVar[str] = "phi3_remi"
    config_type = Phi3RemiConfig
    representation_type = Remi
    writes = "performance"
    prompt_kinds = ("tokens", "text")
    length_unit = "token"
    unit = "token"
    lora_targets = ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj")
    generate_options = TOKEN_OPTIONS
    net: Phi3ForCausalLM
    config: Phi3RemiConfig
    representation: Remi

    def __init__(
        self,
        config: Phi3RemiConfig | None = None,
        *,
        pretrained: str | None = None,
        representation: Remi | None = None,
        lora: LoRA | dict[str, Any] | None = None,
        gradient_checkpointing: bool = False,
        **settings: Any,
    ) -> None:
        sizes = Phi3RemiConfig.from_settings(config, settings)
        super().__init__(**settings)
        # The paper's: "All completions were sampled with temperature 1.0", from the whole
        # distribution. A checkpoint may bring its own.
        self.sampling = Sampling(top_k=0, top_p=1.0, min_p=0.0, temperature=1.0)
        self.representation = representation or Remi.smart()
        give_net(self, build, sizes, pretrained)
        self._check_vocabulary()
        self._keep_settings(gradient_checkpointing=gradient_checkpointing)
        set_gradient_checkpointing(self.net, gradient_checkpointing)
        if lora is not None:
            self.add_lora(lora, self.seed)

    @classmethod
    def from_published(cls, path: str | Path, **settings: Any) -> Self:
        """A module with the weights of a folder (or file in one) in transformers' layout.

        In eval mode.

        Raises:
            MusicZooError: See :func:`musiczoo.models.phi3_remi.published.read_published`.
        """
        return cls(pretrained=str(path), **settings).eval()

    def _check_vocabulary(self) -> None:
        tokens = len(self.representation.vocabulary)
        if tokens != self.config.vocabulary:
            raise MusicZooError(
                f"The net has {self.config.vocabulary} tokens, and the representation {tokens}.",
                where="representation",
                remedy="Give the tokenizer that the weights were trained with.",
            )

    def reference_batch(self) -> dict[str, Tensor]:
        """Two short sequences of different length."""
        known = self.representation.index
        last = self.representation.vocabulary[-1]
        names = [name if name in known else last for name in _REFERENCE.split()]
        ids = self.representation.encode_text(" ".join(names))[: self.config.positions]
        return self.representation.collate([ids, ids[1:-4]])

    def configure_model(self) -> None:
        """Shards the net, layer by layer, where the strategy has a device mesh.

        Raises:
            MusicZooError: See :func:`musiczoo.models.base.sharding.shard`.
        """
        shard(self, [])

    def log_probs(self, batch: Batch, temperature: float = 1.0) -> TokenLogProbs:
        """Log-probabilities of every token after the first.

        Args:
            batch: ``ids`` (batch, longest) and ``lengths`` (batch,), as the representation
                collates.
            temperature: Divides the logits.

        Returns:
            Values and mask of shape (batch, longest - 1).

        Raises:
            MusicZooError: A sequence longer than the context.
        """
        scored = token_log_probs(self.net, batch["ids"], batch["lengths"], temperature)
        return TokenLogProbs(*scored)

    def log_distribution(self, batch: Batch, temperature: float = 1.0) -> Tensor:
        """Log-probabilities of all tokens; see :class:`musiczoo.models.base.Distributes`.

        Args:
            batch: As in :meth:`log_probs`.
            temperature: Divides the logits.

        Returns:
            (batch, longest - 1, vocabulary), 0 where nothing is scored.
        """
        return token_log_distribution(self.net, batch["ids"], batch["lengths"], temperature)

    def _sampled(
        self,
        prompts: Sequence[Tensor | str],
        seeds: Sequence[int],
        *,
        guard: str | None,
        **request: Any,
    ) -> Iterator[tuple[int, Generated]]:
        if guard not in (None, "grammar"):
            raise MusicZooError(
                f"There is no guard {guard!r}.", where="guard", remedy='Give "grammar" or None.'
            )
        ids = [self._prompt(prompt) for prompt in prompts]
        grammar = self._grammar() if guard else None
        for number, sequence in continuations(self, ids, seeds, end=EOS, guard=grammar, **request):
            yield number, self._result(sequence)

    def guard_for(
        self, *, align: bool, meter: bool, min_bars: int | None, max_bars: int | None
    ) -> str | None:
        """``"grammar"``, whatever is asked for; there are no guards of bars."""
        super().guard_for(align=align, meter=meter, min_bars=min_bars, max_bars=max_bars)
        return "grammar"

    def _grammar(self) -> Any:
        from musiczoo.models.phi3_remi.guard import RemiGrammar

        return RemiGrammar(self.representation)

    def _prompt(self, prompt: Tensor | str) -> Tensor:
        ids = self.representation.encode_text(prompt) if isinstance(prompt, str) else prompt
        return checked_ids(ids, self.config.vocabulary, BOS)

    def _result(self, sequence: Sampled) -> Generated:
        piece, error = None, None
        try:
            piece = self.representation.decode(sequence.tokens)
        except MusicZooError as problem:
            error = problem
        return generated(sequence, self.representation.text(sequence.tokens), piece, error)

    def training_item(self, result: Generated, rng: random.Random | None = None) -> Tensor:
        """The tokens as they were generated; reading the piece again would drop what is no REMI."""
        return result.tokens

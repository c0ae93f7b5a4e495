"""The REMI Phi-3 decoder on Lightning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

from torch import Tensor
from transformers import Phi3ForCausalLM

from musiczoo.models.base.generative import Generated
from musiczoo.models.causal_lm.generation import Sampled
from musiczoo.models.causal_lm.token_module import TokenModule, generated
from musiczoo.models.phi3_remi.config import Phi3RemiConfig
from musiczoo.models.phi3_remi.net import build
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


class Phi3RemiModule(TokenModule):
    """SMART's base model: Phi-3 over REMI tokens (Jonason et al. 2025, arXiv 2504.16839).

    Prompts of :meth:`generate` are ids (tokens,), or names of tokens with spaces between; an empty
    one starts from nothing (``BOS``). Lengths are tokens, the context at most. ``tokens``,
    ``log_probs`` and ``scored`` of a result are (tokens,). Without a note a ``piece`` has no track.
    ``guard="grammar"`` allows only REMI (:class:`musiczoo.models.phi3_remi.guard.RemiGrammar`).

    Args:
        config: The sizes. Single ones may be given by their names instead (``hidden=256``).
        representation: REMI tokens; SMART's 413 when None.
        settings: Of :class:`musiczoo.models.causal_lm.token_module.TokenModule`: ``pretrained``,
            ``lora``, ``gradient_checkpointing`` and those of training.

    Raises:
        MusicZooError: Weights that cannot be used, or a representation with other tokens.
    """

    architecture: ClassVar[str] = "phi3_remi"
    config_type = Phi3RemiConfig
    build_net = staticmethod(build)
    representation_type = Remi
    writes = "performance"
    prompt_kinds = ("tokens", "text")
    lora_targets = ("self_attn.qkv_proj", "self_attn.o_proj", "mlp.gate_up_proj", "mlp.down_proj")
    net: Phi3ForCausalLM
    config: Phi3RemiConfig
    representation: Remi

    def __init__(
        self,
        config: Phi3RemiConfig | None = None,
        *,
        representation: Remi | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(config, representation=representation or Remi.smart(), **settings)
        self._check_vocabulary()

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
        for number, sequence in self._continued(ids, seeds, end=EOS, guard=grammar, **request):
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
        return self._ids(ids, BOS)

    def _result(self, sequence: Sampled) -> Generated:
        piece, error = None, None
        try:
            piece = self.representation.decode(sequence.tokens)
        except MusicZooError as problem:
            error = problem
        return generated(sequence, self.representation.text(sequence.tokens), piece, error)

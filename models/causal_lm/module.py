"""A causal language model over texts on Lightning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor

from musiczoo.models.base.generative import Generated
from musiczoo.models.causal_lm.config import TextLMConfig
from musiczoo.models.causal_lm.generation import TokenGuard
from musiczoo.models.causal_lm.text_net import build
from musiczoo.models.causal_lm.token_module import TokenModule, generated
from musiczoo.music.errors import MusicZooError
from musiczoo.representations.text_tokens import TextTokens

# What a download is checked with.
_REFERENCE = ("X:1\nM:3/4\nK:G\nG3 | ABc |", "Is this piece in G major?")
# The layers of blocks, as Llama, Phi-3 and GPT-2 call them; a net has some of these.
_JOINED = ("self_attn.qkv_proj", "mlp.gate_up_proj")
_APART = (
    "self_attn.q_proj",
    "self_attn.k_proj",
    "self_attn.v_proj",
    "mlp.gate_proj",
    "mlp.up_proj",
)
_GPT2 = ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj")


class TextLMModule(TokenModule):
    """Any causal language model of transformers, with a tokenizer trained on the data.

    Prompts of :meth:`generate` are text, ids (tokens,), or embeddings, float tensors of shape
    (tokens, hidden); an empty text starts from nothing (BOS). Lengths are tokens, the context at
    most. Results have a ``text`` and no ``piece``; ``tokens``, ``log_probs`` and ``scored`` are
    (tokens,). Those of embeddings hold what was generated alone, which nothing scores again.
    ``guard`` is a :class:`musiczoo.models.causal_lm.generation.TokenGuard`; it is started with
    the prompts as the module checked them.

    Families whose blocks are known (:data:`musiczoo.models.causal_lm.net.KNOWN`) run without
    padding and decode in batches; all others run their own forward pass.

    Args:
        config: The sizes. Single ones may be given by their names instead (``hidden=128``).
        representation: The tokens; bytes when None.
        settings: Of :class:`musiczoo.models.causal_lm.token_module.TokenModule`: ``pretrained``,
            ``lora``, ``gradient_checkpointing`` and those of training.

    Raises:
        MusicZooError: Weights that cannot be used, or a net with fewer tokens than the
            representation.

    Example:
        >>> tokens = TextTokens.train(["CDEF GABc|", "cBAG FEDC|"], vocabulary=270)
        >>> model = TextLM(layers=1, hidden=32, heads=2, intermediate=64, representation=tokens)
        >>> [result] = model.generate(["CDEF"], max_length=12)
        >>> result.text.startswith("CDEF"), result.piece
        (True, None)
    """

    architecture: ClassVar[str] = "text_lm"
    config_type = TextLMConfig
    build_net = staticmethod(build)
    representation_type = TextTokens
    writes = "text"
    prompt_kinds = ("text", "tokens")
    lora_targets = (*_JOINED, *_APART, "self_attn.o_proj", "mlp.down_proj", *_GPT2)
    net: Any
    config: TextLMConfig
    representation: TextTokens

    def __init__(
        self,
        config: TextLMConfig | None = None,
        *,
        representation: TextTokens | None = None,
        **settings: Any,
    ) -> None:
        super().__init__(config, representation=representation or TextTokens.bytes(), **settings)
        # A checkpoint of Lightning brings its tokens after the net is made.
        if representation is not None or self.source is not None:
            self._check_vocabulary()

    def _check_vocabulary(self) -> None:
        # Nets often have some more rows than tokens, for products of even size.
        tokens = len(self.representation.vocabulary)
        if tokens > self.config.vocabulary:
            raise MusicZooError(
                f"The representation has {tokens} tokens, and the net {self.config.vocabulary}.",
                where="representation",
                remedy="Give the tokenizer that the weights were trained with.",
            )

    def on_fit_start(self) -> None:
        """Checks that the net has all tokens; see also :meth:`ZooModule.on_fit_start`."""
        self._check_vocabulary()
        super().on_fit_start()

    def reference_batch(self) -> dict[str, Tensor]:
        """Two short texts of different length."""
        ids = [self.representation.encode(text) for text in _REFERENCE]
        return self.representation.collate([row[: self.config.positions] for row in ids])

    def _sampled(
        self,
        prompts: Sequence[Tensor | str],
        seeds: Sequence[int],
        *,
        guard: TokenGuard | None,
        **request: Any,
    ) -> Iterator[tuple[int, Generated]]:
        if guard is not None and not isinstance(guard, TokenGuard):
            raise MusicZooError(
                f"A {type(guard).__name__} is no guard of tokens.",
                where="guard",
                remedy="Give an object with start(sequences), or None.",
            )
        checked = [self._prompt(prompt) for prompt in prompts]
        end, text = self.representation.eos, self.representation.text
        for number, sequence in self._continued(checked, seeds, end=end, guard=guard, **request):
            yield number, generated(sequence, text(sequence.tokens))

    def _prompt(self, prompt: Tensor | str) -> Tensor:
        if isinstance(prompt, str):
            return self.representation.encode_prompt(prompt)
        if not prompt.is_floating_point():
            return self._ids(prompt, self.representation.bos)
        width = self.net.get_input_embeddings().weight.shape[1]
        if prompt.ndim != 2 or prompt.shape[1] != width or not len(prompt):
            raise MusicZooError(
                f"Embeddings of shape {tuple(prompt.shape)} are no prompt.",
                remedy=f"Give at least one, (tokens, {width}), or ids, which are whole numbers.",
            )
        return prompt.detach().to("cpu", torch.float32)


TextLM = TextLMModule

"""A causal language model over texts on Lightning."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from musiczoo.models.adapters import LoRA
from musiczoo.models.base.generative import Generated, GenerativeModule
from musiczoo.models.base.objective import Batch, TokenLogProbs
from musiczoo.models.base.sharding import shard
from musiczoo.models.causal_lm.config import TextLMConfig
from musiczoo.models.causal_lm.construction import give_net
from musiczoo.models.causal_lm.generation import TOKEN_OPTIONS, TokenGuard
from musiczoo.models.causal_lm.net import (
    set_gradient_checkpointing,
    token_log_distribution,
    token_log_probs,
)
from musiczoo.models.causal_lm.requests import checked_ids, continuations, generated
from musiczoo.models.causal_lm.text_net import build
from musiczoo.models.sampling import Sampling
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


class TextLMModule(GenerativeModule):
    """Any causal language model of transformers, with a tokenizer trained on the data.

    Prompts of :meth:`generate` are text, ids (tokens,), or embeddings, float tensors of shape
    (tokens, hidden); an empty text starts from nothing (BOS). Lengths are tokens, the context at
    most. Results have a ``text`` and no ``piece``; ``tokens``, ``log_probs`` and ``scored`` are
    (tokens,). Those of embeddings hold what was generated alone, which nothing scores again.
    ``guard`` is a :class:`musiczoo.models.causal_lm.generation.TokenGuard`; it is started with
    the prompts as the module checked them.

    Families whose blocks are known (:data:`musiczoo.models.causal_lm.blocks.KNOWN`) run without
    padding and decode in batches; all others run their own forward pass.

    Args:
        config: The sizes. Single ones may be given by their names instead (``hidden=128``).
        pretrained: What to start from: a folder in transformers' layout, or a name that
            :func:`musiczoo.load` takes. Its sizes are taken, and its tokens where it has some.
        representation: The tokens; bytes when None.
        lora: Train an adapter beside the frozen weights, with these settings; None trains all
            weights.
        gradient_checkpointing: Compute the blocks again in the backward pass: less memory, more
            time.
        settings: Of :class:`musiczoo.models.base.ZooModule`; ``seed`` is that of untrained weights
            too.

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
    representation_type = TextTokens
    writes = "text"
    prompt_kinds = ("text", "tokens")
    length_unit = "token"
    unit = "token"
    lora_targets = (*_JOINED, *_APART, "self_attn.o_proj", "mlp.down_proj", *_GPT2)
    generate_options = TOKEN_OPTIONS
    net: Any
    config: TextLMConfig
    representation: TextTokens

    def __init__(
        self,
        config: TextLMConfig | None = None,
        *,
        pretrained: str | None = None,
        representation: TextTokens | None = None,
        lora: LoRA | dict[str, Any] | None = None,
        gradient_checkpointing: bool = False,
        **settings: Any,
    ) -> None:
        sizes = TextLMConfig.from_settings(config, settings)
        super().__init__(**settings)
        # The whole distribution, as rollouts need it. A checkpoint may bring its own.
        self.sampling = Sampling(top_k=0, top_p=1.0, min_p=0.0, temperature=1.0)
        self.representation = representation or TextTokens.bytes()
        give_net(self, build, sizes, pretrained)
        # A checkpoint of Lightning brings its tokens after the net is made.
        if representation is not None or pretrained is not None:
            self._check_vocabulary()
        self._keep_settings(gradient_checkpointing=gradient_checkpointing)
        set_gradient_checkpointing(self.net, gradient_checkpointing)
        if lora is not None:
            self.add_lora(lora, self.seed)

    @classmethod
    def from_published(cls, path: str | Path, **settings: Any) -> Self:
        """A module with the weights of a folder in transformers' layout, in eval mode.

        Raises:
            MusicZooError: See :func:`musiczoo.models.causal_lm.published.read_published`.
        """
        return cls(pretrained=str(path), **settings).eval()

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

    def configure_model(self) -> None:
        """Shards the net where the strategy has a device mesh.

        Raises:
            MusicZooError: See :func:`musiczoo.models.base.sharding.shard`.
        """
        shard(self, [])

    def log_probs(self, batch: Batch, temperature: float = 1.0) -> TokenLogProbs:
        """See :meth:`GenerativeModule.log_probs`; every token after the first is a target.

        Raises:
            MusicZooError: A text longer than the context.
        """
        ids, lengths = batch["ids"], batch["lengths"]
        return TokenLogProbs(*token_log_probs(self.net, ids, lengths, temperature))

    def log_distribution(self, batch: Batch, temperature: float = 1.0) -> Tensor:
        """(batch, longest - 1, vocabulary); see :class:`musiczoo.models.base.Distributes`.

        Raises:
            MusicZooError: A text longer than the context.
        """
        return token_log_distribution(self.net, batch["ids"], batch["lengths"], temperature)

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
        for number, sequence in continuations(
            self, checked, seeds, end=end, guard=guard, **request
        ):
            yield number, generated(sequence, text(sequence.tokens))

    def _prompt(self, prompt: Tensor | str) -> Tensor:
        if isinstance(prompt, str):
            return self.representation.encode_prompt(prompt)
        if not prompt.is_floating_point():
            return checked_ids(prompt, self.config.vocabulary, self.representation.bos)
        width = self.net.get_input_embeddings().weight.shape[1]
        if prompt.ndim != 2 or prompt.shape[1] != width or not len(prompt):
            raise MusicZooError(
                f"Embeddings of shape {tuple(prompt.shape)} are no prompt.",
                remedy=f"Give at least one, (tokens, {width}), or ids, which are whole numbers.",
            )
        return prompt.detach().to("cpu", torch.float32)

    def training_item(self, result: Generated, rng: random.Random | None = None) -> Tensor:
        """The tokens as they were generated; encoding the text again may split it differently."""
        return result.tokens


TextLM = TextLMModule
